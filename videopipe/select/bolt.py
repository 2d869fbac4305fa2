"""BOLT: inverse-transform sampling of the relevance curve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from videopipe.select.candidates import Candidates, Floats, Indices
from videopipe.select.method import register
from videopipe.select.selection import Picks


@register("bolt")
@dataclass(frozen=True)
class Bolt:
    """BOLT (CVPR 2025): frames at even steps of the cumulated relevance to a power.

    ``power`` -1 is none. Steps that fall on a frame that is taken already are taken again over the
    frames that are not, until all are different (the released code returns the same frame several
    times).
    """

    needs: ClassVar[frozenset[str]] = frozenset({"relevance"})
    paper: ClassVar[str] = "arXiv 2503.21483"

    power: float = 3.0

    def __call__(self, candidates: Candidates, k: int) -> Picks:
        scores = candidates.scores
        mass = (scores - scores.min()) / (scores.max() - scores.min())
        if self.power != -1:
            mass = mass**self.power
        return Picks(_sampled(mass, k))


def _sampled(mass: Floats, k: int) -> Indices:
    """Up to ``k`` positions, each once."""
    mass, taken = mass.copy(), np.empty(0, np.int64)
    while len(taken) < k and mass.any():
        steps = k - len(taken)
        # As released, from 1/n to 1 - 1/n; that would be one place for two frames.
        even = (np.arange(steps) + 0.5) / steps
        places = np.linspace(1 / steps, 1 - 1 / steps, steps) if steps > 2 else even
        found = np.searchsorted(np.cumsum(mass / mass.sum()), places)
        taken = np.concatenate([taken, np.unique(np.minimum(found, len(mass) - 1))])
        mass[taken] = 0
    return taken
