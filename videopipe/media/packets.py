"""The packet table of a video: when each frame is shown, known without decoding any.

Everything else is planned on it, in the stream's own integer clock: which packet is on display at
a time, which packets must be decoded to see it, and where a seek has to land.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from videopipe.errors import MediaError
from videopipe.media.container import keep_only, opened, video_stream

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

_UNKNOWN = -(2**63)
_SLACK = 1e-6  # seconds; a time given as float means the frame that starts at that instant


@dataclass(frozen=True, eq=False)
class PacketTable:
    """The packets of one video stream in decode order, ten bytes for each.

    ``pts`` int64 ``[N]`` is in ticks of ``tick`` seconds, ``shown`` marks the packets whose frame
    is displayed, ``keys`` ``[K]`` are those where decoding can begin; ``seek`` (decode time in
    ticks) and ``byte`` (place in the file) are theirs. ``start`` is the tick of the first displayed
    frame, ``end`` that at which the last one goes. ``seekable`` is false where a key frame cannot
    be told by its time: streams without a clock or with one that starts anew. ``complete`` is false
    when reading ended in an error.
    """

    stream: int
    tick: Fraction
    pts: NDArray[np.int64]
    shown: NDArray[np.bool_]
    keys: NDArray[np.intp]
    seek: NDArray[np.int64]
    byte: NDArray[np.int64]
    start: int
    end: int
    seekable: bool
    complete: bool

    @property
    def duration(self) -> float:
        """Seconds from the first displayed frame to the end of the last."""
        return float((self.end - self.start) * self.tick)

    def on_display(self, times: NDArray[np.float64]) -> NDArray[np.intp]:
        """Packet index of the frame on display at each of ``times`` (seconds, not before 0)."""
        last = np.iinfo(np.int64).max
        displayed = np.where(self.shown, self.pts, last)
        order = np.argsort(displayed, kind="stable")
        ticks = np.floor((times + _SLACK) / float(self.tick)).astype(np.int64) + self.start
        return order[np.searchsorted(displayed, ticks, side="right", sorter=order) - 1]


@dataclass(frozen=True, slots=True)
class Run:
    """Packets ``first..last`` that are decoded in one go for the sake of ``wanted`` among them."""

    first: int
    last: int
    wanted: frozenset[int]


def plan(table: PacketTable, wanted: Sequence[int]) -> list[Run]:
    """The runs that show the ``wanted`` packets (ascending), each packet in one run at most.

    A run begins at the key frame of its first wanted packet and ends with the last wanted one. A
    leading picture (displayed before the key frame it follows) also refers to the group before, so
    its run begins one key frame earlier.
    """
    keys = table.keys
    spans: list[tuple[int, list[int]]] = []
    for index in wanted:
        group = int(np.searchsorted(keys, index, side="right")) - 1
        if table.pts[index] < table.pts[keys[group]] and group > 0:
            group -= 1
        first = int(keys[group])
        members = [index]
        while spans and first <= spans[-1][1][-1]:
            earlier, others = spans.pop()
            others.extend(members)
            first, members = min(first, earlier), others
        spans.append((first, members))
    return [Run(first, members[-1], frozenset(members)) for first, members in spans]


def packet_table(path: Path) -> PacketTable:
    """The table of the file's video stream; kept for the files looked at last.

    Raises:
        NotFound, MediaError: as for ``opened`` and ``video_stream``, or no frame is stored.
    """
    try:
        status = path.stat()
    except OSError:
        return _read(path)  # which says what is wrong
    return _remembered(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=4)
def _remembered(path: Path, modified: int, size: int) -> PacketTable:
    return _read(path)


def _read(path: Path) -> PacketTable:
    with opened(path) as container:
        stream = video_stream(container, path)
        keep_only(container, stream)
        return _read_stream(container, stream, path)


def _read_stream(container: InputContainer, stream: VideoStream, path: Path) -> PacketTable:
    import av

    stamps, decodes, places, lengths = (array("q") for _ in range(4))
    keys, shown = bytearray(), bytearray()
    complete = True
    vp8 = stream.codec_context.name == "vp8"
    try:
        for packet in container.demux(stream):
            if packet.size == 0:
                continue
            stamps.append(_UNKNOWN if packet.pts is None else packet.pts)
            decodes.append(_UNKNOWN if packet.dts is None else packet.dts)
            places.append(_UNKNOWN if packet.pos is None else packet.pos)
            lengths.append(packet.duration or 0)
            keys.append(packet.is_keyframe)
            # VP8 stores reference pictures that are never shown as packets of their own.
            shown.append(not packet.is_discard and not (vp8 and not memoryview(packet)[0] & 0x10))
    except av.FFmpegError:
        complete = False
    if not stamps:
        raise MediaError(f"{path} has a video stream without any frame.")

    tick = stream.time_base or Fraction(1, 1000)
    period = max(1, round(1 / ((stream.guessed_rate or Fraction(25)) * tick)))
    key = np.frombuffer(keys, np.bool_).nonzero()[0]
    if not len(key):
        key = np.zeros(1, np.intp)  # a stream of gradual refresh: begin where it begins
    pts = np.frombuffer(stamps, np.int64).copy()
    dts = np.frombuffer(decodes, np.int64)
    timed = bool((pts != _UNKNOWN).all())
    if not timed:
        _fill(pts, dts, period)
    restarts = _unwind(pts, key, period)
    visible = np.frombuffer(shown, np.bool_).copy()
    # What refers to pictures before the beginning of the file cannot be shown by anybody.
    opening = slice(int(key[0]), int(key[1]) if len(key) > 1 else None)
    visible[: opening.start] = False
    visible[opening] &= pts[opening] >= pts[opening.start]
    if not visible.any():
        raise MediaError(f"{path} has a video stream without any displayed frame.")

    ordered = np.sort(pts[visible])
    final = int(np.flatnonzero(visible & (pts == ordered[-1]))[0])
    if lengths[final] > 0:
        period = lengths[final]
    elif len(ordered) > 1:
        period = max(1, int(np.median(np.diff(ordered))))
    return PacketTable(
        stream=stream.index,
        tick=tick,
        pts=pts,
        shown=visible,
        keys=key,
        seek=np.where(dts[key] == _UNKNOWN, pts[key], dts[key]),
        byte=np.frombuffer(places, np.int64)[key],
        start=int(ordered[0]),
        end=int(ordered[-1]) + period,
        seekable=timed and not restarts,
        complete=complete,
    )


def _fill(pts: NDArray[np.int64], dts: NDArray[np.int64], period: int) -> None:
    """Put a time where the container has none, in place: raw streams carry none at all."""
    following = 0
    for index in range(len(pts)):
        if pts[index] == _UNKNOWN:
            pts[index] = dts[index] if dts[index] != _UNKNOWN else following
        following = int(pts[index]) + period


def _unwind(pts: NDArray[np.int64], keys: NDArray[np.intp], period: int) -> bool:
    """Let a clock that starts anew go on instead, in place; whether there was one.

    A key frame is displayed after everything stored before it, so one that is not tells.
    """
    latest = np.maximum.accumulate(pts)
    restarts = [int(k) for k in keys[1:] if pts[k] < latest[k - 1]]
    for k in restarts:
        pts[k:] += max(0, int(pts[:k].max()) + period - int(pts[k]))
    return bool(restarts)
