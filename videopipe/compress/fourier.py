"""Fourier-VLM: low frequencies of the grid of each frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from videopipe.compress.pool import GridPool, Window
from videopipe.compress.registry import register


@register("fourier")
@dataclass(frozen=True, slots=True)
class Fourier(GridPool):
    """Fourier-VLM: the low frequencies of a cosine transform, as a smaller grid.

    Each frame is transformed along both axes, cut to as many frequencies as tokens are left, and
    transformed back at that size. What fills no grid stands in rows whose lengths differ by one,
    each with as many frequencies as it has tokens. Where fewer tokens than frames are left,
    neighbouring frames are averaged first.

    The released code enlarges what it keeps by the root of the places per token, 2 where 24 x 24
    become 12 x 12, which a model that was not trained with it does not expect. Here the weights of
    a token sum to 1, some of them below 0. A token stands in the middle of its part of the frame.
    """

    paper: ClassVar[str] = "arXiv 2508.06038"
    exact: ClassVar[str] = "unequal rows"
    window: Window = "lowpass"
