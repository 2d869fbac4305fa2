"""CATP, first stage: tokens that stand for their frame and fit the question."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from videopipe.compress.coverage import Coverage, most_covering
from videopipe.compress.directions import unit_rows
from videopipe.compress.frames import even_shares
from videopipe.compress.registry import Kind, register
from videopipe.compress.tokens import TokenMap, VisualTokens


@register("catp")
@dataclass(frozen=True, slots=True)
class CATP:
    """Keeps tokens that cover their frame and fit the text (CATP, AAAI 2026, first stage).

    In each frame tokens are chosen greedily by what they add to ``F``: the sum over all tokens of
    their likeness to the most alike chosen one, and ``alignment`` times the likeness of the chosen
    ones to the text; likeness is ``(1 + cosine) / 2``. Frames share the budget evenly. In the paper
    each picture has its text; here it is the question. With ``alignment`` 0 none is needed. No code
    was released. The second stage, within the language model, is none of a compressor's.
    """

    kind: ClassVar[Kind] = "prune"
    whole: ClassVar[bool] = False
    exact: ClassVar[str] = "even shares"
    paper: ClassVar[str] = "arXiv 2508.07871"
    alignment: float = 0.7

    def __post_init__(self) -> None:
        if not (math.isfinite(self.alignment) and self.alignment >= 0):
            raise ValueError(f"alignment is a number, 0 or more, got {self.alignment}")

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"question"} if self.alignment else ())

    def __call__(self, tokens: VisualTokens, k: int) -> TokenMap:
        bonus = np.zeros(len(tokens))
        if self.alignment:
            fits = (1 + tokens.signals["question"].double().cpu().numpy()) / 2
            bonus = self.alignment * fits.clip(0, 1)
        size = tokens.sizes.tolist()
        kept, start = [], 0
        for count, share in zip(size, even_shares(tokens, k).tolist(), strict=True):
            frame = slice(start, start + count)
            if share:
                unit, _ = unit_rows(tokens.features[frame])
                alike = (unit @ unit.mT).add_(1).clamp_(min=0).div_(2)
                picks = most_covering([Coverage(alike.cpu().numpy())], share, bonus=bonus[frame])
                kept += [start + pick for pick in sorted(picks)]
            start += count
        return TokenMap.keep(torch.tensor(kept, device=tokens.x.device), tokens.pos)
