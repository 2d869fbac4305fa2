"""The packet table of a video: when each frame is shown, known without decoding any.

Everything else is planned on it, in the stream's own integer clock: which packet is on display at
a time, which packets must be decoded to see it, and where a seek has to land.
"""

from __future__ import annotations

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

_SLACK = 1e-6  # seconds; a time given as float means the frame that starts at that instant


@dataclass(frozen=True, eq=False)
class PacketTable:
    """The packets of one video stream in decode order.

    ``pts`` and ``seek`` (the decode time) are int64 ``[N]`` in ticks of ``tick`` seconds, ``byte``
    is where the packet lies in the file.
    ``key`` marks where decoding can begin and ``shown`` the packets whose frame is displayed.
    ``start`` is the tick of the first displayed frame, ``end`` that at which the last one goes.
    ``seekable`` is false where a key frame cannot be told by its time: streams without a clock or
    with one that starts anew. ``complete`` is false when reading ended in an error.
    """

    stream: int
    tick: Fraction
    pts: NDArray[np.int64]
    seek: NDArray[np.int64]
    byte: NDArray[np.int64]
    key: NDArray[np.bool_]
    shown: NDArray[np.bool_]
    start: int
    end: int
    seekable: bool
    complete: bool

    @property
    def duration(self) -> float:
        """Seconds from the first displayed frame to the end of the last."""
        return float((self.end - self.start) * self.tick)

    def seconds(self, index: int) -> float:
        """When the frame of packet ``index`` is shown, from the first displayed frame."""
        return float((int(self.pts[index]) - self.start) * self.tick)

    def on_display(self, times: NDArray[np.float64]) -> NDArray[np.intp]:
        """Packet index of the frame on display at each of ``times`` (seconds, not before 0)."""
        order = np.flatnonzero(self.shown)
        order = order[np.argsort(self.pts[order], kind="stable")]
        ticks = np.floor((times + _SLACK) / float(self.tick)).astype(np.int64) + self.start
        return order[np.searchsorted(self.pts[order], ticks, side="right") - 1]


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
    keys = np.flatnonzero(table.key)
    spans: list[tuple[int, list[int]]] = []
    for index in wanted:
        group = int(np.searchsorted(keys, index, side="right")) - 1
        if table.pts[index] < table.pts[keys[group]] and group > 0:
            group -= 1
        first = int(keys[group])
        members = [index]
        while spans and first <= spans[-1][1][-1]:
            earlier, others = spans.pop()
            first, members = min(first, earlier), others + members
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

    stamps: list[int | None] = []
    seeks: list[int | None] = []
    places: list[int] = []
    keys: list[bool] = []
    shown: list[bool] = []
    lengths: list[int] = []
    complete = True
    vp8 = stream.codec_context.name == "vp8"
    try:
        for packet in container.demux(stream):
            if packet.size == 0:
                continue
            stamps.append(packet.pts)
            seeks.append(packet.dts)
            places.append(-1 if packet.pos is None else packet.pos)
            keys.append(packet.is_keyframe)
            # VP8 stores reference pictures that are never shown as packets of their own.
            shown.append(not packet.is_discard and not (vp8 and not memoryview(packet)[0] & 0x10))
            lengths.append(packet.duration or 0)
    except av.FFmpegError:
        complete = False
    if not stamps:
        raise MediaError(f"{path} has a video stream without any frame.")

    tick = stream.time_base or Fraction(1, 1000)
    period = max(1, round(1 / ((stream.guessed_rate or Fraction(25)) * tick)))
    key = np.array(keys)
    if not key.any():
        key[0] = True  # a stream of gradual refresh has no key frames: begin where it begins
    pts, seek = _filled(stamps, seeks, period)
    restarts = _unwind(pts, key, period)
    display = np.array(shown)
    entry = int(np.argmax(key))
    second = int(np.argmax(key[entry + 1 :])) + entry + 1 if key[entry + 1 :].any() else len(pts)
    # What refers to pictures before the beginning of the file cannot be shown by anybody.
    display[:entry] = False
    display[entry:second] &= pts[entry:second] >= pts[entry]
    if not display.any():
        raise MediaError(f"{path} has a video stream without any displayed frame.")

    ordered = np.sort(pts[display])
    final = int(np.flatnonzero(display & (pts == ordered[-1]))[0])
    if lengths[final] > 0:
        period = lengths[final]
    elif len(ordered) > 1:
        period = max(1, int(np.median(np.diff(ordered))))
    return PacketTable(
        stream=stream.index,
        tick=tick,
        pts=pts,
        seek=seek,
        byte=np.array(places, np.int64),
        key=key,
        shown=display,
        start=int(ordered[0]),
        end=int(ordered[-1]) + period,
        seekable=None not in stamps and not restarts and len(np.unique(pts[key])) == key.sum(),
        complete=complete,
    )


def _filled(
    stamps: Sequence[int | None], seeks: Sequence[int | None], period: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Presentation and decode times with the gaps filled: raw streams carry none at all."""
    pts, dts = [], []
    following = 0
    for stamp, seek in zip(stamps, seeks, strict=True):
        shown = stamp if stamp is not None else seek if seek is not None else following
        following = shown + period
        pts.append(shown)
        dts.append(seek if seek is not None else shown)
    return np.array(pts, np.int64), np.array(dts, np.int64)


def _unwind(pts: NDArray[np.int64], key: NDArray[np.bool_], period: int) -> bool:
    """Let a clock that starts anew go on instead, in place; whether there was one.

    A key frame is displayed after everything stored before it, so one that is not tells.
    """
    latest = np.maximum.accumulate(pts)
    restarts = [int(k) for k in np.flatnonzero(key)[1:] if pts[k] < latest[k - 1]]
    for k in restarts:
        pts[k:] += max(0, int(pts[:k].max()) + period - int(pts[k]))
    return bool(restarts)
