"""DivPrune: tokens as different from each other as can be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from videopipe.compress.directions import unit_rows
from videopipe.compress.max_min import max_min, most_isolated
from videopipe.compress.registry import Kind, register
from videopipe.compress.tokens import TokenMap, VisualTokens


@register("divprune")
@dataclass(frozen=True, slots=True)
class DivPrune:
    """Keeps tokens far from each other, over the whole video (DivPrune, CVPR 2025).

    The first is the token whose nearest other one is farthest; then always the one that is farthest
    from the nearest chosen one (1 - cosine), the greedy rule of max-min diversity. The same picks
    as the released code, which keeps a matrix of all pairs. When only tokens equal to chosen ones
    are left the released code takes the same ones again; here others follow at even distances.
    Tokens of zeros, which make NaN there, come last.
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    kind: ClassVar[Kind] = "prune"
    whole: ClassVar[bool] = False
    exact: ClassVar[str] = "one token a pick"
    paper: ClassVar[str] = "arXiv 2503.02175"

    def __call__(self, tokens: VisualTokens, k: int) -> TokenMap:
        return TokenMap.keep(self.order(tokens, k).sort().values, tokens.pos)

    def order(self, tokens: VisualTokens, k: int) -> Tensor:
        """The tokens in the order in which they are picked, int64 ``[k]``."""
        unit, nothing = unit_rows(tokens.features)
        _, high, wide = tokens.grid
        first = most_isolated(unit, (1, wide, high * wide), nothing)
        return max_min(unit, k, first, last=nothing)
