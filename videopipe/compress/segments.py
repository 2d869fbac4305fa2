"""Segments of a video: HoliTom's by what they save, FastVID's by cuts, PruneVid's by clusters."""

from __future__ import annotations

from itertools import groupby, pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videopipe.compress.changes import unit_scale
from videopipe.compress.density import assign, centres, density


def saving(same: NDArray[np.bool_]) -> tuple[list[slice], int]:
    """The segments that save the most tokens, and how many (HoliTom).

    A segment of ``m`` frames saves ``m - 1`` tokens at each cell that is the same over all of it.
    Of segmentations that save as many it is the one of the shortest last segment, and so on.

    Args:
        same: ``[T - 1, n]``: whether the token of a cell is the same in a frame and the next.
    """
    steps = len(same) + 1
    # For how many frames more a cell stays the same as in this one.
    reach = np.zeros((steps, same.shape[1]), dtype=np.int64)
    for step in range(steps - 2, -1, -1):
        np.multiply(reach[step + 1] + 1, same[step], out=reach[step])
    saved = np.full(steps + 1, -1, dtype=np.int64)  # of the first frames
    saved[0] = 0
    start = np.zeros(steps + 1, dtype=np.int64)  # of the last segment of these
    for step in range(steps):
        cells = np.bincount(reach[step])[::-1].cumsum()[::-1]  # that reach as far, or farther
        ends = slice(step + 1, step + 1 + len(cells))
        total = saved[step] + np.arange(len(cells)) * cells
        better = total >= saved[ends]
        saved[ends][better] = total[better]
        start[ends][better] = step
    segments = []
    end = steps
    while end:
        segments.append(slice(int(start[end]), end))
        end = int(start[end])
    return segments[::-1], int(saved[steps])


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
