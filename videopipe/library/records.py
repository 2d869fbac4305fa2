"""What the library hands out."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from videopipe.types import Clip, ClipText, Source


@dataclass(frozen=True, slots=True)
class Video:
    """A finished video.

    ``path`` is where the file was last seen; ``size`` in bytes and ``mtime_ns`` are the file's at
    that time, 0 if it was not there. ``duration`` is in seconds, ``indexed_at`` in seconds
    since 1970 (UTC). ``clips`` and ``texts`` are counts.
    """

    video_id: str
    path: Path
    size: int
    mtime_ns: int
    duration: float
    config_hash: str
    indexed_at: float
    clips: int
    texts: int
    info: dict[str, Any] = field(repr=False)
    stage_seconds: dict[str, float] = field(repr=False)
    warnings: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.path.name

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "video_id": self.video_id,
            "path": str(self.path),
            "size_bytes": self.size,
            "duration_s": round(self.duration, 6),
            "config_hash": self.config_hash,
            "indexed_at": datetime.fromtimestamp(self.indexed_at, UTC).isoformat(
                timespec="seconds"
            ),
            "clips": self.clips,
            "texts": self.texts,
            "stage_seconds": self.stage_seconds,
            "warnings": list(self.warnings),
            "info": self.info,
        }


@dataclass(frozen=True, slots=True)
class TextScore:
    """How well a text fits a query, 0-1; ``[start, end)`` in seconds is when its lines stand."""

    video_id: str
    clip: int
    start: float
    end: float
    score: float


@dataclass(frozen=True, slots=True)
class LibraryStats:
    """``sources`` counts the texts by source; ``duration`` is in seconds, ``size`` in bytes."""

    path: Path
    videos: int
    clips: int
    texts: int
    sources: dict[str, int]
    duration: float
    size: int
    embedder: str | None
    dimension: int | None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "path": str(self.path),
            "videos": self.videos,
            "clips": self.clips,
            "texts": self.texts,
            "sources": self.sources,
            "duration_s": round(self.duration, 6),
            "size_bytes": self.size,
            "embedder": self.embedder,
            "dimension": self.dimension,
        }


@dataclass(frozen=True, slots=True)
class TextMatch:
    """How well a text fits a query.

    ``cosine`` is that of the vectors, ``coverage`` the share of the query's words that stand in the
    text; ``score`` in ``[0, 1]`` says what both amount to.
    """

    document: ClipText
    score: float
    cosine: float
    coverage: float

    @property
    def text(self) -> str:
        return self.document.text

    @property
    def source(self) -> Source:
        return self.document.source

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "source": self.source,
            "language": self.document.language,
            "model": self.document.model,
            "text": self.text,
            "score": round(self.score, 4),
            "cosine": round(self.cosine, 4),
            "coverage": round(self.coverage, 4),
        }


@dataclass(frozen=True, slots=True)
class ClipHit:
    """A clip that was found.

    ``score`` is that of its best text, comparable across queries. ``matches`` are the clip's texts
    (of the sources that were searched), best first.
    """

    video: Video
    clip: Clip
    score: float
    matches: tuple[TextMatch, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "video_id": self.clip.video_id,
            "path": str(self.video.path),
            "clip": self.clip.index,
            "start_s": round(self.clip.start, 6),
            "end_s": round(self.clip.end, 6),
            "score": round(self.score, 4),
            "matches": [match.to_dict() for match in self.matches],
        }
