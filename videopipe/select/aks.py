"""Adaptive Keyframe Sampling: split the curve where no frames stand out, else take the best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from videopipe.select.candidates import Candidates, Floats
from videopipe.select.method import register
from videopipe.select.selection import Picks


class Segment(NamedTuple):
    """``[start, end)`` among the candidates, how often it was halved, and its frames."""

    start: int
    end: int
    depth: int
    frames: int


@register("aks")
@dataclass(frozen=True)
class Aks:
    """Adaptive Keyframe Sampling (CVPR 2025).

    A segment of the min-max normalised curve whose best frames stand out from its mean by more than
    ``t1``, with a deviation above ``t2``, is kept whole, else halved, up to ``max_depth`` times;
    each then gives its best frames. The best are as many as the segment is to give, and a budget
    that cannot be halved evenly gives its odd frame to the first half, so that none is lost
    (the released code compares all ``M`` best at every depth and drops what does not divide).
    """

    needs: ClassVar[frozenset[str]] = frozenset({"relevance"})
    paper: ClassVar[str] = "arXiv 2502.21271"

    t1: float = 0.8
    t2: float = -100.0
    max_depth: int = 5

    def __call__(self, candidates: Candidates, k: int) -> Picks:
        scores = candidates.scores
        chosen = [
            start + np.argsort(-scores[start:end], kind="stable")[:frames]
            for start, end, _, frames in self.segments(scores, k)
        ]
        return Picks(np.concatenate(chosen))

    def segments(self, scores: Floats, k: int) -> list[Segment]:
        """The segments that are kept, by their start."""
        span = scores.max() - scores.min()
        curve = (scores - scores.min()) / (span or 1.0)
        kept, waiting = [], [Segment(0, len(curve), 0, k)]
        while waiting:
            segment = waiting.pop()
            start, end, depth, frames = segment
            part = curve[start:end]
            if depth == self.max_depth or frames < 2 or self._stands_out(part, frames):
                kept.append(segment)
                continue
            middle = start + len(part) // 2
            waiting.append(Segment(middle, end, depth + 1, frames // 2))
            waiting.append(Segment(start, middle, depth + 1, frames - frames // 2))
        return kept

    def _stands_out(self, part: Floats, frames: int) -> bool:
        if frames >= len(part):
            return True
        best = np.partition(part, len(part) - frames)[len(part) - frames :]
        return bool(best.mean() - part.mean() > self.t1 and part.std() > self.t2)
