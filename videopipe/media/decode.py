"""Frames of a video at the times asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self, get_args, overload

import numpy as np
from numpy.typing import NDArray

from videopipe.errors import ConfigError, MediaError
from videopipe.media.decoder import Backend, Decoder, Picture, Shown, Size
from videopipe.media.exactness import Aim, AutoExactness, aim
from videopipe.media.packets import Indices, PacketTable, Run, Seconds, plan
from videopipe.media.partial import table_around
from videopipe.media.picture import fitted
from videopipe.media.pool import in_order
from videopipe.media.probe import probe
from videopipe.media.tables import packet_table
from videopipe.types import FrameBatch, FrameSet, Location, Url, VideoInfo

Times = Sequence[float] | NDArray[np.float64]
_AHEAD_BYTES = 2_000_000  # of pictures that a decoder makes before anybody takes them
_TOLERANCE = 0.1  # of the distance between two grid times, for exactness="auto"
_MOST_THREADS = 8  # of one codec; each holds pictures of its own
_MOST = 4_000_000  # grid times, more than a month at one a second


class Scan(Iterator[FrameBatch]):
    """The batches of :func:`scan`, and what is known of them beforehand.

    ``exactness`` is the mode in use. ``largest_error`` is the distance in seconds between a frame
    on display at a grid time and the one given for it, at worst.
    """

    def __init__(self, batches: Generator[FrameBatch], aim: Aim) -> None:
        self._batches = batches
        self.exactness = aim.exactness
        self.largest_error = aim.largest_error

    def __next__(self) -> FrameBatch:
        return next(self._batches)

    def close(self) -> None:
        """Let the decoders go before the last batch was taken."""
        self._batches.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a video, ``[start, end)`` in seconds, and how many packets are decoded for it."""

    start: float
    end: float
    cost: int


def scan(
    source: Location | str | VideoInfo,
    rate: float = 1.0,
    short_side: int = 224,
    *,
    exactness: AutoExactness = "exact",
    start: float = 0.0,
    end: float | None = None,
    batch_size: int = 32,
    workers: int = 1,
    backend: Backend = "pyav",
    deadline: float | None = None,
    on_damage: Callable[[str], None] | None = None,
) -> Scan:
    """Frames for every grid time ``k / rate`` in ``[start, end)``, small, in order.

    Only what those frames need is decoded, and memory does not grow with the length of the video.
    A remote file is read twice where it is too large to be held: all its packets, then the frames.

    Args:
        rate: frames per second of the grid, which begins at the first displayed frame.
        short_side: pixels; the frames keep their aspect ratio and are never enlarged.
        exactness: ``exact``: the frame on display at each grid time. ``nonref``: the nearest that
            other pictures refer to, B pictures without the loop filter. ``keyframe``: the nearest
            key frame. ``auto``: the cheapest that is never off by more than a tenth of
            ``1 / rate``. The times of a batch are always such that its frames are on display at
            them: a frame that stands for another comes once, with its own time.
        start: seconds.
        end: seconds; the end of the video by default.
        workers: how many cores may decode.
        deadline: seconds that decoding may pass without a frame or a sign of life; no limit by
            default. Opening and looking through the file are not counted.
        on_damage: called with a sentence for each stretch that cannot be decoded; its times are
            left out.

    Yields:
        Batches of at most ``batch_size`` frames.

    Raises:
        NotFound, MediaError: as for ``probe``, or not a single frame can be decoded, or the back
            end cannot tell which frame is the right one.
        ConfigError: a rate, size or span that makes no sense.
        TimeLimit: the deadline passed.
    """
    if not batch_size > 0:
        raise ConfigError(f"batch_size must be above 0; got {batch_size:g}.")
    info = _info(source)
    table = packet_table(info.path)
    goal = _goal(info, table, rate, start, end, exactness)
    size = fitted(info.width, info.height, _positive("short_side", short_side))
    video = _Video(info, table, workers, backend, deadline, deblock=goal.exactness == "exact")
    return Scan(_batches(video, goal, size, batch_size, on_damage or (lambda _: None)), goal)


def spans(
    source: Location | str | VideoInfo,
    count: int,
    rate: float = 1.0,
    *,
    exactness: AutoExactness = "exact",
) -> list[Span]:
    """The video in ``count`` parts of equal cost, so that several workers can scan it.

    Cut at key frames: the scans of all parts, joined, are the scan of the whole, and no packet is
    decoded twice. Fewer parts where there are fewer groups of pictures to decode.

    Raises:
        NotFound, MediaError, ConfigError: as for :func:`scan`.
    """
    info = _info(source)
    table = packet_table(info.path)
    goal = _goal(info, table, rate, 0.0, None, exactness)
    packets, firsts = np.unique(goal.packets, return_index=True)
    costs, opens = [], []  # of each run, and the first grid time that it is for
    for run in plan(table, packets.tolist()):
        members = np.searchsorted(packets, run.wanted)
        costs.append(run.cost(table))
        opens.append(float(goal.since[firsts[members]].min()))
    if not costs:
        return [Span(0.0, table.duration, 0)]
    done = np.cumsum(costs)
    # A run belongs to the part in which its middle lies.
    part = ((done - np.array(costs) / 2) * _positive("count", count) // done[-1]).astype(int)
    _, begins = np.unique(part, return_index=True)
    cuts = [0.0, *(_before(opens[run], rate) for run in begins[1:]), table.duration]
    shares = np.add.reduceat(costs, begins)
    return [
        Span(start, end, int(cost))
        for (start, end), cost in zip(pairwise(cuts), shares, strict=True)
    ]


@overload
def fetch(
    source: Location | str | VideoInfo,
    times: Times,
    size: int | tuple[int, int] | None = None,
    *,
    workers: int = 1,
    backend: Backend = "pyav",
    deadline: float | None = None,
) -> FrameBatch: ...


@overload
def fetch(
    source: Location | str | VideoInfo,
    times: Times,
    size: list[int | tuple[int, int]],
    *,
    workers: int = 1,
    backend: Backend = "pyav",
    deadline: float | None = None,
) -> FrameSet: ...


def fetch(
    source: Location | str | VideoInfo,
    times: Times,
    size: int | tuple[int, int] | list[int | tuple[int, int]] | None = None,
    *,
    workers: int = 1,
    backend: Backend = "pyav",
    deadline: float | None = None,
) -> FrameBatch | FrameSet:
    """The frames on display at ``times``, in the order asked for, each decoded once.

    Args:
        times: seconds in ``[0, duration)``, in any order, repeats allowed.
        size: a short side in pixels, never enlarged, or an exact ``(height, width)``; full size by
            default. A list has one for each time.
        workers: how many cores may decode.
        deadline: seconds that decoding may pass without a frame or a sign of life; no limit by
            default. Opening and looking through the file are not counted.

    Raises:
        NotFound, MediaError: as for ``probe``, or a frame cannot be decoded, or the back end
            cannot tell which frame is the right one.
        ConfigError: a time outside the video, or as many sizes as there are no times.
        TimeLimit: the deadline passed.
    """
    info = _info(source)
    asked = _inside(info, times)
    each = size if isinstance(size, list) else [size] * len(asked)
    sizes = [_size(info, one) for one in each]
    if len(sizes) != len(asked):
        raise ConfigError(f"fetch takes a size for each time; got {len(sizes)} for {len(asked)}.")
    table = _table(info, asked)
    packets = table.on_display(asked)
    wanted: dict[int, dict[Size, list[int]]] = {}
    for place in np.argsort(packets, kind="stable").tolist():
        wanted.setdefault(int(packets[place]), {}).setdefault(sizes[place], []).append(place)

    video = _Video(info, table, workers, backend, deadline)
    frames: NDArray[np.uint8] | list[Picture]
    if isinstance(size, list):
        frames = [np.empty(0, np.uint8)] * len(asked)
    else:
        width, height = _size(info, size)
        frames = np.empty((len(asked), height, width, 3), np.uint8)
    missing = []
    largest = max(sizes, key=lambda one: one[0] * one[1], default=(1, 1))
    unique = np.fromiter(wanted, np.intp)
    for index, pictures in video.show(unique, lambda index: tuple(wanted[index]), largest):
        places = wanted[index].values()
        if pictures is None:
            missing += [asked[place] for some in places for place in some]
            continue
        for picture, some in zip(pictures, places, strict=True):
            for place in some:
                frames[place] = picture
    if missing:
        raise MediaError(_damage(info.path, min(missing), max(missing), len(missing)))
    if isinstance(frames, list):
        return FrameSet(asked, tuple(frames))
    return FrameBatch(asked, frames)


def fetch_each(
    source: Location | str | VideoInfo,
    times: Times,
    size: int | None = None,
    *,
    workers: int = 1,
    backend: Backend = "pyav",
    deadline: float | None = None,
) -> Iterator[tuple[float, Picture]]:
    """Like ``fetch`` for ascending ``times``, one frame at a time.

    Yields:
        ``(time, uint8 RGB [H, W, 3])``; what cannot be decoded is left out.

    Raises:
        As for :func:`fetch`, save for frames that cannot be decoded; ConfigError also for times
        that do not ascend.
    """
    info = _info(source)
    asked = _inside(info, times)
    if (np.diff(asked) <= 0).any():
        raise ConfigError("The times of fetch_each must ascend without repeats; use fetch.")
    table = _table(info, asked)
    video = _Video(info, table, workers, backend, deadline)
    for time, picture in _in_time(video, asked, table.on_display(asked), _size(info, size)):
        if picture is not None:
            yield time, picture


@dataclass(frozen=True, slots=True)
class _Video:
    """A video and how it is decoded."""

    info: VideoInfo
    table: PacketTable
    workers: int
    backend: Backend
    deadline: float | None
    deblock: bool = True

    def __post_init__(self) -> None:
        _positive("workers", self.workers)
        _known("backend", self.backend, get_args(Backend))

    def show(
        self, packets: Indices, sizes: Callable[[int], tuple[Size, ...]], largest: Size
    ) -> Iterator[Shown]:
        """The frames of ``packets`` (ascending) in their ``sizes``, in display order."""
        if not len(packets):
            return iter(())
        ahead = min(max(2, _AHEAD_BYTES // (3 * largest[0] * largest[1])), 64)
        # A group is decoded in one go: what is left of the cores works within it.
        groups = len(np.unique(np.searchsorted(self.table.keys, packets, side="right")))
        workers = min(self.workers, groups)
        deadline = self.deadline
        if self.backend != "pyav":  # has its own threads, and watches over its own process
            workers, deadline = 1, None
        return in_order(
            lambda go_on: self._open(min(self.workers // workers, _MOST_THREADS), go_on),
            (
                [(index, sizes(index)) for run in piece for index in run.wanted]
                for piece in _pieces(plan(self.table, map(int, packets)), ahead)
            ),
            workers=workers,
            ahead=ahead,
            deadline=deadline,
            path=self.info.path,
        )

    def _open(self, threads: int, go_on: Callable[[], bool]) -> Decoder:
        path, table = self.info.path, self.table
        if self.backend == "pyav":
            from videopipe.media.reader import PyAvDecoder

            return PyAvDecoder(path, table, threads=threads, deblock=self.deblock, go_on=go_on)
        if isinstance(path, Url):
            raise MediaError(
                f"{path}: {self.backend} reads local files only; use decode.backend=pyav."
            )
        from videopipe.media.backends import open_decoder

        return open_decoder(
            self.backend, path, self.info, table, threads=threads, deadline=self.deadline
        )


def _batches(
    video: _Video, goal: Aim, size: Size, batch_size: int, report: Callable[[str], None]
) -> Generator[FrameBatch]:
    path = video.info.path
    frames = np.empty((batch_size, size[1], size[0], 3), np.uint8)
    times: list[float] = []
    decoded = missing = 0
    since = until = 0.0
    for time, picture in _in_time(video, goal.times, goal.packets, size):
        if picture is None:
            since, until = (since if missing else time), time
            missing += 1
            continue
        if missing:
            report(_damage(path, since, until, missing))
            missing = 0
        frames[len(times)] = picture
        times.append(time)
        decoded += 1
        if len(times) == batch_size:
            yield FrameBatch(np.array(times), frames)
            frames, times = np.empty_like(frames), []
    if times:
        yield FrameBatch(np.array(times), frames[: len(times)].copy())
    if missing and not decoded:
        raise MediaError(f"{path} cannot be decoded: every frame looked at is damaged.")
    if missing:
        report(_damage(path, since, until, missing))


def _in_time(
    video: _Video, times: Seconds, packets: Indices, size: Size
) -> Iterator[tuple[float, Picture | None]]:
    """``times`` (ascending) with the picture of each one's packet."""
    order = np.argsort(packets, kind="stable")
    ascending = packets[order]
    for index, pictures in video.show(np.unique(packets), lambda _: (size,), size):
        first, after = np.searchsorted(ascending, (index, index + 1))
        for place in order[first:after]:
            yield float(times[place]), pictures[0] if pictures else None


def _pieces(runs: Iterator[Run], frames: int) -> Iterator[list[Run]]:
    """Several runs at a time, up to as many ``frames`` if they are not in one run."""
    piece: list[Run] = []
    held = 0
    for run in runs:
        if piece and held + len(run.wanted) > frames:
            yield piece
            piece, held = [], 0
        piece.append(run)
        held += len(run.wanted)
    if piece:
        yield piece


def _goal(
    info: VideoInfo,
    table: PacketTable,
    rate: float,
    start: float,
    end: float | None,
    exactness: AutoExactness,
) -> Aim:
    _known("exactness", exactness, get_args(AutoExactness))
    if not (rate > 0 and math.isfinite(rate)):
        raise ConfigError(f"rate must be above 0 and finite; got {rate:g}.")
    stop = table.duration if end is None else min(end, table.duration)
    if not 0 <= start < stop:
        raise ConfigError(
            f"There is nothing from {start:g} s to {stop:g} s: "
            f"{info.path} lasts {table.duration:g} s."
        )
    first, after = (math.ceil(bound * rate - 1e-9) for bound in (start, stop))
    if after - first > _MOST:
        raise ConfigError(
            f"{info.path} lasts {table.duration:g} s by its clock: {after - first:,.3g} frames at "
            f"{rate:g} a second are too many; scan a part of it, or at a lower rate."
        )
    grid = np.arange(first, after) / rate
    return aim(table, grid, exactness, tolerance=_TOLERANCE / rate)


def _before(time: float, rate: float) -> float:
    """Half a step before the grid time that is nearest to ``time``, where no grid time lies."""
    return (round(time * rate) - 0.5) / rate


def _info(source: Location | str | VideoInfo) -> VideoInfo:
    return source if isinstance(source, VideoInfo) else probe(source)


def _table(info: VideoInfo, times: Seconds) -> PacketTable:
    """All packets of a local file; of a remote one those that ``times`` need."""
    return table_around(info.path, times) if isinstance(info.path, Url) else packet_table(info.path)


def _inside(info: VideoInfo, times: Times) -> Seconds:
    asked = np.asarray(times, np.float64).reshape(-1)
    outside = asked[~((asked >= 0) & (asked < info.duration))]
    if len(outside):
        raise ConfigError(
            f"{outside[0]:g} s is outside {info.path}, which lasts {info.duration:g} s; "
            "times go from 0 up to, not including, that."
        )
    return asked


def _size(info: VideoInfo, size: int | tuple[int, int] | None) -> Size:
    if isinstance(size, tuple):
        height, width = size
        return int(_positive("width", width)), int(_positive("height", height))
    return fitted(info.width, info.height, None if size is None else _positive("size", size))


def _positive(name: str, value: int) -> int:
    if not (value >= 1 and math.isfinite(value)):
        raise ConfigError(f"{name} must be at least 1; got {value:g}.")
    return int(value)


def _known(name: str, value: str, names: Sequence[str]) -> None:
    if value not in names:
        raise ConfigError(f"{name} must be one of {', '.join(names)}; got {value!r}.")


def _damage(path: Location, since: float, until: float, count: int) -> str:
    where = f"at {since:.3f} s" if count == 1 else f"from {since:.3f} to {until:.3f} s"
    return f"{path} cannot be decoded {where} ({count} of the frames asked for); it is damaged."
