"""Which frames to read for on-screen text, and how long each reading holds."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from videopipe.scan import Signals

_POSSIBLE = 0.002  # share of the picture that must look like text before a shot is read at all
_GONE = 0.5  # share of the strokes left in place, below which a text has gone


@dataclass(frozen=True, slots=True)
class Hold:
    """A frame to read, at ``time``; what it says is on screen during ``[start, end)`` seconds."""

    time: float
    start: float
    end: float


def frames_to_read(signals: Signals, cuts: Sequence[float]) -> list[Hold]:
    """The frames whose text can differ from what was read before, in ascending time.

    These are the frames in which new text has settled, and for every other shot with anything like
    text the frame that has most of it: that text was never seen twice, so it holds for one sample.
    """
    times = signals.times
    if not len(times):
        return []
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    edges = [0.0, *cuts, float(times[-1]) + step]
    holds = []
    for first, after in pairwise(edges):
        shot = np.flatnonzero((times >= first) & (times < after))
        fresh = shot[signals.text_fresh[shot] > 0]
        for i in fresh:
            start = max(float(times[i]) - step, first)
            holds.append(Hold(float(times[i]), start, _gone(signals, edges, int(i))))
        if not len(fresh) and len(shot) and signals.text[shot].max() >= _POSSIBLE:
            time = float(times[shot[np.argmax(signals.text[shot])]])
            holds.append(Hold(time, time, min(time + step, after)))
    return [
        replace(hold, end=min(hold.end, after.start)) for hold, after in pairwise(holds)
    ] + holds[-1:]


def _gone(signals: Signals, edges: list[float], i: int) -> float:
    """When the text that was settled in sample ``i`` is gone: at a cut, or seen to be missing."""
    later = np.flatnonzero(signals.text_kept[i + 1 :] < _GONE)
    if not len(later):
        return edges[-1]
    missing = i + 1 + int(later[0])
    cut = edges[bisect_right(edges, signals.times[missing]) - 1]
    return cut if cut > signals.times[missing - 1] else float(signals.times[missing])
