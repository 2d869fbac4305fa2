"""Tokens as directions: rows of unit length, and what to take when directions tell nothing more."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videopipe.compress.resample import even_sampling

ALIKE = 1e-6  # what rounding alone makes of the distance of two equal tokens


def unit_rows(x: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of unit length, float32 ``[N, D]``, and bool ``[N]``: those that have no direction.

    These stay zero, so that their cosine with anything is 0.
    """
    x = x.float()
    norm = torch.linalg.vector_norm(x, dim=-1)
    return x / norm.clamp(min=1e-12)[..., None], (norm <= 1e-12) | norm.isinf()


def filled(
    order: list[int],
    k: int,
    last: NDArray[np.bool_],
    score: NDArray[Any] | None = None,
) -> list[int]:
    """``order`` and as many other tokens as make ``k``, those of ``last`` ``[N]`` at the end.

    By their ``score`` ``[N]``, the highest first; at even distances where there is none, or the
    same for all.
    """
    free = np.ones(len(last), dtype=bool)
    free[order] = False
    for left in (np.flatnonzero(free & ~last), np.flatnonzero(free & last)):
        some = min(k - len(order), len(left))
        if not some:
            continue
        if score is not None and np.ptp(score[left]) > ALIKE:
            rows = np.argsort(-score[left], kind="stable")[:some]
        else:
            rows = even_sampling(len(left), some).host.numpy()
        order = [*order, *left[rows].tolist()]
    return order
