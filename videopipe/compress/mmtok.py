"""MMTok: tokens that stand for the words of the question and for all other tokens."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from videopipe.compress.coverage import Coverage, most_covering
from videopipe.compress.directions import unit_rows
from videopipe.compress.registry import Kind, register
from videopipe.compress.tokens import TokenMap, VisualTokens


@register("mmtok")
@dataclass(frozen=True, slots=True)
class MMTok:
    """Keeps tokens that cover the question and the picture (MMTok, ICLR 2026).

    Each word of the question (``text``) is spread over all tokens by a softmax of cosines over
    ``tv_temp``; so is each token over the tokens of its window, by ``vv_temp``, and counts
    ``alpha``. Tokens are chosen greedily so that what the best chosen token has of each sums to the
    most. Without words only tokens are covered.

    The released code takes one picture. A video is cut into windows of whole frames, ``window``
    tokens or some more; less than twice as many are one window, as there. Tokens are covered by
    those of their window only. Words are spread over the whole video, so that windows share the
    budget by what they have of the question. ``vv_temp`` 0.2 and ``tv_temp`` 0.01 are published for
    Qwen, 0.02 for LLaVA. Likeness of tokens is that of the projected ones, or with ``space="pre"``,
    as published, of what they are projected from.
    """

    kind: ClassVar[Kind] = "prune"
    whole: ClassVar[bool] = False
    exact: ClassVar[str] = "one token a pick"
    paper: ClassVar[str] = "arXiv 2508.18264"
    alpha: float = 0.5
    tv_temp: float = 0.01
    vv_temp: float = 0.2
    window: int = 1024
    space: str = "projected"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.alpha) and self.alpha >= 0):
            raise ValueError(f"alpha is a number, 0 or more, got {self.alpha}")
        for name, value in (("tv_temp", self.tv_temp), ("vv_temp", self.vv_temp)):
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} is a number above 0, got {value}")
        if not (isinstance(self.window, int) and self.window >= 1):
            raise ValueError(f"window is a whole number from 1, got {self.window}")
        if self.space not in ("projected", "pre"):
            raise ValueError(f"space is projected or pre, got {self.space}")

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"text", "pre"} if self.space == "pre" else {"text"})

    def __call__(self, tokens: VisualTokens, k: int) -> TokenMap:
        return TokenMap.keep(self.order(tokens, k).sort().values, tokens.pos)

    def order(self, tokens: VisualTokens, k: int, barred: Tensor | None = None) -> Tensor:
        """The tokens in the order in which they are picked, int64 ``[k]``.

        Args:
            barred: bool ``[N]``, tokens that are covered as others but not picked (padding).
        """
        projected, _ = unit_rows(tokens.features)
        seen = projected
        if self.space == "pre":
            seen, _ = unit_rows(tokens.signals["pre"].to(projected.device))
        windows = []
        for span in _windows(tokens, self.window):
            alike = (seen[span] @ seen[span].mT / self.vv_temp).softmax(1)
            windows.append(Coverage((alike * (self.alpha / len(tokens))).cpu().numpy()))
        words = None
        text = tokens.context["text"]
        if len(text):
            asked, _ = unit_rows(text.to(projected.device))
            fits = (asked @ projected.mT / self.tv_temp).softmax(1)
            words = Coverage((fits / len(text)).cpu().numpy())
        order = most_covering(
            windows, k, words, barred=None if barred is None else barred.cpu().numpy()
        )
        return torch.tensor(order, dtype=torch.int64, device=projected.device)


def _windows(tokens: VisualTokens, size: int) -> list[slice]:
    """Stretches of ``size`` tokens or some more, that end with a frame if one ends near.

    All tokens where there are less than twice as many.
    """
    n = len(tokens)
    parts = max(1, n // size)
    frames = tokens.sizes.cumsum(0)
    ends = [0]
    for part in range(1, parts):
        even = n * part // parts
        near = int(frames[(frames - even).abs().argmin()])
        end = near if abs(near - even) <= size // 2 else even
        if ends[-1] < end < n:
            ends.append(end)
    return [slice(start, end) for start, end in zip(ends, [*ends[1:], n], strict=True)]
