"""Average pooling of the grid of each frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from videopipe.compress.registry import Kind, register
from videopipe.compress.resample import average, cut, rows_for
from videopipe.compress.tokens import TokenMap, VisualTokens


@register("pool")
@dataclass(frozen=True, slots=True)
class GridPool:
    """Averages cells of each frame (M3, arXiv 2405.17430, on any grid).

    With ``height`` and ``width`` each frame becomes that grid, as far as ``k`` allows. Without,
    the frames share ``k`` evenly, and a frame of ``n`` tokens is cut into bands of its aspect
    ratio, each band into as many cells as make ``n`` in all; where fewer tokens than frames are
    left, neighbouring frames are averaged as well.

    The position of a row is the mean of its tokens', its host the token nearest to that.
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    kind: ClassVar[Kind] = "pool"
    whole: ClassVar[bool] = True
    exact: ClassVar[str] = "cells of unequal size"
    paper: ClassVar[str] = ""
    height: int | None = None
    width: int | None = None

    def __post_init__(self) -> None:
        for side in (self.height, self.width):
            if side is not None and not (isinstance(side, int) and side >= 1):
                raise ValueError(f"height and width are whole numbers from 1, got {side}")

    def __call__(self, tokens: VisualTokens, k: int) -> TokenMap:
        steps, high, wide = tokens.grid
        if self.height is not None or self.width is not None:
            rows, columns = min(self.height or high, high), min(self.width or wide, wide)
            groups = max(1, min(steps, k // (rows * columns)))
            shares = [rows * columns] * groups
            if rows * columns * groups > k:
                shares, rows = [k], 0
        else:
            groups, rows = min(steps, k), 0
            shares = [share.stop - share.start for share in cut(k, groups)]
        cell = torch.empty(steps, high, wide, dtype=torch.int64)
        first = 0
        for span, share in zip(cut(steps, groups), shares, strict=True):
            cell[span] = first + _cells(high, wide, min(share, high * wide), rows)
            first += min(share, high * wide)
        return average(cell.flatten().to(tokens.x.device), first, tokens)


def _cells(high: int, wide: int, n: int, rows: int = 0) -> Tensor:
    """The cell of each place of a grid ``[high, wide]`` that is cut into ``n``."""
    rows = rows or rows_for(high, wide, n)
    cells = torch.empty(high, wide, dtype=torch.int64)
    first = 0
    for band, share in zip(cut(high, rows), cut(n, rows), strict=True):
        for number, columns in enumerate(cut(wide, share.stop - share.start)):
            cells[band, columns] = first + number
        first = share.stop
    return cells
