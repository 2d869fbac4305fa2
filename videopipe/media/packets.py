"""The packet table of a video: when each frame is shown, known without decoding any.

Everything else is planned on it, in the stream's own integer clock: which packet is on display at
a time, which packets must be decoded to see it, and where a seek has to land.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

# Flags of a packet: its frame is displayed; no other picture refers to it; it is the second field
# of the frame before.
SHOWN, IDLE, SECOND = 1, 2, 4
BLOCK = 1024  # packets between two time stamps that are kept in full
_STEP_KINDS = (np.int16, np.int32, np.int64)
_SLACK = 1e-6  # seconds; a time given as float means the frame that starts at that instant

Indices = NDArray[np.intp]
Ticks = NDArray[np.int64]
Seconds = NDArray[np.float64]


class Stamps:
    """A long sequence of time stamps kept as differences, two bytes each as a rule."""

    def __init__(self, anchors: Ticks, steps: NDArray[Any]) -> None:
        self.anchors, self.steps = anchors, steps

    @classmethod
    def of(cls, blocks: Sequence[tuple[int, NDArray[Any]]]) -> Self:
        """From what :func:`packed` gave for ``BLOCK`` stamps each, the last time for fewer."""
        return cls(
            np.array([anchor for anchor, _ in blocks], np.int64),
            np.concatenate([steps for _, steps in blocks]),
        )

    def __len__(self) -> int:
        return len(self.steps)

    def between(self, first: int, after: int) -> Ticks:
        """Stamps ``[first, after)``."""
        blocks = range(first // BLOCK, -(-after // BLOCK))
        stamps = [self._block(block) for block in blocks] or [np.empty(0, np.int64)]
        skipped = blocks.start * BLOCK
        return np.concatenate(stamps)[first - skipped : after - skipped]

    def at(self, indices: Indices) -> Ticks:
        """Stamps at ``indices``."""
        found = np.empty(len(indices), np.int64)
        block = indices // BLOCK
        for each in np.unique(block).tolist():
            inside = block == each
            found[inside] = self._block(each)[indices[inside] - each * BLOCK]
        return found

    def _block(self, block: int) -> Ticks:
        steps = self.steps[block * BLOCK : (block + 1) * BLOCK]
        return np.asarray(self.anchors[block] + np.cumsum(steps, dtype=np.int64))


def packed(stamps: Sequence[int] | Ticks) -> tuple[int, NDArray[Any]]:
    """The first of ``stamps``, and the steps between them in the smallest numbers they fit."""
    steps = np.diff(np.asarray(stamps, np.int64), prepend=stamps[0])
    most = int(np.abs(steps).max())
    return stamps[0], steps.astype(next(k for k in _STEP_KINDS if most <= np.iinfo(k).max))


@dataclass(frozen=True, eq=False)
class PacketTable:
    """The packets of one video stream in decode order, three bytes for each as a rule.

    ``pts`` is in ticks of ``tick`` seconds; ``flags`` uint8 ``[N]`` holds ``SHOWN`` for packets
    whose frame is displayed, ``IDLE`` for those that no other picture refers to, and ``SECOND`` for
    those that only complete the frame of the packet before. ``keys`` ``[K]`` are the packets where
    decoding can begin; ``seek`` (decode time in ticks) and ``byte`` (place in the file) are theirs.
    ``start`` is the tick of the first displayed frame, ``end`` that at which the last one goes.
    ``seekable`` is false where a key frame cannot be told by its time: streams without a clock or
    with one that starts anew. ``complete`` is false when reading ended in an error. ``whole`` is
    false when only what some times need was read.
    """

    stream: int
    tick: Fraction
    pts: Stamps
    flags: NDArray[np.uint8]
    keys: Indices
    seek: Ticks
    byte: Ticks
    start: int
    end: int
    seekable: bool
    complete: bool
    whole: bool = True

    def __len__(self) -> int:
        return len(self.flags)

    @property
    def duration(self) -> float:
        """Seconds from the first displayed frame to the end of the last."""
        return float((self.end - self.start) * self.tick)

    @property
    def frame_count(self) -> int:
        """Frames that are displayed."""
        return int(np.count_nonzero(self.flags & SHOWN))

    @property
    def shown_keys(self) -> Indices:
        """Those of ``keys`` that are displayed; not those before the beginning of an edit."""
        return self.keys[self.flags[self.keys] & SHOWN > 0]

    @property
    def open_gop(self) -> bool:
        """Whether a key frame after the first has leading pictures, which refer to before it."""
        after = self.keys[1:] + 1
        after = after[after < len(self)]
        return bool((self.pts.at(after) < self.pts.at(after - 1)).any())

    def seconds(self, indices: Indices) -> Seconds:
        """When the frames of packets ``indices`` come on display."""
        return (self.pts.at(indices) - self.start) * np.float64(self.tick)

    def ticks(self, times: Seconds) -> Ticks:
        """``times`` (seconds from the first displayed frame) on the stream's clock."""
        return np.floor((times + _SLACK) / float(self.tick)).astype(np.int64) + self.start

    def windows(self, ticks: Ticks) -> Iterator[tuple[NDArray[np.bool_], Indices, Ticks]]:
        """Display order around ``ticks``, a stretch of the file at a time.

        A key frame is displayed after all that is stored before it: what is on display after it
        stands in its group, or leads the next one.

        Yields:
            Which of ``ticks`` the stretch is for, its displayed packets in display order, and their
            stamps.
        """
        keys = self.shown_keys
        if not len(keys):
            keys = np.zeros(1, np.intp)
        group = np.maximum(np.searchsorted(self.pts.at(keys), ticks, side="right") - 1, 0)
        pending = np.unique(group)
        while len(pending):
            beyond = np.searchsorted(keys, keys[pending[0]] + 4 * BLOCK)
            several = pending[pending <= max(beyond - 1, pending[0])]
            pending = pending[len(several) :]
            first = int(keys[several[0]]) if several[0] else 0
            after = int(keys[several[-1] + 2]) if several[-1] + 2 < len(keys) else len(self)
            inside = (group >= several[0]) & (group <= several[-1])
            yield inside, *self._sorted(first, after)

    def on_display(self, times: Seconds) -> Indices:
        """Packet of the frame on display at each of ``times`` (seconds, not before 0)."""
        ticks = self.ticks(times)
        found = np.empty(len(ticks), np.intp)
        for inside, order, stamps in self.windows(ticks):
            found[inside] = order[latest(stamps, ticks[inside])]
            if len(stamps) and (ticks[inside] < stamps[0]).any():
                # A key frame that is itself not displayed: what is shown stands anywhere before.
                order, stamps = self._sorted(0, len(self))
                found[inside] = order[latest(stamps, ticks[inside])]
        return found

    def ranks(self, indices: Indices) -> Indices:
        """How many frames are displayed before that of each of packets ``indices``."""
        ticks = self.pts.at(indices)
        ranks = np.empty(len(indices), np.intp)
        for inside, order, stamps in self.windows(ticks):
            earlier = np.count_nonzero(self.flags[: order.min()] & SHOWN)
            ranks[inside] = earlier + np.searchsorted(stamps, ticks[inside])
        return ranks

    def displayed(self) -> Iterator[Ticks]:
        """The stamps of all displayed frames in order, some groups at a time."""
        held = np.empty(0, np.int64)
        keys = self.shown_keys
        bounds = [0, *keys[BLOCK // 16 :: BLOCK // 16].tolist(), len(self)]
        for first, after in pairwise(bounds):
            _, stamps = self._sorted(first, after)
            held = np.sort(np.concatenate([held, stamps]))
            if after < len(self):
                # The next group may lead with frames displayed before its key frame.
                last = keys[np.searchsorted(keys, after) - 1 :][:1]
                certain = int(np.searchsorted(held, self.pts.at(last)[0]))
                yield held[:certain]
                held = held[certain:]
        yield held

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """All of it, as named arrays; :meth:`from_arrays` is the way back."""
        numbers = [self.stream, self.tick.numerator, self.tick.denominator, self.start, self.end]
        return {
            "packets.numbers": np.array([*numbers, self.seekable, self.complete], np.int64),
            "packets.anchors": self.pts.anchors,
            "packets.steps": self.pts.steps,
            "packets.flags": self.flags,
            "packets.keys": np.stack([self.keys, self.seek, self.byte]).astype(np.int64),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The table that :meth:`to_arrays` was asked of."""
        stream, above, below, start, end, seekable, complete = arrays["packets.numbers"].tolist()
        keys, seek, byte = arrays["packets.keys"]
        return cls(
            stream=stream,
            tick=Fraction(above, below),
            pts=Stamps(arrays["packets.anchors"], arrays["packets.steps"]),
            flags=arrays["packets.flags"],
            keys=keys.astype(np.intp),
            seek=seek,
            byte=byte,
            start=start,
            end=end,
            seekable=bool(seekable),
            complete=bool(complete),
        )

    def _sorted(self, first: int, after: int) -> tuple[Indices, Ticks]:
        """Displayed packets among ``[first, after)`` in display order, with their stamps."""
        shown = np.flatnonzero(self.flags[first:after] & SHOWN)
        stamps = self.pts.between(first, after)[shown]
        order = np.argsort(stamps, kind="stable")
        return first + shown[order], stamps[order]


def latest(stamps: Ticks, ticks: Ticks) -> Indices:
    """Place in ascending ``stamps`` of the last one at or before each of ``ticks``."""
    return np.maximum(np.searchsorted(stamps, ticks, side="right") - 1, 0)


@dataclass(frozen=True, slots=True)
class Run:
    """Packets ``first..last`` that are decoded in one go for the sake of ``wanted`` among them."""

    first: int
    last: int
    wanted: tuple[int, ...]

    @classmethod
    def of(cls, table: PacketTable, first: int, wanted: list[int]) -> Self:
        last = wanted[-1]
        last += last + 1 < len(table) and bool(table.flags[last + 1] & SECOND)
        return cls(first, last, tuple(wanted))

    def cost(self, table: PacketTable) -> int:
        """Packets that are decoded: all but those that nobody refers to or wants."""
        idle = (table.flags[self.first : self.last + 1] & IDLE) > 0
        idle[np.array(self.wanted) - self.first] = False
        return int(np.count_nonzero(~idle))


def plan(table: PacketTable, wanted: Iterable[int]) -> Iterator[Run]:
    """The runs that show the ``wanted`` packets (ascending), each packet in one run at most.

    A run begins at the key frame of its first wanted packet and ends with the last wanted one. A
    leading picture (displayed before the key frame it follows) also refers to the group before, so
    its run begins one key frame earlier.
    """
    pending: list[tuple[int, list[int]]] = []
    block, stamps, key_stamps = -1, np.empty(0, np.int64), table.pts.at(table.keys)
    for index in wanted:
        if index // BLOCK != block:
            block = index // BLOCK
            stamps = table.pts.between(block * BLOCK, min((block + 1) * BLOCK, len(table)))
        group = int(np.searchsorted(table.keys, index, side="right")) - 1
        earliest = int(table.keys[max(group - 1, 0)])
        while pending and pending[0][1][-1] < earliest:
            first, members = pending.pop(0)
            yield Run.of(table, first, members)
        leading = stamps[index - block * BLOCK] < key_stamps[group]
        first, members = earliest if leading else int(table.keys[group]), [index]
        while pending and first <= pending[-1][1][-1]:
            earlier, others = pending.pop()
            first, members = min(first, earlier), others + members
        pending.append((first, members))
    for first, members in pending:
        yield Run.of(table, first, members)
