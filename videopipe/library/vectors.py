"""The vector index: FAISS, made from SQLite and kept in a file beside it.

The file is only a saving of time. It ends in a seal: which library and which state of it the
vectors belong to, and a digest of everything. A file that is missing, torn, flipped or of another
library is made again; one that is behind is caught up by the difference of ids.
"""

from __future__ import annotations

import os
import sqlite3
import struct
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videopipe.library.schema import FILE as DATABASE

FILE = "vectors.faiss"
_MAGIC = b"VPVEC001"
_SEAL = struct.Struct("<8s16sq32s")  # magic, library, changes, sha256 of all before
# Below this FAISS is faster on one thread: idle threads spin (35 ms against 0.8 ms).
_THREADS_FROM = 100_000
_BATCH = 4096


class VectorIndex:
    """Exact inner products over unit vectors, by text id.

    ``changes`` is the state of the library (its change counter) that the index agrees with.
    """

    def __init__(self, file: Path, library: bytes, dimension: int) -> None:
        self._file = file
        self._library = library
        self._dimension = dimension
        self._index, self.changes = self._load() or (self._empty(), -1)
        self._saved = self.changes

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def ids(self) -> NDArray[np.int64]:
        """The text ids, ascending."""
        import faiss

        ids: NDArray[np.int64] = faiss.vector_to_array(self._index.id_map)
        return np.sort(ids)

    def catch_up(self, db: sqlite3.Connection, changes: int) -> None:
        """Make the index agree with the database, whose change counter is ``changes``."""
        if changes == self.changes:
            return
        wanted = np.fromiter((row[0] for row in db.execute("SELECT id FROM texts")), np.int64)
        held = self.ids()
        gone = np.setdiff1d(held, wanted)
        if len(gone) == len(held):
            self._index = self._empty()
        elif len(gone):
            self._index.remove_ids(gone)
        new = np.setdiff1d(wanted, held)
        for ids, vectors in stored(db, new, self._dimension):
            self._index.add_with_ids(vectors, ids)
        self.changes = changes

    def search(
        self, query: NDArray[np.float32], count: int, allowed: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The ids of the ``count`` nearest texts and their cosines, best first.

        Args:
            query: unit vector, float32 ``[D]``.
            count: at most this many are returned.
            allowed: only these text ids; ``None`` for all.
        """
        import faiss

        threads = 1 if len(self) < _THREADS_FROM else os.cpu_count() or 1
        faiss.omp_set_num_threads(threads)
        selector = None
        if allowed is not None:
            only = faiss.IDSelectorBatch(allowed)
            selector = faiss.SearchParameters(sel=only)  # type: ignore[call-arg]
        count = min(count, len(self) if allowed is None else len(allowed))
        if count == 0:
            return np.empty(0, np.int64), np.empty(0)
        scores, ids = self._index.search(query[None], count, params=selector)
        found = ids[0] >= 0
        return ids[0][found], scores[0][found].astype(np.float64)

    def vectors(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """The vectors of text ids, float32 ``[N, D]``."""
        if not len(ids):
            return np.empty((0, self._dimension), np.float32)
        vectors: NDArray[np.float32] = self._index.reconstruct_batch(ids)
        return vectors

    def save(self) -> None:
        """Write the file, if it is behind: whole and durable, or not at all.

        Raises:
            OSError: it cannot be written.
        """
        import faiss

        if self._saved == self.changes:
            return
        payload = faiss.serialize_index(self._index).data
        with NamedTemporaryFile(dir=self._file.parent, prefix=FILE, delete=False) as file:
            try:
                file.write(payload)
                file.write(self._seal(payload, self.changes))
                file.flush()
                os.fsync(file.fileno())
                # Whoever may read the database may read this, too.
                Path(file.name).chmod((self._file.parent / DATABASE).stat().st_mode & 0o666)
                Path(file.name).replace(self._file)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
        self._saved = self.changes

    def _load(self) -> tuple[Any, int] | None:
        import faiss

        try:
            content = memoryview(self._file.read_bytes())
        except OSError:
            return None
        payload, seal = content[: -_SEAL.size], content[-_SEAL.size :]
        if len(seal) < _SEAL.size:
            return None
        changes = _SEAL.unpack(seal)[2]
        if seal != self._seal(payload, changes):
            return None
        index = faiss.deserialize_index(np.frombuffer(payload, np.uint8))
        return (index, changes) if index.d == self._dimension else None

    def _seal(self, payload: memoryview, changes: int) -> bytes:
        head = _MAGIC + self._library + struct.pack("<q", changes)
        digest = sha256(payload)
        digest.update(head)
        return head + digest.digest()

    def _empty(self) -> Any:
        import faiss

        return faiss.IndexIDMap2(faiss.IndexFlatIP(self._dimension))


def stored(
    db: sqlite3.Connection, ids: NDArray[np.int64], dimension: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """The vectors SQLite holds for text ids, in batches: ids ``[B]``, float32 ``[B, D]``."""
    for start in range(0, len(ids), _BATCH):
        batch = ids[start : start + _BATCH]
        places = ",".join("?" * len(batch))
        rows = db.execute(
            f"SELECT id, embedding FROM texts WHERE id IN ({places}) ORDER BY id", batch.tolist()
        ).fetchall()
        vectors = np.frombuffer(b"".join(row[1] for row in rows), np.float32)
        yield np.array([row[0] for row in rows], np.int64), vectors.reshape(-1, dimension)
