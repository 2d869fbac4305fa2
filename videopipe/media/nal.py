"""What a packet's headers tell of its picture, without decoding any of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

Role = int  # the flags below, and 8 x the temporal layer
IDLE_IN_LAYER, SECOND_FIELD, GRADUAL_REFRESH = 1, 2, 4
LAYER_SHIFT = 3

_HEAD = 2048  # bytes in which the first slice begins, after parameter sets and messages
_H264_SLICES, _H264_IDR, _H264_SEI, _H264_SPS, _H264_PPS = range(1, 6), 5, 6, 7, 8
_RECOVERY_POINT = 6
_H264_HIGH = (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135)
_HEVC_SLICES, _HEVC_SETS = range(32), (32, 33, 34)
_HEVC_PAIRED = 16  # slice types below come in pairs; the even one is idle in its layer


def role_reader(codec: str, extradata: bytes | None) -> Callable[[memoryview], Role] | None:
    """How to tell the roles of a stream's packets, asked in decode order; ``None``: it cannot be.

    No other picture refers to an idle one: H.264 (7.4.1, ``nal_ref_idc``) and MPEG-2 (6.3.9, B
    pictures) know one layer; in HEVC (7.4.2.2) pictures of higher temporal layers may refer to it
    nevertheless. A packet that also brings parameter sets is never told to be idle. In H.264 the
    second field of a frame can be a packet of its own, and a recovery point (D.2.8) can lie some
    frames after the packet that libav calls a key frame for its sake.
    """
    extradata = extradata or b""
    if codec == "mpeg2video":
        return _mpeg2
    if codec == "h264":
        return _H264(extradata).role
    if codec == "hevc":
        sized = _length_size(extradata, 21)
        return lambda packet: _hevc(_units(packet, sized))
    return None


class _H264:
    """Fields are told apart by their slice headers (7.3.3), which the SPS says how to read."""

    def __init__(self, extradata: bytes) -> None:
        self._sized = _length_size(extradata, 4)
        self._frame_num_bits = 0  # 0: the stream has whole frames only
        self._planes = False
        self._unpaired: tuple[int, int] | None = None  # frame_num and parity of the field before
        sets = memoryview(extradata[6:]) if self._sized else memoryview(extradata)
        for unit in _units(sets, 2 if self._sized else 0):
            self._parameters(unit)

    def role(self, packet: memoryview) -> Role:
        if self._sized == 4 and not self._frame_num_bits and len(packet) > 4:
            first = packet[4]  # most packets begin with their slice: no need to look around
            if first & 31 in _H264_SLICES:
                return int(first & 0x60 == 0)
        idle, later = True, False
        for unit in _units(packet, self._sized):
            kind = unit[0] & 31
            if kind in (_H264_SPS, _H264_PPS):
                idle = False
                self._parameters(unit)
            elif kind == _H264_SEI:
                later = later or _recovers_later(unit)
            elif kind in _H264_SLICES:
                second = SECOND_FIELD * self._second(unit) if self._frame_num_bits else 0
                gradual = GRADUAL_REFRESH * (later and kind != _H264_IDR)
                return int(idle and unit[0] & 0x60 == 0) | second | gradual
        return 0

    def _parameters(self, unit: memoryview) -> None:
        if unit[0] & 31 == _H264_SPS:
            try:
                self._frame_num_bits, self._planes = _field_coding(_Bits(unit[1:]))
            except IndexError:
                self._frame_num_bits = 0

    def _second(self, unit: memoryview) -> bool:
        bits = _Bits(unit[1:40])
        try:
            for _ in range(3):  # first macroblock, slice type, picture parameter set
                bits.golomb()
            bits.read(2 * self._planes)
            frame_num = bits.read(self._frame_num_bits)
            field = (frame_num, bits.read(1)) if bits.read(1) else None
        except IndexError:
            field = None
        before, self._unpaired = self._unpaired, field
        if field is None or before != (field[0], 1 - field[1]):
            return False
        self._unpaired = None
        return True


def _recovers_later(unit: memoryview) -> bool:
    """Whether an SEI unit (7.3.2.3) says that pictures are right only some frames after it."""
    data = bytes(unit[1:_HEAD]).replace(b"\0\0\3", b"\0\0")
    at = 0
    while at + 2 < len(data):
        kind = size = 0
        while at < len(data) and data[at] == 255:
            kind, at = kind + 255, at + 1
        kind, at = kind + data[at], at + 1
        while at < len(data) and data[at] == 255:
            size, at = size + 255, at + 1
        if at >= len(data):
            break
        size, at = size + data[at], at + 1
        if kind == _RECOVERY_POINT:
            return at < len(data) and data[at] & 0x80 == 0  # frames to go: a code for 0 is one bit
        at += size
    return False


def _field_coding(bits: _Bits) -> tuple[int, bool]:
    """Of an SPS (7.3.2.1.1): bits of ``frame_num``, 0 if all are frames; separate colour planes."""
    profile = bits.read(8)
    bits.read(16)
    bits.golomb()
    planes = False
    if profile in _H264_HIGH:
        chroma = bits.golomb()
        planes = chroma == 3 and bits.read(1) == 1
        bits.golomb()
        bits.golomb()
        bits.read(1)
        if bits.read(1):
            for number in range(12 if chroma == 3 else 8):
                if bits.read(1):
                    _skip_scaling_list(bits, 16 if number < 6 else 64)
    frame_num_bits = bits.golomb() + 4
    order = bits.golomb()
    if order == 0:
        bits.golomb()
    elif order == 1:
        bits.read(1)
        bits.golomb()
        bits.golomb()
        for _ in range(bits.golomb()):
            bits.golomb()
    bits.golomb()
    bits.read(1)
    bits.golomb()
    bits.golomb()
    return 0 if bits.read(1) else frame_num_bits, planes


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            code = bits.golomb()
            following = (last + (code + 1) // 2 * (1 if code % 2 else -1)) % 256
        last = following or last


class _Bits:
    """Bits of a unit, most significant first; ``IndexError`` at its end."""

    def __init__(self, data: memoryview) -> None:
        plain = bytes(data).replace(b"\0\0\3", b"\0\0")
        self._text = f"{int.from_bytes(plain, 'big'):0{8 * len(plain)}b}"
        self._at = 0

    def read(self, count: int) -> int:
        word = self._text[self._at : self._at + count]
        if len(word) < count:
            raise IndexError
        self._at += count
        return int(word, 2) if word else 0

    def golomb(self) -> int:
        """An unsigned Exp-Golomb code (9.1)."""
        one = self._text.find("1", self._at)
        if one < 0:
            raise IndexError
        zeros, self._at = one - self._at, one
        return self.read(zeros + 1) - 1


def _hevc(units: Iterator[memoryview]) -> Role:
    idle = True
    for unit in units:
        kind = unit[0] >> 1 & 63
        idle = idle and kind not in _HEVC_SETS
        if kind in _HEVC_SLICES and not (unit[0] & 1 or unit[1] >> 3):  # of the base picture
            idle = idle and kind < _HEVC_PAIRED and kind % 2 == 0
            return (unit[1] & 7) << LAYER_SHIFT | idle
    return 0


def _mpeg2(packet: memoryview) -> Role:
    head = bytes(packet[:_HEAD])
    at = head.find(b"\0\0\1\0")
    if b"\0\0\1\xb3" in head or not 0 <= at < len(head) - 5:
        return 0  # with a sequence header, or without a picture
    return int(head[at + 5] >> 3 & 7 == 3)


def _length_size(extradata: bytes, at: int) -> int:
    """Bytes of the length before each unit, as avcC and hvcC say it; 0: start codes instead."""
    if len(extradata) <= at or extradata[0] != 1:
        return 0
    return (extradata[at] & 3) + 1


def _units(data: memoryview, sized: int) -> Iterator[memoryview]:
    """The units of ``data``, each at least two bytes long; of Annex B those that begin early."""
    at = 0
    if sized:
        while at + sized + 2 <= len(data):
            length = max(int.from_bytes(data[at : at + sized], "big"), 2)
            yield data[at + sized : at + sized + length]
            at += sized + length
        return
    head = bytes(data[:_HEAD])
    at = head.find(b"\0\0\1") + 3
    while 3 <= at < len(head) - 1:
        following = head.find(b"\0\0\1", at + 2)
        yield data[at : following if following > 0 else len(data)]
        at = following + 3
