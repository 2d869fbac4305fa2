"""Linear maps from the grid of a frame to fewer tokens: sampling, and averages of cells."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from videopipe.compress.tokens import TokenMap, VisualTokens

Axis = Callable[[int, int], Tensor]  # (size, n) to weights [n, size], rows sum to 1


class Sampling(NamedTuple):
    """Entries ``(src, dst, weight)`` from the places of one frame to ``len(host)`` tokens.

    ``host`` is the place that each token is nearest to, ascending, each once; ``at`` float64
    ``[n, 2]`` the row and column that it stands at; None for those of its host.
    """

    src: Tensor
    dst: Tensor
    weight: Tensor
    host: Tensor
    at: Tensor | None = None


Sampler = Callable[[int, int, int], Sampling]  # a frame (high, wide) to n tokens


def cut(length: int, parts: int) -> list[slice]:
    """``parts`` stretches of ``length``, as equal as can be."""
    ends = [length * part // parts for part in range(parts + 1)]
    return [slice(start, end) for start, end in pairwise(ends)]


def even(total: int, parts: int) -> Tensor:
    """``total`` in ``parts`` that differ by one at most, int64 ``[parts]``."""
    return (torch.arange(parts + 1) * total // parts).diff()


def rows_for(high: int, wide: int, n: int) -> int:
    """Into how many rows ``n`` cells of a frame ``[high, wide]`` go, to be about square.

    Of a square frame these are the rows of QuoTA's grids: ``s`` for ``s²`` cells, ``s + 1`` from
    ``s² + s`` on. No row needs more than ``wide`` cells.
    """
    rows = (1 + math.isqrt(1 + 4 * (n * high // wide))) // 2
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


def lowpass(size: int, n: int) -> Tensor:
    """Weights ``[n, size]`` that keep the ``n`` lowest frequencies of the cosine transform.

    The transform back is scaled by ``sqrt(n / size)`` more than the orthonormal one: a constant
    stays what it is.
    """
    if n == size:
        return torch.eye(size)
    back, there = _cosines(n, n), _cosines(size, n)
    weights = back.T @ there * math.sqrt(n / size)
    return weights.where(weights.abs() > 1e-9, torch.zeros_like(weights)).float()


def _cosines(size: int, n: int) -> Tensor:
    """The first ``n`` rows of the orthonormal cosine transform (DCT-II) of ``size`` values."""
    row = torch.arange(n, dtype=torch.float64)[:, None]
    angle = (torch.arange(size, dtype=torch.float64) + 0.5) * row * (math.pi / size)
    return angle.cos() * torch.where(row == 0, 1 / size, 2 / size).sqrt()


def grid_sampling(high: int, wide: int, n: int, axis: Axis, rows: int = 0) -> Sampling:
    """Resize a frame ``[high, wide]`` along both axes to exactly ``n`` tokens.

    They stand in ``rows``, :func:`rows_for` if 0; where these do not divide ``n``, some rows have
    one column more than others.
    """
    rows = rows or rows_for(high, wide, n)
    columns = even(n, rows)
    first = columns.cumsum(0) - columns
    down = axis(high, rows)
    parts = []
    host = torch.empty(n, dtype=torch.int64)
    at = torch.empty(n, 2, dtype=torch.float64)
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
        token = first[row] + torch.arange(count)
        # Twice the centre of each token's stretch of the frame, and half a place.
        y, x = (2 * row + 1) * high, (2 * torch.arange(count) + 1) * wide
        host[token] = y // (2 * rows) * wide + x // (2 * count)
        at[token, 0] = y.double() / (2 * rows) - 0.5
        at[token, 1] = x.double() / (2 * count) - 0.5
    src, dst, weight = (torch.cat(part) for part in zip(*parts, strict=True))
    return Sampling(src, dst, weight, host, at)


def even_sampling(places: int, n: int) -> Sampling:
    """``n`` of the ``places`` of a frame in raster order, at even steps from first to last."""
    steps = torch.arange(n)
    kept = steps * (places - 1) // max(n - 1, 1)
    return Sampling(kept, steps, torch.ones(n), kept)


def cell_sampling(high: int, wide: int, n: int, rows: int = 0) -> Sampling:
    """A frame cut into ``n`` cells: ``rows`` bands, each cut into as many as make ``n`` in all."""
    rows = rows or rows_for(high, wide, n)
    cell = torch.empty(high, wide, dtype=torch.int64)
    first = 0
    for band, share in zip(cut(high, rows), cut(n, rows), strict=True):
        for number, columns in enumerate(cut(wide, share.stop - share.start)):
            cell[band, columns] = first + number
        first = share.stop
    return means(cell)


def means(cell: Tensor) -> Sampling:
    """The mean of each cell of a frame, of which ``cell`` ``[high, wide]`` are the numbers."""
    dst = cell.flatten()
    size = torch.bincount(dst)
    places = _places(*cell.shape)
    centre = places.new_zeros(len(size), 2).index_add_(0, dst, places) / size[:, None]
    # The place nearest to the centre, the first: sorted by distance, then stably by cell.
    order = (places - centre[dst]).square().sum(1).argsort(stable=True)
    order = order[dst[order].argsort(stable=True)]
    nearest = order[size.cumsum(0) - size]
    return Sampling(torch.arange(len(dst)), dst, (1 / size.float())[dst], nearest, centre)


def _places(high: int, wide: int) -> Tensor:
    """Row and column of each place of a frame, float64 ``[high * wide, 2]``."""
    sides = (torch.arange(side, dtype=torch.float64) for side in (high, wide))
    return torch.cartesian_prod(*sides)


def sampled(tokens: VisualTokens, shares: Tensor, sampler: Sampler) -> TokenMap:
    """The map that makes each frame of a whole grid smaller by ``sampler``.

    Args:
        shares: ``[R]`` on the CPU, how many tokens are left of each frame, of none if 0. Where
            there are fewer than frames, neighbouring ones are averaged, in ``R`` runs as equal as
            can be.
    """
    steps, high, wide = tokens.grid
    ends = torch.arange(len(shares) + 1) * steps // len(shares)
    start, length = ends[:-1], ends.diff()
    row = shares.cumsum(0) - shares
    host = torch.empty(int(shares.sum()), dtype=torch.int64)
    pos = torch.empty(len(host), 3, dtype=torch.float64)
    parts = []
    # Runs that are alike have one pattern.
    for n, frames in torch.unique(torch.stack([shares, length], 1), dim=0).tolist():
        if not n:
            continue
        one = sampler(high, wide, n)
        mine = ((shares == n) & (length == frames)).nonzero()  # [R', 1]
        rows = row[mine] + torch.arange(n)
        host[rows] = (start[mine] + (frames - 1) // 2) * high * wide + one.host
        pos[rows, 0] = start[mine].double() + (frames - 1) / 2
        pos[rows, 1:] = _places(high, wide)[one.host] if one.at is None else one.at
        frame = start[mine] + torch.arange(frames)
        src = frame[..., None] * high * wide + one.src  # [R', frames, E]
        dst = (row[mine] + one.dst)[:, None].expand_as(src)
        weight = (one.weight / frames).expand(src.shape)
        parts.append((src.flatten(), dst.flatten(), weight.flatten()))
    device = tokens.x.device
    src, dst, weight = (torch.cat(part).to(device) for part in zip(*parts, strict=True))
    return TokenMap(src, dst, weight, pos.float()[:, None].to(device), host.to(device), len(tokens))
