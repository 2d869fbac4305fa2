"""Frames of a video at the times asked for: exactly the one on display, no other."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from videopipe.errors import ConfigError, MediaError
from videopipe.media.packets import packet_table
from videopipe.media.picture import Painter, fitted
from videopipe.media.probe import probe
from videopipe.media.reader import Reader
from videopipe.types import FrameBatch, VideoInfo

Picture = NDArray[np.uint8]


def scan(
    source: Path | str | VideoInfo,
    rate: float = 1.0,
    short_side: int = 224,
    *,
    start: float = 0.0,
    end: float | None = None,
    batch_size: int = 32,
    threads: int = 1,
    on_damage: Callable[[str], None] | None = None,
) -> Iterator[FrameBatch]:
    """The frame on display at every grid time ``k / rate`` in ``[start, end)``, small, in order.

    Only what those frames need is decoded, and memory does not grow with the length of the video.

    Args:
        rate: frames per second of the grid, which begins at the first displayed frame.
        short_side: pixels; the frames keep their aspect ratio and are never enlarged.
        start: seconds.
        end: seconds; the end of the video by default.
        threads: decoder threads; one is best when several videos are decoded at once.
        on_damage: called with a sentence for each stretch that cannot be decoded; its grid times
            are left out.

    Yields:
        Batches of at most ``batch_size`` frames.

    Raises:
        NotFound, MediaError: as for ``probe``, or not a single frame can be decoded.
        ConfigError: a rate, size or span that makes no sense.
    """
    for name, value in (("rate", rate), ("short_side", short_side), ("batch_size", batch_size)):
        if not value > 0:
            raise ConfigError(f"{name} must be above 0; got {value:g}.")
    info = _info(source)
    stop = info.duration if end is None else min(end, info.duration)
    if not 0 <= start < stop:
        raise ConfigError(
            f"There is nothing from {start:g} s to {stop:g} s: "
            f"{info.path} lasts {info.duration:g} s."
        )
    first, last = (math.ceil(bound * rate - 1e-9) for bound in (start, stop))
    grid = np.arange(first, last) / rate

    size = fitted(info.width, info.height, short_side)
    frames = np.empty((batch_size, *size[::-1], 3), np.uint8)
    times: list[float] = []
    decoded = 0
    report = on_damage or (lambda _: None)
    missing: list[float] = []
    for time, picture in _pictures(info, grid, short_side, threads):
        if picture is None:
            missing.append(time)
            continue
        if missing:
            report(_damage(info.path, missing))
            missing = []
        frames[len(times)] = picture
        times.append(time)
        decoded += 1
        if len(times) == batch_size:
            yield FrameBatch(np.array(times), frames)
            frames, times = np.empty_like(frames), []
    if times:
        yield FrameBatch(np.array(times), frames[: len(times)].copy())
    if missing and not decoded:
        raise MediaError(f"{info.path} cannot be decoded: every frame looked at is damaged.")
    if missing:
        report(_damage(info.path, missing))


def fetch(
    source: Path | str | VideoInfo,
    times: Sequence[float] | NDArray[np.float64],
    size: int | None = None,
    *,
    threads: int = 1,
) -> FrameBatch:
    """The frames on display at ``times``, in the order asked for.

    Args:
        times: seconds in ``[0, duration)``, in any order, repeats allowed.
        size: short side in pixels, never enlarged; full size by default.

    Raises:
        NotFound, MediaError: as for ``probe``, or a frame cannot be decoded.
        ConfigError: a time outside the video.
    """
    info = _info(source)
    asked = np.asarray(times, np.float64).reshape(-1)
    width, height = fitted(info.width, info.height, size)
    frames = np.empty((len(asked), height, width, 3), np.uint8)
    missing = set(asked.tolist())
    for time, picture in fetch_each(info, np.unique(asked), size, threads=threads):
        frames[asked == time] = picture
        missing.discard(time)
    if missing:
        raise MediaError(_damage(info.path, sorted(missing)))
    return FrameBatch(asked, frames)


def fetch_each(
    source: Path | str | VideoInfo,
    times: Sequence[float] | NDArray[np.float64],
    size: int | None = None,
    *,
    threads: int = 1,
) -> Iterator[tuple[float, Picture]]:
    """Like ``fetch`` for ascending ``times``, one frame at a time.

    Yields:
        ``(time, uint8 RGB [H, W, 3])``; what cannot be decoded is left out.

    Raises:
        NotFound, MediaError: as for ``probe``.
        ConfigError: a time outside the video, or times that do not ascend.
    """
    info = _info(source)
    asked = np.asarray(times, np.float64).reshape(-1)
    outside = asked[~((asked >= 0) & (asked < info.duration))]
    if len(outside):
        raise ConfigError(
            f"{outside[0]:g} s is outside {info.path}, which lasts {info.duration:g} s; "
            "times go from 0 up to, not including, that."
        )
    if (np.diff(asked) <= 0).any():
        raise ConfigError("The times of fetch_each must ascend without repeats; use fetch.")
    for time, picture in _pictures(info, asked, size, threads):
        if picture is not None:
            yield time, picture


def _pictures(
    info: VideoInfo, times: NDArray[np.float64], size: int | None, threads: int
) -> Iterator[tuple[float, Picture | None]]:
    """``times`` (ascending) with the picture on display, ``None`` where it cannot be decoded."""
    import av

    if not len(times):
        return
    table = packet_table(info.path)
    shown = table.on_display(times)
    painter = Painter()
    picture_size = fitted(info.width, info.height, size)
    clock = table.pts[shown]  # ascending, like the times
    with Reader(info.path, table, threads) as reader:
        for index, frame in reader.frames(np.unique(shown).tolist()):
            try:
                picture = None if frame is None else painter.paint(frame, picture_size)
            except av.FFmpegError:
                picture = None
            first = np.searchsorted(clock, table.pts[index], side="left")
            beyond = np.searchsorted(clock, table.pts[index], side="right")
            for time in times[first:beyond].tolist():
                yield time, picture


def _info(source: Path | str | VideoInfo) -> VideoInfo:
    return source if isinstance(source, VideoInfo) else probe(source)


def _damage(path: Path, times: Sequence[float]) -> str:
    where = (
        f"at {times[0]:.3f} s" if len(times) == 1 else f"from {times[0]:.3f} to {times[-1]:.3f} s"
    )
    return (
        f"{path} cannot be decoded {where} ({len(times)} of the frames asked for); it is damaged."
    )
