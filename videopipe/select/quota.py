"""QuoTA: a quota of tokens for each frame, by how well it fits the question."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from videopipe.select.candidates import Candidates
from videopipe.select.fill import evenly
from videopipe.select.method import register
from videopipe.select.selection import Picks

_BASE, _PER_HOUR = 96, 64  # frames that are weighed
_LEAST = 1e-2  # of the largest weight: no frame that is shown vanishes


@register("quota")
@dataclass(frozen=True)
class Quota:
    """QuoTA (AAAI 2026): even frames, tokens in proportion to ``relevance ** power``.

    96 frames and 64 for each hour are weighed; the ``k`` of the largest quota are shown (the
    released code drops a frame whose quota rounds to nothing). The planner keeps to the budget
    exactly: what is above the full size of a frame goes to the others (the released code loses up
    to three quarters of it). Relevance is a probability; a scale that goes below 0 is min-max
    normalised.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"relevance"})
    paper: ClassVar[str] = "arXiv 2503.08689"

    power: float = 2.0

    def __call__(self, candidates: Candidates, k: int) -> Picks:
        scores = candidates.scores
        if scores.min() < 0:
            scores = scores - scores.min()
        hours = (candidates.times[-1] - candidates.times[0]) / 3600
        rows = evenly(len(scores), max(k, _BASE + int(hours * _PER_HOUR)))
        weights = (scores[rows] / max(scores[rows].max(), 1e-12)) ** self.power
        best = np.argsort(-weights, kind="stable")[:k]
        return Picks(rows[best], np.maximum(weights[best], _LEAST))
