"""Where everything in the picture of chosen frames goes: bars, labels, lanes, texts.

Lengths are in hundredths of an inch. Knows nothing of matplotlib but how wide a text is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from videopipe.answer._explain_page import Ruler
    from videopipe.answer.explain import ChosenClip, ChosenFrame, Explanation

Floats = NDArray[np.floating[Any]]

WIDTH, LEFT, RIGHT, EDGE = 1200, 64, 150, 18
SPAN = WIDTH - LEFT - RIGHT  # of the time axis
_WIDEST, _GAP = 14.0, 7.0  # of a bar, and between two clips


@dataclass(eq=False)
class _Run:
    """Frames of a clip that stand side by side; ``clip`` is its place among the clips."""

    clip: int
    seconds: list[float]
    frames: list[ChosenFrame]
    left: float = 0.0
    right: float = 0.0


class Row:
    """Where bars and labels stand: at their time where there is room, in order of time anyway."""

    def __init__(self, clips: Sequence[ChosenClip], length: float, ruler: Ruler) -> None:
        self.runs = _runs(clips, length)
        self.frames = [frame for run in self.runs for frame in run.frames]
        self.labels: list[tuple[ChosenClip, float, tuple[str, ...]]] = []
        self.bar = _WIDEST
        self.bars: Floats = np.empty(0)
        if clips:
            self._place(clips, length, ruler)

    def _place(self, clips: Sequence[ChosenClip], length: float, ruler: Ruler) -> None:
        counts = np.array([len(run.seconds) for run in self.runs])
        gap = min(_GAP, SPAN / 4 / len(counts))
        barest = min(_WIDEST, (SPAN - gap * (len(counts) - 1)) / counts.sum())
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
        middles = np.array([(self.runs[run].left + self.runs[run].right) / 2 for run in main])
        middles = np.clip(middles, widths / 2, SPAN - widths / 2)
        for at in _apart(middles, widths, [clip.cited for clip in clips]):
            self.labels.append((clips[at], float(middles[at]), ways[at]))

    def _stand(self, counts: NDArray[Any], over: Floats, gap: float, length: float) -> None:
        """Place bars; ``over`` is what the label of a run needs on either side of its bars."""
        wanted = [second / length * SPAN for run in self.runs for second in run.seconds]
        spacing = np.full(len(wanted) - 1, self.bar)
        ends = np.cumsum(counts)
        spacing[ends[:-1] - 1] += gap + over[:-1] + over[1:]
        half = self.bar / 2
        places = _placed(wanted, spacing, half + over[0], SPAN - half - over[-1])
        for run, first, last in zip(
            self.runs, places[ends - counts], places[ends - 1], strict=True
        ):
            beside = half if run.frames else 0.0
            run.left, run.right = float(first) - beside, float(last) + beside
        self.bars = places[np.repeat([bool(run.frames) for run in self.runs], counts)]


def _runs(clips: Sequence[ChosenClip], length: float) -> list[_Run]:
    """The frames of all clips in order of time; those of a clip that are close stay together."""
    pieces: list[_Run] = []
    for at, clip in enumerate(clips):
        frames = sorted(clip.frames, key=lambda frame: frame.time)
        seconds = [frame.time for frame in frames] or [(clip.start + clip.end) / 2]
        apart = (seconds[-1] - seconds[0]) / length * SPAN
        if len(frames) > 1 and apart >= _WIDEST * (len(frames) - 1):
            pieces += [_Run(at, [frame.time], [frame]) for frame in frames]
        else:
            pieces.append(_Run(at, seconds, frames))
    runs: list[_Run] = []
    for piece in sorted(pieces, key=lambda piece: (piece.seconds[0], piece.clip)):
        if runs and runs[-1].clip == piece.clip:
            runs[-1].seconds += piece.seconds
            runs[-1].frames += piece.frames
        else:
            runs.append(piece)
    return runs


def _names(clip: ChosenClip, length: float) -> Iterator[tuple[str, ...]]:
    """What a clip may be labelled with, the longest first."""
    start, end = (clock(edge, length, length < 60) for edge in (clip.start, clip.end))
    yield clip.label, start if start == end else f"{start}–{end}"
    yield clip.label, start
    yield (clip.label,)


def _label_width(words: Sequence[str], ruler: Ruler) -> float:
    """With what is kept free around it."""
    return 8 + max(ruler.width(words[0], 9, "bold"), *(ruler.width(w, 8) for w in words[1:]), 0)


def _apart(middles: Floats, widths: Floats, cited: Sequence[bool]) -> list[int]:
    """Which labels to write: the cited ones, and every so many of the others, where free."""
    low, high = middles - widths / 2, middles + widths / 2
    order = np.argsort(low, kind="stable")
    steps = (order[::step] for step in range(1, len(order) + 1))
    regular = next(some for some in steps if np.all(high[some[:-1]] <= low[some[1:]]))
    kept: list[int] = []
    for at in [*(at for at in order if cited[at]), *regular]:
        if all(high[at] <= low[other] or high[other] <= low[at] for other in kept):
            kept.append(int(at))
    return sorted(kept)


def _widest(counts: NDArray[Any], room: Floats, gap: float) -> float:
    """How wide bars can be where each run gets ``room`` for a label; 0 if there is too little."""
    for bar in np.geomspace(_WIDEST, 0.5, 60):
        if np.maximum(counts * bar, room).sum() + gap * (len(counts) - 1) <= SPAN:
            return float(bar)
    return 0.0


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


def lanes(clips: Sequence[ChosenClip], least: float) -> list[int]:
    """A lane for each clip, three at most, so that clips that overlap stand one below the other.

    ``least`` is how many seconds are drawn of even the shortest clip.
    """
    ends: list[float] = []
    found = []
    for clip in clips:
        free = (at for at, end in enumerate(ends) if end <= clip.start)
        lane = next(free, min(len(ends), 2))
        if lane == len(ends):
            ends.append(0.0)
        if clip.end - clip.start > least:
            ends[lane] = max(ends[lane], clip.end)
        found.append(lane)
    return found


def peaks(at: Floats, values: Floats) -> tuple[Floats, Floats]:
    """A curve with no more points than can be seen: of each column the highest.

    The last value holds for as long as one lasts.
    """
    values = np.nan_to_num(np.asarray(values, float))
    if not len(at):
        return at, values
    lasts = float(np.median(np.diff(at))) if len(at) > 1 else float(SPAN)
    at = np.append(at, min(at[-1] + lasts, SPAN))
    values = np.append(values, values[-1])
    if len(at) <= 2 * SPAN:
        return at, values
    column = np.floor(at).astype(int)
    order = np.lexsort((-values, column))
    keep = order[np.diff(column[order], prepend=-1) > 0]
    return at[keep], values[keep]


def clock(seconds: float, length: float, tenths: bool = False) -> str:
    """``h:mm:ss``, in a video of less than an hour ``mm:ss``, rounded down."""
    tens = round(seconds * 10) if tenths else int(seconds + 1e-6) * 10
    hours, rest = divmod(tens // 10, 3600)
    start = f"{hours}:" if length >= 3600 else ""
    return f"{start}{rest // 60:02d}:{rest % 60:02d}" + (f".{tens % 10}" if tenths else "")


def cost(tokens: float) -> str:
    """Tokens of a frame, which may be a share of those of its clip."""
    return f"{tokens:,.0f}" if tokens >= 10 or tokens == int(tokens) else f"{tokens:.1f}"


def summary(of: Explanation) -> str:
    """What was taken of the video, in a line; sizes are width × height."""
    long = f"{clock(of.duration, of.duration, of.duration < 60)} long"
    frames = [frame for clip in of.clips for frame in clip.frames]
    if not of.clips:
        return f"{long}  ·  nothing chosen"
    if not frames:
        return f"{long}  ·  {several(len(of.clips), 'passage')} quoted"
    sizes = sorted({(frame.height, frame.width) for frame in frames})
    low, high = (f"{width}×{height}" for height, width in (sizes[0], sizes[-1]))
    size = low if low == high else f"{low} to {high}"
    taken = f"{several(len(frames), 'frame')} in {several(len(of.clips), 'clip')}"
    return f"{long}  ·  {taken}  ·  {size} px"


def several(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'s' * (count != 1)}"


def wrapped(text: str, fits: Callable[[str], bool], most: int) -> list[str]:
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
