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
_HEADER, _LABELS, _STRIP, _FUNNEL, _LANE = 28, 40, 86, 28, 8
_CURVE, _SHOTS, _TICKS, _BETWEEN, _LINE = 130, 9, 30, 14, 18
_WIDEST, _GAP = 14.0, 7.0  # of a bar, and between two clips
_THIN, _BESIDE = 3.0, 14  # of a span, and from the time axis to what is said of it

_INK, _SOFT, _FAINT = "#1f2933", "#5f6b7a", "#d5dae1"
_SHOT, _OTHER_SHOT = "#e4e8ed", "#bcc4ce"
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
_STEPS = (
    0.1,
    0.2,
    0.5,
    1,
    2,
    5,
    10,
    15,
    30,
    60,
    120,
    300,
    600,
    900,
    1800,
    3600,
    7200,
    10800,
    21600,
    43200,
    86400,
)


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
        top: float = _EDGE + 24 * len(title) + 10
        height = top + sum(panel.height for panel in panels) + _LINE * len(notes) + _EDGE
        page = _Page(height)
        for row, line in enumerate(title):
            page.text(_EDGE, _EDGE + 24 * row, line, size=13, weight="bold", color=_INK)
        costs = [f.tokens for one in shown for clip in one.clips for f in clip.frames] or [0.0]
        for panel in panels:
            panel.draw(page, top, (min(costs), max(costs)))
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
        frames = [frame for clip in self.clips for frame in clip.frames]
        ends = [clip.end for clip in self.clips] + [frame.time for frame in frames]
        self.length = max(explanation.duration, *ends, *explanation.times[-1:], 1e-3)
        self.strip = _STRIP if frames else 0
        self.lanes = _lanes(self.clips, _THIN * self.length / _SPAN)
        self.row = _Row(self.clips, self.length, ruler)
        self.summary = _summary(explanation)
        room = _WIDTH - 3 * _EDGE - ruler.width(self.summary, 9)
        self.name = _wrapped(explanation.video, ruler.fits(room, 10, "bold"), 1)[0]

    @property
    def funnel(self) -> float:
        """The height of what leads from the bars to the curve."""
        return _FUNNEL + _LANE * (1 + max(self.lanes))

    @property
    def above(self) -> float:
        """The height of what is above the curve."""
        return _LABELS + self.strip + self.funnel if self.clips else 0

    @property
    def height(self) -> float:
        return _HEADER + self.above + _CURVE + _SHOTS + _TICKS + _BETWEEN

    def draw(self, page: _Page, top: float, tokens: tuple[float, float]) -> None:
        """Draw it below ``top``; ``tokens`` are the fewest and the most of any frame."""
        page.text(_EDGE, top, self.name, size=10, weight="bold", color=_INK)
        page.text(_WIDTH - _EDGE, top, self.summary, size=9, ha="right", color=_SOFT)
        top += _HEADER
        if self.clips:
            self._labels(page, top)
            if self.strip:
                self._strip(page, top + _LABELS, tokens)
            self._funnel(page, top + _LABELS + self.strip)
        self._curve(page, top + self.above)
        self._shots(page, top + self.above + _CURVE)
        self._ticks(page, top + self.above + _CURVE + _SHOTS)

    def _labels(self, page: _Page, top: float) -> None:
        for clip, middle, words in self.row.labels:
            box = {"boxstyle": "round,pad=0.22", "facecolor": _CITED, "edgecolor": "none"}
            look: dict[str, Any] = {"color": "white", "bbox": box} if clip.cited else {}
            look = {"size": 9, "weight": "bold", "color": _INK, **look}
            for line, word in enumerate(words, 2 - len(words)):
                page.text(_LEFT + middle, top + 18 * line, word, ha="center", **look)
                look = {"size": 8, "color": _CITED if clip.cited else _SOFT}

    def _strip(self, page: _Page, top: float, tokens: tuple[float, float]) -> None:
        """The chosen frames as bars as high as the frame, coloured by its tokens."""
        from matplotlib import colormaps

        def color(share: Floats) -> Any:
            return colormaps["viridis_r"](0.12 + 0.83 * share)

        heights = np.array([frame.height for frame in self.row.frames])
        costs = np.array([frame.tokens for frame in self.row.frames])
        highest = heights.max() * 1.04
        axes = page.axes(_LEFT, top, _SPAN, self.strip)
        axes.set(xlim=(0, _SPAN), ylim=(0, highest))
        ticks: list[int] = []
        for height in sorted(set(heights.tolist()), reverse=True):
            if not ticks or (ticks[-1] - height) / highest * self.strip >= 15:
                ticks.append(height)
        _scale(axes, ticks)
        _title(page, top + self.strip / 2, "height (px)")
        fewest, most = tokens
        bar = self.row.bar
        half = (bar - min(1.0, bar / 4)) / 2
        colors = color(costs / most) if most > fewest else _PLAIN
        _boxes(axes, self.row.bars - half, self.row.bars + half, heights, colors)
        left, wide = _LEFT + _SPAN + _BESIDE, _RIGHT - _EDGE - _BESIDE
        if most > fewest:
            page.text(left, top + 4, "tokens per frame", size=8, color=_SOFT)
            scale = page.axes(left, top + 22, wide, 8)
            scale.imshow(color(np.linspace(0, 1, 256))[None], aspect="auto")
            page.text(left, top + 33, "0", size=8, color=_SOFT)
            page.text(left + wide, top + 33, _count(most), size=8, ha="right", color=_SOFT)
        else:
            page.text(left, top + 4, f"{_count(most)} tokens each", size=8, color=_SOFT)

    def _funnel(self, page: _Page, top: float) -> None:
        """Lead from the bars of each clip to its place in time."""
        axes = page.axes(_LEFT, top, _SPAN, self.funnel)
        axes.set(xlim=(0, _SPAN), ylim=(self.funnel, 0))
        for run in self.row.runs:
            clip = self.clips[run.clip]
            y = _FUNNEL + _LANE * self.lanes[run.clip]
            alone = len(run.seconds) == max(len(clip.frames), 1)
            edges = (clip.start, clip.end) if alone else (run.seconds[0], run.seconds[-1])
            start, end = self._span(*edges)
            axes.fill(
                [run.left, run.right, end, start], [2, 2, y, y],
                color=_CITED if clip.cited else _PLAIN, alpha=0.16, linewidth=0.5,
            )  # fmt: skip
        low = np.array([_FUNNEL + _LANE * lane for lane in self.lanes])
        lefts, rights = self._spans()
        _boxes(axes, lefts, rights, low + _LANE - 3, self._colors(), low)

    def _span(self, start: float, end: float) -> tuple[float, float]:
        """Where a stretch lies on the axis, wide enough to be seen."""
        left, right = start / self.length * _SPAN, end / self.length * _SPAN
        wide = max(right - left, _THIN)
        left = min(max((left + right - wide) / 2, 0), _SPAN - wide)
        return left, left + wide

    def _spans(self) -> tuple[Floats, Floats]:
        spans = np.array([self._span(clip.start, clip.end) for clip in self.clips])
        return spans[:, 0], spans[:, 1]

    def _colors(self) -> list[str]:
        return [_CITED if clip.cited else _PLAIN for clip in self.clips]

    def _curve(self, page: _Page, top: float) -> None:
        """The relevance and what it was made of, with the chosen frames on it."""
        axes = page.axes(_LEFT, top, _SPAN, _CURVE)
        axes.set(xlim=(0, _SPAN), ylim=(0, 1.06))
        _scale(axes, [0, 0.5, 1])
        _title(page, top + _CURVE / 2, "relevance")
        if self.clips:
            faint = 0.12 if len(self.clips) <= 64 else 0.05
            _boxes(axes, *self._spans(), 1.06, self._colors(), alpha=faint)
        at = np.asarray(self.of.times, float) / self.length * _SPAN
        places, values = _peaks(at, self.of.relevance)
        axes.fill_between(places, values, color=_RELEVANCE, alpha=0.22, linewidth=0)
        signals = dict(self.of.signals)
        name = f"relevance ({next(iter(signals))})" if len(signals) == 1 else "relevance"
        axes.plot(places, values, color=_RELEVANCE, linewidth=1.4, label=name, zorder=2.5)
        if len(signals) > 1:
            for (name, curve), (color, dash) in zip(signals.items(), _SIGNALS, strict=False):
                axes.plot(
                    *_peaks(at, curve), color=color, linestyle=dash, linewidth=0.9, label=name
                )
        if self.strip and len(at):
            seconds = np.array([frame.time for frame in self.row.frames])
            marks = seconds / self.length * _SPAN
            axes.plot(
                marks, np.interp(marks, places, values),  # on the line as it is drawn
                "o", color=_INK, markersize=3, markeredgewidth=0, clip_on=False,
                label="chosen frame", zorder=3,
            )  # fmt: skip
        if any(clip.cited for clip in self.clips):
            axes.fill([], [], color=_CITED, label="cited")
        axes.legend(
            loc="upper left", bbox_to_anchor=(1 + (_BESIDE - 6) / _SPAN, 1), fontsize=8,
            frameon=False, labelcolor=_SOFT, borderaxespad=0, handlelength=1.6,
        )  # fmt: skip

    def _shots(self, page: _Page, top: float) -> None:
        """Every other shot darker; where they are too short to be seen, how many there are."""
        axes = page.axes(_LEFT, top, _SPAN, _SHOTS)
        axes.set(xlim=(0, _SPAN), ylim=(0, 1))
        cuts = np.asarray(self.of.cuts, float)
        cuts = np.unique(cuts[(cuts > 0) & (cuts < self.length)])
        edges = np.concatenate([[0], cuts / self.length * _SPAN, [_SPAN]])
        shots = len(edges) - 1
        _boxes(axes, np.zeros(1), np.full(1, _SPAN), 1, _SHOT)
        if _SPAN / shots >= 3:
            odd = np.arange(1, shots, 2)
            _boxes(axes, edges[odd], edges[odd + 1], 1, _OTHER_SHOT)
        else:
            counts, columns = np.histogram(edges[1:-1], _SPAN // 6, (0, _SPAN))
            for count in np.unique(counts[counts > 0]):
                mine = np.flatnonzero(counts == count)
                share = float(count / counts.max())
                _boxes(axes, columns[mine], columns[mine + 1], 1, _OTHER_SHOT, alpha=share)
        words = _several(shots, "shot")
        page.text(_LEFT + _SPAN + _BESIDE, top - 4, words, size=8, color=_SOFT)

    def _ticks(self, page: _Page, top: float) -> None:
        """The time axis."""
        axes = page.axes(_LEFT, top, _SPAN, 1)
        axes.set(xlim=(0, _SPAN))
        step = next((some for some in _STEPS if self.length / some <= 10), self.length / 8)
        ticks = np.arange(0, self.length + step / 1e3, step)
        names = [_clock(tick, self.length, step < 1) for tick in ticks]
        axes.set_xticks(ticks / self.length * _SPAN, names, size=9, color=_INK)
        axes.tick_params(length=3, color=_SOFT)


@dataclass(eq=False)
class _Run:
    """Frames of a clip that stand side by side; ``clip`` is its place among the clips."""

    clip: int
    seconds: list[float]
    frames: list[ChosenFrame]
    left: float = 0.0
    right: float = 0.0


class _Row:
    """Where bars and labels stand: at their time where there is room, in order of time anyway."""

    def __init__(self, clips: Sequence[ChosenClip], length: float, ruler: _Ruler) -> None:
        self.runs = _runs(clips, length)
        self.frames = [frame for run in self.runs for frame in run.frames]
        self.labels: list[tuple[ChosenClip, float, tuple[str, ...]]] = []
        self.bar = _WIDEST
        self.bars: Floats = np.empty(0)
        if clips:
            self._place(clips, length, ruler)

    def _place(self, clips: Sequence[ChosenClip], length: float, ruler: _Ruler) -> None:
        counts = np.array([len(run.seconds) for run in self.runs])
        gap = min(_GAP, _SPAN / 4 / len(counts))
        barest = min(_WIDEST, (_SPAN - gap * (len(counts) - 1)) / counts.sum())
        owners = np.array([run.clip for run in self.runs])
        main = [  # the run of each clip that bears its label
            max(np.flatnonzero(owners == at), key=lambda run: (counts[run], -run))
            for at in range(len(clips))
        ]
        for ways in zip(*(_names(clip, length) for clip in clips), strict=True):
            widths = np.array([_label_width(words, ruler) for words in ways])
            room = np.zeros(len(counts))
            room[main] = widths
            self.bar = _widest(counts, room, gap)
            if self.bar >= min(4, barest):
                break
        else:
            self.bar, room = barest, room * 0
        self._stand(counts, np.maximum(room - counts * self.bar, 0) / 2, gap, length)
        middles = [(self.runs[run].left + self.runs[run].right) / 2 for run in main]
        for at in _apart(middles, widths, [clip.cited for clip in clips]):
            half = widths[at] / 2
            middle = float(np.clip(middles[at], half, _SPAN - half))
            self.labels.append((clips[at], middle, ways[at]))

    def _stand(self, counts: NDArray[Any], over: Floats, gap: float, length: float) -> None:
        """Place bars; ``over`` is what the label of a run needs on either side of its bars."""
        wanted = [second / length * _SPAN for run in self.runs for second in run.seconds]
        spacing = np.full(len(wanted) - 1, self.bar)
        firsts = np.cumsum(counts)[:-1]
        spacing[firsts - 1] += gap + over[:-1] + over[1:]
        half = self.bar / 2
        places = _placed(wanted, spacing, half + over[0], _SPAN - half - over[-1])
        bars = []
        for run, mine in zip(self.runs, np.split(places, firsts), strict=True):
            if run.frames:
                run.left, run.right = float(mine[0]) - half, float(mine[-1]) + half
                bars.append(mine)
            else:
                run.left = run.right = float(mine[0])
        self.bars = np.concatenate([np.empty(0), *bars])


def _runs(clips: Sequence[ChosenClip], length: float) -> list[_Run]:
    """The frames of all clips in order of time; those of a clip that are close stay together."""
    pieces: list[tuple[float, int, _Run]] = []
    for at, clip in enumerate(clips):
        frames = sorted(clip.frames, key=lambda frame: frame.time)
        seconds = [frame.time for frame in frames] or [(clip.start + clip.end) / 2]
        apart = (seconds[-1] - seconds[0]) / length * _SPAN
        if len(frames) > 1 and apart >= _WIDEST * (len(frames) - 1):
            pieces += [(frame.time, at, _Run(at, [frame.time], [frame])) for frame in frames]
        else:
            pieces.append((seconds[0], at, _Run(at, seconds, frames)))
    runs: list[_Run] = []
    for _, at, piece in sorted(pieces, key=lambda piece: piece[:2]):
        if runs and runs[-1].clip == at:
            runs[-1].seconds += piece.seconds
            runs[-1].frames += piece.frames
        else:
            runs.append(piece)
    return runs


def _names(clip: ChosenClip, length: float) -> Iterator[tuple[str, ...]]:
    """What a clip may be labelled with, the longest first."""
    start, end = (_clock(edge, length, length < 60) for edge in (clip.start, clip.end))
    yield clip.label, start if start == end else f"{start}–{end}"
    yield clip.label, start
    yield (clip.label,)


def _label_width(words: Sequence[str], ruler: _Ruler) -> float:
    """With what is kept free around it."""
    return 8 + max(ruler.width(words[0], 9, "bold"), *(ruler.width(w, 8) for w in words[1:]), 0)


def _apart(middles: Sequence[float], widths: Floats, cited: Sequence[bool]) -> list[int]:
    """Which labels to write: the cited ones, and every so many of the others, where free."""
    low = np.clip(np.asarray(middles) - widths / 2, 0, _SPAN - widths)
    order = np.argsort(low, kind="stable")

    def free(at: int, others: Sequence[int]) -> bool:
        return all(low[at] + widths[at] <= low[o] or low[o] + widths[o] <= low[at] for o in others)

    steps = (order[::step] for step in range(1, len(order) + 1))
    regular = next(some for some in steps if np.all(low[some] + widths[some] <= _next(low[some])))
    kept: list[int] = []
    for at in [*(at for at in order if cited[at]), *regular]:
        if at not in kept and free(at, kept):
            kept.append(int(at))
    return sorted(kept)


def _next(values: Floats) -> Floats:
    """For each value the one after it; the last has none to mind."""
    return np.append(values[1:], np.inf)


def _widest(counts: NDArray[Any], room: Floats, gap: float) -> float:
    """How wide bars can be where each run gets ``room`` for a label; 0 if there is too little."""
    for bar in np.geomspace(_WIDEST, 0.5, 60):
        if np.maximum(counts * bar, room).sum() + gap * (len(counts) - 1) <= _SPAN:
            return float(bar)
    return 0.0


def _boxes(
    axes: Axes, left: Floats, right: Floats, top: Any, colors: Any, low: Any = 0, alpha: float = 1
) -> None:
    """Filled boxes: many are one artist."""
    from matplotlib.collections import PolyCollection

    low, top, _ = np.broadcast_arrays(low, top, left)
    x = np.stack([left, right, right, left], axis=1)
    y = np.stack([low, low, top, top], axis=1)
    corners = np.stack([x, y], axis=2)
    axes.add_collection(
        PolyCollection(list(corners), facecolors=colors, linewidths=0, alpha=alpha), autolim=False
    )


def _scale(axes: Axes, ticks: Sequence[float]) -> None:
    """Grey numbers on the left, with faint lines behind what is drawn."""
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks], size=8, color=_SOFT)
    axes.tick_params(length=0)
    axes.grid(axis="y", color=_FAINT, linewidth=0.6)
    axes.set_axisbelow(True)


def _title(page: _Page, middle: float, words: str) -> None:
    """What a scale measures."""
    page.text(_EDGE - 6, middle, words, size=8, rotation=90, va="center", color=_SOFT)


def _placed(wanted: Sequence[float], spacing: Floats, low: float, high: float) -> Floats:
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


def _lanes(clips: Sequence[ChosenClip], least: float) -> list[int]:
    """A lane for each clip, three at most, so that clips that overlap stand one below the other.

    ``least`` is how many seconds are drawn of even the shortest clip.
    """
    ends: list[float] = []
    lanes = []
    for clip in clips:
        free = (at for at, end in enumerate(ends) if end <= clip.start)
        lane = next(free, min(len(ends), 2))
        if lane == len(ends):
            ends.append(0.0)
        wide = clip.end - clip.start
        ends[lane] = max(ends[lane], clip.end) if wide > least else ends[lane]
        lanes.append(lane)
    return lanes


def _peaks(at: Floats, values: Floats) -> tuple[Floats, Floats]:
    """A curve with no more points than can be seen: of each column the highest.

    The last value holds for as long as one lasts.
    """
    values = np.nan_to_num(np.asarray(values, float))
    if not len(at):
        return at, values
    lasts = float(np.median(np.diff(at))) if len(at) > 1 else float(_SPAN)
    at = np.append(at, min(at[-1] + lasts, _SPAN))
    values = np.append(values, values[-1])
    if len(at) <= 2 * _SPAN:
        return at, values
    column = np.floor(at).astype(int)
    order = np.lexsort((-values, column))
    keep = order[np.diff(column[order], prepend=-1) > 0]
    return at[keep], values[keep]


def _clock(seconds: float, length: float, tenths: bool = False) -> str:
    """``h:mm:ss``, in a video of less than an hour ``mm:ss``, rounded down."""
    tens = round(seconds * 10) if tenths else int(seconds + 1e-6) * 10
    hours, rest = divmod(tens // 10, 3600)
    start = f"{hours}:" if length >= 3600 else ""
    return f"{start}{rest // 60:02d}:{rest % 60:02d}" + (f".{tens % 10}" if tenths else "")


def _count(tokens: float) -> str:
    """Tokens of a frame, which may be a share of those of its clip."""
    return f"{tokens:,.0f}" if tokens >= 10 or tokens == int(tokens) else f"{tokens:.1f}"


def _summary(of: Explanation) -> str:
    """What was taken of the video, in a line; sizes are width × height."""
    long = f"{_clock(of.duration, of.duration, of.duration < 60)} long"
    frames = [frame for clip in of.clips for frame in clip.frames]
    if not of.clips:
        return f"{long}  ·  nothing chosen"
    if not frames:
        return f"{long}  ·  {_several(len(of.clips), 'passage')} quoted"
    sizes = sorted({(frame.height, frame.width) for frame in frames})
    low, high = (f"{width}×{height}" for height, width in (sizes[0], sizes[-1]))
    size = low if low == high else f"{low} to {high}"
    taken = f"{_several(len(frames), 'frame')} in {_several(len(of.clips), 'clip')}"
    return f"{long}  ·  {taken}  ·  {size} px"


def _several(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'s' * (count != 1)}"


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
        notes.append(f"Not drawn: {_several(len(explanations) - MOST, 'more video')}.")
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
