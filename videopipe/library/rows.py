"""Rows of the database and the values of ``videopipe.types``: how the one becomes the other."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videopipe.library import lexical
from videopipe.library.records import Video
from videopipe.types import Clip, ClipText, TimedText, VideoRecord

_VIDEO = """
    SELECT video_id, path, size, mtime_ns, duration, config_hash, indexed_at,
        (SELECT count(*) FROM clips WHERE clips.video = videos.id),
        (SELECT count(*) FROM texts JOIN clips ON clips.id = texts.clip
            WHERE clips.video = videos.id),
        info, stage_seconds, warnings
    FROM videos"""
_TEXT = "SELECT source, text, lines, language, embedding, model FROM texts WHERE "
_OF_VIDEO = "(SELECT id FROM videos WHERE video_id = ?)"


def encoded(path: Path) -> bytes:
    """A path as it is stored, by way of ``CAST(? AS TEXT)``: file names need not be UTF-8."""
    return os.fsencode(path)


def insert(db: sqlite3.Connection, record: VideoRecord, path: Path) -> None:
    """Write a video, whose texts all have vectors, with all that hangs on it."""
    video = _insert(
        db,
        "INSERT INTO videos (video_id, path, size, mtime_ns, duration, config_hash, indexed_at, "
        "info, stage_seconds, warnings) VALUES (?, CAST(? AS TEXT), ?, ?, ?, ?, ?, ?, ?, ?)",
        record.video_id,
        encoded(path),
        record.size,
        record.mtime_ns,
        max((clip.end for clip in record.clips), default=0.0),
        record.config_hash,
        time.time(),
        json.dumps(record.info),
        json.dumps(record.stage_seconds),
        json.dumps(record.warnings),
    )
    clips = {
        clip.index: _insert(
            db,
            "INSERT INTO clips (video, number, start_s, end_s) VALUES (?, ?, ?, ?)",
            video,
            clip.index,
            clip.start,
            clip.end,
        )
        for clip in record.clips
    }
    for text in record.texts:
        assert text.embedding is not None
        row = _insert(
            db,
            "INSERT INTO texts (clip, source, language, text, lines, embedding, model) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            clips[text.clip.index],
            text.source,
            text.language,
            text.text,
            json.dumps([(line.start, line.end, line.text) for line in text.lines]),
            text.embedding.astype("<f4").tobytes(),
            text.model,
        )
        lexical.add(db, [(row, text.text)])
    _insert_signals(db, video, record.signals | record.packets)


def _insert_signals(db: sqlite3.Connection, video: int, arrays: Mapping[str, NDArray[Any]]) -> None:
    for name, array in arrays.items():
        _insert(
            db,
            "INSERT OR REPLACE INTO signals (video, name, dtype, shape, data) "
            "VALUES (?, ?, ?, ?, ?)",
            video,
            name,
            array.dtype.str,
            json.dumps(array.shape),
            array.tobytes(),
        )


def _insert(db: sqlite3.Connection, statement: str, *values: object) -> int:
    row = db.execute(statement, values).lastrowid
    assert row is not None
    return row


def delete(db: sqlite3.Connection, where: str, *values: str | bytes) -> bool:
    """Delete videos with all that hangs on them; says whether there were any."""
    texts = db.execute(
        "SELECT texts.id, text FROM texts JOIN clips ON clips.id = texts.clip "
        f"JOIN videos ON videos.id = clips.video WHERE {where}",
        values,
    ).fetchall()
    lexical.drop(db, texts)
    return db.execute(f"DELETE FROM videos WHERE {where}", values).rowcount > 0


def videos(db: sqlite3.Connection, where: str = "true", *values: str) -> Iterator[Video]:
    """Videos by path."""
    rows = db.execute(f"{_VIDEO} WHERE {where} ORDER BY path", values)
    for row in rows:
        info, stage_seconds, warnings = map(json.loads, row[9:])
        fields = [row[0], Path(row[1]), *row[2:9], info, stage_seconds, tuple(warnings)]
        yield Video(*fields)


def clips(db: sqlite3.Connection, video_id: str) -> list[Clip]:
    """The clips of a video, in order."""
    rows = db.execute(
        f"SELECT number, start_s, end_s FROM clips WHERE video = {_OF_VIDEO} ORDER BY number",
        (video_id,),
    )
    return [Clip(video_id, *row) for row in rows]


def clip(db: sqlite3.Connection, video_id: str, index: int) -> Clip:
    """The clip ``index`` of a video."""
    row = db.execute(
        f"SELECT start_s, end_s FROM clips WHERE video = {_OF_VIDEO} AND number = ?",
        (video_id, index),
    ).fetchone()
    return Clip(video_id, index, *row)


def texts(db: sqlite3.Connection, clip: Clip) -> list[ClipText]:
    """The texts of a clip, in the order in which they were stored."""
    rows = db.execute(
        f"{_TEXT} clip = (SELECT id FROM clips WHERE video = {_OF_VIDEO} AND number = ?) "
        "ORDER BY id",
        (clip.video_id, clip.index),
    )
    return [_text(clip, *row) for row in rows]


def text(db: sqlite3.Connection, clip: Clip, row: int) -> ClipText:
    """A text of a clip by its row id."""
    return _text(clip, *db.execute(f"{_TEXT} id = ?", (row,)).fetchone())


def _text(
    clip: Clip,
    source: Any,
    text: str,
    lines: str,
    language: str | None,
    vector: bytes,
    model: str | None,
) -> ClipText:
    timed = tuple(TimedText(*line) for line in json.loads(lines))
    return ClipText(clip, source, text, timed, language, np.frombuffer(vector, np.float32), model)


def span(db: sqlite3.Connection, text: int) -> tuple[float, float]:
    """When the lines of a text begin and end, in seconds."""
    (lines,) = db.execute("SELECT lines FROM texts WHERE id = ?", (text,)).fetchone()
    timed = json.loads(lines)
    return min(line[0] for line in timed), max(line[1] for line in timed)


def signals(
    db: sqlite3.Connection, video_id: str, names: Sequence[str] | None = None
) -> dict[str, NDArray[Any]]:
    """The per-frame arrays of a video by name, read-only; ``names`` for some of them."""
    if names is None:
        return _arrays(db, video_id, "name NOT LIKE 'packets.%'")
    return _arrays(db, video_id, "name IN (SELECT value FROM json_each(?))", json.dumps(names))


def add_signals(
    db: sqlite3.Connection,
    video_id: str,
    arrays: Mapping[str, NDArray[Any]],
    info: Mapping[str, Any],
) -> bool:
    """Put arrays beside those that a video has, in place of what had their names.

    ``info`` is added to that of the video. False if it is not there.
    """
    row = db.execute("SELECT id, info FROM videos WHERE video_id = ?", (video_id,)).fetchone()
    if row is None:
        return False
    db.execute(
        "UPDATE videos SET info = ? WHERE id = ?", (json.dumps(json.loads(row[1]) | info), row[0])
    )
    _insert_signals(db, row[0], arrays)
    return True


def packets(db: sqlite3.Connection, video_id: str) -> dict[str, NDArray[Any]]:
    """The arrays of a video's packet table by name, read-only."""
    return _arrays(db, video_id, "name LIKE 'packets.%'")


def _arrays(
    db: sqlite3.Connection, video_id: str, which: str, *values: str
) -> dict[str, NDArray[Any]]:
    rows = db.execute(
        "SELECT name, dtype, shape, data FROM signals "
        f"WHERE video = {_OF_VIDEO} AND {which} ORDER BY name",
        (video_id, *values),
    )
    return {
        name: np.ndarray(json.loads(shape), np.dtype(dtype), buffer=data)
        for name, dtype, shape, data in rows
    }
