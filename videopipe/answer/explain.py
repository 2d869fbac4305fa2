"""The picture of how the frames for an answer were chosen.

Read downwards, a panel shows for one video: the chosen clips by label, their frames as bars as high
as the pictures that the model was shown, where each clip lies in time, the relevance from which it
was chosen, and the shots.
"""

from __future__ import annotations

import io
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from videopipe.errors import ConfigError, VideopipeError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.floating[Any]]

SUFFIXES = (".png", ".svg", ".pdf")
MOST = 6  # panels

# Lengths are in hundredths of an inch.
_WIDTH, _LEFT, _RIGHT, _EDGE = 1200, 64, 150, 18
_SPAN = _WIDTH - _LEFT - _RIGHT  # of the time axis
_DPI = 150
_HEADER, _LABELS, _STRIP, _FUNNEL, _LANE = 26, 34, 86, 28, 8
_CURVE, _SHOTS, _TICKS, _BETWEEN, _LINE = 130, 9, 30, 14, 18
_WIDEST, _GAP = 14.0, 7.0  # of a bar, and between two clips

_INK, _SOFT, _FAINT = "#1f2933", "#5f6b7a", "#d5dae1"
_RELEVANCE, _CITED, _PLAIN = "#0072b2", "#c44e00", "#4a5563"
_SIGNALS = (
    ("#00805f", (0, (5, 1.5))),
    ("#b0558a", (0, (1.2, 1.2))),
    ("#8a6d00", (0, (6, 1.5, 1, 1.5))),
)
_FONTS = (
    "DejaVu Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC",
    "WenQuanYi Micro Hei", "Microsoft YaHei", "Yu Gothic", "Malgun Gothic", "PingFang SC",
    "Hiragino Sans", "Apple SD Gothic Neo", "Arial Unicode MS", "Noto Sans", "Noto Sans Arabic",
    "Noto Sans Devanagari", "Noto Emoji",
)  # fmt: skip
_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800)


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
    if path.is_dir():
        raise ConfigError(f"'{path}' is a folder; name a file for the picture.")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise VideopipeError(f"The picture {path} cannot be written ({folder} is closed to you).")


def draw(path: Path, explanations: Sequence[Explanation]) -> None:
    """Write the picture: PNG, SVG or PDF by the suffix of ``path``. Same input, same bytes.

    Raises:
        ConfigError, VideopipeError: as :func:`check_target`, or a disk that is full.
    """
    check_target(path)
    kind = path.suffix.lower().removeprefix(".")
    dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind)
    held = io.BytesIO()
    with _style():
        figure(explanations).savefig(held, format=kind, dpi=_DPI, metadata=dates)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(held.getvalue())
    except OSError as error:
        raise VideopipeError(f"The picture {path} cannot be written ({error.strerror}).") from None


def figure(explanations: Sequence[Explanation]) -> Figure:
    """The picture as a matplotlib figure, twelve inches wide and as high as it needs to be."""
    with _style():
        ruler = _Ruler()
        shown = explanations[:MOST]
        question = shown[0].question if shown else "No video was looked at."
        title = _wrapped(question, ruler.fits(_WIDTH - 2 * _EDGE, 13, "bold"), 3)
        fits = ruler.fits(_WIDTH - 2 * _EDGE, 9)
        notes = [line for note in _notes(explanations) for line in _wrapped(note, fits, 4)]
        panels = [_Panel(one, ruler) for one in shown]
        top: float = _EDGE + 24 * len(title) + 4
        height = top + sum(panel.height for panel in panels) + _LINE * len(notes) + _EDGE
        page = _Page(height)
        for row, line in enumerate(title):
            page.text(_EDGE, _EDGE + 24 * row, line, size=13, weight="bold", color=_INK)
        most = max((f.tokens for e in shown for c in e.clips for f in c.frames), default=0.0)
        for panel in panels:
            panel.draw(page, top, most)
            top += panel.height
        for line in notes:
            page.text(_EDGE, top, line, size=9, color=_SOFT)
            top += _LINE
        return page.figure


@contextmanager
def _style() -> Iterator[None]:
    """Settings of our own whatever the user's are, and no word on stderr about fonts."""
    logger = logging.getLogger("matplotlib")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        import matplotlib.style
        from matplotlib.font_manager import fontManager

        held = {font.name for font in fontManager.ttflist}
        ours = {
            "font.family": [name for name in _FONTS if name in held],
            "text.parse_math": False,
            "svg.hashsalt": "videopipe",
        }
        with warnings.catch_warnings(), matplotlib.style.context(["default", ours]):
            warnings.filterwarnings("ignore", message="Glyph .* missing")
            yield
    finally:
        logger.setLevel(level)


class _Page:
    """A figure measured from its upper left corner."""

    def __init__(self, height: float) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self.height = height
        self.figure = Figure(figsize=(_WIDTH / 100, height / 100), dpi=_DPI, facecolor="white")
        FigureCanvasAgg(self.figure)

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Axes without a frame or ticks."""
        box = (
            left / _WIDTH,
            1 - (top + height) / self.height,
            width / _WIDTH,
            height / self.height,
        )
        axes = self.figure.add_axes(box)
        axes.set(xticks=[], yticks=[])
        axes.patch.set_visible(False)
        for spine in axes.spines.values():
            spine.set_visible(False)
        return axes

    def text(self, left: float, top: float, words: str, **look: Any) -> None:
        """A line of text below ``top``."""
        place = (left / _WIDTH, 1 - top / self.height)
        self.figure.text(*place, words, **{"va": "top", "ha": "left", **look})


class _Ruler:
    """Tells how wide text will be."""

    def __init__(self) -> None:
        page = _Page(100)
        self._text = page.figure.text(0, 0, "")

    def width(self, words: str, size: float, weight: str = "normal") -> float:
        self._text.set(text=words, fontsize=size, fontweight=weight)
        return float(self._text.get_window_extent().width) * 100 / _DPI

    def fits(self, width: float, size: float, weight: str = "normal") -> Callable[[str], bool]:
        return lambda words: self.width(words, size, weight) <= width


class _Panel:
    """The rows of one video."""

    def __init__(self, explanation: Explanation, ruler: _Ruler) -> None:
        self.of = explanation
        self.clips = sorted(explanation.clips, key=lambda clip: (clip.start, clip.end))
        self.frames = [frame for clip in self.clips for frame in clip.frames]
        ends = [clip.end for clip in self.clips] + [frame.time for frame in self.frames]
        self.length = max(explanation.duration, *ends, *explanation.times[-1:], 1e-3)
        self.strip = _STRIP if self.frames else 0
        self.lanes = _lanes(self.clips, 3 * self.length / _SPAN)
        self.row = _Row(self.clips, self.length, ruler)
        name = _LEFT + _SPAN * 0.5
        self.name = _wrapped(explanation.video, ruler.fits(name, 10, "bold"), 1)[0]

    @property
    def chosen(self) -> float:
        """The height of what is above the curve."""
        if not self.clips:
            return 0
        return _LABELS + self.strip + _FUNNEL + _LANE * (1 + max(self.lanes))

    @property
    def height(self) -> float:
        return _HEADER + self.chosen + _CURVE + _SHOTS + _TICKS + _BETWEEN

    def draw(self, page: _Page, top: float, most: float) -> None:
        page.text(_EDGE, top, self.name, size=10, weight="bold", color=_INK)
        page.text(_WIDTH - _EDGE, top, _summary(self.of), size=9, ha="right", color=_SOFT)
        top += _HEADER
        if self.clips:
            self._labels(page, top)
            if self.frames:
                self._strip(page, top + _LABELS, most)
            self._funnel(page, top + _LABELS + self.strip)
        self._curve(page, top + self.chosen)
        self._shots(page, top + self.chosen + _CURVE)

    def _labels(self, page: _Page, top: float) -> None:
        for clip, words, middle in zip(self.clips, self.row.labels, self.row.middles, strict=True):
            for line, word in enumerate(words):
                look: dict[str, Any] = {"size": 9, "weight": "bold"} if line == 0 else {"size": 8}
                look["color"] = _CITED if clip.cited else _INK if line == 0 else _SOFT
                page.text(_LEFT + middle, top + 15 * line, word, ha="center", **look)

    def _strip(self, page: _Page, top: float, most: float) -> None:
        from matplotlib import colormaps

        axes = page.axes(_LEFT, top, _SPAN, self.strip)
        heights = np.array([frame.height for frame in self.frames])
        tokens = np.array([frame.tokens for frame in self.frames])
        highest = heights.max() * 1.04
        axes.set(xlim=(0, _SPAN), ylim=(0, highest))
        ticks: list[int] = []
        for height in sorted(set(heights.tolist()), reverse=True):
            if not ticks or (ticks[-1] - height) / highest * self.strip >= 15:
                ticks.append(height)
        axes.set_yticks(ticks, [str(tick) for tick in ticks], size=8, color=_SOFT)
        axes.tick_params(length=0)
        axes.grid(axis="y", color=_FAINT, linewidth=0.6)
        axes.set_axisbelow(True)
        colors = colormaps["viridis_r"](0.12 + 0.83 * tokens / max(most, 1e-9))
        bar = self.row.bar
        axes.bar(self.row.bars, heights, width=bar - min(1, bar / 4), color=colors, linewidth=0)
        page.text(
            _EDGE - 6,
            top + self.strip / 2,
            "height (px)",
            size=8,
            rotation=90,
            va="center",
            color=_SOFT,
        )
        left, wide = _LEFT + _SPAN + 14, _RIGHT - _EDGE - 14
        page.text(left, top + 4, "tokens per frame", size=8, color=_SOFT)
        scale = page.axes(left, top + 22, wide, 8)
        scale.imshow(colormaps["viridis_r"](np.linspace(0.12, 0.95, 256))[None], aspect="auto")
        page.text(left, top + 33, "0", size=8, color=_SOFT)
        page.text(left + wide, top + 33, f"{most:,.0f}", size=8, ha="right", color=_SOFT)

    def _funnel(self, page: _Page, top: float) -> None:
        """Lead from the bars of each clip to its place in time."""
        height = _FUNNEL + _LANE * (1 + max(self.lanes))
        axes = page.axes(_LEFT, top, _SPAN, height)
        axes.set(xlim=(0, _SPAN), ylim=(height, 0))
        for clip, lane, (left, right) in zip(self.clips, self.lanes, self.row.edges, strict=True):
            start, end = self._span(clip)
            y = _FUNNEL + _LANE * lane
            color = _CITED if clip.cited else _PLAIN
            axes.fill(
                [left, right, end, start], [2, 2, y, y], color=color, alpha=0.16, linewidth=0.5
            )
            axes.fill([start, end, end, start], [y, y, y + 5, y + 5], color=color, linewidth=0)

    def _span(self, clip: ChosenClip) -> tuple[float, float]:
        """Where a clip lies on the axis, wide enough to be seen."""
        start, end = (edge / self.length * _SPAN for edge in (clip.start, clip.end))
        lack = max(3 - (end - start), 0) / 2
        return start - lack, end + lack

    def _curve(self, page: _Page, top: float) -> None:
        axes = page.axes(_LEFT, top, _SPAN, _CURVE)
        axes.set(xlim=(0, _SPAN), ylim=(0, 1.06))
        axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"], size=8, color=_SOFT)
        axes.tick_params(length=0)
        axes.grid(axis="y", color=_FAINT, linewidth=0.6)
        axes.set_axisbelow(True)
        page.text(
            _EDGE - 6, top + _CURVE / 2, "relevance", size=8, rotation=90, va="center", color=_SOFT
        )
        for clip in self.clips:
            axes.axvspan(
                *self._span(clip), color=_CITED if clip.cited else _PLAIN, alpha=0.12, linewidth=0
            )
        at, values = _peaks(self.of.times / self.length * _SPAN, self.of.relevance)
        axes.fill_between(at, values, color=_RELEVANCE, alpha=0.22, linewidth=0)
        axes.plot(at, values, color=_RELEVANCE, linewidth=1.4, label="relevance")
        if len(self.of.signals) > 1:
            for (name, curve), (color, dash) in zip(
                self.of.signals.items(), _SIGNALS, strict=False
            ):
                at, values = _peaks(self.of.times / self.length * _SPAN, curve)
                axes.plot(at, values, color=color, linestyle=dash, linewidth=0.9, label=name)
            axes.legend(
                loc="upper left", bbox_to_anchor=(1 + 8 / _SPAN, 1.0), fontsize=8, frameon=False,
                labelcolor=_INK, borderaxespad=0,
            )  # fmt: skip
        if self.frames and len(self.of.times):
            seconds = np.array([frame.time for frame in self.frames])
            axes.plot(
                seconds / self.length * _SPAN,
                np.interp(seconds, self.of.times, np.nan_to_num(self.of.relevance)),
                "o", color=_INK, markersize=3, markeredgewidth=0, clip_on=False,
            )  # fmt: skip

    def _shots(self, page: _Page, top: float) -> None:
        axes = page.axes(_LEFT, top, _SPAN, _SHOTS)
        axes.set(xlim=(0, _SPAN), ylim=(0, 1))
        edges = np.unique([0.0, *self.of.cuts, self.length]) / self.length * _SPAN
        axes.bar(
            edges[:-1], 1, np.diff(edges), align="edge", linewidth=0,
            color=[("#dfe3e8", "#b8c0ca")[at % 2] for at in range(len(edges) - 1)],
        )  # fmt: skip
        shots = len(edges) - 1
        page.text(
            _LEFT + _SPAN + 14, top - 4, f"{shots:,} shot{'s' * (shots != 1)}", size=8, color=_SOFT
        )
        step = next((s for s in _STEPS if self.length / s <= 10), self.length / 8)
        ticks = np.arange(0, self.length + step / 1e3, step)
        names = [_clock(tick, self.length) for tick in ticks]
        axes.set_xticks(ticks / self.length * _SPAN, names, size=9, color=_INK)
        axes.tick_params(length=3, color=_SOFT)


class _Row:
    """Where the bars and labels stand: at their time where there is room, in order anyway."""

    def __init__(self, clips: Sequence[ChosenClip], length: float, ruler: _Ruler) -> None:
        self.bar = _WIDEST
        self.labels: list[tuple[str, ...]] = [()] * len(clips)
        self.middles: list[float] = []
        self.edges: list[tuple[float, float]] = []
        self.bars: list[float] = []
        if not clips:
            return
        counts = np.array([max(len(clip.frames), 1) for clip in clips])
        gap = min(_GAP, _SPAN / 4 / len(clips))
        names = [(ruler.width(clip.label, 9, "bold"), clip.label) for clip in clips]
        full: list[tuple[str, ...]] = [
            (name[1], _clock(clip.start, length)) for name, clip in zip(names, clips, strict=True)
        ]
        widths = np.array([max(ruler.width(b, 8), ruler.width(a, 9, "bold")) for a, b in full])
        short = np.array([name[0] for name in names])
        cited = np.array([clip.cited for clip in clips])
        thinned = [np.arange(len(clips)) % step == 0 for step in range(1, len(clips) + 1)]
        ways: list[tuple[list[tuple[str, ...]], Floats]] = [(full, widths)]
        ways += [
            (
                [(clip.label,) if k else () for clip, k in zip(clips, keep, strict=True)],
                short * keep,
            )
            for some in ((keep | cited for keep in thinned), iter(thinned))
            for keep in some
        ]
        ways.append((self.labels, short * 0))
        least = min(4.0, _widest(counts, ways[-1][1], gap))
        for labels, room in ways:
            self.bar = _widest(counts, room, gap)
            if self.bar >= least:
                self.labels = list(labels)
                break
        over = np.maximum(room - counts * self.bar, 0) / 2
        wanted: list[float] = []
        spacing: list[float] = []
        for at, clip in enumerate(clips):
            if at:
                spacing.append(self.bar + gap + over[at - 1] + over[at])
            seconds = [frame.time for frame in clip.frames] or [(clip.start + clip.end) / 2]
            wanted += [second / length * _SPAN for second in seconds]
            spacing += [self.bar] * (len(seconds) - 1)
        half = self.bar / 2
        places = _placed(wanted, spacing, half + over[0], _SPAN - half - over[-1])
        done = 0
        for clip, count in zip(clips, counts, strict=True):
            mine = places[done : done + count]
            done += count
            self.edges.append((mine[0] - half, mine[-1] + half))
            self.middles.append((mine[0] + mine[-1]) / 2)
            self.bars += list(mine) if clip.frames else []


def _widest(counts: NDArray[Any], room: Floats, gap: float) -> float:
    """How wide bars can be where ``room`` is kept for labels; 0 where there is none."""
    for bar in np.geomspace(_WIDEST, 0.5, 60):
        if np.maximum(counts * bar, room).sum() + gap * (len(counts) - 1) <= _SPAN:
            return float(bar)
    return 0.0


def _placed(wanted: Sequence[float], spacing: Sequence[float], low: float, high: float) -> Floats:
    """Places next to those ``wanted`` (least squares), in order and ``spacing`` apart.

    This is an isotonic regression, by pooling adjacent violators.
    """
    offsets = np.concatenate([[0.0], np.cumsum(spacing)])
    pools: list[tuple[float, int]] = []
    for value in np.asarray(wanted) - offsets:
        mean, count = float(value), 1
        while pools and pools[-1][0] > mean:
            other, others = pools.pop()
            mean = (mean * count + other * others) / (count + others)
            count += others
        pools.append((mean, count))
    level = np.repeat([mean for mean, _ in pools], [count for _, count in pools])
    return np.asarray(np.clip(level, low, max(high - offsets[-1], low)) + offsets)


def _lanes(clips: Sequence[ChosenClip], apart: float) -> list[int]:
    """A lane for each clip, so that clips that overlap in time stand one below the other."""
    ends: list[float] = []
    lanes = []
    for clip in clips:
        free = (at for at, end in enumerate(ends) if end <= clip.start)
        lane = next(free, min(len(ends), 2))
        if lane == len(ends):
            ends.append(0.0)
        ends[lane] = max(ends[lane], clip.end)
        lanes.append(lane)
    return lanes


def _peaks(at: Floats, values: Floats) -> tuple[Floats, Floats]:
    """A curve with no more points than can be seen, of each column the highest."""
    values = np.nan_to_num(np.asarray(values, float))
    if len(at) <= 2 * _SPAN:
        return at, values
    column = np.floor(at).astype(int)
    order = np.lexsort((-values, column))
    keep = order[np.diff(column[order], prepend=-1) > 0]
    return at[keep], values[keep]


def _clock(seconds: float, length: float) -> str:
    """``h:mm:ss``, in a video of less than an hour ``mm:ss``; tenths where there are some."""
    whole = int(seconds + 1e-6)
    tenths = f"{seconds - whole:.1f}"[1:] if length < 5 else ""
    hours, rest = divmod(whole, 3600)
    start = f"{hours}:" if length >= 3600 else ""
    return f"{start}{rest // 60:02d}:{rest % 60:02d}{tenths}"


def _summary(of: Explanation) -> str:
    """What was taken of the video, in a line."""
    clips = f"{len(of.clips)} clip{'s' * (len(of.clips) != 1)}"
    frames = [frame for clip in of.clips for frame in clip.frames]
    if not frames:
        return f"{clips}, {_clock(of.duration, of.duration)} long"
    sizes = sorted({(frame.height, frame.width) for frame in frames})
    low, high = (f"{height}×{width}" for height, width in (sizes[0], sizes[-1]))
    return (
        f"{len(frames)} frame{'s' * (len(frames) != 1)} in {clips}, "
        f"{low if low == high else f'{low} to {high}'} px, of {_clock(of.duration, of.duration)}"
    )


def _notes(explanations: Sequence[Explanation]) -> list[str]:
    """The method, its reasons and the budget; once for all videos where they are the same."""
    notes: list[str] = []
    for one in explanations[:MOST]:
        notes.append("  ·  ".join(part for part in (one.method, *one.why) if part))
        if one.budget is not None and one.used is not None:
            notes[-1] += f"  ·  {one.used:,} of {one.budget:,} visual tokens"
    if len(set(notes)) > 1:
        notes = [f"{of.video}: {note}" for of, note in zip(explanations, notes, strict=False)]
    if len(explanations) > MOST:
        notes.append(f"{len(explanations) - MOST} more videos are left out.")
    return list(dict.fromkeys(notes))


def _wrapped(text: str, fits: Callable[[str], bool], most: int) -> list[str]:
    """``text`` in at most ``most`` lines that fit, broken at spaces where there are some."""
    rest = "".join(c if c.isprintable() else " " for c in text[:2000])
    rest = " ".join(rest.split())
    lines: list[str] = []
    while not fits(rest):
        mark = "…" if len(lines) == most - 1 else ""
        low, high = 1, len(rest)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if fits(rest[:middle] + mark) else (low, middle)
        space = rest.rfind(" ", low // 2, low + 1)
        end = space if space > 0 else low
        lines.append(rest[:end].rstrip() + mark)
        if mark:
            return lines
        rest = rest[end:].lstrip()
    return [*lines, rest]
