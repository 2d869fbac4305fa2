"""F2C: short clips around the peaks of relevance, the longer the smaller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from videopipe.select.candidates import Candidates, Floats, Indices
from videopipe.select.lazy import unit
from videopipe.select.method import register
from videopipe.select.selection import Picks

_STEPS = 25  # of Lloyd's algorithm at most
_NEAR = 10.0  # candidates over which likeness fades where there are no features


@register("f2c")
@dataclass(frozen=True)
class F2C:
    """From frames to clips, adaptive (2025): key clips under a fixed budget of tokens.

    Anchors are the peaks between valleys of the relevance, one for each of ``K`` clusters in time.
    The clip around an anchor has the length ``l`` that is best by ``mean relevance - lambda_r
    redundancy + lambda_l l / l_max`` (eq. 6-8), and is shown at ``1 / s`` of the height and width,
    ``s = sqrt(K_anchor l / K)`` in 1 to ``s_max``, so that every clip costs the same. ``K`` is the
    largest for which the clips have no more than the ``k`` frames asked for.

    The redundancy of a single frame is 1, its likeness with itself, and relevance is min-max
    normalised: otherwise all clips have length one, or all the longest. Without features frames are
    alike that are near in time.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"relevance"})
    paper: ClassVar[str] = "arXiv 2510.02262"

    lambda_r: float = 0.5
    lambda_l: float = 0.05
    s_max: float = 2.0

    def __call__(self, candidates: Candidates, k: int) -> Picks:
        scores = candidates.scores
        scores = (scores - scores.min()) / (scores.max() - scores.min())
        peaks = _peaks(scores)
        low, high = 1, k
        found = self._clips(candidates, scores, peaks, 1)
        while low < high:
            middle = (low + high + 1) // 2
            tried = self._clips(candidates, scores, peaks, middle)
            if len(tried.indices) <= k:
                low, found = middle, tried
            else:
                high = middle - 1
        return found

    def _clips(self, candidates: Candidates, scores: Floats, peaks: Indices, budget: int) -> Picks:
        """The clips that cost as much as ``budget`` frames of full size."""
        anchors = _anchors(scores, peaks, budget)
        lengths = self._lengths(candidates, scores, anchors, budget)
        scales = np.clip(np.sqrt(len(anchors) * lengths / budget), 1, self.s_max)
        starts = _starts(anchors, lengths, len(scores))
        # A frame of two clips keeps the finer scale, and clips of one scale that meet are one.
        scale_of: dict[int, float] = {}
        for start, length, scale in zip(starts, lengths, scales, strict=True):
            for row in range(int(start), int(start + length)):
                scale_of[row] = min(scale, scale_of.get(row, scale))
        rows = np.array(sorted(scale_of), dtype=np.int64)
        held = np.array([scale_of[row] for row in rows.tolist()])
        apart = (np.diff(rows) > 1) | (np.diff(held) != 0)
        clips = np.concatenate([[0], np.cumsum(apart)])
        counts = np.bincount(lengths.astype(int), minlength=2)[1:].tolist()
        why = f"{len(anchors)} anchors; clips of 1, 2, ... frames: {', '.join(map(str, counts))}"
        return Picks(rows, held**-2.0, clips, (why,))

    def _lengths(
        self, candidates: Candidates, scores: Floats, anchors: Indices, budget: int
    ) -> Indices:
        """The best length for each anchor, the shortest of equal ones."""
        most = min(int(self.s_max**2 * budget / len(anchors) + 1e-9), len(scores))
        lengths, best = np.ones(len(anchors), np.int64), np.full(len(anchors), -np.inf)
        for length in range(1, most + 1):
            rows = _starts(anchors, length, len(scores))[:, None] + np.arange(length)
            value = (
                scores[rows].mean(1)
                - self.lambda_r * _redundancy(candidates, rows)
                + self.lambda_l * length / most
            )
            better = value > best + 1e-12
            lengths[better], best[better] = length, value[better]
        return lengths


def _starts(anchors: Indices, lengths: Indices | int, count: int) -> Indices:
    """Where clips around anchors begin; the odd frame is behind, and none leaves the video."""
    starts: Indices = np.clip(anchors - (lengths - 1) // 2, 0, np.maximum(count - lengths, 0))
    return starts


def _redundancy(candidates: Candidates, rows: Indices) -> Floats:
    """Mean cosine of the pairs of frames in each row of ``rows`` ``[A, l]``; 1 for one frame."""
    length = rows.shape[1]
    if length == 1:
        return np.ones(len(rows))
    if candidates.features is None:
        apart = np.abs(np.subtract.outer(np.arange(length), np.arange(length)))
        total = np.full(len(rows), np.exp(-apart / _NEAR).sum())
    else:
        vectors = unit(candidates.features[rows.ravel()]).reshape(*rows.shape, -1)
        total = (vectors.sum(1) ** 2).sum(1)
    redundancy: Floats = (total - length) / (length * (length - 1))
    return redundancy


def _peaks(scores: Floats) -> Indices:
    """The best frame between each two valleys, both ends included."""
    inner = (scores[1:-1] <= scores[:-2]) & (scores[1:-1] <= scores[2:])
    valleys = np.unique([0, *(np.flatnonzero(inner) + 1).tolist(), len(scores) - 1])
    if len(valleys) < 2:
        return valleys.astype(np.int64)
    peaks = [
        start + int(scores[start : end + 1].argmax())
        for start, end in zip(valleys[:-1].tolist(), valleys[1:].tolist(), strict=True)
    ]
    return np.unique(peaks).astype(np.int64)


def _anchors(scores: Floats, peaks: Indices, count: int) -> Indices:
    """The best peak of each of ``count`` clusters in time, ascending."""
    if len(peaks) <= count:
        return peaks
    at = peaks.astype(np.float64)
    centres = np.quantile(at, (np.arange(count) + 0.5) / count)
    label = np.zeros(len(at), np.int64)
    for _ in range(_STEPS):
        label = np.searchsorted((centres[1:] + centres[:-1]) / 2, at)
        number = np.bincount(label, minlength=count)
        sums = np.bincount(label, at, count)
        moved = np.where(number > 0, sums / np.maximum(number, 1), centres)
        if np.array_equal(moved, centres):
            break
        centres = np.sort(moved)
    best = np.lexsort((peaks, -scores[peaks], label))
    firsts = np.unique(label[best], return_index=True)[1]
    chosen = peaks[best[firsts]]
    if len(chosen) < count:  # empty clusters: the best of the others
        rest = np.setdiff1d(peaks, chosen)
        more = rest[np.argsort(-scores[rest], kind="stable")[: count - len(chosen)]]
        chosen = np.concatenate([chosen, more])
    return np.sort(chosen)
