"""Segments of a video: HoliTom's by what they save, FastVID's by cuts, PruneVid's by clusters."""

from __future__ import annotations

from itertools import groupby, pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videopipe.compress.changes import unit_scale
from videopipe.compress.density import assign, centres, density

_STARTS = 256  # segments that start in so many frames are looked at at once


def saving(same: NDArray[np.bool_]) -> tuple[list[slice], int]:
    """The segments that save the most tokens, and how many (HoliTom).

    A segment of ``m`` frames saves ``m - 1`` tokens at each cell that is the same over all of it.
    Of segmentations that save as many it is the one of the shortest last segment, and so on.

    Args:
        same: ``[T - 1, n]``: whether the token of a cell is the same in a frame and the next.
    """
    steps = len(same) + 1
    # For how many frames more a cell stays the same as in this one.
    number = np.arange(steps)[:, None]
    change = np.where(same, steps - 1, number[:-1])
    reach = np.zeros((steps, same.shape[1]), dtype=np.int64)
    reach[:-1] = np.minimum.accumulate(change[::-1], axis=0)[::-1] - number[:-1]
    # Of the first frames: what is saved, and with it, as the lower digits, where the last segment
    # starts, so that of equal ones the shortest is the largest.
    base = steps + 1
    best = np.zeros(steps + 1, dtype=np.int64)
    for first in range(0, steps, _STARTS):
        some = reach[first : first + _STARTS]
        wide = int(some.max()) + 1
        rows = np.arange(len(some))[:, None]
        cells = np.bincount((some + rows * wide).ravel(), minlength=len(some) * wide)
        cells = cells.reshape(len(some), wide)[:, ::-1].cumsum(1)[:, ::-1]  # that reach as far
        saves = cells * np.arange(wide) * base + (first + rows)
        longest = some.max(1).tolist()
        for step, (row, length) in enumerate(zip(saves, longest, strict=True), first):
            ends = best[step + 1 : step + 2 + length]
            before = int(best[step]) // base * base
            np.maximum(ends, row[: length + 1] + before, out=ends)
    segments = []
    end = steps
    while end:
        start = int(best[end]) % base
        segments.append(slice(start, end))
        end = start
    return segments[::-1], int(best[steps]) // base


def cut_apart(frames: Tensor, least: int, threshold: float) -> list[slice]:
    """Cut between the frames least like each other (DySeg of FastVID).

    Args:
        frames: ``[T, E]``: a vector of each frame.
        least: how many segments there are at least, as far as there are frames.
        threshold: of the cosine, below which there is a cut in any case.
    """
    unit = frames.float() * unit_scale(frames.float())[:, None]
    likeness = (unit[1:] * unit[:-1]).sum(1).cpu()
    cut = likeness < threshold
    cut[likeness.argsort(stable=True)[: max(0, least - 1)]] = True
    ends = [0, *(cut.nonzero().squeeze(1) + 1).tolist(), len(frames)]
    return [slice(start, end) for start, end in pairwise(ends)]


def clustered(frames: Tensor, count: int, neighbours: int = 7) -> list[slice]:
    """Clusters of frames about density peaks, made contiguous (PruneVid).

    Of each cluster its longest run stays, if it is of two frames at least; all between two of these
    goes to the longer one.

    Args:
        frames: ``[T, E]``: a vector of each frame.
        count: of clusters, 1 to ``T``.
    """
    counts = torch.tensor([count])
    peaks = centres(density(frames[None], neighbours=neighbours).score, counts)
    labels = assign(frames[None].float(), peaks, counts)[0].tolist()
    longest: dict[int, slice] = {}
    first = 0
    for label, run in groupby(labels):
        several = len(list(run))
        known = longest.get(label, slice(0, 1))
        if several > known.stop - known.start:
            longest[label] = slice(first, first + several)
        first += several
    runs = sorted(longest.values(), key=lambda run: run.start)
    ends = [b.start if a.stop - a.start >= b.stop - b.start else a.stop for a, b in pairwise(runs)]
    return [slice(start, end) for start, end in pairwise([0, *ends, len(frames)])]
