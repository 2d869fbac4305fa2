"""Frames as vectors of what was measured: for likeness where no encoder has seen them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def appearance(histogram: NDArray[np.uint8], thumb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Colours and layout of each frame, unit length, ``[T, 336]``.

    The root of the colour histogram (Hellinger) and the thumbnail without its mean, each half of
    the square length.

    Args:
        histogram, thumb: as in ``Signals``, ``[T, 192]`` and ``[T, 144]``.
    """
    colours = np.sqrt(histogram.astype(np.float32))
    layout = thumb - thumb.mean(1, dtype=np.float32, keepdims=True)
    halves = [
        part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-9)
        for part in (colours, layout)
    ]
    joined: NDArray[np.float32] = (np.concatenate(halves, 1) / np.sqrt(2)).astype(np.float32)
    return joined
