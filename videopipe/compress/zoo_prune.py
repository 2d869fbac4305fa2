"""ZOO-Prune: different tokens that the projector is sensitive to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from videopipe.compress.directions import unit_rows
from videopipe.compress.max_min import max_min
from videopipe.compress.registry import Kind, register
from videopipe.compress.tokens import TokenMap, VisualTokens


@register("zoo-prune")
@dataclass(frozen=True, slots=True)
class ZooPrune:
    """Keeps tokens far from each other, weighted by how sensitive they are (ZOO-Prune, CVPR 2026).

    The first is the most sensitive token, then always the one of the largest ``sensitivity *
    distance`` to the nearest chosen one, over the whole video, with sensitivities scaled to 0-1.
    ``weight="sensitivity"`` is how far the projected token moves with small changes of what it is
    projected from; ``weight="norm"`` is the length of the projected token, which orders tokens
    almost alike (rank correlation .97 to .99) and costs nothing. Tokens of zeros come last.
    """

    kind: ClassVar[Kind] = "prune"
    whole: ClassVar[bool] = False
    exact: ClassVar[str] = "one token a pick"
    paper: ClassVar[str] = "arXiv 2509.24837"
    weight: str = "sensitivity"

    def __post_init__(self) -> None:
        if self.weight not in ("sensitivity", "norm"):
            raise ValueError(f"weight is sensitivity or norm, got {self.weight}")

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"sensitivity"} if self.weight == "sensitivity" else ())

    def __call__(self, tokens: VisualTokens, k: int) -> TokenMap:
        return TokenMap.keep(self.order(tokens, k).sort().values, tokens.pos)

    def order(self, tokens: VisualTokens, k: int) -> Tensor:
        """The tokens in the order in which they are picked, int64 ``[k]``."""
        unit, nothing = unit_rows(tokens.features)
        if self.weight == "norm":
            score = torch.linalg.vector_norm(tokens.features, dim=1)
        else:
            score = tokens.signals["sensitivity"].float().to(unit.device)
        score = (score - score.min()) / (score.max() - score.min() + 1e-8)
        if not bool(score.any()):
            score = torch.ones_like(score)
        first = int(score.masked_fill(nothing, -1).argmax())
        return max_min(unit, k, first, score, nothing)
