"""Which clips fit a query: Goldfish retrieval with a second channel for exact words.

Every text of a clip is a document of its own, scored by two channels:

- ``cosine`` between query and text. The part ``b`` of it that the query has with any text of its
  language is taken off: ``m = (cosine - b) / (1 - b)``, cut to ``[0, 1]``. With the cohort mean
  ``n`` (see ``cohort``), ``b = n`` where ``n`` is 0.5 or more, fading to the floor of 0.1 at 0.25.
- ``coverage``, the share of the query's words that stand in the text (see ``lexical``).

``score = 1 - (1 - m) (1 - 0.8 coverage^2)``: either channel alone can carry a hit, and the square
keeps a chance word or two from mattering. A clip scores as its best text, and ``k`` counts clips
(in Goldfish documents): documents are fetched until no other clip can come among the first ``k``.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from videopipe.library.cohort import background
from videopipe.library.embedder import Embedder
from videopipe.library.lexical import coverage, coverage_of, weigh
from videopipe.library.vectors import VectorIndex
from videopipe.types import Source

_FLOOR = 0.1
_READ_BELOW, _FOREIGN_FROM = 0.25, 0.5
_WORDS = 0.8
_DOCUMENTS_PER_CLIP = 4
_DIGITS = 9
_SINGLE = 1e-6  # what FAISS, in single precision, may be off

_TEXTS = "texts JOIN clips ON clips.id = texts.clip JOIN videos ON videos.id = clips.video"

_Clip = TypeVar("_Clip", bound=Hashable)
Ids = NDArray[np.int64]
Floats = NDArray[np.float64]


def rank_documents(
    vectors: NDArray[np.floating], query: NDArray[np.floating]
) -> tuple[Ids, Floats]:
    """Rank documents as Goldfish does: by cosine, ties by position.

    Args:
        vectors: ``[N, D]``, of any length.
        query: ``[D]``, of any length.

    Returns:
        Positions, best first ``[N]``, and the cosine of each document ``[N]``, in the order given.
    """
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(query)
    cosines = (vectors @ query).astype(np.float64) / np.maximum(lengths, np.finfo(np.float32).tiny)
    return np.argsort(-cosines, kind="stable"), cosines


def merge_by_clip(clips: Iterable[_Clip], k: int) -> list[_Clip]:
    """The first ``k`` distinct clips of ranked documents, given each document's clip."""
    return list(dict.fromkeys(clips))[:k]


@dataclass(frozen=True)
class Query:
    """A query as both channels need it; ``noise`` is the ``b`` of the formula."""

    text: str
    vector: NDArray[np.float32]
    noise: float

    @classmethod
    def of(cls, text: str, embedder: Embedder) -> Self:
        vector = embedder.encode([text])[0]
        near = background(embedder, vector)
        foreign = (near - _READ_BELOW) / (_FOREIGN_FROM - _READ_BELOW)
        return cls(text, vector, min(max(_FLOOR, near * min(foreign, 1.0)), 0.95))

    def score(self, cosines: Floats, covered: Floats) -> Floats:
        """Both channels in one number in ``[0, 1]``, element by element."""
        meant = np.clip((cosines - self.noise) / (1 - self.noise), 0, 1)
        score: Floats = 1 - (1 - meant) * (1 - _WORDS * covered**2)
        return score


class Scored(NamedTuple):
    """A text, by its row id and its clip (video id, index), with how well it fits."""

    clip: tuple[str, int]
    text: int
    score: float
    cosine: float
    coverage: float


def scope(
    db: sqlite3.Connection, videos: Sequence[str] | None, sources: Sequence[Source] | None
) -> Ids | None:
    """The ids of the texts to search; ``None`` for all."""
    if videos is None and sources is None:
        return None
    rows = db.execute(
        f"SELECT texts.id FROM {_TEXTS} WHERE "
        "(:videos IS NULL OR video_id IN (SELECT value FROM json_each(:videos))) "
        "AND (:sources IS NULL OR source IN (SELECT value FROM json_each(:sources)))",
        {
            "videos": None if videos is None else json.dumps(list(videos)),
            "sources": None if sources is None else json.dumps(list(sources)),
        },
    )
    return np.fromiter((row[0] for row in rows), np.int64)


def search(
    db: sqlite3.Connection, index: VectorIndex, query: Query, k: int, within: Ids | None
) -> list[list[Scored]]:
    """The best ``k`` clips, each as all of its texts within the scope, best first.

    Exact: the same as scoring every text. Ties go to the higher cosine, then by video id and time,
    whatever the order in which the videos were stored.
    """
    ranking = _Ranking(db, index, query, within)
    clips = merge_by_clip((text.clip for text in ranking.first(k)), k)
    texts = ranking.of_clips(clips)
    return [[text for text in texts if text.clip == clip] for clip in clips]


def everything(
    db: sqlite3.Connection, index: VectorIndex, query: Query, within: Ids | None
) -> list[Scored]:
    """Every text within the scope with its score, best first."""
    ranking = _Ranking(db, index, query, within)
    return ranking.scored(index.ids() if within is None else within)


def relevance(
    db: sqlite3.Connection,
    query: Query,
    texts: Sequence[str],
    vectors: NDArray[np.float32],
    within: Ids | None,
) -> Floats:
    """The score of texts that are not in the library (parts of those that are) ``[N]``.

    Args:
        vectors: those of ``texts``, unit length, ``[N, D]``.
        within: the texts among which the words of the query are rare or common.
    """
    total = len(within) if within is not None else _count(db)
    terms = weigh(db, query.text, total, within)
    covered = np.array([coverage_of(terms, text) for text in texts])
    return query.score((vectors @ query.vector).astype(np.float64), covered)


def _count(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT count(*) FROM texts").fetchone()[0])


class _Ranking:
    def __init__(
        self, db: sqlite3.Connection, index: VectorIndex, query: Query, within: Ids | None
    ) -> None:
        self._db, self._index, self._query, self._within = db, index, query, within
        self._total = len(index) if within is None else len(within)
        terms = weigh(db, query.text, self._total, within)
        self._worded, self._covered = coverage(terms)

    def first(self, k: int) -> list[Scored]:
        """Ranked texts, as many as settle which ``k`` clips come first."""
        query, count = self._query, _DOCUMENTS_PER_CLIP * k
        while True:
            ids, cosines = self._index.search(query.vector, count, self._within)
            ranked = self.scored(ids)
            if len(ids) == self._total:
                return ranked
            clips = merge_by_clip((text.clip for text in ranked), k)
            last = next(text for text in ranked if text.clip == clips[-1])
            # Of the texts that were not fetched, none is closer than the last one that was.
            nearest = cosines[-1:] + _SINGLE
            bound = query.score(nearest, np.zeros(1))[0], nearest[0]
            if len(clips) == k and (last.score, last.cosine) > bound:
                possible = query.score(nearest, self._covered) >= last.score
                extra = np.setdiff1d(self._worded[possible], ids, assume_unique=True)
                return sorted(ranked + self.scored(extra), key=_best_first)
            count *= 4

    def of_clips(self, clips: Sequence[tuple[str, int]]) -> list[Scored]:
        """All texts of clips within the scope, ranked."""
        rows = self._db.execute(
            f"SELECT texts.id FROM {_TEXTS} WHERE (video_id, number) IN "
            "(SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?))",
            (json.dumps(clips),),
        )
        ids = np.fromiter((row[0] for row in rows), np.int64)
        return self.scored(ids if self._within is None else np.intersect1d(ids, self._within))

    def scored(self, ids: Ids) -> list[Scored]:
        """These texts, ranked."""
        covered = np.zeros(len(ids))
        held = np.isin(ids, self._worded)
        covered[held] = self._covered[np.searchsorted(self._worded, ids[held])]
        # In double precision and rounded, so that equal texts tie.
        vectors = self._index.vectors(ids).astype(np.float64)
        cosines = (vectors @ self._query.vector).round(_DIGITS)
        scores = self._query.score(cosines, covered)
        rows = self._db.execute(
            f"SELECT texts.id, video_id, number FROM {_TEXTS} "
            "WHERE texts.id IN (SELECT value FROM json_each(?))",
            (json.dumps(ids.tolist()),),
        )
        clips = {text: (video, number) for text, video, number in rows}
        columns = (ids.tolist(), scores.tolist(), cosines.tolist(), covered.tolist())
        texts = (Scored(clips[row[0]], *row) for row in zip(*columns, strict=True))
        return sorted(texts, key=_best_first)


def _best_first(text: Scored) -> tuple[float, float, tuple[str, int], int]:
    return -text.score, -text.cosine, text.clip, text.text
