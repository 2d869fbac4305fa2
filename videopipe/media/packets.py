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
        ticks = np.floor((times + _SLACK) / float(self.tick)).astype(np.int64) + self.start
        found = np.full(len(ticks), -1, np.intp)
        # A key frame is displayed after all that is stored before it: what is on display after it
        # stands in its group, or leads the next one.
        group = np.searchsorted(self.pts[self.keys], ticks, side="right") - 1
        for each in np.unique(group[group >= 0]):
            first = int(self.keys[each])
            after = int(self.keys[each + 2]) if each + 2 < len(self.keys) else len(self.pts)
            asked = group == each
            found[asked] = self._latest(ticks[asked], first, after)
        rest = found < 0
        if rest.any():
            found[rest] = self._latest(ticks[rest], 0, len(self.pts))
        return found

    def _latest(self, ticks: NDArray[np.int64], first: int, after: int) -> NDArray[np.intp]:
        """The last displayed of packets ``[first, after)`` at each tick, -1 where there is none."""
        shown = first + np.flatnonzero(self.shown[first:after])
        order = shown[np.argsort(self.pts[shown], kind="stable")]
        place = np.searchsorted(self.pts[order], ticks, side="right") - 1
        return np.where(place < 0, -1, order[place])


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

    tick = stream.time_base or Fraction(1, 1000)
    period = max(1, round(1 / ((stream.guessed_rate or Fraction(25)) * tick)))
    vp8 = stream.codec_context.name == "vp8"
    # Ten hours are a million packets: only what is needed is kept, and in arrays of numbers.
    stamps, keys, seeks, places = (array("q") for _ in range(4))
    shown = bytearray()
    latest = newest = _UNKNOWN  # of all packets, of those that are shown
    following = shift = length = 0
    timed = complete = True
    restarted = False
    try:
        for packet in container.demux(stream):
            if packet.size == 0:
                continue
            stamp = packet.pts
            if stamp is None:  # raw streams carry no times at all
                timed = False
                stamp = following if packet.dts is None else packet.dts
            following = stamp + period
            stamp += shift
            if packet.is_keyframe:
                if stamp < latest:
                    # A key frame is displayed after all that is stored before it, unless the clock
                    # has started anew: then it goes on instead.
                    restarted = True
                    shift += latest + period - stamp
                    stamp = latest + period
                keys.append(len(stamps))
            if packet.is_keyframe or not stamps:
                seeks.append(stamp if packet.dts is None else packet.dts)
                places.append(_UNKNOWN if packet.pos is None else packet.pos)
            # VP8 stores reference pictures that are never shown as packets of their own.
            visible = not packet.is_discard and not (vp8 and not memoryview(packet)[0] & 0x10)
            if visible and stamp >= newest:
                newest, length = stamp, packet.duration or 0
            latest = max(latest, stamp)
            stamps.append(stamp)
            shown.append(visible)
    except av.FFmpegError:
        complete = False
    if not stamps:
        raise MediaError(f"{path} has a video stream without any frame.")

    if not keys:
        keys.append(0)  # a stream of gradual refresh: begin where it begins
    pts = np.frombuffer(stamps, np.int64)
    display = np.frombuffer(shown, np.bool_)
    # What refers to pictures before the beginning of the file cannot be shown by anybody.
    opening = slice(keys[0], keys[1] if len(keys) > 1 else None)
    display[: opening.start] = False
    display[opening] &= pts[opening] >= pts[opening.start]
    if not display.any():
        raise MediaError(f"{path} has a video stream without any displayed frame.")

    if not length and display.sum() > 1:
        length = int(np.median(np.diff(np.sort(pts[display]))))
    bounds = np.iinfo(np.int64)
    return PacketTable(
        stream=stream.index,
        tick=tick,
        pts=pts,
        shown=display,
        keys=np.array(keys, np.intp),
        # The first packet stands among them even if it is no key frame.
        seek=np.array(seeks[-len(keys) :], np.int64),
        byte=np.array(places[-len(keys) :], np.int64),
        start=int(pts.min(where=display, initial=bounds.max)),
        end=int(pts.max(where=display, initial=bounds.min)) + (length or period),
        seekable=timed and not restarted,
        complete=complete,
    )
