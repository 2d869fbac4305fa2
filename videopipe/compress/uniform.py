"""Every n-th token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from videopipe.compress.registry import Kind, register
from videopipe.compress.tokens import TokenMap, VisualTokens


@register("uniform")
@dataclass(frozen=True, slots=True)
class Uniform:
    """Keeps ``k`` tokens at even distances in the sequence, the baseline of pruning methods."""

    needs: ClassVar[frozenset[str]] = frozenset()
    kind: ClassVar[Kind] = "prune"
    whole: ClassVar[bool] = False
    exact: ClassVar[str] = "even distances"
    paper: ClassVar[str] = ""

    def __call__(self, tokens: VisualTokens, k: int) -> TokenMap:
        # The middle of each of k equal stretches, in whole numbers.
        steps = torch.arange(k, device=tokens.x.device)
        return TokenMap.keep((2 * steps + 1) * len(tokens) // (2 * k), tokens.pos)
