"""PPLLaVA: pooling in which what fits the question counts more."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from torch import Tensor

from videopipe.compress.grouped import lowest
from videopipe.compress.registry import Kind, register
from videopipe.compress.resample import cell_sampling, even, sampled
from videopipe.compress.tokens import TokenMap, VisualTokens

Form = Literal["window", "video"]


@register("ppllava")
@dataclass(frozen=True, slots=True)
class PPLLaVA:
    """PPLLaVA (ICLR 2026): means over windows of space and time, weighted by the question.

    Windows are ``frames`` long, as far as that leaves places enough, and share ``k`` evenly; each
    is cut into cells as by ``pool``. The published ones are of 2 x 3 x 3 tokens, and drop what
    fills none. A token counts by the exponential of ``scale`` times its cosine with the question:

    - ``window`` is the formula of the paper, divided by the sum of a window. The paper does not,
      which makes tokens about a thousand times smaller, the more so the longer the video.
    - ``video`` is the released code: the softmax over the whole video, and of that, divided by
      ``temperature``, another in each window. The first is about 1 by the number of tokens, so
      that the second is nearly the plain mean.

    A row stands at the mean place of its tokens by weight, at the time of the one that counts most.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"question"})
    kind: ClassVar[Kind] = "pool"
    whole: ClassVar[bool] = True
    exact: ClassVar[str] = "unequal cells"
    paper: ClassVar[str] = "arXiv 2411.02327"
    form: Form = "window"
    frames: int = 2
    scale: float = 100.0
    temperature: float = 0.01

    def __post_init__(self) -> None:
        if self.form not in get_args(Form):
            raise ValueError(f"form is one of {', '.join(get_args(Form))}, got {self.form}")
        if not (isinstance(self.frames, int) and self.frames >= 1):
            raise ValueError(f"frames is a whole number from 1, got {self.frames}")
        if not (math.isfinite(self.scale) and self.scale >= 0):
            raise ValueError(f"scale is a number, 0 or more, got {self.scale}")
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise ValueError(f"temperature is a number above 0, got {self.temperature}")

    def __call__(self, tokens: VisualTokens, k: int) -> TokenMap:
        steps, high, wide = tokens.grid
        runs = min(k, max(-(-steps // self.frames), -(-k // (high * wide))))
        cells = sampled(tokens, even(k, runs), cell_sampling)
        logit = self.scale * tokens.signals["question"].float()
        if self.form == "video":
            logit = logit.softmax(0) / self.temperature
        weight = softmax(logit[cells.src], cells.dst, k)
        host = cells.src[lowest(-weight, cells.dst, k)]
        return TokenMap.merge(tokens, cells.dst, host, cells.src, weight)


def softmax(logit: Tensor, row: Tensor, rows: int) -> Tensor:
    """The softmax of ``logit`` ``[E]`` within each of ``rows``, float32 ``[E]``."""
    most = logit.new_full((rows,), -math.inf).scatter_reduce(0, row, logit, "amax")
    weight = (logit - most[row]).exp()
    return weight / weight.new_zeros(rows).index_add_(0, row, weight)[row]
