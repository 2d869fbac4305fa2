"""Counting what a library holds, and looking for damage."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from videopipe.library import vectors
from videopipe.library.records import LibraryStats
from videopipe.library.vectors import VectorIndex


def stats(folder: Path, db: sqlite3.Connection) -> LibraryStats:
    """Count what is there."""
    meta = dict(db.execute("SELECT key, value FROM meta"))
    videos, duration = db.execute("SELECT count(*), total(duration) FROM videos").fetchone()
    sources = dict(db.execute("SELECT source, count(*) FROM texts GROUP BY source ORDER BY source"))
    return LibraryStats(
        path=folder,
        videos=videos,
        clips=db.execute("SELECT count(*) FROM clips").fetchone()[0],
        texts=sum(sources.values()),
        sources=sources,
        duration=duration,
        size=sum(file.stat().st_size for file in folder.iterdir() if file.is_file()),
        embedder=meta.get("embedder"),
        dimension=meta.get("dimension"),
    )


def problems(folder: Path, db: sqlite3.Connection) -> Iterator[str]:
    """What is wrong with a library, one sentence each."""
    broken = [row[0] for row in db.execute("PRAGMA integrity_check") if row[0] != "ok"]
    if broken:
        yield (
            f"The database is damaged ({broken[0]}); restore it from a copy, or delete the library "
            f"and index the videos again."
        )
        return
    for table, row, parent, _ in db.execute("PRAGMA foreign_key_check"):
        yield f"Row {row} of {table} has lost its row of {parent}; index the video again."
    yield from _words(db)
    yield from _vectors(folder, db)


def _words(db: sqlite3.Connection) -> Iterator[str]:
    missing = db.execute(
        "SELECT count(*) FROM (SELECT id FROM texts EXCEPT SELECT id FROM words_docsize)"
    )
    stale = db.execute(
        "SELECT count(*) FROM (SELECT id FROM words_docsize EXCEPT SELECT id FROM texts)"
    )
    wrong = missing.fetchone()[0] + stale.fetchone()[0]
    if wrong:
        yield f"The word index disagrees with {wrong} texts; run videopipe library rebuild."


def _vectors(folder: Path, db: sqlite3.Connection) -> Iterator[str]:
    meta = dict(db.execute("SELECT key, value FROM meta"))
    dimension = meta.get("dimension")
    if dimension is None:
        return
    ids = np.sort(np.fromiter((row[0] for row in db.execute("SELECT id FROM texts")), np.int64))
    file = folder / vectors.FILE
    index = VectorIndex(file, bytes.fromhex(meta["library"]), dimension)
    if file.exists() and index.changes < 0:
        yield "The vector index is damaged; it is made again with the next search."
    agrees = index.changes == meta["changes"]
    if agrees and not np.array_equal(index.ids(), ids):
        yield "The vector index holds other texts than the database; run videopipe library rebuild."
        agrees = False
    for batch, held in vectors.stored(db, ids, dimension):
        odd = ~np.isclose(np.linalg.norm(held, axis=1), 1, atol=1e-3)
        if odd.any():
            yield f"Text {batch[odd][0]} has a damaged vector; remove and index its video again."
        if agrees and not np.array_equal(index.vectors(batch), held):
            yield "The vector index differs from the database; run videopipe library rebuild."
            agrees = False
