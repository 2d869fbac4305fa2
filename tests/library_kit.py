"""Small libraries for the tests: a quick embedder, records, and the ranking spelled out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log
from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from videopipe.library import Library
from videopipe.library.cohort import background
from videopipe.library.lexical import STOP_WORDS, index_terms, query_terms
from videopipe.types import Clip, ClipText, Source, TimedText, VideoRecord

Texts = Mapping[Source, str | Sequence[str]]


class WordSum:
    """Texts as the sum of a fixed random vector for each of their words."""

    name = "word-sum"
    dimension = 24

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        rows = [sum((self._word(w) for w in t.lower().split()), self._word("")) for t in texts]
        vectors = np.array(rows).reshape(len(texts), self.dimension)
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    def _word(self, word: str) -> NDArray[np.float64]:
        return np.random.default_rng(crc32(word.encode())).normal(size=self.dimension)


WORD_SUM = WordSum()


def record(
    video_id: str,
    path: Path,
    clips: Sequence[Texts],
    embedder: object = WORD_SUM,
    config_hash: str = "settings",
) -> VideoRecord:
    """A video of ten-second clips with the texts given for each."""
    made = [Clip(video_id, i, 10.0 * i, 10.0 * i + 10) for i in range(len(clips))]
    texts = [
        ClipText(clip, source, text, (TimedText(clip.start, clip.end, text),), "en", vector)
        for clip, sources in zip(made, clips, strict=True)
        for source, several in sources.items()
        for text in ([several] if isinstance(several, str) else several)
        for vector in embedder.encode([text])  # type: ignore[attr-defined]
    ]
    return VideoRecord(
        video_id=video_id,
        path=path,
        size=path.stat().st_size if path.exists() else 0,
        mtime_ns=path.stat().st_mtime_ns if path.exists() else 0,
        info={"duration_s": 10.0 * len(clips), "codec": "h264"},
        config_hash=config_hash,
        clips=tuple(made),
        texts=tuple(texts),
        signals={
            "times": np.arange(len(clips) * 10, dtype=np.float64),
            "hash": np.full((len(clips), 8), 7, np.uint8),
            "none": np.empty((0, 3), np.float32),
        },
        stage_seconds={"scan": 1.5},
        warnings=("one frame was damaged",),
    )


def snapshot(library: Library) -> list[object]:
    """All that a library says about its videos, but for when they were indexed."""
    return [
        (
            video.video_id,
            video.path,
            video.config_hash,
            video.info,
            library.clips(video.video_id),
            [
                (text, text.embedding.tobytes() if text.embedding is not None else None)
                for text in library.texts(library.clips(video.video_id))
            ],
            {name: array.tolist() for name, array in library.signals(video.video_id).items()},
        )
        for video in library.videos()
    ]


def exhaustive(library: Library, query: str, k: int) -> list[tuple[Clip, float]]:
    """The ranking by its definition: every text scored, every clip compared."""
    texts = [text for v in library.videos() for text in library.texts(library.clips(v.video_id))]
    if not texts:
        return []
    vector = WORD_SUM.encode([query])[0]
    near = background(WORD_SUM, vector)
    noise = min(max(0.1, near * min((near - 0.25) / 0.25, 1)), 0.95)
    terms = query_terms(query)
    terms = [term for term in terms if term not in STOP_WORDS] or terms
    weights = {}
    for term in terms:
        holders = sum(term in index_terms(text.text) for text in texts)
        rarity = 1 - log(holders + 1) / log(len(texts) + 100)
        weights[term] = rarity * (0.1 if term in STOP_WORDS else 1)
    best: dict[Clip, tuple[float, float]] = {}
    for text in texts:
        cosine = round(float(text.embedding.astype(np.float64) @ vector), 9)
        held = sum(weight for term, weight in weights.items() if term in index_terms(text.text))
        covered = held / (0.25 + sum(weights.values()))
        meant = min(max((cosine - noise) / (1 - noise), 0), 1)
        score = 1 - (1 - meant) * (1 - 0.8 * covered**2)
        best[text.clip] = max(best.get(text.clip, (-1.0, -1.0)), (score, cosine))
    ranked = sorted(best, key=lambda c: (-best[c][0], -best[c][1], c.video_id, c.index))
    return [(clip, best[clip][0]) for clip in ranked[:k]]
