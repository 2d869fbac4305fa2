"""QuoTA: tokens for each frame in proportion to how well it fits the question."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from videopipe.allocate import allocate
from videopipe.compress.bipartite import merge
from videopipe.compress.grouped import merged
from videopipe.compress.registry import Kind, register
from videopipe.compress.resample import (
    Sampler,
    adaptive,
    bilinear,
    cut,
    even_sampling,
    grid_sampling,
    rows_for,
    sampled,
)
from videopipe.compress.tokens import TokenMap, VisualTokens


@register("quota")
@dataclass(frozen=True, slots=True)
class QuotaTokens:
    """QuoTA's token assignment (AAAI 2026): frames get tokens by their relevance.

    ``relevance`` is for each token the probability, 0 to 1, that its frame answers the question. A
    frame's share is that to the ``power``, of ``k`` exactly: what is above the tokens of a frame
    goes to the others (the released code loses up to three quarters of it, or enlarges frames).
    Each frame keeps ``floor`` tokens, as far as there are enough; the released code drops frames.

    ``assigner`` makes a frame smaller: ``bilinear`` (v1) and ``adaptive`` pooling (v2) resize its
    grid, ``linspace`` (v3) keeps tokens at even steps, ``tome`` (v4) merges alike tokens and
    ``tome-axes`` (v5) first those alike in a row, then in a column. Numbers that fill no grid stand
    in rows, or columns, whose lengths differ by one.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"relevance"})
    kind: ClassVar[Kind] = "pool"
    whole: ClassVar[bool] = True
    exact: ClassVar[str] = "largest remainders"
    paper: ClassVar[str] = "arXiv 2503.08689"
    assigner: str = "bilinear"
    power: float = 2.0
    floor: int = 1

    def __post_init__(self) -> None:
        if self.assigner not in (known := (*_SAMPLERS, *_MERGERS)):
            raise ValueError(f"assigner is one of {', '.join(known)}, got {self.assigner}")
        if not (math.isfinite(self.power) and self.power >= 0):
            raise ValueError(f"power is a number, 0 or more, got {self.power}")
        if not (isinstance(self.floor, int) and self.floor >= 0):
            raise ValueError(f"floor is a whole number, 0 or more, got {self.floor}")

    def __call__(self, tokens: VisualTokens, k: int) -> TokenMap:
        return self.assign(tokens, self.counts(tokens, k))

    def counts(self, tokens: VisualTokens, k: int) -> Tensor:
        """How many of ``k`` tokens each frame gets, int64 ``[T]`` on the CPU.

        Raises:
            ValueError: a relevance that is no probability.
        """
        steps, high, wide = tokens.grid
        chance = tokens.signals["relevance"].reshape(steps, high * wide)[:, 0].double().cpu()
        if not bool(((chance >= 0) & (chance <= 1)).all()):
            raise ValueError("the relevance of a frame is a probability, 0 to 1")
        # Relative to the best: a high power of small chances must not vanish.
        demand = (chance / chance.max().clamp(min=1e-300)) ** self.power
        floor = min(self.floor, k // steps)
        return torch.from_numpy(allocate(demand.numpy(), k, floor, high * wide))

    def assign(self, tokens: VisualTokens, counts: Tensor) -> TokenMap:
        """The map that leaves ``counts`` ``[T]`` tokens of each frame, ``h * w`` at most."""
        if self.assigner in _SAMPLERS:
            return sampled(tokens, counts, _SAMPLERS[self.assigner])
        grid = tokens.grid[1:]
        return merged(
            tokens,
            counts,
            lambda x, n: _MERGERS[self.assigner](x.reshape(len(x), *grid, -1), n),
        )


def _tome(x: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Group and weight ``[F, h * w]`` of the tokens of frames ``[F, h, w, D]``."""
    made = merge(x.flatten(1, 2), n, sizes=False)
    return made.group, made.weight


def _tome_axes(x: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """As :func:`_tome`: the tokens of each row to one number, those of each column to their own."""
    frames, high, wide, dim = x.shape
    columns = -(-n // rows_for(high, wide, n))
    across = merge(x.flatten(0, 1), columns, sizes=False)
    column = across.group.view(frames, high, wide)
    lines = across.x.view(frames, high, columns, dim).transpose(1, 2)
    group = torch.empty(frames, columns, high, dtype=torch.int64, device=x.device)
    weight = across.x.new_empty(frames, columns, high)
    spans = cut(n, columns)
    first = torch.tensor([span.start for span in spans], device=x.device)
    rows = torch.tensor([span.stop - span.start for span in spans], device=x.device)
    for count in torch.unique(rows).tolist():
        alike = (rows == count).nonzero().squeeze(1)
        down = merge(lines[:, alike].flatten(0, 1), count, sizes=False)
        group[:, alike] = first[alike, None] + down.group.view(frames, -1, high)
        weight[:, alike] = down.weight.view(frames, -1, high)
    # From the column and row of each token to its place among these.
    group = group.transpose(1, 2).gather(2, column)
    weight = weight.transpose(1, 2).gather(2, column) * across.weight.view_as(column)
    return group.flatten(1), weight.flatten(1)


# A frame [high, wide] to n tokens, whatever they say.
_SAMPLERS: dict[str, Sampler] = {
    "bilinear": lambda high, wide, n: grid_sampling(high, wide, n, bilinear),
    "adaptive": lambda high, wide, n: grid_sampling(high, wide, n, adaptive),
    "linspace": lambda high, wide, n: even_sampling(high * wide, n),
}
# Frames [F, h, w, D] to n tokens each, by what they say.
_MERGERS: dict[str, Callable[[Tensor, int], tuple[Tensor, Tensor]]] = {
    "tome": _tome,
    "tome-axes": _tome_axes,
}
