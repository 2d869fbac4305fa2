"""The PyAV back end: decodes exactly the packets that a plan asks for, survives what is damaged."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from itertools import chain, takewhile
from typing import TYPE_CHECKING, Self

import numpy as np

from videopipe.media.container import keep_only, opened, packets
from videopipe.media.decoder import Shown, Wanted
from videopipe.media.packets import IDLE, SECOND, PacketTable, Run, Ticks, plan
from videopipe.media.picture import Painter
from videopipe.types import Location

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_FAR = 300  # packets; reading past fewer is cheaper than a seek
_BACK = (0, 1, 4, 16)  # seconds before a key frame at which to look for it
_LATE = 16  # frames, the largest picture buffer of H.264 and HEVC


class PyAvDecoder:
    """One open video. Packets are told apart by their place in the table, never by time stamp.

    ``threads`` are the codec's. With ``deblock`` off the loop filter is left out of B pictures:
    faster, and what is left of its absence is gone with the next key frame at the latest. ``go_on``
    is asked before each packet whether anybody still waits.
    """

    def __init__(
        self,
        path: Location,
        table: PacketTable,
        *,
        threads: int = 1,
        deblock: bool = True,
        go_on: Callable[[], bool] = lambda: True,
    ) -> None:
        self._path, self._table = path, table
        self._threads, self._deblock, self._go_on = threads, deblock, go_on
        self._key_pts = table.pts.at(table.keys)
        self._painter = Painter()
        self._stack = ExitStack()
        self._container: InputContainer
        self._stream: VideoStream
        self._packets: Iterator[Packet[VideoStream]]
        self._position = 0

    def __enter__(self) -> Self:
        self._open()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def pictures(self, wanted: Sequence[Wanted]) -> Iterator[Shown]:
        """Each of ``wanted`` with its frame, in display order within a run.

        Each packet of the file is decoded once at most.
        """
        import av

        sizes = dict(wanted)
        for run in plan(self._table, sizes):
            for index, frame in self._frames(run):
                pictures = None
                if frame is not None:
                    with suppress(av.FFmpegError):
                        pictures = tuple(self._painter.paint(frame, size) for size in sizes[index])
                yield index, pictures

    def _frames(self, run: Run) -> Iterator[tuple[int, VideoFrame | None]]:
        """The wanted frames of ``run`` in display order, ``None`` for those that do not come."""
        stamps = self._table.pts.between(run.first, run.last + 1)
        expected = deque(sorted(run.wanted, key=lambda index: (stamps[index - run.first], index)))
        early: dict[int, VideoFrame] = {}
        for index, frame in self._decode(run, stamps):
            early[index] = frame
            while expected and (expected[0] in early or len(early) > _LATE):
                due = expected.popleft()
                yield due, early.pop(due, None)
        for index in expected:
            yield index, early.get(index)

    def _decode(self, run: Run, stamps: Ticks) -> Iterator[tuple[int, VideoFrame]]:
        """The wanted frames of ``run`` as the decoder gives them.

        After an error everything up to the next key frame is given up: it would refer to pictures
        that are not there.
        """
        import av

        self._go_to(run.first)
        context = self._stream.codec_context
        context.flush_buffers()
        wanted = frozenset(run.wanted)
        flags = self._table.flags[run.first : run.last + 1]
        entry = run.first
        for index, packet in self._read(run):
            if index < entry:
                continue
            flag = flags[index - run.first]
            picture = index - 1 if flag & SECOND else index
            if flag & IDLE and picture not in wanted:
                continue
            if stamps[index - run.first] < stamps[entry - run.first]:
                continue  # a leading picture, which refers to what was not decoded
            packet.pts, packet.dts = index, None
            broken = packet.is_corrupt
            frames: list[VideoFrame] = []
            if not broken:
                try:
                    frames = context.decode(packet)
                    broken = any(frame.is_corrupt for frame in frames)
                except av.FFmpegError:
                    broken = True
            if broken:
                frames += self._drain()
                entry = self._key_after(index)
            yield from _good(frames, wanted)
        yield from _good(self._drain(), wanted)

    def _key_after(self, index: int) -> int:
        keys = self._table.keys
        place = int(np.searchsorted(keys, index, side="right"))
        return int(keys[place]) if place < len(keys) else len(self._table)

    def _drain(self) -> list[VideoFrame]:
        """What the decoder still holds; it is then as new."""
        import av

        context = self._stream.codec_context
        frames: list[VideoFrame] = []
        with suppress(av.FFmpegError):
            frames = context.decode(None)
        context.flush_buffers()
        return frames

    def _read(self, run: Run) -> Iterator[tuple[int, Packet[VideoStream]]]:
        import av

        try:
            for packet in self._packets:
                index = self._position
                self._position += 1
                if not self._go_on():
                    return
                if index >= run.first:
                    yield index, packet
                if index >= run.last:
                    return
        except av.FFmpegError:
            return

    def _go_to(self, first: int) -> None:
        """Stand at or before packet ``first``, at worst at the beginning of the file."""
        import av

        place = int(np.searchsorted(self._table.keys, first))
        if not self._table.whole:
            self._go_to_key(place)
            return
        ahead = first - self._position
        if 0 <= ahead <= _FAR or (ahead >= 0 and not self._table.seekable):
            return
        # An mp4 lands on what is displayed before the target, other formats on what is decoded.
        seek = self._table.seek
        targets = self._key_pts[place], seek[place], seek[max(place - 1, 0)]
        for target in targets if self._table.seekable else ():
            try:
                self._container.seek(int(target), stream=self._stream)
                landed = self._align()
            except av.FFmpegError:
                break
            if landed is not None and landed <= first:
                self._position = landed
                return
        self._open()

    def _go_to_key(self, place: int) -> None:
        """Stand at a key frame of a table that has gaps, where nobody can count up to it."""
        import av

        table = self._table
        key = int(self._key_pts[place]), int(table.byte[place])
        earlier = (int(table.seek[place] - seconds / table.tick) for seconds in _BACK)
        for target in (key[0], *earlier, None):
            if target is None:
                self._open()
            else:
                with suppress(av.FFmpegError):
                    self._container.seek(target, stream=self._stream)
            coming = packets(self._container, self._stream)
            with suppress(av.FFmpegError):
                for packet in coming:
                    if packet.is_keyframe and (packet.pts, packet.pos) == key:
                        self._packets = chain((packet,), coming)
                        self._position = int(table.keys[place])
                        return
                    if packet.dts is not None and packet.dts > table.seek[place]:
                        break
        self._packets = iter(())

    def _align(self) -> int | None:
        """The table's index of the next key frame: time and place must agree.

        Some formats make up other times after a seek.
        """
        coming = packets(self._container, self._stream)
        table = self._table
        for packet in coming:
            if packet.is_keyframe:
                found = np.flatnonzero((self._key_pts == packet.pts) & (table.byte == packet.pos))
                if len(found) != 1:
                    return None
                self._packets = chain((packet,), coming)
                return int(table.keys[found[0]])
        return None

    def _open(self) -> None:
        import av

        self._stack.close()
        self._container = self._stack.enter_context(opened(self._path))
        self._stream = next(
            s for s in self._container.streams.video if s.index == self._table.stream
        )
        keep_only(self._container, self._stream)
        context = self._stream.codec_context
        context.thread_count = self._threads
        context.thread_type = "AUTO" if self._threads > 1 else "NONE"
        if not self._deblock:
            context.options |= {"skip_loop_filter": "bidir"}
        self._packets = packets(self._container, self._stream)
        self._position = 0
        if context.name == "h264" and "444" in (context.pix_fmt or ""):
            # Old x264 coded 4:4:4 in a way of its own; only a note in the first packet says so.
            with suppress(av.FFmpegError, StopIteration):
                first = next(self._packets)
                self._packets = chain((first,), self._packets)
                context.decode(first)


def _good(frames: Sequence[VideoFrame], wanted: frozenset[int]) -> Iterator[tuple[int, VideoFrame]]:
    """The wanted ones up to the first that is patched up."""
    for frame in takewhile(lambda frame: not frame.is_corrupt, frames):
        if frame.pts in wanted:
            yield frame.pts, frame
