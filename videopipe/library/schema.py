"""The SQLite file: its tables, how it is opened, and what its errors mean.

SQLite is the truth. Every table hangs on ``videos`` by foreign keys with cascades, so that a video
is there as a whole or not at all.
"""

from __future__ import annotations

import errno
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from videopipe.errors import LibraryError, LibraryVersion, NotFound

APPLICATION_ID = 0x56504C42  # "VPLB"
VERSION = 2
BUSY_SECONDS = 30.0
FILE = "library.db"

# Text ids are never used twice (AUTOINCREMENT): the vector and the word index can tell by the id
# alone what they have already seen. The columns of `words` are made by lexical.index_terms, whose
# rules therefore belong to VERSION.
_TABLES = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID",
    """CREATE TABLE videos (
        id INTEGER PRIMARY KEY,
        video_id TEXT NOT NULL UNIQUE,
        path TEXT NOT NULL UNIQUE,
        size INTEGER NOT NULL,
        mtime_ns INTEGER NOT NULL,
        duration REAL NOT NULL,
        config_hash TEXT NOT NULL,
        indexed_at REAL NOT NULL,
        info TEXT NOT NULL,
        stage_seconds TEXT NOT NULL,
        warnings TEXT NOT NULL)""",
    """CREATE TABLE clips (
        id INTEGER PRIMARY KEY,
        video INTEGER NOT NULL REFERENCES videos ON DELETE CASCADE,
        number INTEGER NOT NULL,
        start_s REAL NOT NULL,
        end_s REAL NOT NULL,
        UNIQUE (video, number))""",
    """CREATE TABLE texts (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        clip INTEGER NOT NULL REFERENCES clips ON DELETE CASCADE,
        source TEXT NOT NULL,
        language TEXT,
        text TEXT NOT NULL,
        lines TEXT NOT NULL,
        embedding BLOB NOT NULL,
        model TEXT)""",
    "CREATE INDEX texts_clip ON texts (clip, source)",
    """CREATE TABLE signals (
        video INTEGER NOT NULL REFERENCES videos ON DELETE CASCADE,
        name TEXT NOT NULL,
        dtype TEXT NOT NULL,
        shape TEXT NOT NULL,
        data BLOB NOT NULL,
        UNIQUE (video, name))""",
    "CREATE VIRTUAL TABLE words USING fts5(terms, content='', detail=none, tokenize='ascii')",
)


def connect(folder: Path, create: bool) -> sqlite3.Connection:
    """Open the library in ``folder``; ``create`` makes one in an empty or new folder.

    Raises:
        NotFound: ``folder`` is not there, or is not a library.
        LibraryVersion: written by a version of the format that cannot be read; format 1 can, and
            becomes format 2 where it may be written.
        LibraryError: damaged, or it cannot be opened.
    """
    file = folder / FILE
    with explained(folder):
        if not file.exists():
            _prepare(folder, create)
        writable = _writable(folder) and (_writable(file) or not file.exists())
        mode = "mode=rwc" if create else "mode=rw"
        if not writable:
            # Without a log there is nobody to share with, and no place for the shared memory.
            log = file.with_name(f"{FILE}-wal")
            mode = "mode=ro" if log.exists() else "mode=ro&immutable=1"
        db = sqlite3.connect(
            f"{file.resolve().as_uri()}?{mode}", BUSY_SECONDS, isolation_level=None, uri=True
        )
        try:
            db.text_factory = _text
            db.execute("PRAGMA foreign_keys = ON")
            # With NORMAL the last videos could be lost with the power, after they were reported.
            db.execute("PRAGMA synchronous = FULL")
            if _is_blank(db) and create and writable:
                _create(db)
            _check(db, folder)
            if _pragma(db, "user_version") == 1:
                _add_model(db, writable)
        except BaseException:
            db.close()
            raise
    return db


def _prepare(folder: Path, create: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise NotFound(f"{folder} is a file, not a videopipe library; give its folder.")
    if not folder.exists() and not create:
        raise NotFound(
            f"There is no library at {folder}; make one with: videopipe index VIDEO "
            f"--library {folder}"
        )
    if folder.exists() and (not create or any(folder.iterdir())):
        raise _not_a_library(folder)
    folder.mkdir(parents=True, exist_ok=True)


def _writable(path: Path) -> bool:
    return os.access(path, os.W_OK, effective_ids=True)


def _is_blank(db: sqlite3.Connection) -> bool:
    """A file that was not finished by whoever created it counts as blank."""
    return (
        not _pragma(db, "application_id")
        and not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    )


def _create(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA journal_mode = WAL")
    with transaction(db, "IMMEDIATE"):
        if not _is_blank(db):
            return  # somebody else was faster
        for statement in _TABLES:
            db.execute(statement)
        db.execute("INSERT INTO meta VALUES ('library', ?), ('changes', 0)", (uuid4().hex,))
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {VERSION}")


def _check(db: sqlite3.Connection, folder: Path) -> None:
    if _pragma(db, "application_id") != APPLICATION_ID:
        raise _not_a_library(folder)
    version = _pragma(db, "user_version")
    if version > VERSION:
        raise LibraryVersion(
            f"The library {folder} was written by a newer videopipe (format {version}, this one "
            f"reads {VERSION}); update videopipe."
        )
    if version < 1:
        raise LibraryVersion(
            f"The library {folder} was written by an older videopipe (format {version}, this one "
            f"reads {VERSION}); index the videos into a new library."
        )


def _add_model(db: sqlite3.Connection, writable: bool) -> None:
    """Bring a library of format 1, whose texts name no model, to format 2.

    One that may only be read stays as it is and is looked at through a view that has the column.
    """
    if not writable:
        db.execute("PRAGMA temp_store = MEMORY")
        db.execute("CREATE TEMP VIEW texts AS SELECT *, NULL AS model FROM main.texts")
        return
    with transaction(db, "IMMEDIATE"):
        if _pragma(db, "user_version") == 1:  # nobody else was faster
            db.execute("ALTER TABLE texts ADD COLUMN model TEXT")
            db.execute("PRAGMA user_version = 2")


def _pragma(db: sqlite3.Connection, name: str) -> int:
    return int(db.execute(f"PRAGMA {name}").fetchone()[0])


def _not_a_library(folder: Path) -> NotFound:
    return NotFound(
        f"{folder} is not a videopipe library; give the folder of one, or an empty or new folder "
        f"to index into."
    )


def _text(raw: bytes) -> str:
    """File names need not be UTF-8."""
    return raw.decode("utf-8", "surrogateescape")


@contextmanager
def transaction(db: sqlite3.Connection, kind: str = "DEFERRED") -> Iterator[None]:
    """All or nothing; ``IMMEDIATE`` to write, ``DEFERRED`` to read one state throughout."""
    db.execute(f"BEGIN {kind}")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # a full disk has rolled back already
            db.execute("ROLLBACK")
        raise


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turn what SQLite and the file system report into one sentence."""
    try:
        yield
    except sqlite3.Error as error:
        raise LibraryError(_sentence(folder, error)) from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise LibraryError(_damaged(folder, error)) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise LibraryError(_full(folder)) from error
        raise LibraryError(
            f"The library {folder} cannot be used ({error.strerror or error}); check the folder "
            f"and its permissions."
        ) from error


def _sentence(folder: Path, error: sqlite3.Error) -> str:
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_FULL:
            return _full(folder)
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return (
                f"The library {folder} is being written by another process; wait until that has "
                f"finished and run again."
            )
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
            return f"The library {folder} cannot be written; check the permissions of the folder."
        case sqlite3.SQLITE_CANTOPEN:
            return f"The library {folder} cannot be opened; check the permissions of the folder."
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return _damaged(folder, error)
    return f"The library {folder} cannot be used ({error})."


def _full(folder: Path) -> str:
    return (
        f"The disk of the library {folder} is full; free some space and run again, what was "
        f"finished is kept."
    )


def _damaged(folder: Path, error: Exception) -> str:
    return (
        f"The library {folder} is damaged ({error}); restore it from a copy, or delete it and "
        f"index the videos again."
    )
