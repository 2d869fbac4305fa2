"""The fill rule: what completes a selection to the exact count."""

from __future__ import annotations

import heapq
from itertools import pairwise

import numpy as np

from videopipe.select.candidates import Floats, Indices


def evenly(count: int, k: int) -> Indices:
    """``k`` of ``count`` positions, the middles of equal stretches, each once."""
    k = min(k, count)
    return (2 * np.arange(k, dtype=np.int64) + 1) * count // max(2 * k, 1)


def fill(chosen: Indices, times: Floats, k: int) -> Indices:
    """``chosen`` with the frames that are farthest from them in time, ``[k]`` ascending.

    Again and again the largest gap gets the frame nearest to its middle, at the ends of the video
    its first or last frame. Nothing is chosen twice; with nothing to start from they are even.
    Where ``chosen`` has more than ``k`` its first are kept.

    Args:
        chosen: positions in ``times``, in any order, the most wanted first.
        times: ``[N]`` seconds, ascending.
        k: ``N`` at most.
    """
    _, first = np.unique(chosen, return_index=True)
    held = np.sort(chosen[np.sort(first)][:k])
    if not len(held):
        return evenly(len(times), k)
    if len(held) == k:
        return held
    # An entry: (-distance of the frame to the nearest chosen one, its position, gap before, after).
    gaps: list[tuple[float, int, int, int]] = []

    def offer(before: int, after: int) -> None:
        if after - before < 2:
            return
        if before < 0:
            place, distance = 0, times[after] - times[0]
        elif after == len(times):
            place = after - 1
            distance = times[place] - times[before]
        else:
            middle = (times[before] + times[after]) / 2
            right = int(np.searchsorted(times[before + 1 : after], middle)) + before + 1
            near = [at for at in (right - 1, right) if before < at < after]
            distances = [min(times[at] - times[before], times[after] - times[at]) for at in near]
            distance = max(distances)
            place = near[distances.index(distance)]
        heapq.heappush(gaps, (-float(distance), place, before, after))

    edges = [-1, *held.tolist(), len(times)]
    for before, after in pairwise(edges):
        offer(before, after)
    added = []
    for _ in range(k - len(held)):
        _, place, before, after = heapq.heappop(gaps)
        added.append(place)
        offer(before, place)
        offer(place, after)
    return np.sort(np.concatenate([held, np.array(added, dtype=np.int64)]))
