"""Average pooling of the grid of each frame."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor

from videopipe.compress.registry import register
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
            shares = [share.stop - share.start for share in _cut(k, groups)]
        cell = torch.empty(steps, high, wide, dtype=torch.int64)
        first = 0
        for span, share in zip(_cut(steps, groups), shares, strict=True):
            cell[span] = first + _cells(high, wide, min(share, high * wide), rows)
            first += min(share, high * wide)
        return _average(cell.flatten().to(tokens.x.device), first, tokens)


def _cut(length: int, parts: int) -> list[slice]:
    """``parts`` stretches of ``length``, as equal as can be."""
    ends = [length * part // parts for part in range(parts + 1)]
    return [slice(start, end) for start, end in pairwise(ends)]


def _cells(high: int, wide: int, n: int, rows: int = 0) -> Tensor:
    """The cell of each place of a grid ``[high, wide]`` that is cut into ``n``."""
    if not rows:
        fewest = -(-n // wide)
        rows = min(max(round(math.sqrt(n * high / wide)), fewest, 1), high, n)
    cells = torch.empty(high, wide, dtype=torch.int64)
    first = 0
    for band, share in zip(_cut(high, rows), _cut(n, rows), strict=True):
        for number, columns in enumerate(_cut(wide, share.stop - share.start)):
            cells[band, columns] = first + number
        first = share.stop
    return cells


def _average(cell: Tensor, k: int, tokens: VisualTokens) -> TokenMap:
    """The map that takes the mean of the tokens of each cell."""
    size = torch.bincount(cell, minlength=k)
    # In float64: a sum of many places must be exact for rows of one time to be in order.
    places = tokens.pos.double()
    centre = places.new_zeros(k, 3).index_add_(0, cell, places) / size[:, None]
    apart = (places - centre[cell]).square().sum(1)
    # The nearest of each cell: sorted by distance, then stably by cell, the first of each.
    order = apart.argsort(stable=True)
    order = order[cell[order].argsort(stable=True)]
    nearest = order[size.cumsum(0) - size]
    host, rank = nearest.sort()
    place = torch.empty_like(rank)
    place[rank] = torch.arange(k, device=rank.device)
    return TokenMap(
        src=torch.arange(len(cell), device=cell.device),
        dst=place[cell],
        weight=(1 / size.float())[cell],
        pos=centre[rank].float().unsqueeze(1),
        host=host,
        tokens_in=len(cell),
    )
