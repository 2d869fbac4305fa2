"""The two selectors that everything else is measured against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from videopipe.select.candidates import Candidates
from videopipe.select.fill import evenly
from videopipe.select.method import register
from videopipe.select.selection import Picks


@register("uniform")
@dataclass(frozen=True)
class Uniform:
    """The middles of equal stretches, whatever is asked."""

    needs: ClassVar[frozenset[str]] = frozenset()
    paper: ClassVar[str] = ""

    def __call__(self, candidates: Candidates, k: int) -> Picks:
        return Picks(evenly(len(candidates), k))


@register("top-k")
@dataclass(frozen=True)
class TopK:
    """The frames of highest relevance; of equal ones the earlier."""

    needs: ClassVar[frozenset[str]] = frozenset({"relevance"})
    paper: ClassVar[str] = ""

    def __call__(self, candidates: Candidates, k: int) -> Picks:
        return Picks(np.argsort(-candidates.scores, kind="stable")[:k])
