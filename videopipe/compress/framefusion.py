"""FrameFusion: tokens that do not change are averaged over time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from videopipe.compress.changes import Reference, changes, checked
from videopipe.compress.registry import Kind, register
from videopipe.compress.tokens import TokenMap, VisualTokens


@register("framefusion")
@dataclass(frozen=True, slots=True)
class FrameFusion:
    """FrameFusion (ICCV 2025): averages the tokens most like those before them at their place.

    Those that are most like (cosine) the token of the frame before are merged with it, all of a run
    into their mean, which stands at the place of the first. This is the first step of the
    published method, on tokens as they enter the language model. It merges what is above a
    threshold, or as many as its costs ask for; here these are what ``k`` asks for. Its other step,
    pruning by attention in the language model, is not part of it.

    Neighbours in a long run are alike and its ends need not be: ``reference="kept"`` compares with
    the first token of the run. Where ``k`` does not suffice for the first frame, tokens there are
    merged with their neighbours in the same way.
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    kind: ClassVar[Kind] = "merge"
    whole: ClassVar[bool] = True
    exact: ClassVar[str] = "rank of differences"
    paper: ClassVar[str] = "arXiv 2501.01986"
    reference: Reference = "previous"

    def __post_init__(self) -> None:
        checked(self.reference)

    def __call__(self, tokens: VisualTokens, k: int) -> TokenMap:
        heads = _heads(changes(tokens, k, self.reference), tokens.grid)
        host, row = torch.unique(heads, return_inverse=True)
        return TokenMap.merge(tokens, row, host, stays=True)


def _heads(kept: Tensor, grid: tuple[int, int, int]) -> Tensor:
    """The token that each one is merged into, int64 ``[N]``: the last ``kept`` ``[T, n]`` before.

    In the first frame it is the last one in the row, or, if there is none, that of the row above.
    """
    index = torch.arange(kept.numel(), device=kept.device).view(grid)
    heads = index.where(kept.view(grid), -1)
    heads[0, :, 0] = heads[0, :, 0].cummax(0).values
    heads[0] = heads[0].cummax(1).values
    return heads.cummax(0).values.flatten()
