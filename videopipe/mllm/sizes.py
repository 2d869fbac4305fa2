"""The sizes to which families resize frames by their own rules."""

from __future__ import annotations

import math
from typing import NamedTuple


class Limits(NamedTuple):
    """Fewest and most pixels."""

    low: int
    high: int


def smart_size(
    frames: int, height: int, width: int, cell: int, step: int, limits: Limits, rule: str
) -> tuple[int, int]:
    """Height and width in multiples of ``cell`` near the given ones, within ``limits``.

    ``rule`` says what the limits are of: a ``frame``, a whole ``clip`` of ``frames`` (rounded to
    ``step``), or a clip's upper one ``shared`` out among its frames.
    """
    if rule == "clip":
        if height < cell or width < cell:
            grow = max(cell / height, cell / width)
            height, width = int(height * grow), int(width * grow)
        whole, rounded, low, high = frames, round(frames / step) * step, limits.low, limits.high
    else:
        whole = rounded = 1
        low, high = limits.low, limits.high // (frames if rule == "shared" else 1)
    tall, broad = round(height / cell) * cell, round(width / cell) * cell
    if rounded * tall * broad > high:
        shrink = math.sqrt(whole * height * width / high)
        tall = max(cell, math.floor(height / shrink / cell) * cell)
        broad = max(cell, math.floor(width / shrink / cell) * cell)
    elif rounded * tall * broad < low:
        grow = math.sqrt(low / (whole * height * width))
        tall = math.ceil(height * grow / cell) * cell
        broad = math.ceil(width * grow / cell) * cell
    return tall, broad


def cropped(height: int, width: int, edge: int) -> tuple[int, int]:
    """The size at which the short side is ``edge``."""
    if height <= width:
        return edge, int(edge * width / height)
    return int(edge * height / width), edge


def longest(height: int, width: int, edge: int) -> tuple[int, int]:
    """The size at which the long side is ``edge``; an odd short side grows by one."""
    if width >= height:
        short = int(edge / (width / height))
        return max(short + short % 2, 1), edge
    short = int(edge * (width / height))
    return edge, max(short + short % 2, 1)
