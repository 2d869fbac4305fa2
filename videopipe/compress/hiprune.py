"""HiPrune: objects in a middle block, their neighbours, and what the last block attends to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from videopipe.compress.demand import check, demand_needs, frame_shares
from videopipe.compress.frames import by_frame, top
from videopipe.compress.registry import Kind, register
from videopipe.compress.tokens import TokenMap, VisualTokens


@register("hiprune")
@dataclass(frozen=True, slots=True)
class HiPrune:
    """HiPrune: anchors of a middle block with their neighbours, and registers of a deep block.

    Of a frame's share ``K`` the ``K * alpha / 5`` tokens that receive the most attention in block
    ``middle`` are anchors, the four next to each its buffers; the rest are the tokens that receive
    the most in block ``deep``. The blocks are those for Qwen2.5-VL; for CLIP the paper takes block
    8 and -2. ``demand`` is what frames share the budget by, see :mod:`videopipe.compress.demand`.

    The released code looks for neighbours by number: at the left edge it takes the last token of
    the row above. Here an anchor at an edge has fewer neighbours. Where a small budget does not
    hold all buffers, those with more attention in the deep block are kept.
    """

    kind: ClassVar[Kind] = "prune"
    whole: ClassVar[bool] = False
    exact: ClassVar[str] = "registers that fill each frame's share"
    paper: ClassVar[str] = "arXiv 2508.00553"
    alpha: float = 0.1
    middle: str = "50%"
    deep: str = "-1"
    demand: str = "even"

    def __post_init__(self) -> None:
        check(self.demand, self.middle, self.deep)
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha is 0 to 1, got {self.alpha}")

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({f"recv:{self.middle}", f"recv:{self.deep}"}) | demand_needs(self.demand)

    def __call__(self, tokens: VisualTokens, k: int) -> TokenMap:
        frames, shares = by_frame(tokens), frame_shares(tokens, k, self.demand)
        count = (shares.double() * self.alpha / 5).round().long()
        kept = top(tokens.signals[f"recv:{self.middle}"], frames, count)
        deep, left = tokens.signals[f"recv:{self.deep}"].float(), shares - count
        taken = torch.zeros(len(tokens), dtype=torch.bool, device=deep.device)
        taken[kept] = True
        buffer = _beside(taken, tokens)
        number = torch.bincount(tokens.step[buffer], minlength=len(left)).cpu().minimum(left)
        for among, count in ((buffer, number), (~buffer, left - number)):
            score = deep.masked_fill(~among | taken, float("-inf"))
            kept = torch.cat([kept, top(score, frames, count)])
        return TokenMap.keep(kept.sort().values, tokens.pos)


def _beside(anchor: Tensor, tokens: VisualTokens) -> Tensor:
    """Bool ``[N]``: the tokens next to one of ``anchor``, in their row or column, that are none."""
    steps, high, wide = tokens.grid
    row, column = tokens.pos[:, 1:].round().long().T
    marked = torch.zeros(steps, high + 2, wide + 2, dtype=torch.bool, device=anchor.device)
    marked[tokens.step[anchor], row[anchor] + 1, column[anchor] + 1] = True
    cross = marked[:, :-2, 1:-1] | marked[:, 2:, 1:-1] | marked[:, 1:-1, :-2] | marked[:, 1:-1, 2:]
    return cross[tokens.step, row, column] & ~anchor
