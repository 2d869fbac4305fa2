"""The part of a packet table that some times need, read by seeks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from videopipe.media.container import keep_only, opened, packets, video_stream
from videopipe.media.packets import PacketTable, Seconds
from videopipe.media.tables import packet_table, read_table
from videopipe.types import Location

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

_INDEXED = ("mov", "matroska")  # others may start their clock anew where nobody looks
_LONGEST_OPENING = 1024  # packets
_TAIL = 20  # packets, more than any decoder puts in another order


class _Unsure(Exception):
    """Nobody can tell that all that is needed was read."""


def table_around(path: Location, times: Seconds) -> PacketTable:
    """The packets that show the frames on display at ``times``, and those of the beginning.

    It gives the same frames as the whole table. Where a part cannot be told to be enough, as in
    formats without an index, the whole table is read.

    Args:
        times: seconds, not before 0.

    Raises:
        NotFound, MediaError: as for :func:`~videopipe.media.tables.packet_table`.
    """
    import av

    try:
        with opened(path) as container:
            stream = video_stream(container, path)
            keep_only(container, stream)
            walk = _Walk(container, stream)
            opening = list(walk.opening())
            beginning = read_table(opening, stream, path)
            ticks = np.unique(beginning.ticks(times)).tolist()
            table = read_table(chain(opening, walk.around(ticks)), stream, path)
            end = table.end if walk.ended else _end(container, stream, table, path)
    except (_Unsure, av.FFmpegError):
        return packet_table(path)
    if not (table.seekable and table.complete and np.isin(walk.starts, table.keys).all()):
        return packet_table(path)
    return replace(table, end=max(end, table.end), whole=walk.ended and len(walk.starts) == 1)


class _Walk:
    """Forward through a file, leaving out what is not needed.

    ``starts`` are the places, among all packets given out, at which a stretch of the file begins.
    ``ended`` says that the last stretch reaches to the end of the file.
    """

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        if not container.format.name.startswith(_INDEXED) or stream.time_base is None:
            raise _Unsure
        self.starts, self.ended = [0], False
        self._container, self._stream = container, stream
        self._second = round(1 / stream.time_base)  # in ticks
        self._shown = self._sought = False
        self._back = 0  # ticks by which a seek has to aim too low to land low enough
        self._packets = packets(container, stream)
        self._given = 0
        self._keys: set[tuple[int | None, int | None]] = set()
        self._key: Packet[VideoStream]  # the last one given out
        self._last: Packet[VideoStream]

    def opening(self) -> Iterator[Packet[VideoStream]]:
        """Up to where no frame can follow that is displayed before the first."""
        lowest = first = None
        for packet in self._packets:
            if not self._given and not packet.is_keyframe:
                raise _Unsure
            yield self._noted(packet)
            if packet.pts is None or self._given > _LONGEST_OPENING:
                raise _Unsure
            first = packet.pts if first is None else first
            if not packet.is_discard and packet.pts >= first:
                lowest = packet.pts if lowest is None else min(lowest, packet.pts)
            if lowest is not None and self._is_past(lowest):
                return
        self.ended = True

    def around(self, ticks: list[int]) -> Iterator[Packet[VideoStream]]:
        """What shows the frames on display at ``ticks`` (ascending) and was not given out yet."""
        for tick in ticks:
            if self._is_past(tick):
                continue
            if not self._is_in_group(tick):
                yield from self._go_to(tick)
            while not self._is_past(tick):
                packet = next(self._packets, None)
                if packet is None:
                    self.ended = True
                else:
                    yield self._noted(packet)

    def _is_past(self, tick: int) -> bool:
        """Whether all frames displayed up to ``tick`` were read: none is decoded too late."""
        return self.ended or (self._last.dts is not None and self._last.dts > tick)

    def _is_in_group(self, tick: int) -> bool:
        """Whether the file's index, if it has one, knows no key frame between here and there.

        That of Matroska is read by the first seek.
        """
        if not self._sought:
            return False
        index = self._stream.index_entries
        place = index.search_timestamp(tick)
        return place >= 0 and index[place].timestamp in (self._key.dts, self._key.pts)

    def _go_to(self, tick: int) -> Iterator[Packet[VideoStream]]:
        key, following = self._landed(tick)
        if _identity(key) not in self._keys and _order(key) > _order(self._last):
            self.starts.append(self._given)
            yield self._noted(key)
        else:
            for packet in chain((key,), following):
                if _identity(packet) == _identity(self._last):
                    break
                if packet.dts is not None and packet.dts >= _order(self._last):
                    raise _Unsure
            else:
                raise _Unsure
        self._packets = following

    def _landed(self, tick: int) -> tuple[Packet[VideoStream], Iterator[Packet[VideoStream]]]:
        """A key frame displayed at ``tick`` or before, and what follows it."""
        self._sought = True
        while True:
            self._container.seek(tick - self._back, stream=self._stream)
            following = packets(self._container, self._stream)
            key = next((packet for packet in following if packet.is_keyframe), None)
            if key is not None and not key.is_discard and key.pts is not None and key.pts <= tick:
                return key, following
            if self._back > tick - (self._stream.start_time or 0):
                raise _Unsure
            self._back = 2 * self._back or self._second

    def _noted(self, packet: Packet[VideoStream]) -> Packet[VideoStream]:
        # An mp4 with several edits hides packets between others, and repeats what was before them.
        if self._shown and packet.is_discard:
            raise _Unsure
        self._shown = self._shown or not packet.is_discard
        self._given += 1
        self._last = packet
        if packet.is_keyframe:
            self._key = packet
            self._keys.add(_identity(packet))
        return packet


def _identity(packet: Packet[VideoStream]) -> tuple[int | None, int | None]:
    return packet.pts, packet.pos


def _order(packet: Packet[VideoStream]) -> int:
    """Ascending in a file; the first after a seek in Matroska have no time of decoding."""
    stamp = packet.pts if packet.dts is None else packet.dts
    if stamp is None:
        raise _Unsure
    return stamp


def _end(container: InputContainer, stream: VideoStream, table: PacketTable, path: Location) -> int:
    """The tick at which the last frame goes: measured where an index leads to it, else claimed."""
    index = stream.index_entries
    if len(index) == stream.frames > 0:
        container.seek(index[max(0, len(index) - _TAIL)].timestamp, any_frame=True, stream=stream)
        tail = [packet for packet in packets(container, stream) if not packet.is_discard]
        if tail:
            return read_table(tail, stream, path).end
    if stream.duration is not None:
        return (stream.start_time or 0) + stream.duration
    if container.duration is None:
        raise _Unsure
    # Matroska counts from the zero of its clock.
    return round(container.duration / 1_000_000 / table.tick)
