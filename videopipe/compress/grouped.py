"""What merging compressors share: the best of each group, frames merged."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from videopipe.compress.frames import by_frame
from videopipe.compress.tokens import TokenMap, VisualTokens

_AT_ONCE = 2**21  # features
Merger = Callable[[Tensor, int], tuple[Tensor, Tensor]]


def lowest(value: Tensor, group: Tensor, groups: int) -> Tensor:
    """The element of the lowest ``value`` ``[E]`` in each group, int64 ``[groups]``.

    Of equal ones the first; ``E`` for a group without any.

    Args:
        group: ``[E]``: 0 to ``groups - 1``.
    """
    least = value.new_full((groups,), float("inf")).scatter_reduce_(0, group, value, "amin")
    element = torch.arange(len(value), device=value.device)
    among = element.where(value == least[group], len(value))
    first = torch.full((groups,), len(value), device=value.device)
    return first.scatter_reduce_(0, group, among, "amin")


def spread(n: int) -> Tensor:
    """The numbers 0 to ``n - 1`` in an order whose every beginning is about evenly spread."""
    return (torch.arange(n, dtype=torch.float64) * 0.6180339887498949).frac().argsort()


def alike(*counts: Tensor) -> Iterator[tuple[tuple[int, ...], Tensor]]:
    """The indices that agree in all ``counts`` ``[T]``, and in what."""
    kinds, kind = torch.unique(torch.stack(counts, 1), dim=0, return_inverse=True)
    for number, values in enumerate(kinds.tolist()):
        yield tuple(values), (kind == number).nonzero().squeeze(1)


def merged(
    tokens: VisualTokens, counts: Tensor, merger: Merger, of: Tensor | None = None
) -> TokenMap:
    """Each frame merged to its number of rows.

    Args:
        counts: int64 ``[T]`` on the CPU: no more than a frame has; a frame of 0 is in no row.
        merger: takes features ``[F, n, D]`` of frames and a number of rows, and gives the row and
            the weight ``[F, n]`` of each token, which sum to 1 in each row.
        of: ``[N, D]``: the features; those of the tokens if None.
    """
    frames = by_frame(tokens)
    device = tokens.x.device
    of = tokens.x if of is None else of
    cell = torch.full(frames.index.shape, -1, device=device)
    weight = torch.zeros(frames.index.shape, device=device)
    first = counts.cumsum(0) - counts
    for (size, count), same in alike(frames.there.sum(1).cpu(), counts):
        for some in torch.split(same, max(1, _AT_ONCE // max(1, size * of.shape[1]))):
            if count:
                index = frames.index[some.to(device), :size]
                row, part = merger(of[index], count)
                cell[some.to(device), :size] = first[some].to(device)[:, None] + row
                weight[some.to(device), :size] = part
    known = cell >= 0
    return about_middles(tokens, cell[known], frames.index[known], weight[known])


def about_middles(
    tokens: VisualTokens, row: Tensor, src: Tensor, weight: Tensor | None = None
) -> TokenMap:
    """The map of :meth:`TokenMap.merge` whose hosts are the :func:`middles` of their rows.

    Args:
        row: ``[E]``: 0 to ``K - 1``.
        src: ``[E]``: each once.
        weight: ``[E]``; None for equal ones.
    """
    return TokenMap.merge(tokens, row, src[middles(tokens.pos[src], row)], src, weight)


def middles(pos: Tensor, group: Tensor) -> Tensor:
    """Which of ``pos`` ``[E, 3]`` is nearest to the mean of each group, int64 ``[groups]``."""
    size = torch.bincount(group)
    pos = pos.double()
    middle = pos.new_zeros(len(size), 3).index_add_(0, group, pos) / size[:, None]
    return lowest((pos - middle[group]).square().sum(1), group, len(size))
