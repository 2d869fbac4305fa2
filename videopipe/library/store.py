"""The library: everything indexing found out about videos, on disk."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache, wraps
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from videopipe.errors import ConfigError, LibraryError, NotFound
from videopipe.library import lexical, retrieve, rows, upkeep
from videopipe.library.embedder import PACKAGED, Embedder, load_embedder
from videopipe.library.records import ClipHit, LibraryStats, TextMatch, TextScore, Video
from videopipe.library.schema import FILE as DATABASE
from videopipe.library.schema import connect, explained, transaction
from videopipe.library.vectors import FILE as VECTORS
from videopipe.library.vectors import VectorIndex
from videopipe.types import Clip, ClipText, Source, VideoRecord, normalised, stamp

_P = ParamSpec("_P")
_R = TypeVar("_R")


def _explained(
    method: Callable[Concatenate[Library, _P], _R],
) -> Callable[Concatenate[Library, _P], _R]:
    @wraps(method)
    def call(self: Library, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        with explained(self.path):
            return method(self, *args, **kwargs)

    return call


class Library:
    """Videos with their clips, texts, vectors and signals, in one folder.

    SQLite is the truth, and a video is in it whole or not at all. Many may read while one writes; a
    second writer waits for half a minute, then gets a ``LibraryError``. A library is used by the
    thread that opened it.
    """

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        self.path = path
        self._db = db
        self._index: VectorIndex | None = None

    @classmethod
    def open(cls, path: str | os.PathLike[str], create: bool = False) -> Self:
        """Open the library in the folder ``path``; ``create`` makes one in an empty or new folder.

        Raises:
            NotFound: the folder is not there, or holds something else.
            LibraryVersion: it was written by another version of the format.
            LibraryError: it is damaged or cannot be read.
        """
        folder = Path(path)
        return cls(folder, connect(folder, create))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the files; nothing is pending, every ``put`` is on disk when it returns."""
        self._db.close()

    @property
    @_explained
    def embedder(self) -> str | None:
        """The name of the embedder whose vectors are held; ``None`` before the first video."""
        name = self._meta("embedder")
        return None if name is None else str(name)

    @_explained
    def require_embedder(self, name: str) -> None:
        """Check that vectors of the embedder ``name`` fit those that are held.

        Raises:
            ConfigError: the library was made with another.
        """
        held = self._meta("embedder")
        if held not in (None, name):
            raise ConfigError(
                f"The library {self.path} was made with the embedder {held}, not {name}; set "
                f"embed.model={held} or index into another library."
            )

    @_explained
    def put(self, record: VideoRecord, embedder: str = PACKAGED) -> None:
        """Store a finished video, in place of what its id or its path held before.

        Args:
            record: every text embedded, as unit vectors of one dimension.
            embedder: the name of the embedder that made the vectors.

        Raises:
            ConfigError: the library holds vectors of another embedder.
            LibraryError: it cannot be written (disk full, locked, read-only); nothing has changed.
        """
        path = normalised(record.path)
        if not (self.path / DATABASE).exists():
            raise LibraryError(f"The library {self.path} is gone; index into it again.")
        with self._writing():
            self._claim(embedder, record.texts)
            rows.delete(
                self._db,
                "video_id = ? OR path = CAST(? AS TEXT)",
                record.video_id,
                rows.encoded(path),
            )
            rows.insert(self._db, record, path)

    @_explained
    def remove(self, video_id: str) -> None:
        """Forget a video.

        Raises:
            NotFound: the library does not hold it.
        """
        with self._writing():
            if not rows.delete(self._db, "video_id = ?", video_id):
                raise NotFound(f"The library {self.path} holds no video {video_id}.")

    @_explained
    def remember_places(self, places: Mapping[str, Path]) -> None:
        """Note that the files of videos, by id, are at these paths now, as they are there.

        What the library held at one of the paths and is not among ``places`` is forgotten.
        """
        with self._writing():
            for video_id in places:  # files can have changed places with each other
                self._db.execute(
                    "UPDATE videos SET path = ? WHERE video_id = ?",
                    (f"moving {video_id}", video_id),
                )
            for video_id, path in places.items():
                place = normalised(path)
                rows.delete(self._db, "path = CAST(? AS TEXT)", rows.encoded(place))
                self._db.execute(
                    "UPDATE videos SET path = CAST(? AS TEXT), size = ?, mtime_ns = ? "
                    "WHERE video_id = ?",
                    (rows.encoded(place), *stamp(place), video_id),
                )

    @_explained
    def videos(self) -> list[Video]:
        """All videos, by path."""
        return list(rows.videos(self._db))

    def find(self, key: str | os.PathLike[str]) -> Video | None:
        """The video of a path, an id, a file name (suffix or not) or the beginning of an id.

        Raises:
            ConfigError: several videos fit.
        """
        path, text = normalised(Path(key)), os.fspath(key)
        videos = self.videos()
        for fits in (
            [v for v in videos if v.path == path or v.video_id == text],
            [v for v in videos if text in (v.name, v.path.stem)],
            [v for v in videos if text and v.video_id.startswith(text.lower())],
        ):
            if len(fits) > 1:
                listed = ", ".join(f"{v.path} ({v.video_id[:8]})" for v in fits[:5])
                raise ConfigError(f"'{text}' fits several videos: {listed}; give a path or an id.")
            if fits:
                return fits[0]
        return None

    def get(self, key: str | os.PathLike[str]) -> Video:
        """Like ``find``, for a video that must be there.

        Raises:
            NotFound: no video fits.
            ConfigError: several videos fit.
        """
        video = self.find(key)
        if video is None:
            raise NotFound(
                f"The library {self.path} holds no video '{os.fspath(key)}'; "
                f"videopipe library list shows what it holds."
            )
        return video

    @_explained
    def clips(self, video_id: str) -> list[Clip]:
        """The clips of a video, in order."""
        return rows.clips(self._db, video_id)

    @_explained
    def texts(self, clips: Iterable[Clip]) -> list[ClipText]:
        """The texts of clips with their vectors, clip by clip in the order given."""
        return [text for clip in clips for text in rows.texts(self._db, clip)]

    @_explained
    def signals(self, video_id: str, names: Sequence[str] | None = None) -> dict[str, NDArray[Any]]:
        """The per-frame arrays of a video by name, read-only; ``names`` for some of them."""
        return rows.signals(self._db, video_id, names)

    @_explained
    def add_signals(
        self, video_id: str, arrays: Mapping[str, NDArray[Any]], info: Mapping[str, Any]
    ) -> None:
        """Put per-frame arrays beside those of a video, and ``info`` beside what is known of it.

        Raises:
            NotFound: the library does not hold it.
        """
        with self._writing():
            if not rows.add_signals(self._db, video_id, arrays, info):
                raise NotFound(f"The library {self.path} holds no video {video_id}.")

    @_explained
    def packets(self, video_id: str) -> dict[str, NDArray[Any]]:
        """The packet table of a video as ``media.PacketTable`` gave it, read-only."""
        return rows.packets(self._db, video_id)

    @_explained
    def search(
        self,
        query: str,
        k: int,
        *,
        videos: Sequence[str] | None = None,
        sources: Sequence[Source] | None = None,
        embedder: Embedder | None = None,
    ) -> list[ClipHit]:
        """The ``k`` clips that fit ``query`` best, best first; see ``videopipe.library.retrieve``.

        Args:
            query: a question, or words that are said or can be read on screen.
            k: number of clips.
            videos: only these video ids.
            sources: only texts of these sources.
            embedder: the embedder of the library, when it is loaded already.

        Raises:
            ConfigError: an empty query, or an embedder that is not the library's.
            ModelError: the embedder cannot be loaded.
        """
        if not query.strip():
            raise ConfigError("The query is empty; say what to look for.")
        if embedder is not None:
            self.require_embedder(embedder.name)
        name = self.embedder
        if name is None:
            return []
        asked = retrieve.Query.of(query, embedder or load_embedder(name))
        with transaction(self._db):
            index = self._caught_up()
            within = retrieve.scope(self._db, videos, sources)
            hits = [
                self._hit(texts) for texts in retrieve.search(self._db, index, asked, k, within)
            ]
        with suppress(OSError):  # without the file the next search has to catch up again
            index.save()
        return hits

    @_explained
    def scores(
        self, query: str, embedder: Embedder, *, videos: Sequence[str] | None = None
    ) -> list[TextScore]:
        """How well every text (of ``videos``) fits ``query``, on the scale of ``search``.

        In order of the videos and of time.
        """
        self.require_embedder(embedder.name)
        if self.embedder is None:
            return []
        asked = retrieve.Query.of(query, embedder)
        with transaction(self._db):
            within = retrieve.scope(self._db, videos, None)
            scored = retrieve.everything(self._db, self._caught_up(), asked, within)
            return [
                TextScore(video_id, number, *rows.span(self._db, text), score)
                for (video_id, number), text, score, *_ in sorted(scored)
            ]

    @_explained
    def relevance(
        self,
        query: str,
        texts: Sequence[str],
        embedder: Embedder,
        *,
        videos: Sequence[str] | None = None,
    ) -> NDArray[np.float64]:
        """How well each of ``texts`` fits ``query``, on the scale of ``search``: ``[N]`` in 0-1.

        For parts of stored texts, such as the sentences of a clip. How much a word says depends on
        how many texts (of ``videos``) hold it.
        """
        self.require_embedder(embedder.name)
        asked = retrieve.Query.of(query, embedder)
        vectors = _encoded(embedder, tuple(texts))
        with transaction(self._db):
            within = retrieve.scope(self._db, videos, None)
            return retrieve.relevance(self._db, asked, texts, vectors, within)

    @_explained
    def stats(self) -> LibraryStats:
        """Count what is there."""
        return upkeep.stats(self.path, self._db)

    @_explained
    def flush(self) -> None:
        """Write the vector index, so that the next search need not catch up.

        Raises:
            LibraryError: it cannot be written; nothing is lost.
        """
        if self._meta("dimension") is None:
            return
        with transaction(self._db):
            index = self._caught_up()
        index.save()

    @_explained
    def rebuild(self) -> None:
        """Make the word index and the vector index again from the stored texts and vectors."""
        with self._writing():
            lexical.clear(self._db)
            lexical.add(self._db, self._db.execute("SELECT id, text FROM texts"))
        (self.path / VECTORS).unlink(missing_ok=True)
        self._index = None
        self.flush()

    @_explained
    def verify(self) -> list[str]:
        """Look for damage; each problem is one sentence, and none means that all is well."""
        return list(upkeep.problems(self.path, self._db))

    def _hit(self, scored: list[retrieve.Scored]) -> ClipHit:
        video_id, index = scored[0].clip
        clip = rows.clip(self._db, video_id, index)
        (video,) = rows.videos(self._db, "video_id = ?", video_id)
        matches = tuple(
            TextMatch(rows.text(self._db, clip, s.text), s.score, s.cosine, s.coverage)
            for s in scored
        )
        return ClipHit(video, clip, scored[0].score, matches)

    def _caught_up(self) -> VectorIndex:
        """The vector index in the state of the running transaction."""
        if self._index is None:
            self._index = VectorIndex(
                self.path / VECTORS, bytes.fromhex(self._meta("library")), self._meta("dimension")
            )
        self._index.catch_up(self._db, self._meta("changes"))
        return self._index

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with transaction(self._db, "IMMEDIATE"):
            yield
            self._db.execute("UPDATE meta SET value = value + 1 WHERE key = 'changes'")

    def _meta(self, key: str) -> Any:
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return row and row[0]

    def _claim(self, embedder: str, texts: Sequence[ClipText]) -> None:
        """Remember the embedder and its dimension with the first vectors, hold to them later."""
        self.require_embedder(embedder)
        held = self._meta("dimension")
        for text in texts:
            if text.embedding is None or text.embedding.shape != (held or text.embedding.size,):
                raise ValueError(f"{text} needs an embedding of dimension {held}")
            held = held or text.embedding.size
        if texts:
            self._db.executemany(
                "INSERT OR IGNORE INTO meta VALUES (?, ?)",
                (("embedder", embedder), ("dimension", held)),
            )


@lru_cache(maxsize=2)
def _encoded(embedder: Embedder, texts: tuple[str, ...]) -> NDArray[np.float32]:
    """The same sentences are scored for a question and for each choice of answer."""
    return embedder.encode(texts)
