"""B-VLLM's selection without its weights: the most relevant frames, near copies merged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from videopipe.select.candidates import Candidates
from videopipe.select.method import register
from videopipe.select.selection import Picks
from videopipe.select.vilamp import Vilamp


@register("b-vllm")
@dataclass(frozen=True)
class BVllm:
    """Temporal merging of B-VLLM (ICCV 2025): no two selected frames are near copies.

    Two frames are copies where ``(cos + 1) / 2`` is above ``gamma``. The paper merges the soft
    selections of a trained Q-Former (:func:`videopipe.select.merge.merge_rows`); frames cannot be
    mixed before they are encoded, so the more relevant one of two copies stands for both. Its 0.75
    is for rows of selections; frames of one video are more alike than these, hence 0.95.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"relevance", "features"})
    paper: ClassVar[str] = "arXiv 2412.09919"

    gamma: float = 0.95

    def __call__(self, candidates: Candidates, k: int) -> Picks:
        taken = Vilamp(f2f_threshold=2 * self.gamma - 1, f2t_threshold=-np.inf)
        return Picks(taken.unlike(candidates, k))
