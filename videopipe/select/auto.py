"""Ours: look where the question points, cover the space it asks about, never lose the overview."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from videopipe.allocate import allocate
from videopipe.select.candidates import Candidates, Floats, Indices
from videopipe.select.fill import evenly, fill
from videopipe.select.method import register
from videopipe.select.question import Asks, asks_about
from videopipe.select.selection import Picks
from videopipe.select.space_aware import cover

_SIGMA = 1.4826  # of the median absolute deviation, to a standard deviation
_STANDS_OUT = 6.0  # deviations by which the best frame is above what is usual
_USUAL = 4.0  # deviations below which a frame is as any other
_RISE = 0.35  # of the way from the usual to the best, below which a frame is no evidence
_GAP = 2  # samples below it that do not end a stretch
_BELIEF = 3.0  # power of its strength by which a weaker stretch gets less
_OVERVIEW = 16  # one frame in so many is for the overview, whatever stands out
_SMALL = 1 / 4  # weight of such a frame: half of the height and width


class Stretch(NamedTuple):
    """Candidates ``[start, end)`` that stand out, and by how much, 0-1 of the best."""

    start: int
    end: int
    strength: float


@register("auto")
@dataclass(frozen=True)
class Auto:
    """The selector of videopipe: it chooses by what is asked, and by whether anything stands out.

    - Where stretches of the video stand out in relevance, each gets frames by the root of its
      length, between an equal and a proportional share, and fewer the weaker it is; a sixteenth of
      the frames, in low resolution, is an even overview of the rest.
    - Where the question is about space or layout, the frames that see most landmarks together; half
      of them where something stands out as well.
    - Where it is about the whole video, or nothing stands out, every shot is seen, and long ones
      several times.

    ``question`` decides what is asked; ``asks`` where that is known.
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    paper: ClassVar[str] = ""

    question: str = ""
    asks: Asks | None = None

    def __call__(self, candidates: Candidates, k: int) -> Picks:
        asks = self.asks or asks_about(self.question)
        found = [] if asks == "overview" else stretches(candidates.relevance)
        landmarks = candidates.landmarks
        if asks == "space" and landmarks is not None and len(landmarks.ids):
            rows, weights, why = _covering(candidates, found, k)
        elif found:
            rows, weights, why = _focused(candidates, found, k)
        else:
            rows, why = overview(candidates, k), "an even overview of the shots"
            weights = np.ones(len(rows))
            if asks != "overview":
                why = f"nothing stands out: {why}"
        return Picks(rows, weights, why=(why,))


def stretches(relevance: Floats | None) -> list[Stretch]:
    """Where the relevance stands out from what is usual in this video, in order of time.

    The usual and its spread are the median and the median absolute deviation, which evidence in
    less than half of the video does not move.
    """
    if relevance is None:
        return []
    usual = float(np.median(relevance))
    spread = _SIGMA * float(np.median(np.abs(relevance - usual)))
    rise = float(relevance.max()) - usual
    if rise <= max(_STANDS_OUT * spread, 1e-9):
        return []
    above = np.flatnonzero(relevance >= usual + max(_USUAL * spread, _RISE * rise))
    parts = np.split(above, np.flatnonzero(np.diff(above) > _GAP + 1) + 1)
    return [
        Stretch(int(part[0]), int(part[-1]) + 1, float((relevance[part].max() - usual) / rise))
        for part in parts
    ]


def overview(candidates: Candidates, k: int) -> Indices:
    """``k`` frames that show as many shots as there can be, spread over the video."""
    shots = candidates.shots()
    lengths = np.bincount(shots)
    starts = np.cumsum(lengths) - lengths
    if len(lengths) <= k:
        counts = allocate(np.sqrt(lengths), k, floor=1, cap=lengths)
        return np.concatenate(
            [s + evenly(n, c) for s, n, c in zip(starts, lengths, counts, strict=True)]
        )
    rows, shown = [], np.zeros(len(lengths), bool)
    for window in np.array_split(np.arange(len(shots)), k):
        here = np.unique(shots[window])
        fresh = here[~shown[here]]
        shot = (fresh if len(fresh) else here)[lengths[fresh if len(fresh) else here].argmax()]
        inside = window[shots[window] == shot]
        rows.append(inside[len(inside) // 2])
        shown[shot] = True
    return np.array(rows, dtype=np.int64)


def _focused(candidates: Candidates, found: list[Stretch], k: int) -> tuple[Indices, Floats, str]:
    """Most frames in the stretches that stand out, the others over the rest of the video."""
    lengths = np.array([end - start for start, end, _ in found])
    worth = np.sqrt(lengths) * np.array([stretch.strength for stretch in found]) ** _BELIEF
    counts = allocate(worth, k - k // _OVERVIEW, cap=lengths)
    own = np.concatenate(
        [s.start + evenly(n, c) for s, n, c in zip(found, lengths, counts, strict=True)]
    )
    rows = fill(own, candidates.times, k)
    weights = np.where(np.isin(rows, own), 1.0, _SMALL)
    held = int((counts > 0).sum())
    plural = "es hold" if held > 1 else " holds"
    return rows, weights, f"{held} relevant stretch{plural} {len(own)} of {k} frames"


def _covering(candidates: Candidates, found: list[Stretch], k: int) -> tuple[Indices, Floats, str]:
    """The frames that see most of the scene; half of the frames where something stands out."""
    assert candidates.landmarks is not None
    if not found:
        own = cover(candidates.landmarks, k)
        seen = candidates.landmarks.seen(own)
        total = len(np.unique(candidates.landmarks.ids))
        rows = fill(own, candidates.times, k)
        return rows, np.ones(k), f"the question is about space: {seen} of {total} landmarks seen"
    first, weights, why = _focused(candidates, found, k - k // 2)
    rows = cover(candidates.landmarks, k, first)
    added = rows[len(first) :]
    weights = np.concatenate([weights, np.full(len(added), _SMALL)])
    return rows, weights, f"{why}, {len(added)} more see most of the space around"
