"""One streamed pass over the small frames of a video, leaving a few numbers for each frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videopipe.scan.text import TextWatch
from videopipe.types import FrameBatch

HUES, SATURATIONS, VALUES = 12, 4, 4
SCREEN_BACKDROP = 0.65  # from here on a picture looks printed or drawn, not filmed
_THUMB = 12
_CENTRED = ((np.arange(256) + 7) % 180).astype(np.uint8)  # half a bin on, so that red is one bin
_JPEG = (1, 75)  # cv2.IMWRITE_JPEG_QUALITY
_CHANGED = 8  # grey levels that a block must differ by to count as changed


@dataclass(frozen=True, slots=True)
class Signals:
    """What the scan measured: arrays with one row for each of the ``T`` sampled frames.

    Attributes:
        times: float64 ``[T]``, seconds, ascending.
        luma: float32 ``[T]``, mean brightness, 0-255.
        contrast: float32 ``[T]``, standard deviation of the brightness, 0-128.
        sharpness: float32 ``[T]``, variance of the Laplacian.
        colourfulness: float32 ``[T]``, mean difference between colour channels, 0-255.
        backdrop: float32 ``[T]``, share of the lit picture that has its commonest grey, 0-1: high
            on slides, screens and pages.
        complexity: float32 ``[T]``, bytes of the grey frame as JPEG for a thousand pixels: how much
            there is to see.
        motion: float32 ``[T]``, mean absolute difference to the frame before, 0-255; first 0.
        changed: float32 ``[T]``, share of the picture that differs from the frame before, 0-1.
        anchored: float32 ``[T]``, share of the edges that stayed where they were, 0-1:
            high before a fixed camera, whoever walks by.
        shift: float32 ``[T, 2]``, how far the whole picture moved since the frame before, right
            and down, in picture widths and heights.
        shift_trust: float32 ``[T]``, 0-1, how well one shift explains the change.
        histogram: uint8 ``[T, 192]``, hue x saturation x value (12 x 4 x 4, the first hue centred
            on red), each row sums to about 255.
        thumb: uint8 ``[T, 144]``, the picture as 12 x 12 grey cells.
        phash: uint64 ``[T]``, perceptual hash (signs of the low DCT coefficients).
        text: float32 ``[T]``, share of the picture that looks like lines of text, 0-1.
        text_fresh: float32 ``[T]``, above 0 where settled text is worth reading (see TextWatch).
        text_kept: float32 ``[T]``, 0-1, share of the last such frame's strokes still in place.
    """

    times: NDArray[np.float64]
    luma: NDArray[np.float32]
    contrast: NDArray[np.float32]
    sharpness: NDArray[np.float32]
    colourfulness: NDArray[np.float32]
    backdrop: NDArray[np.float32]
    complexity: NDArray[np.float32]
    motion: NDArray[np.float32]
    changed: NDArray[np.float32]
    anchored: NDArray[np.float32]
    shift: NDArray[np.float32]
    shift_trust: NDArray[np.float32]
    histogram: NDArray[np.uint8]
    thumb: NDArray[np.uint8]
    phash: NDArray[np.uint64]
    text: NDArray[np.float32]
    text_fresh: NDArray[np.float32]
    text_kept: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.times)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays by name, as the library stores them."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Signals:
        """Inverse of :meth:`to_arrays`; names that are not signals are ignored."""
        return cls(**{field.name: arrays[field.name] for field in fields(cls)})


def measure(
    batches: Iterable[FrameBatch], progress: Callable[[float], None] | None = None
) -> Signals:
    """Measure every frame of a scan.

    Args:
        batches: frames in ascending time, all of one size, short side about 224 pixels.
        progress: told the time reached, in seconds, after every batch.
    """
    columns = _Columns()
    watch = TextWatch()
    before: _Before | None = None
    for batch in batches:
        for time, frame in zip(batch.times.tolist(), batch.frames, strict=True):
            columns.add("times", time)
            before, backdrop = _measure_frame(frame, before, columns)
            watch.add(time, before.grey, backdrop >= SCREEN_BACKDROP)
        if progress and len(batch):
            progress(float(batch.times[-1]))
    watch.finish()
    text = {"text": watch.amount, "text_fresh": watch.fresh, "text_kept": watch.kept}
    return Signals(**columns.arrays(), **{name: np.array(values) for name, values in text.items()})


class _Columns:
    """Rows as packed bytes: a float object for each number would weigh more than the numbers."""

    def __init__(self) -> None:
        self._packed = {name: bytearray() for name in _TYPES}

    def add(self, name: str, value: Any) -> None:
        self._packed[name] += np.asarray(value, _TYPES[name].base).tobytes()

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {
            name: np.frombuffer(packed, _TYPES[name].base).reshape(-1, *_TYPES[name].shape)
            for name, packed in self._packed.items()
        }


_TYPES: dict[str, np.dtype[Any]] = {
    "times": np.dtype(np.float64),
    **dict.fromkeys(
        ("luma", "contrast", "sharpness", "colourfulness", "backdrop", "complexity", "motion"),
        np.dtype(np.float32),
    ),
    "changed": np.dtype(np.float32),
    "anchored": np.dtype(np.float32),
    "shift": np.dtype((np.float32, (2,))),
    "shift_trust": np.dtype(np.float32),
    "histogram": np.dtype((np.uint8, (HUES * SATURATIONS * VALUES,))),
    "thumb": np.dtype((np.uint8, (_THUMB * _THUMB,))),
    "phash": np.dtype(np.uint64),
}


@dataclass(slots=True)
class _Before:
    """What the next frame is compared with."""

    grey: NDArray[np.uint8]
    edges: NDArray[np.uint8]
    blocks: NDArray[np.uint8]
    windowed: NDArray[np.float32]


def _measure_frame(
    frame: NDArray[np.uint8], before: _Before | None, columns: _Columns
) -> tuple[_Before, float]:
    import cv2

    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    height, width = grey.shape
    blocks = cv2.resize(
        grey, (max(2, width // 8), max(2, height // 8)), interpolation=cv2.INTER_AREA
    )
    small = cv2.resize(grey, (96, 64), interpolation=cv2.INTER_AREA).astype(np.float32)
    windowed = (small - small.mean()) * _HANNING
    edges = _edges(small)
    mean, deviation = cv2.meanStdDev(grey)
    columns.add("luma", mean.item())
    columns.add("contrast", deviation.item())
    columns.add("sharpness", cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_16S))[1].item() ** 2)
    backdrop = _backdrop(grey)
    columns.add("backdrop", backdrop)
    columns.add("complexity", 1000 * len(cv2.imencode(".jpg", grey, _JPEG)[1]) / grey.size)
    _measure_colour(frame[::2, ::2], columns)
    columns.add("thumb", cv2.resize(grey, (_THUMB, _THUMB), interpolation=cv2.INTER_AREA).ravel())
    columns.add("phash", _phash(grey))

    motion = changed = anchored = trust = 0.0
    shift = (0.0, 0.0)
    if before is not None:
        motion = float(cv2.mean(cv2.absdiff(grey, before.grey))[0])
        changed = float(np.mean(cv2.absdiff(blocks, before.blocks) >= _CHANGED))
        anchored = _share_kept(edges, before.edges)
        (right, down), trust = cv2.phaseCorrelate(before.windowed, windowed)
        # beyond half a picture the transform wraps round, and the two have nothing in common
        shift = tuple(np.clip((right / small.shape[1], down / small.shape[0]), -0.5, 0.5))
        trust = min(max(trust, 0.0), 1.0)
    columns.add("motion", motion)
    columns.add("changed", changed)
    columns.add("anchored", anchored)
    columns.add("shift", shift)
    columns.add("shift_trust", trust)
    return _Before(grey, edges, blocks, windowed), backdrop


def _edges(small: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The strongest tenth of the steps between neighbours, as 0 and 1."""
    import cv2

    steps = cv2.magnitude(
        cv2.Sobel(small, cv2.CV_32F, 1, 0, ksize=3), cv2.Sobel(small, cv2.CV_32F, 0, 1, ksize=3)
    )
    strong: NDArray[np.bool_] = steps > max(float(np.percentile(steps, 90)), 16.0)
    return strong.astype(np.uint8)


def _share_kept(edges: NDArray[np.uint8], before: NDArray[np.uint8]) -> float:
    count = np.count_nonzero(edges)
    return np.count_nonzero(edges & before) / count if count else 1.0


def _measure_colour(frame: NDArray[np.uint8], columns: _Columns) -> None:
    import cv2

    hsv = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2HSV)
    hsv[..., 0] = cv2.LUT(hsv[..., 0], _CENTRED)
    counts = cv2.calcHist(
        [hsv], [0, 1, 2], None, [HUES, SATURATIONS, VALUES], [0, 180, 0, 256, 0, 256]
    )
    columns.add("histogram", np.rint(counts.ravel() * (255 / counts.sum())).astype(np.uint8))
    # saturation * value is the spread between the largest and the smallest channel
    spread = cv2.multiply(hsv[..., 1], hsv[..., 2], scale=1 / 255)
    columns.add("colourfulness", float(cv2.mean(spread)[0]))


def _backdrop(grey: NDArray[np.uint8]) -> float:
    import cv2

    counts = cv2.calcHist([grey], [0], None, [32], [0, 256]).ravel()
    lit = counts[3:]  # black bars and dark film are even, too, and say nothing
    if lit.sum() < 0.02 * grey.size:
        return 0.0
    return float((lit[:-1] + lit[1:]).max() / lit.sum())


def _phash(grey: NDArray[np.uint8]) -> int:
    import cv2

    low = cv2.dct(cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32))[
        :8, :8
    ]
    bits = (low > np.median(low)).ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


_HANNING = np.outer(np.hanning(64), np.hanning(96)).astype(np.float32)
