"""ViLAMP's key frames: the most relevant that are unlike each other, then even gaps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from videopipe.select.candidates import Candidates, Indices
from videopipe.select.lazy import unit
from videopipe.select.method import register
from videopipe.select.selection import Picks

_BLOCK = 256  # frames visited together


@register("vilamp")
@dataclass(frozen=True)
class Vilamp:
    """Differential key frame selection of ViLAMP (ICML 2025).

    Frames are visited by decreasing relevance; one is taken if no taken frame has a cosine above
    ``f2f_threshold`` with it, as long as its relevance is above ``f2t_threshold``. What is missing
    then is spread over the gaps between them.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"relevance", "features"})
    paper: ClassVar[str] = "arXiv 2504.02438"

    f2f_threshold: float = 0.85
    f2t_threshold: float = -1.0

    def __call__(self, candidates: Candidates, k: int) -> Picks:
        taken = self.unlike(candidates, k)
        return Picks(np.concatenate([taken, _between(np.sort(taken), len(candidates), k)]))

    def unlike(self, candidates: Candidates, k: int) -> Indices:
        """Up to ``k`` frames without a near copy among them, the most relevant first."""
        features, scores = candidates.features, candidates.scores
        assert features is not None
        order = np.argsort(-scores, kind="stable")
        order = order[scores[order] > self.f2t_threshold]
        taken: list[int] = []
        rows = np.empty((k, features.shape[1]))
        for start in range(0, len(order), _BLOCK):
            block = order[start : start + _BLOCK]
            vectors = unit(features[block])
            before = len(taken)
            like = (vectors @ rows[:before].T > self.f2f_threshold).any(1)
            for at in np.flatnonzero(~like).tolist():
                fresh = rows[before : len(taken)]
                if (fresh @ vectors[at] > self.f2f_threshold).any():
                    continue
                rows[len(taken)] = vectors[at]
                taken.append(int(block[at]))
                if len(taken) == k:
                    return np.array(taken)
        return np.array(taken, dtype=np.int64)


def _between(taken: Indices, count: int, k: int) -> Indices:
    """What is missing to ``k``: even steps in the gaps, as near to each other as is possible.

    The step is the smallest for which the gaps take no more frames than are missing; the few that
    are left over are the last frames that are not taken.
    """
    missing = k - len(taken)
    edges = np.concatenate([[-1], taken, [count]])
    lengths = np.diff(edges) - 1
    low, high = 1, count
    while low < high:
        middle = (low + high) // 2
        if (np.maximum(lengths - 1, 0) // middle).sum() <= missing:
            high = middle
        else:
            low = middle + 1
    several = np.maximum(lengths - 1, 0) // low
    steps = -(-lengths // (several + 1))
    added = [
        np.minimum(edge + 1 + step * np.arange(1, number + 1), edge + length)
        for edge, length, number, step in zip(edges[:-1], lengths, several, steps, strict=True)
    ]
    between = np.unique(np.concatenate(added)).astype(np.int64)
    rest = np.setdiff1d(np.arange(count), np.concatenate([taken, between]), assume_unique=True)
    return np.concatenate([between, rest[len(rest) - (missing - len(between)) :]])
