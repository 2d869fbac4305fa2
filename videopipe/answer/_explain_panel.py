"""One video in the picture of chosen frames, drawn by matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from videopipe.answer._explain_layout import (
    EDGE,
    LEFT,
    RIGHT,
    SPAN,
    WIDTH,
    Floats,
    Row,
    clock,
    cost,
    lanes,
    peaks,
    several,
    summary,
    wrapped,
)
from videopipe.answer._explain_page import FAINT, INK, SOFT, Page, Ruler, boxes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from videopipe.answer.explain import Explanation

# Heights in hundredths of an inch, as all lengths.
_HEADER, _LABELS, _STRIP, _FUNNEL, _LANE = 28, 40, 86, 28, 8
_CURVE, _SHOTS, _TICKS, _BETWEEN = 130, 9, 30, 14
_THIN, _BESIDE = 3.0, 14  # of a span, and from the time axis to what is said of it
_STEPS = (
    *(0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900),
    *(1800, 3600, 7200, 10800, 21600, 43200, 86400),
)  # seconds from tick to tick

_SHOT, _OTHER_SHOT = "#e4e8ed", "#bcc4ce"
_RELEVANCE, _CITED, _PLAIN = "#0072b2", "#c44e00", "#4a5563"
_SIGNALS = (
    ("#00805f", (0, (5, 1.5))),
    ("#b0558a", (0, (1.2, 1.2))),
    ("#8a6d00", (0, (6, 1.5, 1, 1.5))),
)


class Panel:
    """The rows of one video."""

    def __init__(self, explanation: Explanation, ruler: Ruler) -> None:
        self.of = explanation
        self.clips = sorted(explanation.clips, key=lambda clip: (clip.start, clip.end))
        frames = [frame for clip in self.clips for frame in clip.frames]
        ends = [clip.end for clip in self.clips] + [frame.time for frame in frames]
        self.length = max(explanation.duration, *ends, *explanation.times[-1:], 1e-3)
        self.strip = _STRIP if frames else 0
        self.lanes = lanes(self.clips, _THIN * self.length / SPAN)
        self.row = Row(self.clips, self.length, ruler)
        self.summary = summary(explanation)
        room = WIDTH - 3 * EDGE - ruler.width(self.summary, 9)
        self.name = wrapped(explanation.video, ruler.fits(room, 10, "bold"), 1)[0]

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

    def draw(self, page: Page, top: float, tokens: tuple[float, float]) -> None:
        """Draw it below ``top``; ``tokens`` are the fewest and the most of any frame."""
        page.text(EDGE, top, self.name, size=10, weight="bold", color=INK)
        page.text(WIDTH - EDGE, top, self.summary, size=9, ha="right", color=SOFT)
        top += _HEADER
        if self.clips:
            self._labels(page, top)
            if self.strip:
                self._strip(page, top + _LABELS, tokens)
            self._funnel(page, top + _LABELS + self.strip)
        self._curve(page, top + self.above)
        self._shots(page, top + self.above + _CURVE)
        self._ticks(page, top + self.above + _CURVE + _SHOTS)

    def _labels(self, page: Page, top: float) -> None:
        for clip, middle, words in self.row.labels:
            box = {"boxstyle": "round,pad=0.22", "facecolor": _CITED, "edgecolor": "none"}
            look: dict[str, Any] = {"color": "white", "bbox": box} if clip.cited else {}
            look = {"size": 9, "weight": "bold", "color": INK, **look}
            for line, word in enumerate(words, 2 - len(words)):
                page.text(LEFT + middle, top + 18 * line, word, ha="center", **look)
                look = {"size": 8, "color": _CITED if clip.cited else SOFT}

    def _strip(self, page: Page, top: float, tokens: tuple[float, float]) -> None:
        """The chosen frames as bars as high as the frame, coloured by its tokens."""
        from matplotlib import colormaps

        def color(share: Floats) -> Any:
            return colormaps["viridis_r"](0.12 + 0.83 * share)

        heights = np.array([frame.height for frame in self.row.frames])
        costs = np.array([frame.tokens for frame in self.row.frames])
        highest = heights.max() * 1.04
        axes = page.axes(LEFT, top, SPAN, self.strip)
        axes.set(xlim=(0, SPAN), ylim=(0, highest))
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
        boxes(axes, self.row.bars - half, self.row.bars + half, heights, colors)
        left, wide = LEFT + SPAN + _BESIDE, RIGHT - EDGE - _BESIDE
        if most > fewest:
            page.text(left, top + 4, "tokens per frame", size=8, color=SOFT)
            scale = page.axes(left, top + 22, wide, 8)
            scale.imshow(color(np.linspace(0, 1, 256))[None], aspect="auto")
            page.text(left, top + 33, "0", size=8, color=SOFT)
            page.text(left + wide, top + 33, cost(most), size=8, ha="right", color=SOFT)
        else:
            page.text(left, top + 4, f"{cost(most)} tokens each", size=8, color=SOFT)

    def _funnel(self, page: Page, top: float) -> None:
        """Lead from the bars of each clip to its place in time."""
        axes = page.axes(LEFT, top, SPAN, self.funnel)
        axes.set(xlim=(0, SPAN), ylim=(self.funnel, 0))
        for run in self.row.runs:
            clip = self.clips[run.clip]
            y = _FUNNEL + _LANE * self.lanes[run.clip]
            alone = len(run.seconds) == max(len(clip.frames), 1)
            edges = (clip.start, clip.end) if alone else (run.seconds[0], run.seconds[-1])
            start, end = self._spans(*edges)
            axes.fill(
                [run.left, run.right, end, start], [2, 2, y, y],
                color=_CITED if clip.cited else _PLAIN, alpha=0.16, linewidth=0.5,
            )  # fmt: skip
        low = np.array([_FUNNEL + _LANE * lane for lane in self.lanes])
        boxes(axes, *self._clips(), low + _LANE - 3, self._colors(), low)

    def _spans(self, start: Any, end: Any) -> tuple[Floats, Floats]:
        """Where stretches lie on the axis, wide enough to be seen."""
        left, right = start / self.length * SPAN, end / self.length * SPAN
        wide = np.maximum(right - left, _THIN)
        left = np.clip((left + right - wide) / 2, 0, SPAN - wide)
        return left, left + wide

    def _clips(self) -> tuple[Floats, Floats]:
        starts = np.array([clip.start for clip in self.clips])
        return self._spans(starts, np.array([clip.end for clip in self.clips]))

    def _colors(self) -> list[str]:
        return [_CITED if clip.cited else _PLAIN for clip in self.clips]

    def _curve(self, page: Page, top: float) -> None:
        """The relevance and what it was made of, with the chosen frames on it."""
        axes = page.axes(LEFT, top, SPAN, _CURVE)
        axes.set(xlim=(0, SPAN), ylim=(0, 1.06))
        _scale(axes, [0, 0.5, 1])
        _title(page, top + _CURVE / 2, "relevance")
        if self.clips:
            faint = 0.12 if len(self.clips) <= 64 else 0.05
            boxes(axes, *self._clips(), 1.06, self._colors(), alpha=faint)
        at = np.asarray(self.of.times, float) / self.length * SPAN
        places, values = peaks(at, self.of.relevance)
        axes.fill_between(places, values, color=_RELEVANCE, alpha=0.22, linewidth=0)
        signals = dict(self.of.signals)
        name = f"relevance ({next(iter(signals))})" if len(signals) == 1 else "relevance"
        axes.plot(places, values, color=_RELEVANCE, linewidth=1.4, label=name, zorder=2.5)
        if len(signals) > 1:
            for (name, curve), (color, dash) in zip(signals.items(), _SIGNALS, strict=False):
                axes.plot(*peaks(at, curve), color=color, linestyle=dash, linewidth=0.9, label=name)
        if self.strip and len(at):
            seconds = np.array([frame.time for frame in self.row.frames])
            marks = seconds / self.length * SPAN
            axes.plot(
                marks, np.interp(marks, places, values),  # on the line as it is drawn
                "o", color=INK, markersize=3, markeredgewidth=0, clip_on=False,
                label="chosen frame", zorder=3,
            )  # fmt: skip
        if any(clip.cited for clip in self.clips):
            axes.fill([], [], color=_CITED, label="cited")
        axes.legend(
            loc="upper left", bbox_to_anchor=(1 + (_BESIDE - 6) / SPAN, 1), fontsize=8,
            frameon=False, labelcolor=SOFT, borderaxespad=0, handlelength=1.6,
        )  # fmt: skip

    def _shots(self, page: Page, top: float) -> None:
        """Every other shot darker; where they are too short to be seen, how many there are."""
        axes = page.axes(LEFT, top, SPAN, _SHOTS)
        axes.set(xlim=(0, SPAN), ylim=(0, 1))
        cuts = np.asarray(self.of.cuts, float)
        cuts = np.unique(cuts[(cuts > 0) & (cuts < self.length)])
        edges = np.concatenate([[0], cuts / self.length * SPAN, [SPAN]])
        shots = len(edges) - 1
        boxes(axes, np.zeros(1), np.full(1, SPAN), 1, _SHOT)
        if SPAN / shots >= 3:
            odd = np.arange(1, shots, 2)
            boxes(axes, edges[odd], edges[odd + 1], 1, _OTHER_SHOT)
        else:
            counts, columns = np.histogram(edges[1:-1], SPAN // 6, (0, SPAN))
            for count in np.unique(counts[counts > 0]):
                mine = np.flatnonzero(counts == count)
                share = float(count / counts.max())
                boxes(axes, columns[mine], columns[mine + 1], 1, _OTHER_SHOT, alpha=share)
        words = several(shots, "shot")
        page.text(LEFT + SPAN + _BESIDE, top - 4, words, size=8, color=SOFT)

    def _ticks(self, page: Page, top: float) -> None:
        """The time axis."""
        axes = page.axes(LEFT, top, SPAN, 1)
        axes.set(xlim=(0, SPAN))
        step = next((some for some in _STEPS if self.length / some <= 10), self.length / 8)
        ticks = np.arange(0, self.length + step / 1e3, step)
        names = [clock(tick, self.length, step < 1) for tick in ticks]
        axes.set_xticks(ticks / self.length * SPAN, names, size=9, color=INK)
        axes.tick_params(length=3, color=SOFT)


def _scale(axes: Axes, ticks: Sequence[float]) -> None:
    """Grey numbers on the left, with faint lines behind what is drawn."""
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks], size=8, color=SOFT)
    axes.tick_params(length=0)
    axes.grid(axis="y", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)


def _title(page: Page, middle: float, words: str) -> None:
    """What a scale measures."""
    page.text(EDGE - 6, middle, words, size=8, rotation=90, va="center", color=SOFT)
