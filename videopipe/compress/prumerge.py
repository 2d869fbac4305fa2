"""PruMerge: the most attended tokens, each with a little of those like it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from videopipe.compress.demand import check, demand_needs, frame_shares
from videopipe.compress.frames import Frames, by_frame, columns, top
from videopipe.compress.grouped import lowest
from videopipe.compress.registry import Kind, register
from videopipe.compress.tokens import TokenMap, VisualTokens

_AT_ONCE = 2**22  # cosines, features
LEAST = 1e-30  # attention: tokens that get none are merged evenly


@register("prumerge")
@dataclass(frozen=True, slots=True)
class PruMerge:
    """PruMerge (ICCV 2025): the most attended tokens of each frame, each with those like it.

    A kept token takes in the ``neighbours`` tokens of its frame whose keys are most like its own,
    kept ones too, each by the attention it gets; it counts 1 itself. One more row of each frame
    is the mean of all tokens that are not kept, by attention, at the place of the most attended.
    ``demand`` is what frames share the budget by, see :mod:`videopipe.compress.demand`.

    The paper keeps as many tokens as have outstanding attention, which is no number that can be
    asked for; ``demand=outliers`` shares out by it. Its rows are sums; these are divided by the sum
    of their weights. The attention is of the block ``block``, mean over heads; the released code
    takes queries and keys of all heads as one.
    """

    kind: ClassVar[Kind] = "merge"
    whole: ClassVar[bool] = False
    exact: ClassVar[str] = "one row for the rest of each frame"
    paper: ClassVar[str] = "arXiv 2403.15388"
    neighbours: int = 32
    block: str = "-1"
    demand: str = "even"

    def __post_init__(self) -> None:
        check(self.demand, self.block)
        if not (isinstance(self.neighbours, int) and self.neighbours >= 0):
            raise ValueError(f"neighbours is a whole number, 0 or more, got {self.neighbours}")

    @property
    def needs(self) -> frozenset[str]:
        signals = {f"attention:{self.block}", f"key:{self.block}"}
        return frozenset(signals) | demand_needs(self.demand)

    def __call__(self, tokens: VisualTokens, k: int) -> TokenMap:
        frames, shares = by_frame(tokens), frame_shares(tokens, k, self.demand)
        attention = tokens.signals[f"attention:{self.block}"].float().clamp(min=LEAST)
        kept = top(attention, frames, (shares - 1).clamp(min=0))
        like, row = alike(tokens.signals[f"key:{self.block}"], frames, kept, self.neighbours)
        rest, host, which = leftover(kept, attention, tokens, shares)
        own = torch.arange(len(kept), device=kept.device)
        return TokenMap.merge(
            tokens,
            row=torch.cat([own, row, len(kept) + which]),
            host=torch.cat([kept, host]),
            src=torch.cat([kept, like, rest]),
            weight=torch.cat([torch.ones_like(kept), attention[like], attention[rest]]),
            stays=True,
        )


def alike(
    keys: Tensor, frames: Frames, centre: Tensor, neighbours: int, bonus: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The tokens of its frame that each of ``centre`` is most like, without itself.

    Args:
        keys: ``[N, d]``, compared by cosine.
        centre: ``[C]`` ascending.
        neighbours: how many for each, or all others where a frame has fewer.
        bonus: ``[N]``, added to the likeness to a token.

    Returns:
        The tokens ``[E]``, and for each which of ``centre`` it is like.
    """
    is_centre = torch.zeros(len(keys), dtype=torch.bool, device=keys.device)
    is_centre[centre] = True
    place, count = columns(is_centre[frames.index] & frames.there)
    n = frames.index.shape[1]
    neighbours = min(neighbours, n - 1)
    if not (neighbours and place.shape[1]):
        return centre[:0], centre[:0]
    mine = torch.arange(place.shape[1], device=keys.device) < count[:, None]
    plus = frames.values(torch.zeros(len(keys), device=keys.device) if bonus is None else bonus)
    block = max(1, _AT_ONCE // (n * max(place.shape[1], keys.shape[1])))
    rows = max(1, _AT_ONCE // n)
    likes, found = [], []
    for at in range(0, len(place), block):
        some = slice(at, at + block)
        index, towards = frames.index[some], frames.rows(keys, some).float()
        scale = 1 / torch.linalg.vector_norm(towards, dim=2).clamp(min=1e-12)
        for column, there in zip(
            torch.split(place[some], rows, 1), torch.split(mine[some], rows, 1), strict=True
        ):
            token = index.gather(1, column)
            cosine = keys[token].float() @ towards.mT
            cosine.mul_(scale[:, None]).mul_(scale.gather(1, column)[..., None])
            cosine.add_(plus[some, None])
            cosine.scatter_(2, column[..., None], float("-inf"))
            best = cosine.topk(neighbours, dim=2)
            among = index.gather(1, best.indices.flatten(1)).view_as(best.indices)
            known = there[..., None] & best.values.isfinite()
            likes.append(among[known])
            found.append(token[..., None].expand_as(among)[known])
    return torch.cat(likes), torch.searchsorted(centre, torch.cat(found))


def leftover(
    kept: Tensor, attention: Tensor, tokens: VisualTokens, shares: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The tokens that are not ``kept``, as one row of each frame that has a share.

    Returns:
        The tokens ``[E]``, the most attended one of each row, and the row of each token.
    """
    rest = torch.ones(len(tokens), dtype=torch.bool, device=kept.device)
    rest[kept] = False
    some = (shares > 0).to(kept.device)
    left = (rest & some[tokens.step]).nonzero().squeeze(1)
    which = (some.cumsum(0) - 1)[tokens.step[left]]
    return left, left[lowest(-attention[left], which, int(some.sum()))], which
