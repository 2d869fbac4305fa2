"""Space-aware sampling: the frames that see most of the scene together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from videopipe.select.candidates import Candidates, Indices
from videopipe.select.landmarks import Landmarks
from videopipe.select.method import register
from videopipe.select.selection import Picks


@register("space-aware")
@dataclass(frozen=True)
class SpaceAware:
    """Space-aware frame sampling of Spatial-MLLM (NeurIPS 2025): greedy maximum coverage.

    Again and again the frame that sees most landmarks not seen yet; of equal ones the earliest.
    Once all are seen the missing frames go into the largest gaps in time (the released code returns
    fewer).
    """

    needs: ClassVar[frozenset[str]] = frozenset({"landmarks"})
    paper: ClassVar[str] = "arXiv 2505.23747"

    def __call__(self, candidates: Candidates, k: int) -> Picks:
        assert candidates.landmarks is not None
        return Picks(cover(candidates.landmarks, k))


def cover(landmarks: Landmarks, k: int, first: Indices | None = None) -> Indices:
    """Up to ``k`` frames by greedy maximum coverage, in the order in which they are chosen.

    What every frame adds is kept up to date instead of counted again: each sighting is looked at
    once in all, when its landmark is first seen.

    Args:
        first: frames that are chosen already, in front of the result.
    """
    if not len(landmarks.ids):
        return np.empty(0, np.int64) if first is None else first
    landmarks = landmarks.numbered()
    frames, ids = len(landmarks), landmarks.ids
    seers, starts = landmarks.by_point
    adds = np.diff(landmarks.offsets)
    seen = np.zeros(len(starts) - 1, bool)
    chosen: list[int] = []
    given = [] if first is None else first.tolist()
    while len(chosen) < k:
        asked = len(chosen) < len(given)
        best = given[len(chosen)] if asked else int(adds.argmax())
        if not adds[best] and not asked:
            break
        chosen.append(best)
        mine = ids[landmarks.offsets[best] : landmarks.offsets[best + 1]]
        fresh = mine[~seen[mine]]
        seen[fresh] = True
        counts = starts[fresh + 1] - starts[fresh]
        ends = np.cumsum(counts)
        where = np.repeat(starts[fresh] - ends + counts, counts)
        where += np.arange(len(where))
        adds -= np.bincount(seers[where], minlength=frames)
    return np.array(chosen, dtype=np.int64)
