"""Frames as a token map leaves them, to look at."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videopipe.compress import TokenMap

_DARK = 0.2  # of the brightness of what is gone


def kept_frames(frames: NDArray[np.uint8], made: TokenMap, cell: int = 28) -> NDArray[np.uint8]:
    """Each cell filled with the pixels of its row; in the dark where it is in none.

    The map is applied to the pixels of cells as it is to tokens: what is merged shows through each
    other. A cell that is part of several rows shows the one in which it counts most.

    Args:
        frames: uint8 RGB ``[T, H, W, 3]``, of which ``made`` is a map: see
            :func:`videopipe.evaluate.cells.cell_tokens`.
        cell: pixels of the side of a cell.

    Returns:
        The frames without what is left over of a cell, ``[T, h * cell, w * cell, 3]``.

    Raises:
        ValueError: the map is not of as many tokens as there are cells.
    """
    steps, high, wide = len(frames), frames.shape[1] // cell, frames.shape[2] // cell
    if made.tokens_in != steps * high * wide:
        raise ValueError(f"{made!r} is not of {steps} frames of {high} x {wide} cells")
    shown = torch.from_numpy(frames[:, : high * cell, : wide * cell])
    cells = shown.view(steps, high, cell, wide, cell, 3).transpose(2, 3).reshape(-1, cell, cell, 3)
    row = _row_of(made)
    filled = made.apply(cells.float())[row.clamp(min=0)]
    left = filled.where((row >= 0)[:, None, None, None], cells * _DARK)
    left = left.clamp(0, 255).round().byte().view(steps, high, wide, cell, cell, 3)
    return np.asarray(left.transpose(2, 3).reshape(shown.shape).numpy())


def _row_of(made: TokenMap) -> Tensor:
    """The row in which each token counts most, the first of equal ones; -1 for none."""
    most = torch.zeros(made.tokens_in).scatter_reduce_(0, made.src, made.weight, "amax")
    best = (made.weight > 0) & (made.weight == most[made.src])
    row = torch.full((made.tokens_in,), len(made))
    row = row.scatter_reduce_(0, made.src[best], made.dst[best], "amin")
    return row.where(row < len(made), -1)
