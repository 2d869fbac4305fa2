"""Tokens that stay the same over a segment, kept once, and those that move: HoliTom, PruneVid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from videopipe.allocate import allocate
from videopipe.compress.density import assign, centres, density
from videopipe.compress.frames import columns
from videopipe.compress.grouped import alike
from videopipe.compress.tokens import TokenMap, VisualTokens

_AT_ONCE = 2**12  # tokens


class Shares(NamedTuple):
    """Rows for the static tokens of each segment, ``[S]``, and the moving ones of each frame,
    ``[T]``: int64 on the CPU."""

    static: Tensor
    moving: Tensor


class Rows(NamedTuple):
    """Rows of sets of ``n`` cells, ``[F, n]`` each: the cell whose row each one is part of, -1 for
    none, and how much it counts there."""

    centre: Tensor
    weight: Tensor


@dataclass(frozen=True, slots=True)
class Split:
    """Which cells stay the same over each of ``S`` segments: ``static`` bool ``[S, n]``."""

    segments: list[slice]
    static: Tensor

    @property
    def length(self) -> Tensor:
        """Frames of each segment, int64 ``[S]``."""
        length = [segment.stop - segment.start for segment in self.segments]
        return torch.tensor(length, device=self.static.device)

    @property
    def left(self) -> int:
        """How many tokens are left if the static ones are kept once."""
        return int(self.static.sum() + self.moving.sum())

    @property
    def moving(self) -> Tensor:
        """Which cells of each frame are not static, bool ``[T, n]``."""
        return (~self.static).repeat_interleave(self.length, 0)

    def shares(self, k: int) -> Shares:
        """``k`` rows shared out by the number of tokens, static ones counted once.

        One for each set of them that is not empty, as far as there are enough.
        """
        sizes = torch.cat([self.static.sum(1), self.moving.sum(1)]).cpu()
        floor = min(1, k // int((sizes > 0).sum()))
        made = torch.from_numpy(allocate(sizes.numpy(), k, sizes.clamp(max=floor).numpy(), sizes))
        return Shares(made[: len(self.static)], made[len(self.static) :])

    def means(self, x: Tensor, segments: Tensor, cells: Tensor) -> Tensor:
        """Means of ``x`` ``[T, n, D]`` over ``segments`` ``[f]``, at some ``cells`` ``[f, m]``."""
        return torch.stack(
            [
                x[self.segments[segment]].mean(0)[some]
                for segment, some in zip(segments.tolist(), cells, strict=True)
            ]
        )

    def join(self, tokens: VisualTokens, static: Rows, moving: Rows, *, stays: bool) -> TokenMap:
        """The map of static rows ``[S, n]``, means over their segments, and moving ones ``[T, n]``.

        Static rows stand in the first frame of their segment, all at the places of their centres
        (``stays``) or of their means, see :meth:`TokenMap.merge`.
        """
        length = self.length
        n = self.static.shape[1]
        first = (length.cumsum(0) - length).repeat_interleave(length)[:, None] * n
        own = torch.arange(len(first), device=first.device)[:, None] * n
        over = self.static.repeat_interleave(length, 0)
        centre = torch.where(over, static.centre.repeat_interleave(length, 0), moving.centre)
        weight = (static.weight / length[:, None]).repeat_interleave(length, 0)
        weight = torch.where(over, weight, moving.weight)
        host = (centre + torch.where(over, first, own)).flatten()
        src = (centre.flatten() >= 0).nonzero().squeeze(1)
        host, row = torch.unique(host[src], return_inverse=True)
        return TokenMap.merge(tokens, row, host, src, weight.flatten()[src], stays=stays)


def about_peaks(
    of: Callable[[Tensor, Tensor], Tensor], mask: Tensor, counts: Tensor, neighbours: Tensor
) -> Tensor:
    """Clusters of cells about density peaks: the centre of each cell, -1 for none, ``[F, n]``.

    Args:
        of: takes some of the ``F`` sets, ``[f]``, and cells of each, ``[f, m]``, and gives their
            features ``[f, m, D]``.
        mask: bool ``[F, n]``: the cells of each set.
        counts: int64 ``[F]`` on the CPU: clusters; a set of 0 is in none.
        neighbours: int64 ``[F]`` on the CPU, see :func:`videopipe.compress.density.density`.
    """
    made = torch.full(mask.shape, -1, device=mask.device)
    shown = counts.nonzero().squeeze(1)
    for (near,), same in alike(neighbours[shown]):
        for some in torch.split(shown[same], max(1, _AT_ONCE // mask.shape[1])):
            several, some = counts[some], some.to(mask.device)
            index, size = columns(mask[some])
            there = torch.arange(index.shape[1], device=index.device) < size[:, None]
            x = of(some, index)
            peaks = centres(density(x, there, near).score, several)
            centre = index.gather(1, peaks.gather(1, assign(x, peaks, several)))
            cells = torch.full_like(mask[some], -1, dtype=torch.int64)
            made[some] = cells.scatter(1, index, centre.masked_fill(~there, -1))
    return made
