"""Names for the colours that fill a picture."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from videopipe.scan.signals import HUES, SATURATIONS, VALUES

_HUES = (
    "red", "orange", "yellow", "green", "green", "green",
    "turquoise", "blue", "blue", "purple", "pink", "pink",
)  # fmt: skip
_GREYS = ("black", "dark grey", "grey", "white")
_NAMED = 0.15  # share of the picture from which a colour is named
_MOSTLY = 0.5  # share from which it alone describes the picture


def dominant_colours(histogram: NDArray[np.float64]) -> list[str]:
    """The one or two colours that fill most of a picture, none where it is too colourful to say.

    Args:
        histogram: ``[192]``, hue x saturation x value as in ``Signals.histogram``, any scale.
    """
    total = histogram.sum()
    if total <= 0:
        return []
    shares: dict[str, float] = {}
    for name, count in zip(_names(), histogram / total, strict=True):
        shares[name] = shares.get(name, 0.0) + float(count)
    ranked = sorted(shares, key=lambda name: (-shares[name], name))
    if shares[ranked[0]] >= _MOSTLY and shares[ranked[1]] < _NAMED:
        return ranked[:1]
    named = [name for name in ranked[:2] if shares[name] >= _NAMED]
    return named if sum(shares[name] for name in named) >= _MOSTLY else []


@cache
def _names() -> tuple[str, ...]:
    return tuple(
        _name(hue, saturation, value)
        for hue in range(HUES)
        for saturation in range(SATURATIONS)
        for value in range(VALUES)
    )


def _name(hue: int, saturation: int, value: int) -> str:
    if value == 0 or saturation == 0:
        return _GREYS[value]
    name = _HUES[hue]
    if name == "orange":  # weak or dark orange has names of its own
        if value == 1 or (value == 2 and saturation < 3):
            return "brown"
        if saturation == 1:
            return "beige"
    if value == 1:
        return f"dark {name}"
    return f"light {name}" if saturation == 1 and value == 3 else name
