"""The tokens that the vision tower attends to most: one method under three names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from videopipe.compress.demand import check, demand_needs, frame_shares
from videopipe.compress.frames import Frames, by_frame, top
from videopipe.compress.registry import Kind, register
from videopipe.compress.tokens import TokenMap, VisualTokens


@dataclass(frozen=True, slots=True)
class AttentionTopK:
    """Keeps the tokens of each frame that get the most attention in a block of the vision tower.

    ``block`` counts from the end if negative; ``-8..-2`` is the mean over these, ``50%`` the last
    block of the first half. The attention is that of the class token, or, in a tower without one,
    of all tokens. ``demand`` is what frames share the budget by, see
    :mod:`videopipe.compress.demand`.
    """

    kind: ClassVar[Kind] = "prune"
    whole: ClassVar[bool] = False
    exact: ClassVar[str] = "the best of each frame's share"
    paper: ClassVar[str] = ""
    block: str = "-2"
    demand: str = "even"

    def __post_init__(self) -> None:
        check(self.demand, self.block)

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({f"attention:{self.block}"}) | demand_needs(self.demand)

    def __call__(self, tokens: VisualTokens, k: int) -> TokenMap:
        score = tokens.signals[f"attention:{self.block}"]
        kept = top(score, by_frame(tokens), frame_shares(tokens, k, self.demand))
        return TokenMap.keep(kept, tokens.pos)


@register("fastervlm")
@dataclass(frozen=True, slots=True)
class FasterVlm(AttentionTopK):
    """FasterVLM: what the class token attends to in the last block but one.

    The paper keeps as many tokens of each image; so does ``demand=even``. The mean over heads ranks
    tokens as their sum does.
    """

    paper: ClassVar[str] = "arXiv 2412.01818"
    block: str = "-2"
    demand: str = "even"


@register("vtc-cls")
@dataclass(frozen=True, slots=True)
class VtcCls(AttentionTopK):
    """VTC-CLS: what the class token attends to in the late blocks of the vision tower together.

    The released code adds up blocks 16 to 22 of 24 and leaves out the last one, whose output the
    model does not see. That ranks tokens as the mean does.
    """

    paper: ClassVar[str] = "arXiv 2412.05819"
    block: str = "-8..-2"
    demand: str = "even"


@register("fopru")
@dataclass(frozen=True, slots=True)
class FoPru(AttentionTopK):
    """FoPru: the tokens, or rows of the grid, that receive the most attention.

    ``strategy`` is ``rank``, the best tokens, or ``row``: the rows of each frame with the most
    attention in all are kept whole, and of the next best one its best tokens as far as there is
    room. Attention is that from all tokens. There is no released code.
    """

    paper: ClassVar[str] = "arXiv 2411.14164"
    block: str = "-2"
    demand: str = "even"
    strategy: str = "rank"

    def __post_init__(self) -> None:
        AttentionTopK.__post_init__(self)
        if self.strategy not in ("rank", "row"):
            raise ValueError(f"strategy is rank or row, got {self.strategy}")

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({f"recv:{self.block}"}) | demand_needs(self.demand)

    def __call__(self, tokens: VisualTokens, k: int) -> TokenMap:
        score, frames = tokens.signals[f"recv:{self.block}"].float(), by_frame(tokens)
        if self.strategy == "row":
            score = -_by_rows(score, tokens, frames).float()
        kept = top(score, frames, frame_shares(tokens, k, self.demand))
        return TokenMap.keep(kept, tokens.pos)


def _by_rows(score: Tensor, tokens: VisualTokens, frames: Frames) -> Tensor:
    """The place ``[N]`` of each token in its frame, 0 first: by the sum of its row, then its own.

    Of equal rows the upper one is first.
    """
    steps, high, _ = tokens.grid
    row = tokens.step * high + tokens.pos[:, 1].round().long()
    total = torch.zeros(steps * high, dtype=torch.float64, device=score.device)
    total.index_add_(0, row, score.double())
    row_rank = (-total).view(steps, high).argsort(dim=1, stable=True).argsort(dim=1).flatten()
    order = score.argsort(descending=True, stable=True)
    order = order[row_rank[row[order]].argsort(stable=True)]
    order = order[tokens.step[order].argsort(stable=True)]
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order), device=order.device)
    return place - frames.index[tokens.step, 0]
