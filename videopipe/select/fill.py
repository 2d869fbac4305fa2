"""The fill rule: what completes a selection to the exact count."""

from __future__ import annotations

import heapq
from itertools import pairwise

import numpy as np

from videopipe.select.candidates import Indices


def evenly(count: int, k: int) -> Indices:
    """``k`` of ``count`` positions, the middles of equal stretches, each once."""
    k = min(k, count)
    return (2 * np.arange(k, dtype=np.int64) + 1) * count // max(2 * k, 1)


def fill(chosen: Indices, count: int, k: int) -> Indices:
    """``chosen`` with frames in the largest gaps between them, ``[k]`` ascending, each once.

    Each further frame goes to the gap in which frames are farthest apart, and those of a gap are
    even; before the first and behind the last chosen frame half a step is left, as at the ends of
    an even choice. With nothing chosen all are even.

    Args:
        chosen: positions, in any order; where they are more than ``k`` the first are kept.
        count: of the candidates.
        k: ``count`` at most.
    """
    _, first = np.unique(chosen, return_index=True)
    held = np.sort(chosen[np.sort(first)][:k])
    if not len(held):
        return evenly(count, k)
    edges = [-1, *held.tolist(), count]
    gaps = [_Gap(before, after, count) for before, after in pairwise(edges)]
    waiting = [(-gap.step(0), place) for place, gap in enumerate(gaps) if gap.room]
    heapq.heapify(waiting)
    numbers = [0] * len(gaps)
    for _ in range(k - len(held)):
        _, place = heapq.heappop(waiting)
        numbers[place] += 1
        if numbers[place] < gaps[place].room:
            heapq.heappush(waiting, (-gaps[place].step(numbers[place]), place))
    added = [gap.even(number) for gap, number in zip(gaps, numbers, strict=True) if number]
    return np.sort(np.concatenate([held, *added]))


class _Gap:
    """The candidates between ``before`` and ``after``, which are chosen or beyond the ends."""

    def __init__(self, before: int, after: int, count: int) -> None:
        self.before, self.after = before, after
        self.room = after - before - 1
        self.first, self.last = before < 0, after == count

    def step(self, number: int) -> float:
        """From one frame to the next where it holds ``number``."""
        if self.first or self.last:
            return self.room / (number + 0.5)
        return (self.room + 1) / (number + 1)

    def even(self, number: int) -> Indices:
        """``number`` positions in it, ``room`` at most."""
        if number == self.room:
            return np.arange(self.before + 1, self.after)
        steps = np.rint(np.arange(1, number + 1) * self.step(number)).astype(np.int64)
        places: Indices = self.after - steps if self.first else self.before + steps
        return places
