"""The picture that goes with a citation."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videopipe.config import Config
from videopipe.errors import VideopipeError
from videopipe.library import Library, Video
from videopipe.media import PacketTable, fetch, remember
from videopipe.types import stamp


def best_time(signals: dict[str, NDArray[Any]], start: float, end: float) -> float:
    """The time in ``[start, end)`` at which the scanned picture was sharpest.

    A span between two scanned frames gets its middle.
    """
    times = signals["times"]
    inside = np.flatnonzero((times >= start) & (times < end))
    if not len(inside):
        return (start + end) / 2
    return float(times[inside[np.argmax(signals["sharpness"][inside])]])


def cut(stem: str) -> str:
    """As much of a file's name as leaves room for more in another file's name."""
    return stem.encode("utf-8", "surrogateescape")[:180].decode("utf-8", "ignore")


def write_frame(folder: Path, name: str, frame: NDArray[np.uint8]) -> Path:
    """Write ``frame`` (uint8 RGB ``[H, W, 3]``) as ``folder/name.png`` and return the path.

    Raises:
        VideopipeError: the folder cannot be written.
    """
    from PIL import Image

    path = folder / f"{name}.png"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(frame).save(path)
    except OSError as error:
        raise VideopipeError(f"The frame {path} cannot be written ({error.strerror}).") from None
    return path


def decoding(config: Config) -> dict[str, Any]:
    """The options of ``fetch`` and ``fetch_each`` that the configuration gives."""
    decode = config.decode
    return {
        "workers": decode.workers or os.cpu_count() or 1,
        "backend": decode.backend,
        "deadline": decode.deadline_seconds,
    }


def known_packets(video: Video, library: Library) -> None:
    """Spare ``fetch`` reading through a file whose packet table the library holds."""
    if packets := library.packets(video.video_id):
        remember(video.path, (video.size, video.mtime_ns), PacketTable.from_arrays(packets))


def illustrate(
    number: int,
    video: Video,
    second: float,
    folder: Path,
    warnings: list[str],
    library: Library,
    config: Config,
) -> Path | None:
    """Write the frame at ``second`` of ``video`` for citation ``number``, at full size.

    A video that is gone is a warning, and None.
    """
    if stamp(video.path) not in ((video.size, video.mtime_ns), (0, 0)):
        warnings.append(f"no frame for [{number}]: {video.path} has changed since.")
        return None
    try:
        known_packets(video, library)
        picture = fetch(
            video.path,
            [second],
            **decoding(config),
        ).frames[0]
        return write_frame(folder, f"{number:02d}_{cut(video.path.stem)}_{second:.2f}s", picture)
    except VideopipeError as error:
        warnings.append(f"no frame for [{number}]: {error}")
        return None
