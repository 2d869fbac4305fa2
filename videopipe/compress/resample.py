"""Linear maps from the grid of a frame to fewer tokens: sampling, and averages of cells."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import isqrt
from typing import NamedTuple

import torch
from torch import Tensor

from videopipe.compress.tokens import TokenMap, VisualTokens

Axis = Callable[[int, int], Tensor]  # (size, n) to weights [n, size], rows sum to 1


class Sampling(NamedTuple):
    """Entries ``(src, dst, weight)`` from the places of one frame to ``len(host)`` tokens.

    ``host`` is the place that each token is nearest to, ascending, each once.
    """

    src: Tensor
    dst: Tensor
    weight: Tensor
    host: Tensor


def cut(length: int, parts: int) -> list[slice]:
    """``parts`` stretches of ``length``, as equal as can be."""
    ends = [length * part // parts for part in range(parts + 1)]
    return [slice(start, end) for start, end in pairwise(ends)]


def rows_for(high: int, wide: int, n: int) -> int:
    """Into how many rows ``n`` cells of a frame ``[high, wide]`` go, to be about square.

    Of a square frame these are the rows of QuoTA's grids: ``s`` for ``s²`` cells, ``s + 1`` from
    ``s² + s`` on. No row needs more than ``wide`` cells.
    """
    rows = (1 + isqrt(1 + 4 * (n * high // wide))) // 2
    return max(min(rows, high, n), -(-n // wide))


def bilinear(size: int, n: int) -> Tensor:
    """Weights ``[n, size]`` of bilinear resizing: no antialiasing, corners not aligned."""
    at = ((torch.arange(n, dtype=torch.float64) + 0.5) * size / n - 0.5).clamp(0, size - 1)
    places = torch.arange(size, dtype=torch.float64)
    return (1 - (at[:, None] - places).abs()).clamp(min=0).float()


def adaptive(size: int, n: int) -> Tensor:
    """Weights ``[n, size]`` of adaptive average pooling, whose windows may overlap."""
    part, places = torch.arange(n)[:, None], torch.arange(size)
    inside = (places >= part * size // n) & (places < -(-(part + 1) * size // n))
    return inside / inside.sum(1, keepdim=True)


def grid_sampling(high: int, wide: int, n: int, axis: Axis) -> Sampling:
    """Resize a frame ``[high, wide]`` along both axes to exactly ``n`` tokens.

    They stand in :func:`rows_for` rows; where these do not divide ``n``, some rows have one column
    more than others.
    """
    rows = rows_for(high, wide, n)
    bands = cut(n, rows)
    first = torch.tensor([band.start for band in bands])
    columns = torch.tensor([band.stop - band.start for band in bands])
    down = axis(high, rows)
    parts = []
    host = torch.empty(n, dtype=torch.int64)
    for count in torch.unique(columns).tolist():
        mine = columns == count
        across = axis(wide, count)
        row, source_row = (down * mine[:, None]).nonzero(as_tuple=True)
        column, source_column = across.nonzero(as_tuple=True)
        parts.append(
            (
                (source_row[:, None] * wide + source_column).flatten(),
                (first[row][:, None] + column).flatten(),
                (down[row, source_row][:, None] * across[column, source_column]).flatten(),
            )
        )
        row = mine.nonzero()
        middle = (2 * torch.arange(count) + 1) * wide // (2 * count)
        host[first[row] + torch.arange(count)] = (2 * row + 1) * high // (2 * rows) * wide + middle
    src, dst, weight = (torch.cat(part) for part in zip(*parts, strict=True))
    return Sampling(src, dst, weight, host)


def even_sampling(places: int, n: int) -> Sampling:
    """``n`` of the ``places`` of a frame in raster order, at even steps from first to last."""
    steps = torch.arange(n)
    kept = steps * (places - 1) // max(n - 1, 1)
    return Sampling(kept, steps, torch.ones(n), kept)


def average(
    cell: Tensor,
    k: int,
    tokens: VisualTokens,
    src: Tensor | None = None,
    weight: Tensor | None = None,
) -> TokenMap:
    """The map that takes the mean of the tokens of each of ``k`` cells.

    The position of a row is the mean of its tokens', its host the token nearest to that.

    Args:
        cell: ``[E]``, the cell of each token, 0 to ``k - 1``; each has one at least.
        src: ``[E]``, the tokens that have one, ascending; None for all.
        weight: ``[E]``, summing to 1 in each cell; None for equal ones.
    """
    size = torch.bincount(cell, minlength=k)
    if src is None:
        src = torch.arange(len(cell), device=cell.device)
    # In float64: a sum of many places must be exact for rows of one time to be in order.
    places = tokens.pos[src].double()
    centre = places.new_zeros(k, 3).index_add_(0, cell, places) / size[:, None]
    apart = (places - centre[cell]).square().sum(1)
    # The nearest of each cell: sorted by distance, then stably by cell, the first of each.
    order = apart.argsort(stable=True)
    order = order[cell[order].argsort(stable=True)]
    nearest = src[order[size.cumsum(0) - size]]
    host, rank = nearest.sort()
    place = torch.empty_like(rank)
    place[rank] = torch.arange(k, device=rank.device)
    return TokenMap(
        src=src,
        dst=place[cell],
        weight=(1 / size.float())[cell] if weight is None else weight,
        pos=centre[rank].float().unsqueeze(1),
        host=host,
        tokens_in=len(tokens),
    )
