"""What compressors within frames have in common: tokens by frame, shares of the budget, ranks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from videopipe.allocate import allocate
from videopipe.compress.resample import even
from videopipe.compress.tokens import VisualTokens


@dataclass(frozen=True, slots=True)
class Frames:
    """The tokens of each of ``T`` frames, ``n`` at most.

    ``index`` int64 ``[T, n]`` are the tokens in order, 0 where there are no more; ``there`` bool
    ``[T, n]`` says where.
    """

    index: Tensor
    there: Tensor

    def values(self, of: Tensor, fill: float = float("-inf")) -> Tensor:
        """``of`` ``[N]`` by frame ``[T, n]``, ``fill`` where there is no token."""
        return of[self.index].masked_fill(~self.there, fill)

    def rows(self, of: Tensor, some: slice) -> Tensor:
        """``of`` ``[N, d]`` by frame ``[F, n, d]`` for some of the frames.

        It is not copied where all frames have ``n``. Where there is no token it means nothing.
        """
        if self.index.numel() == len(of):
            return of.view(*self.index.shape, -1)[some]
        return of[self.index[some]]


def by_frame(tokens: VisualTokens) -> Frames:
    """The tokens of each step of the grid."""
    steps = tokens.grid[0]
    index = torch.arange(len(tokens), device=tokens.x.device)
    if tokens.whole:
        index = index.view(steps, -1)
        return Frames(index, torch.ones_like(index, dtype=torch.bool))
    size = tokens.sizes.to(index.device)
    n = max(1, int(size.max()))
    first = size.cumsum(0) - size
    there = torch.arange(n, device=index.device) < size[:, None]
    places = first[:, None] + torch.arange(n, device=index.device)
    return Frames(places.where(there, torch.zeros_like(places)), there)


def even_shares(tokens: VisualTokens, k: int) -> Tensor:
    """``k`` tokens shared out evenly among the frames, int64 ``[T]`` on the CPU.

    No frame gets more than it has. Fewer than one for each go to frames at even distances.
    """
    size = tokens.sizes
    there = size.nonzero().squeeze(1)
    shares = torch.zeros_like(size)
    shares[there] = even(k, len(there)).clamp(max=size[there])
    if int(shares.sum()) < k:
        shares = demand_shares(tokens, torch.ones(len(size), dtype=torch.float64), k)
    return shares


def demand_shares(tokens: VisualTokens, demand: Tensor, k: int, floor: int = 1) -> Tensor:
    """``k`` tokens shared out by ``demand`` ``[T]``, int64 ``[T]`` on the CPU.

    Each frame that has tokens gets ``floor`` as far as there are enough, and none more than it has.
    """
    size = tokens.sizes
    least = size.clamp(max=min(floor, k // max(1, int((size > 0).sum()))))
    wanted = demand.double().cpu().where(size > 0, torch.zeros(()).double())
    return torch.from_numpy(allocate(wanted.numpy(), k, least.numpy(), size.numpy()))


def frame_means(tokens: VisualTokens, values: Tensor) -> Tensor:
    """The mean of ``values`` ``[N]`` over the tokens of each frame, ``[T]``; 0 without any."""
    size = tokens.sizes.to(values.device)
    return values.new_zeros(len(size)).index_add_(0, tokens.step, values) / size.clamp(min=1)


def top(scores: Tensor, frames: Frames, shares: Tensor) -> Tensor:
    """The tokens of the highest ``scores`` ``[N]`` in each frame, ``shares`` ``[T]`` of them.

    Ascending; among equal scores the earlier token.
    """
    most = int(shares.max())
    # As whole numbers in the order of the scores, of equal ones the earlier token the higher. That
    # finds some of them several times faster than a stable sort.
    bits = frames.values(scores.float() + 0.0).view(torch.int32)
    bits = bits ^ ((bits >> 31) & 0x7FFFFFFF)
    last = torch.arange(bits.shape[1] - 1, -1, -1, device=bits.device)
    best = ((bits.long() << 32) | last).topk(most, dim=1).indices
    mine = torch.arange(most, device=bits.device) < shares.to(bits.device)[:, None]
    return frames.index.gather(1, best)[mine].sort().values


def columns(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Where a bool ``[T, n]`` is true: the columns of each row in order, int64 ``[T, m]``, and how
    many there are, ``[T]``. What is beyond that number are other columns."""
    count = mask.sum(1)
    order = (~mask).byte().argsort(dim=1, stable=True)
    return order[:, : int(count.max())], count
