"""The picture of how the frames for an answer were chosen.

Read downwards, a panel shows for one video: the chosen clips by label, their frames as bars as high
as the pictures that the model was shown, where each clip lies in time, the relevance from which it
was chosen, and the shots.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from videopipe.answer._explain_layout import EDGE, WIDTH, Floats, several, wrapped
from videopipe.answer._explain_page import DPI, INK, SOFT, Page, Ruler, style
from videopipe.answer._explain_panel import Panel
from videopipe.errors import ConfigError, VideopipeError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg", ".pdf")
MOST = 6  # panels
_LINE = 18  # hundredths of an inch


@dataclass(frozen=True, eq=False)
class ChosenFrame:
    """A frame as the model was shown it: its second, its size in pixels, and its visual tokens."""

    time: float
    height: int
    width: int
    tokens: float


@dataclass(frozen=True, eq=False)
class ChosenClip:
    """Frames shown as one piece of evidence, ``[start, end]`` in seconds; none if only quoted."""

    start: float
    end: float
    label: str
    frames: tuple[ChosenFrame, ...]
    cited: bool = False


@dataclass(frozen=True, eq=False)
class Explanation:
    """How the frames of one video were chosen.

    Attributes:
        times: ``[N]`` seconds of the scanned frames.
        relevance: ``[N]`` in 0-1, how well each fits the question.
        signals: what the relevance was made of, ``[N]`` in 0-1 by name.
        cuts: seconds at which shots begin.
        why: what was decided and for what reason.
        budget: visual tokens allowed, None without a model.
        used: visual tokens shown.
    """

    video: str
    duration: float
    question: str
    times: Floats
    relevance: Floats
    signals: Mapping[str, Floats]
    cuts: Floats
    clips: tuple[ChosenClip, ...]
    method: str
    why: tuple[str, ...]
    budget: int | None
    used: int | None


def check_target(path: Path) -> None:
    """Refuse early what :func:`draw` could not write.

    Raises:
        ConfigError: a suffix that is no kind of picture, or a folder.
        VideopipeError: a folder that cannot be written.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"'{path}' is no picture; its name must end in .png, .svg or .pdf.")
    try:
        if path.is_dir():
            raise ConfigError(f"'{path}' is a folder; name a file for the picture.")
        place = next(at for at in (path, *path.absolute().parents) if at.exists())
        if place != path and not place.is_dir():
            raise VideopipeError(f"The picture {path} cannot be written ({place} is no folder).")
        if not os.access(place, os.W_OK):
            raise VideopipeError(f"The picture {path} cannot be written ({place} is read-only).")
    except OSError as error:
        raise VideopipeError(f"The picture {path} cannot be written ({error.strerror}).") from None


def draw(path: Path, explanations: Sequence[Explanation]) -> None:
    """Write the picture: PNG, SVG or PDF by the suffix of ``path``. Same input, same bytes.

    Raises:
        ConfigError, VideopipeError: as :func:`check_target`, or a disk that is full.
    """
    check_target(path)
    kind = path.suffix.lower().removeprefix(".")
    dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind)
    held = io.BytesIO()
    with style():
        figure(explanations).savefig(held, format=kind, dpi=DPI, metadata=dates)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(held.getvalue())
    except OSError as error:
        raise VideopipeError(f"The picture {path} cannot be written ({error.strerror}).") from None


def figure(explanations: Sequence[Explanation]) -> Figure:
    """The picture as a matplotlib figure, twelve inches wide and as high as it needs to be."""
    with style():
        ruler = Ruler()
        shown = explanations[:MOST]
        question = shown[0].question if shown else "No video was looked at."
        title = wrapped(question, ruler.fits(WIDTH - 2 * EDGE, 13, "bold"), 3)
        fits = ruler.fits(WIDTH - 2 * EDGE, 9)
        notes = [line for note in _notes(explanations) for line in wrapped(note, fits, 4)]
        panels = [Panel(one, ruler) for one in shown]
        top: float = EDGE + 24 * len(title) + 10
        height = top + sum(panel.height for panel in panels) + _LINE * len(notes) + EDGE
        page = Page(height)
        for row, line in enumerate(title):
            page.text(EDGE, EDGE + 24 * row, line, size=13, weight="bold", color=INK)
        costs = [f.tokens for one in shown for clip in one.clips for f in clip.frames] or [0.0]
        for panel in panels:
            panel.draw(page, top, (min(costs), max(costs)))
            top += panel.height
        for line in notes:
            page.text(EDGE, top, line, size=9, color=SOFT)
            top += _LINE
        return page.figure


def _notes(explanations: Sequence[Explanation]) -> list[str]:
    """The method, its reasons and the budget; once for all videos where they are the same."""
    notes: list[str] = []
    for one in explanations[:MOST]:
        parts = [f"Method: {one.method}", *one.why]
        if one.budget is not None and one.used is not None:
            parts.append(f"{one.used:,} of {one.budget:,} visual tokens")
        notes.append(" · ".join(part for part in parts if part))
    if len(set(notes)) > 1:
        notes = [f"{of.video} · {note}" for of, note in zip(explanations, notes, strict=False)]
    if len(explanations) > MOST:
        notes.append(f"Not drawn: {several(len(explanations) - MOST, 'more video')}.")
    return list(dict.fromkeys(notes))
