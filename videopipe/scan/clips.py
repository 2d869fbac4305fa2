"""Clips, the unit of retrieval: shots joined and split to a useful length, or fixed windows."""

from __future__ import annotations

import itertools
import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Literal

from videopipe.errors import ConfigError
from videopipe.types import Clip

_EPSILON = 1e-6  # seconds: shorter stretches are rounding, not video


def cut_clips(
    video_id: str,
    duration: float,
    cuts: Sequence[float],
    mode: Literal["shots", "windows"] = "shots",
    min_seconds: float = 10.0,
    max_seconds: float = 80.0,
    window_seconds: float = 80.0,
) -> list[Clip]:
    """Tile ``[0, duration)`` with clips, in order and without gaps.

    ``shots``: every clip lasts ``min_seconds`` to ``max_seconds`` (one shorter clip when the whole
    video is shorter). As few cuts as possible lie inside clips: only shots that are too short to
    stand alone are joined. Among such solutions the one with the most even lengths wins. A shot
    that is too long is split evenly.

    ``windows``: ``[w i, min(w (i + 1), duration))`` as in Goldfish; the last window is kept however
    short it is.

    Args:
        duration: seconds, above 0.
        cuts: seconds, in any order; those outside ``(0, duration)`` are ignored.

    Raises:
        ConfigError: lengths that cannot be met.
    """
    if not duration > 0:
        raise ConfigError(f"A video to be cut must last longer than 0 s; got {duration:g} s.")
    if mode == "windows":
        edges = _windows(duration, window_seconds)
    else:
        if not 0 < min_seconds * 2 <= max_seconds:
            raise ConfigError(
                f"The longest clip ({max_seconds:g} s) must be at least twice as long as the "
                f"shortest ({min_seconds:g} s)."
            )
        inside = sorted({cut for cut in cuts if _EPSILON < cut < duration - _EPSILON})
        edges = _split(_join([0.0, *inside, duration], min_seconds, max_seconds), max_seconds)
    return [
        Clip(video_id, index, start, end)
        for index, (start, end) in enumerate(itertools.pairwise(edges))
    ]


def _windows(duration: float, window: float) -> list[float]:
    if not window > 0:
        raise ConfigError(f"A window must last longer than 0 s; got {window:g} s.")
    count = max(1, math.ceil((duration - _EPSILON) / window))
    return [window * i for i in range(count)] + [duration]


def _join(edges: list[float], low: float, high: float) -> list[float]:
    """The subset of ``edges`` that leaves no stretch shorter than ``low``.

    Dynamic program over the end of a stretch. The cost of a stretch is (cuts inside it, sum of
    squares of the clips it is split into), compared in this order.
    """
    last = len(edges) - 1
    best: list[tuple[int, float]] = [(0, 0.0)] + [(last, math.inf)] * last
    previous = [0] * (last + 1)
    for end in range(1, last + 1):
        inner = bisect_right(edges, edges[end] - low) - 1  # last cut that may end the clip before
        for start in range(end - 1, -1, -1):
            length = edges[end] - edges[start]
            if length < low and not (start == 0 and end == last):
                continue
            crossed, squares = best[start]
            cost = (crossed + end - start - 1, squares + length**2 / _pieces(length, high))
            if math.isfinite(squares) and cost < best[end]:
                best[end], previous[end] = cost, start
            if edges[inner] - edges[start] >= low:
                break  # from here on, dividing at ``inner`` crosses one cut less
    chosen = [last]
    while chosen[-1]:
        chosen.append(previous[chosen[-1]])
    return [edges[i] for i in reversed(chosen)]


def _split(edges: list[float], high: float) -> list[float]:
    out = edges[:1]
    for start, end in itertools.pairwise(edges):
        pieces = _pieces(end - start, high)
        out += [start + (end - start) * i / pieces for i in range(1, pieces)]
        out.append(end)
    return out


def _pieces(length: float, high: float) -> int:
    return max(1, math.ceil(length / high - 1e-9))
