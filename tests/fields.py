"""H.264 in field pictures (PAFF), as broadcasters send it and no free encoder writes it.

Every macroblock is stored as it is (I_PCM), so a writer of bits is all that it takes.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from videos import Picture, draw_number

WIDTH, HEIGHT = 64, 32  # four by two macroblocks


class _Bits:
    def __init__(self) -> None:
        self._bits = ""

    def u(self, value: int, width: int) -> None:
        self._bits += f"{value:0{width}b}"

    def ue(self, *values: int) -> None:
        for value in values:
            code = f"{value + 1:b}"
            self._bits += "0" * (len(code) - 1) + code

    def raw(self, data: bytes) -> None:
        self._bits += "0" * (-len(self._bits) % 8) + "".join(f"{byte:08b}" for byte in data)

    def nal(self, header: int) -> bytes:
        bits = self._bits + "1"
        bits += "0" * (-len(bits) % 8)
        payload = int(bits, 2).to_bytes(len(bits) // 8, "big")
        escaped, zeros = bytearray(), 0
        for byte in payload:
            if zeros >= 2 and byte <= 3:
                escaped.append(3)
                zeros = 0
            escaped.append(byte)
            zeros = zeros + 1 if byte == 0 else 0
        return b"\0\0\0\1" + bytes([header]) + escaped


def _parameter_sets() -> bytes:
    sps = _Bits()
    sps.raw(bytes([77, 0, 30]))  # Main profile, level 3
    sps.ue(0, 4, 0, 4, 1)  # id, frame_num of 8 bits, order by 8 bits, one reference
    sps.u(0, 1)
    sps.ue(WIDTH // 16 - 1, HEIGHT // 32 - 1)
    sps.u(0b00100, 5)  # fields allowed, none mixed within a frame, direct_8x8, no crop, no VUI
    pps = _Bits()
    pps.ue(0, 0)
    pps.u(0b00, 2)
    pps.ue(0, 0, 0)
    pps.u(0, 3)
    pps.ue(0, 0, 0)
    pps.u(0b100, 3)  # a slice says whether it is deblocked
    return sps.nal(0x67) + pps.nal(0x68)


def _field(picture: Picture, number: int, since_key: int, bottom: bool) -> bytes:
    """One field of the frame as an access unit."""
    is_key = since_key == 0 and not bottom
    bits = _Bits()
    bits.ue(0, 7 if is_key else 5, 0)  # I or P
    bits.u(since_key, 8)
    bits.u(0b10 | bottom, 2)
    if is_key:
        bits.ue(number % 2)
    bits.u(2 * since_key + bottom, 8)
    bits.u(0, 2 if is_key else 3)  # nothing special about references
    bits.ue(0, 1)  # no change of quantiser, no deblocking
    luma = picture[bottom::2, :, 0] // 2 + 64
    for left in range(0, WIDTH, 16):
        bits.ue(*([25] if is_key else [0, 30]))  # I_PCM, in a P picture after no skipped ones
        bits.raw(luma[:, left : left + 16].tobytes() + bytes([128]) * 128)
    delimiter = b"\0\0\0\1\x09\x10"
    return delimiter + (_parameter_sets() if is_key else b"") + bits.nal(0x65 if is_key else 0x61)


def make_fields(path: Path, *, count: int, gop: int, split: bool, rate: int = 25) -> Path:
    """``count`` numbered frames of two fields each; ``split`` sends each field by itself."""
    tick = Fraction(1, 2 * rate)
    sent = path.with_name(f"{path.stem}-sent.ts")
    with av.open(str(sent), "w") as container:
        stream: Any = container.add_mux_stream("h264", rate=rate, width=WIDTH, height=HEIGHT)
        stream.time_base = tick
        for number in range(count):
            picture = draw_number(number, WIDTH, HEIGHT)
            fields = [_field(picture, number, number % gop, bottom) for bottom in (False, True)]
            for place, data in enumerate(fields if split else [b"".join(fields)]):
                packet = av.Packet(data)
                packet.stream, packet.time_base = stream, tick
                packet.pts = packet.dts = 2 * number + place
                packet.is_keyframe = number % gop == 0 and place == 0
                container.mux(packet)
    if path.suffix == ".ts":
        return sent.rename(path)
    with av.open(str(sent)) as source, av.open(str(path), "w") as container:
        given = source.streams.video[0]
        stream = container.add_stream_from_template(given)
        for packet in source.demux(given):
            if packet.size:
                packet.stream = stream
                container.mux(packet)
    return path
