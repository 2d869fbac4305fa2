"""Ours: look where the question points, cover the space it asks about, never lose the overview."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from videopipe.allocate import allocate
from videopipe.select.candidates import Candidates, Floats, Indices
from videopipe.select.fill import evenly, fill
from videopipe.select.landmarks import Landmarks
from videopipe.select.method import register
from videopipe.select.question import asks_about
from videopipe.select.selection import Picks
from videopipe.select.space_aware import cover
from videopipe.types import Asks

_SURE = 4.5  # deviations above the usual from which a frame is no chance
_LIKELY = 2.0  # and from which it may be the edge of something
_RISE = 0.35  # of the way from the usual to the best, below which a frame is no evidence
_GAP = 2  # samples below it that do not end a stretch
_STRONG = 0.7  # of the best stretch, from which one has frames of its own
_LENGTH = 0.35  # power of its length: between an equal share and one by length
_BELIEF = 3.0  # power of its strength by which a weaker stretch gets less
_OVERVIEW = 32  # one frame in so many is for the overview, whatever stands out
_TENTH, _FOUR_TENTHS = 1.2816, 0.2533  # quantiles of a normal distribution, in deviations
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

    - Where stretches of the video stand out in relevance, each that is about as strong as the best
      gets a frame, and more by its length, between an equal and a proportional share;
      then come their edges and what else is relevant. One frame in 32, in low resolution, is for an
      even overview of the rest, and so are all that are left over.
    - Where the question is about space or layout, the frames that see most landmarks together; half
      of them where something stands out as well.
    - Where it is about the whole video every shot is seen, and long ones several times; so it is
      with half of the frames where nothing stands out, and the others are the most relevant.

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
        elif asks == "overview" or candidates.relevance is None or not np.ptp(candidates.scores):
            rows, why = overview(candidates, k), "an even overview of the shots"
            weights = np.ones(len(rows))
        else:
            best = np.argsort(-candidates.scores, kind="stable")[: k // 2]
            rows = fill(np.union1d(best, overview(candidates, k - k // 2)), len(candidates), k)
            weights = np.ones(k)
            why = "nothing stands out: the most relevant frames, and an even overview of the shots"
        return Picks(rows, weights, why=(why,))


class Usual(NamedTuple):
    """What relevance is where nothing is: its level and its spread (a standard deviation)."""

    level: float
    spread: float


def usual(relevance: Floats) -> Usual:
    """Of the lower part of the values, which evidence in up to half of the video does not move."""
    low, high = np.quantile(relevance, (0.1, 0.4))
    spread = float(high - low) / (_TENTH - _FOUR_TENTHS)
    return Usual(float(high) + _FOUR_TENTHS * spread, spread)


def stretches(relevance: Floats | None) -> list[Stretch]:
    """Where the relevance stands out from what is usual in this video, in order of time.

    The strength of a stretch is the upper quartile of its means of three neighbours: a single frame
    may be a chance, and the best of many is one.
    """
    if relevance is None or relevance.max() <= relevance.min():
        return []
    level, spread = usual(relevance)
    rise = float(relevance.max()) - level
    above = np.flatnonzero(relevance >= level + max(_SURE * spread, _RISE * rise))
    if not len(above):
        return []
    padded = np.concatenate([relevance[:1], relevance, relevance[-1:]])
    smooth = (padded[:-2] + padded[1:-1] + padded[2:]) / 3 - level
    parts = np.split(above, np.flatnonzero(np.diff(above) > _GAP + 1) + 1)
    best = [max(float(np.quantile(smooth[part], 0.75)), 1e-9) for part in parts]
    return [
        Stretch(int(part[0]), int(part[-1]) + 1, value / max(best))
        for part, value in zip(parts, best, strict=True)
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
    # From each of k windows the longest shot not seen yet, then the longest of the others.
    rows, shown = [], np.zeros(len(lengths), bool)
    for window in np.array_split(np.arange(len(shots)), k):
        here = np.unique(shots[window])
        if len(fresh := here[~shown[here]]):
            shot = fresh[lengths[fresh].argmax()]
            inside = window[shots[window] == shot]
            rows.append(int(inside[len(inside) // 2]))
            shown[shot] = True
    unseen = np.flatnonzero(~shown)
    longest = unseen[np.argsort(-lengths[unseen], kind="stable")[: k - len(rows)]]
    return np.concatenate([rows, starts[longest] + lengths[longest] // 2]).astype(np.int64)


def _focused(candidates: Candidates, found: list[Stretch], k: int) -> tuple[Indices, Floats, str]:
    """Most frames in the stretches that stand out, the others over the rest of the video."""
    most = k - k // _OVERVIEW
    strong = sorted((s for s in found if s.strength >= _STRONG), key=lambda s: -s.strength)[:most]
    lengths = np.array([end - start for start, end, _ in strong])
    worth = lengths**_LENGTH * np.array([stretch.strength for stretch in strong]) ** _BELIEF
    counts = allocate(worth, most, floor=1, cap=lengths)
    own = np.concatenate(
        [s.start + evenly(n, c) for s, n, c in zip(strong, lengths, counts, strict=True)]
    )
    # Where all of them are seen: their edges, and what else may be something.
    scores = candidates.scores
    level, spread = usual(scores)
    faint = level + max(_LIKELY * spread, _RISE / 2 * (float(scores.max()) - level))
    rest = np.setdiff1d(np.flatnonzero(scores > faint), own)
    more = rest[np.argsort(-scores[rest], kind="stable")[: most - len(own)]]
    own = np.concatenate([own, more])
    rows = fill(own, len(candidates), k)
    weights = np.where(np.isin(rows, own), 1.0, _SMALL)
    plural = "es hold" if len(strong) > 1 else " holds"
    why = f"{len(strong)} relevant stretch{plural} {int(counts.sum())} of {k} frames"
    return rows, weights, f"{why}, what is around {len(more)}" if len(more) else why


def _covering(candidates: Candidates, found: list[Stretch], k: int) -> tuple[Indices, Floats, str]:
    """The frames that see most of the scene; half of the frames where something stands out."""
    assert candidates.landmarks is not None
    if not found:
        own = _cover(candidates.landmarks, k)
        seen = candidates.landmarks.seen(own)
        total = candidates.landmarks.total
        rows = fill(own, len(candidates), k)
        return rows, np.ones(k), f"the question is about space: {seen} of {total} landmarks seen"
    first, weights, why = _focused(candidates, found, k - k // 2)
    rows = _cover(candidates.landmarks, k, first)
    added = rows[len(first) :]
    weights = np.concatenate([weights, np.full(len(added), _SMALL)])
    return rows, weights, f"{why}, {len(added)} further ones see most of the space around"


def _cover(landmarks: Landmarks, k: int, first: Indices | None = None) -> Indices:
    """Frames in different places first, by what near views know, then those that add single points.

    Two of three are chosen by the places: broken tracks make frames of one place look new.
    """
    given = np.empty(0, np.int64) if first is None else first
    places = len(given) + -(-2 * (k - len(given)) // 3)
    return cover(landmarks, k, cover(landmarks.widened(), places, given))
