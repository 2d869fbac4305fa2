"""HDR to SDR: PQ and HLG pictures as an ordinary display would show them.

The curve is FFmpeg's usual recipe, to which the tests compare it:
``zscale=t=linear:npl=100,format=gbrpf32le,zscale=p=bt709,tonemap=hable:desat=0,zscale=t=bt709``.
Linear light in units of 100 cd/m², BT.2020 to BT.709 primaries, Hable's filmic curve on the
brightest channel with 1000 cd/m² as white, then the inverse of BT.1886 (gamma 2.4). The mastering
metadata of the file is not used, so that a frame looks the same wherever the decoder began.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

PQ, HLG = 16, 18  # AVCOL_TRC_SMPTE2084, AVCOL_TRC_ARIB_STD_B67
BITS = 12  # of the coded channels

_WHITE = 10.0  # 1000 cd/m², what HLG is defined for and most PQ video is graded to
_DARKEST = np.float32(1e-9)  # shown as 0
_GAMMA = 2.4
_BAND = 1 << 16  # pixels at a time: few enough for the cache, and memory stays small
_HABLE_RISE = np.array([0.14, 1 / 60], np.float32)
_HABLE_FALL = np.array([0.15, 0.5, 0.06], np.float32)
_TO_BT709 = np.array(  # ITU-R BT.2087, linear light
    [
        [1.660491, -0.587641, -0.072850],
        [-0.124550, 1.132900, -0.008349],
        [-0.018151, -0.100579, 1.118730],
    ],
    np.float32,
)


def tone_mapped(channels: Sequence[NDArray[np.uint16]], transfer: int) -> NDArray[np.uint8]:
    """The SDR picture, uint8 RGB ``[H, W, 3]``, of an HDR one.

    Args:
        channels: red, green and blue, each ``[H, W]`` of 12 bits, full range, BT.2020 primaries.
        transfer: ``PQ`` or ``HLG``.
    """
    height, width = channels[0].shape
    picture = np.empty((height, width, 3), np.uint8)
    rows = max(1, _BAND // width)
    for top in range(0, height, rows):
        band = np.stack([channel[top : top + rows].reshape(-1) for channel in channels])
        light = _TO_BT709 @ _light(transfer).take(band, mode="clip")
        light *= _gain(np.maximum(light.max(axis=0), 0)) / _AT_WHITE
        # Zero would do for a bound, but its power takes ten times longer.
        coded = np.power(light.clip(_DARKEST, 1), np.float32(1 / _GAMMA))
        levels = (coded * 255 + np.float32(0.5)).astype(np.uint8)
        for index, level in enumerate(levels):  # one by one: a transposed copy is slow
            picture[top : top + rows, :, index] = level.reshape(-1, width)
    return picture


def _gain(light: NDArray[np.float32]) -> NDArray[np.float32]:
    """What John Hable's filmic curve of Uncharted 2 makes of ``light``, divided by it."""
    rise, fall = np.polyval(_HABLE_RISE, light), np.polyval(_HABLE_FALL, light)
    return np.asarray(rise / fall, np.float32)


_AT_WHITE = _WHITE * _gain(np.array(_WHITE, np.float32))


@cache
def _light(transfer: int) -> NDArray[np.float32]:
    """The light of each code value, in units of 100 cd/m²."""
    code = np.linspace(0, 1, 1 << BITS)
    if transfer == PQ:  # SMPTE ST 2084
        root = code ** (32 / 2523)
        base = np.maximum(root - 107 / 128, 0) / (2413 / 128 - 2392 / 128 * root)
        return np.asarray(100 * base ** (16384 / 2610), np.float32)
    # ITU-R BT.2100, system gamma 1.2 on each channel, as zscale has it, not on the luminance.
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
    return np.asarray(10 * scene**1.2, np.float32)
