"""Names for the colours that fill a picture."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from videopipe.scan.signals import HUES, SATURATIONS, VALUES

_HUES = (
    "red", "orange", "yellow", "green", "green", "green",
    "turquoise", "blue", "blue", "purple", "pink", "pink",
)  # fmt: skip
_GREYS = ("black", "dark grey", "grey", "white")
_PLAIN = ("black", "grey", "white", "beige", "brown")
_MAIN = 0.2  # share of the picture that a colour fills to be a main one
_MOSTLY = 0.55  # share that the main ones must fill together
_ACCENT = 0.04  # share from which another colour, not a plain one, is worth a word


@dataclass(frozen=True, slots=True)
class Colours:
    """Names, the largest share first.

    Attributes:
        main: one or two that fill most of the picture, or none where no two do.
        accents: up to three others that stand out, greys and browns left aside.
    """

    main: list[str]
    accents: list[str]


def dominant_colours(histogram: NDArray[np.float64]) -> Colours:
    """Name what a picture is coloured in.

    Args:
        histogram: ``[192]``, hue x saturation x value as in ``Signals.histogram``, any scale.
    """
    families: dict[str, dict[str, float]] = {}
    for (family, shade), count in zip(_names(), histogram, strict=True):
        shades = families.setdefault(family, {})
        shades[shade] = shades.get(shade, 0.0) + float(count)
    total = max(float(histogram.sum()), 1.0)
    share = {family: sum(shades.values()) / total for family, shades in families.items()}
    ranked = sorted(share, key=lambda family: (-share[family], family))
    main = [family for family in ranked[:2] if share[family] >= _MAIN]
    if sum(share[family] for family in main) < _MOSTLY:
        main = []
    accents = [f for f in ranked if f not in main and f not in _PLAIN and share[f] >= _ACCENT]
    name = {family: max(shades, key=shades.__getitem__) for family, shades in families.items()}
    return Colours([name[family] for family in main], [name[family] for family in accents[:3]])


@cache
def _names() -> tuple[tuple[str, str], ...]:
    """For each bin the family of its colour and its own name."""
    return tuple(
        _name(hue, saturation, value)
        for hue in range(HUES)
        for saturation in range(SATURATIONS)
        for value in range(VALUES)
    )


def _name(hue: int, saturation: int, value: int) -> tuple[str, str]:
    if value == 0 or saturation == 0:
        grey = _GREYS[value]
        return grey.removeprefix("dark "), grey
    name = _HUES[hue]
    if name == "orange":  # weak or dark orange has names of its own
        if value == 1 or (value == 2 and saturation < 3):
            return "brown", "brown"
        if saturation == 1:
            return "beige", "beige"
    if value == 1:
        return name, "olive" if name == "yellow" else f"dark {name}"
    return name, f"light {name}" if saturation == 1 and value == 3 else name
