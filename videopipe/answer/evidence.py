"""The picture that goes with a citation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videopipe.errors import VideopipeError


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
