"""VFlowOpt: what is dropped comes back as one token for each cell of the grid."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from videopipe.compress.demand import check, demand_needs, frame_shares
from videopipe.compress.frames import by_frame
from videopipe.compress.grouped import lowest
from videopipe.compress.registry import Kind, register
from videopipe.compress.tokens import TokenMap, VisualTokens

_LEAST = 1e-30  # score: tokens that have none are merged evenly


@register("vflowopt")
@dataclass(frozen=True, slots=True)
class VFlowOpt:
    """VFlowOpt (ICCV 2025): the most attended tokens, and the others recycled by cells of the grid.

    The dropped tokens of each cell of ``cell`` times ``cell`` places become one, weighted by their
    scores, at the place of the highest. So many are dropped that those kept and the cells with a
    dropped token are the frame's share: one token more adds one cell at most, so there is such a
    number. Cells grow where a share is smaller than their number. ``demand`` is what frames share
    the budget by, see :mod:`videopipe.compress.demand`.

    A score is the attention in ``block`` and ``alpha`` times the softmax of the signal ``entropy``
    over a frame, which the shipped settings leave out. The paper lets only those tokens vote that
    receive some 35 times the mean, the sinks; that is close to the attention of the class token,
    which is taken here. What follows within the language model is not done. ``cell`` is the shipped
    one for a quarter of the tokens.
    """

    kind: ClassVar[Kind] = "merge"
    whole: ClassVar[bool] = False
    exact: ClassVar[str] = "cells and kept tokens that fill the share"
    paper: ClassVar[str] = "arXiv 2508.05211"
    cell: float = 15.6
    alpha: float = 0.0
    block: str = "-2"
    demand: str = "even"

    def __post_init__(self) -> None:
        check(self.demand, self.block)
        if not (math.isfinite(self.cell) and self.cell >= 1):
            raise ValueError(f"cell is a number, 1 or more, got {self.cell}")
        if not math.isfinite(self.alpha):
            raise ValueError(f"alpha is a number, got {self.alpha}")

    @property
    def needs(self) -> frozenset[str]:
        entropy = {"entropy"} if self.alpha else set()
        return frozenset({f"attention:{self.block}"} | entropy) | demand_needs(self.demand)

    def __call__(self, tokens: VisualTokens, k: int) -> TokenMap:
        frames, shares = by_frame(tokens), frame_shares(tokens, k, self.demand)
        score = frames.values(tokens.signals[f"attention:{self.block}"].float())
        if self.alpha:
            entropy = frames.values(tokens.signals["entropy"].float())
            score += self.alpha * entropy.softmax(1).nan_to_num()
        rank = score.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
        _, high, wide = tokens.grid
        sides = [self._side(share, high, wide) for share in shares.tolist()]
        side = torch.tensor(sides, device=rank.device)[:, None, None]
        place = (tokens.pos[frames.index][..., 1:].round() / side).long()
        cell = place[..., 0] * wide + place[..., 1]
        shares = shares.to(rank.device)
        kept = _kept(rank, cell, frames.there, shares)
        dropped = frames.there & ~kept & (shares > 0)[:, None]
        frame = torch.arange(len(cell), device=cell.device)[:, None]
        cells, row = torch.unique((frame * (high * wide) + cell)[dropped], return_inverse=True)
        src, single = frames.index[dropped], frames.index[kept]
        host = src[lowest(rank[dropped].float(), row, len(cells))]
        own = torch.arange(len(single), device=single.device)
        return TokenMap.merge(
            tokens,
            row=torch.cat([own, len(own) + row]),
            host=torch.cat([single, host]),
            src=torch.cat([single, src]),
            weight=torch.cat([torch.ones_like(single), score[dropped].clamp(min=_LEAST)]),
            stays=True,
        )

    def _side(self, share: int, high: int, wide: int) -> float:
        """The side of cells, of which there are no more than a share."""
        side = self.cell
        while math.ceil(high / side) * math.ceil(wide / side) > max(1, share):
            side = math.floor(side) + 1
        return side


def _kept(rank: Tensor, cell: Tensor, there: Tensor, shares: Tensor) -> Tensor:
    """Bool ``[T, n]``: the tokens that are not dropped, the fewest dropped ones that will do.

    Args:
        rank: ``[T, n]``: the place of each token by its score, 0 for the highest.
        cell: ``[T, n]``: its cell in the frame.
        there: bool ``[T, n]``: which are tokens.
        shares: ``[T]``.
    """
    size = there.sum(1, keepdim=True)
    turn = (size - 1 - rank).where(there, rank)  # the lowest is dropped first
    never = turn.shape[1]
    first = turn.new_full((len(turn), int(cell.max()) + 1), never)
    first.scatter_reduce_(1, cell, turn.where(there, never), "amin")
    opens = torch.zeros_like(turn).scatter_(1, turn, (first.gather(1, cell) == turn).long())
    # The rows that are left when none, one, two, ... tokens are dropped: each 1 fewer or as many.
    rows = size - torch.arange(never + 1, device=turn.device)
    rows[:, 1:] += opens.cumsum(1)
    return there & (rank < size - (rows > shares[:, None]).sum(1, keepdim=True))
