"""Reading the packet table of a file, once."""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Iterable
from fractions import Fraction
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from videopipe.errors import MediaError
from videopipe.media.container import encrypted, keep_only, opened, packets, video_stream
from videopipe.media.nal import (
    GRADUAL_REFRESH,
    IDLE_IN_LAYER,
    LAYER_SHIFT,
    SECOND_FIELD,
    role_reader,
)
from videopipe.media.packets import BLOCK, IDLE, SECOND, SHOWN, PacketTable, Stamps, packed
from videopipe.media.remote import stamp
from videopipe.types import Location

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.stream import VideoStream

_UNKNOWN = -(2**63)
_LATEST = 2**62  # ticks; what is beyond is damage, and sums of it would not fit
_lock = Lock()
_KEPT = 4  # tables of the files looked at last
_kept: OrderedDict[tuple[Location, tuple[int, int]], PacketTable] = OrderedDict()


def packet_table(path: Location) -> PacketTable:
    """The table of the file's video stream; kept for the files looked at last.

    Raises:
        NotFound, MediaError: as for ``opened`` and ``video_stream``, or no frame is stored.
    """
    file = path, stamp(path)
    table = _kept.get(file)
    if table is None:
        with opened(path) as container:
            stream = video_stream(container, path)
            keep_only(container, stream)
            table = read_table(packets(container, stream), stream, path)
    remember(*file, table)
    return table


def remember(path: Location, file: tuple[int, int], table: PacketTable) -> None:
    """Spare :func:`packet_table` the reading as long as the file keeps this ``stamp``."""
    with _lock:
        _kept[path, file] = table
        _kept.move_to_end((path, file))
        while len(_kept) > _KEPT:
            _kept.popitem(last=False)


def read_table(
    stored: Iterable[Packet[VideoStream]], stream: VideoStream, path: Location
) -> PacketTable:
    """The table of the packets ``stored`` of ``stream``, none empty, in the order of the file."""
    import av

    tick = stream.time_base or Fraction(1, 1000)
    period = max(1, round(1 / ((stream.guessed_rate or Fraction(25)) * tick)))
    context = stream.codec_context
    vp8 = context.name == "vp8"
    role_of = role_reader(context.name, context.extradata)
    # Ten hours are a million packets: only what is needed is kept, and in small numbers.
    blocks = []
    stamps, keys, seeks, places = (array("q") for _ in range(4))
    shown, roles = bytearray(), bytearray()
    latest = _UNKNOWN  # of the packets that are shown
    following = shift = length = last = 0
    timed = complete = True
    restarted = False
    try:
        for packet in stored:
            if packet.is_keyframe and packet.has_sidedata("encryption_info"):
                raise encrypted(path)
            data = memoryview(packet)
            role = role_of(data) if role_of else 0
            second = bool(role & SECOND_FIELD)
            ticks = packet.pts
            if ticks is None:  # raw streams carry no times at all, nor need second fields
                timed = timed and second
                ticks = following if packet.dts is None else packet.dts
            following = ticks + (0 if second else period)
            ticks += shift
            if abs(ticks) > _LATEST:
                complete = False
                break
            # VP8 stores reference pictures that are never shown as packets of their own.
            hidden = packet.is_discard or second or (vp8 and not data[0] & 0x10)
            is_key = packet.is_keyframe and not role & (SECOND_FIELD | GRADUAL_REFRESH)
            if is_key:
                if ticks < latest and not hidden:
                    # A key frame is displayed after all that is stored before it, unless the clock
                    # has started anew: then it goes on instead.
                    restarted = True
                    shift += latest + period - ticks
                    ticks = latest + period
                keys.append(len(shown))
            if is_key or not shown:
                seeks.append(ticks if packet.dts is None else packet.dts)
                places.append(_UNKNOWN if packet.pos is None else packet.pos)
            if not hidden and ticks >= latest:
                length = min(max(packet.duration or 0, 0), _LATEST)
                latest, last = ticks, len(shown)
            elif second and last == len(shown) - 1 and packet.pts is not None:
                length = max(length, ticks + (packet.duration or 0) - latest)
            shown.append(not hidden)
            roles.append(role)
            stamps.append(ticks)
            if len(stamps) == BLOCK:
                blocks.append(packed(stamps))
                stamps = array("q")
    except av.FFmpegError:
        complete = False
    if not shown:
        raise MediaError(f"{path} has a video stream without any frame.")
    if stamps:
        blocks.append(packed(stamps))

    if not keys:
        keys.append(0)  # a stream of gradual refresh: begin where it begins
    pts = Stamps.of(blocks)
    role_of_each = np.frombuffer(roles, np.uint8)
    layer = role_of_each >> LAYER_SHIFT
    idle = (role_of_each & IDLE_IN_LAYER > 0) & (layer == layer.max())
    completes = role_of_each & SECOND_FIELD > 0
    # The fields of a frame are one picture.
    pairs = np.flatnonzero(completes[1:])
    idle[pairs] = idle[pairs + 1] = idle[pairs] & idle[pairs + 1]
    display = np.frombuffer(shown, np.bool_)
    # What refers to pictures before the beginning of the file cannot be shown by anybody.
    first, after = keys[0], keys[1] if len(keys) > 1 else len(shown)
    opening = pts.between(first, after)
    display[:first] = False
    display[first:after] &= opening >= opening[0]
    if not display.any():
        raise MediaError(f"{path} has a video stream without any displayed frame.")
    lowest, highest = _bounds(pts, display)
    flags = display.astype(np.uint8) * np.uint8(SHOWN)
    flags[idle] |= IDLE
    flags[completes] |= SECOND
    if not length and display.sum() > 1:
        some = np.sort(pts.between(0, min(BLOCK, len(shown)))[display[:BLOCK]])
        length = int(np.median(np.diff(some))) if len(some) > 1 else 0
    return PacketTable(
        stream=stream.index,
        tick=tick,
        pts=pts,
        flags=flags,
        keys=np.array(keys, np.intp),
        # The first packet stands among them even if it is no key frame.
        seek=np.array(seeks[-len(keys) :], np.int64),
        byte=np.array(places[-len(keys) :], np.int64),
        start=lowest,
        end=highest + (length or period),
        seekable=timed and not restarted,
        complete=complete,
    )


def _bounds(pts: Stamps, shown: NDArray[np.bool_]) -> tuple[int, int]:
    """The first and the last stamp of what is displayed."""
    lowest, highest = -_UNKNOWN, _UNKNOWN
    for at in range(0, len(pts), BLOCK):
        after = min(at + BLOCK, len(pts))
        stamps = pts.between(at, after)[shown[at:after]]
        if len(stamps):
            lowest, highest = min(lowest, int(stamps.min())), max(highest, int(stamps.max()))
    return lowest, highest
