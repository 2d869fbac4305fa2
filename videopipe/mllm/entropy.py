"""How many shades of grey a token is of: the signal ``entropy`` of VFlowOpt (arXiv 2508.05211)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videopipe.mllm.pixels import Packing

_SHADES = 256
_GREY = (0.299, 0.587, 0.114)


def entropy(frames: NDArray[np.uint8], size: tuple[int, int], packing: Packing) -> Tensor:
    """Shannon entropy of the grey levels of each token's pixels, float32 ``[N]``, 0 to 8 bits.

    Of the pixels as they are shown; the released code takes those that are normalised already,
    whose negative ones come out as others.

    Args:
        frames: ``[T, H, W, 3]``; the token of several frames is of all of them.
        size: at which they are shown.
    """
    steps, rows, columns = packing.grid(len(frames), *size)
    counts = torch.zeros(steps, rows * columns * _SHADES)
    for number, frame in enumerate(frames):
        shown = packing.shown(frame, size).float()
        grey = torch.einsum("chw,c->hw", shown, torch.tensor(_GREY)).round().long()
        high, wide = grey.shape
        row = (torch.arange(high) * rows // high)[:, None]
        cell = row * columns + torch.arange(wide) * columns // wide
        seen = torch.bincount((cell * _SHADES + grey).flatten(), minlength=counts.shape[1])
        counts[number // packing.step] += seen
    share = counts.view(-1, _SHADES)
    share = share / share.sum(1, keepdim=True)
    bits: Tensor = torch.special.entr(share).sum(1) / np.log(2)
    return bits
