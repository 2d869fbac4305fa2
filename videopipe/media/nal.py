"""Which packets hold a picture that no other refers to, told from their headers alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator

Place = int  # 2 x temporal layer, + 1 if no picture of that layer or below refers to it

_HEAD = 2048  # bytes in which the first slice begins, after parameter sets and messages
_H264_SLICES = range(1, 6)
_H264_SETS = (7, 8)  # SPS and PPS: what follows needs them
_HEVC_LEADING = 16  # slice types below come in pairs; the even one is not referred to in its layer
_HEVC_SLICES = range(32)
_HEVC_SETS = (32, 33, 34)


def place_reader(codec: str, extradata: bytes | None) -> Callable[[memoryview], Place] | None:
    """How to tell the place of a packet in a stream of ``codec``; ``None``: it cannot be told.

    H.264 (7.4.1, ``nal_ref_idc``) and MPEG-2 (6.3.9, B pictures) know one layer. In HEVC (7.4.2.2)
    a picture of an even type is not referred to in its own temporal layer, but may be from a higher
    one. A packet that also brings parameter sets is never told to be idle.
    """
    if codec == "mpeg2video":
        return _mpeg2
    if codec not in ("h264", "hevc"):
        return None
    of_unit = _h264 if codec == "h264" else _hevc
    sized = _length_size(codec, extradata or b"")

    def read(packet: memoryview) -> Place:
        units = _length_prefixed(packet, sized) if sized else _annex_b(packet)
        for head in units:
            place = of_unit(*head)
            if place is not None:
                return place
        return 0

    return read


def _h264(first: int, _: int) -> Place | None:
    kind = first & 31
    if kind in _H264_SETS:
        return 0
    return int(first & 0x60 == 0) if kind in _H264_SLICES else None


def _hevc(first: int, second: int) -> Place | None:
    kind = first >> 1 & 63
    if kind in _HEVC_SETS:
        return 0
    if kind not in _HEVC_SLICES:
        return None
    if first & 1 or second >> 3:
        return None  # another view or a scalable layer of the same picture
    return 2 * (second & 7) + (kind < _HEVC_LEADING and kind % 2 == 0)


def _mpeg2(packet: memoryview) -> Place:
    head = bytes(packet[:_HEAD])
    if b"\0\0\1\xb3" in head:
        return 0  # a sequence header
    at = head.find(b"\0\0\1\0")
    return int(0 <= at < len(head) - 5 and head[at + 5] >> 3 & 7 == 3)


def _length_size(codec: str, extradata: bytes) -> int:
    """Bytes of the length before each unit, as avcC and hvcC say it; 0: start codes instead."""
    at = 4 if codec == "h264" else 21
    if len(extradata) <= at or extradata[0] != 1:
        return 0
    return (extradata[at] & 3) + 1


def _length_prefixed(packet: memoryview, sized: int) -> Iterator[tuple[int, int]]:
    at = 0
    while at + sized + 1 < len(packet):
        yield packet[at + sized], packet[at + sized + 1]
        at += sized + int.from_bytes(packet[at : at + sized], "big")


def _annex_b(packet: memoryview) -> Iterator[tuple[int, int]]:
    head = bytes(packet[:_HEAD])
    at = head.find(b"\0\0\1")
    while 0 <= at < len(head) - 4:
        yield head[at + 3], head[at + 4]
        at = head.find(b"\0\0\1", at + 3)
