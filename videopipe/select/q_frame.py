"""Q-Frame: sample by relevance, show the best in high resolution and many in low."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from videopipe.allocate import allocate
from videopipe.select.candidates import Candidates
from videopipe.select.method import register
from videopipe.select.selection import Picks


@register("q-frame")
@dataclass(frozen=True)
class QFrame:
    """Q-Frame (ICCV 2025): Gumbel top-k over a softmax, three resolutions by rank.

    Relevance is standardised first: the paper's logits have no scale of their own. ``tiers`` are
    the shares of frames at full, half and quarter height and width (4, 8 and 32 of 44). ``seed``
    decides the noise (the released code has none); ``noise`` 0 is plain top-k.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"relevance"})
    paper: ClassVar[str] = "arXiv 2506.22139"

    tau: float = 0.8
    tiers: tuple[int, int, int] = (4, 8, 32)
    noise: float = 1.0
    seed: int = 0

    def __call__(self, candidates: Candidates, k: int) -> Picks:
        scores = candidates.scores
        logits = (scores - scores.mean()) / scores.std() / self.tau
        gumbel = np.random.default_rng(self.seed).gumbel(size=len(scores))
        ranked = np.argsort(-(logits + self.noise * gumbel), kind="stable")[:k]
        # The best tier first: where frames are few they are the ones of full size.
        counts = allocate(self.tiers, k)
        return Picks(ranked, np.repeat([1.0, 1 / 4, 1 / 16], counts))
