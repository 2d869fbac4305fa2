"""VidCom2: the budget goes to unusual frames, and in each frame to unusual tokens."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from videopipe.compress.frames import by_frame, demand_shares, frame_means, top
from videopipe.compress.registry import Kind, register
from videopipe.compress.tokens import TokenMap, VisualTokens

_WIDTHS = (0.125, 0.25, 0.5, 1.0, 2.0)
_AT_ONCE = 2**17  # features: what stays in the cache


@register("vidcom2")
@dataclass(frozen=True, slots=True)
class UnusualTokens:
    """VidCom2 (EMNLP 2025): unusual frames get more tokens, and keep their most unusual ones.

    A token is usual if it is like the mean of all tokens and like that of its frame, over the part
    ``channels`` of the features that varies least. A frame is as unusual as its tokens are on
    average, compared with all; ``temperature`` is that of the softmax over frames. Each frame keeps
    one token at least, as far as there are enough.

    The released code rounds the share of each frame, and so misses its own number by up to one a
    frame; what is above the tokens of a frame is lost. Here both are shared out.
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    kind: ClassVar[Kind] = "prune"
    whole: ClassVar[bool] = False
    exact: ClassVar[str] = "largest remainders"
    paper: ClassVar[str] = "arXiv 2505.14454"
    temperature: float = 0.01
    channels: float = 0.5

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise ValueError(f"temperature is a number above 0, got {self.temperature}")
        if not 0 < self.channels <= 1:
            raise ValueError(f"channels is above 0 and at most 1, got {self.channels}")

    def __call__(self, tokens: VisualTokens, k: int) -> TokenMap:
        known = usual(tokens, self.channels)
        wanted = demand(_unusual(known, tokens), self.temperature).cpu() * tokens.sizes
        shares = demand_shares(tokens, wanted, k)
        kept = top(-(known.video + known.frame), by_frame(tokens), shares)
        return TokenMap.keep(kept, tokens.pos)


class Usual(NamedTuple):
    """How usual each token is: in the ``video``, in its ``frame``. Float32 ``[N]``, 0 to 5."""

    video: Tensor
    frame: Tensor


def usual(tokens: VisualTokens, channels: float = 0.5) -> Usual:
    """Likeness of each token to the mean of all and to that of its frame.

    A sum of Gaussians, of five widths, of the distance between tokens of unit length over the part
    ``channels`` of the features that varies least.
    """
    x = tokens.features
    count = max(1, int(x.shape[1] * channels))
    x = x[:, _spread(x).argsort(stable=True)[:count].sort().values]
    norm = torch.linalg.vector_norm(x, dim=1)
    scale = 1 / norm.clamp(min=1e-12)
    length = (norm * scale).square()  # 1, or 0 of a token of zeros
    middle = scale @ x / len(x)
    cross, square = [], []
    sizes = tokens.sizes.tolist()
    for some, part in zip(torch.split(x, sizes), torch.split(scale, sizes), strict=True):
        own = part @ some / max(1, len(some))
        cross.append(some @ own)
        square.append((own @ own).expand(len(some)))
    return Usual(
        _gaussians(length - 2 * scale * (x @ middle) + middle @ middle),
        _gaussians(length - 2 * scale * torch.cat(cross) + torch.cat(square)),
    )


def uniqueness(tokens: VisualTokens, channels: float = 0.5) -> Tensor:
    """How unusual each frame is in the video, float32 ``[T]``, -5 to 0; -inf without tokens."""
    return _unusual(usual(tokens, channels), tokens)


def demand(uniqueness: Tensor, temperature: float = 0.01) -> Tensor:
    """What a token of each frame is worth to it, ``[T]``: 1 on average, below 2.

    Args:
        uniqueness: ``[T]``, -inf for a frame without tokens, which has 0.
        temperature: of the softmax over frames.
    """
    there = uniqueness.isfinite()
    share = ((uniqueness - uniqueness.max()) / temperature).softmax(0)
    return (1 + share - 1 / there.sum()).where(there, 0)


def _unusual(known: Usual, tokens: VisualTokens) -> Tensor:
    there = (tokens.sizes > 0).to(known.video.device)
    return (-frame_means(tokens, known.video)).where(there, float("-inf"))


def _gaussians(squares: Tensor) -> Tensor:
    squares = squares.clamp(min=0)
    return torch.stack([torch.exp(squares / (-2 * width)) for width in _WIDTHS]).sum(0)


def _spread(x: Tensor) -> Tensor:
    """The variance of each feature ``[D]``, as ``x.var(0)``, of which the cache holds a part."""
    middle = x.mean(0)
    rows = max(1, _AT_ONCE // x.shape[1])
    apart = x.new_empty(min(rows, len(x)), x.shape[1])
    total = torch.zeros_like(middle)
    for some in torch.split(x, rows):
        square = torch.sub(some, middle, out=apart[: len(some)]).square_()
        total += square.sum(0)
    return total / len(x)
