"""Some frames finer than others: progressive pooling, and the hybrid resolution of Giraffe."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from videopipe.allocate import allocate
from videopipe.compress.registry import Kind, register
from videopipe.compress.resample import cell_sampling, even, sampled
from videopipe.compress.tokens import TokenMap, VisualTokens


@dataclass(frozen=True, slots=True)
class FirstOfGroup:
    """Frames in groups of ``group``, of which the first gets several times the tokens.

    Frames are averaged in cells as by ``pool``. Where fewer tokens than frames are left, so are
    neighbouring frames.
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    kind: ClassVar[Kind] = "pool"
    whole: ClassVar[bool] = True
    exact: ClassVar[str] = "largest remainders and unequal cells"
    paper: ClassVar[str] = ""
    group: int = 4

    def __post_init__(self) -> None:
        if not (isinstance(self.group, int) and self.group >= 1):
            raise ValueError(f"group is a whole number from 1, got {self.group}")
        if not (math.isfinite(self.times) and self.times > 0):
            raise ValueError("the first frame of a group gets a number of times the tokens above 0")

    @property
    @abstractmethod
    def times(self) -> float:
        """How many times the tokens of another frame the first of a group gets."""

    def shares(self, tokens: VisualTokens, k: int) -> Tensor:
        """How many of ``k`` tokens each frame gets, int64 ``[T]`` on the CPU; ``k >= T``."""
        steps, high, wide = tokens.grid
        first = torch.arange(steps) % self.group == 0
        demand = torch.where(first, self.times, 1.0).double().numpy()
        shares = allocate(demand, k, 0, high * wide)
        if not shares.all():
            shares = allocate(demand, k, 1, high * wide)
        return torch.from_numpy(shares)

    def __call__(self, tokens: VisualTokens, k: int) -> TokenMap:
        shares = even(k, k) if k < tokens.grid[0] else self.shares(tokens, k)
        return sampled(tokens, shares, cell_sampling)


@register("progressive")
@dataclass(frozen=True, slots=True)
class Progressive(FirstOfGroup):
    """Progressive pooling: the first of every four frames is left finer.

    It is pooled with stride ``near``, the others of its ``group`` with stride ``far``: as many
    times the tokens as the square of their ratio, 16. The strides themselves follow from the
    budget. Its change of the positions' frequencies is no part of it.
    """

    paper: ClassVar[str] = "arXiv 2409.20018"
    near: float = 2
    far: float = 8

    def __post_init__(self) -> None:
        if not (self.near > 0 and self.far > 0):
            raise ValueError(f"near and far are strides above 0, got {self.near}, {self.far}")
        FirstOfGroup.__post_init__(self)

    @property
    def times(self) -> float:
        return (self.far / self.near) ** 2


@register("giraffe")
@dataclass(frozen=True, slots=True)
class Giraffe(FirstOfGroup):
    """Giraffe's hybrid resolution (ACL 2025): a frame of three times the tokens in four.

    ``(L, m, s)`` of the paper are ``group``, what the budget leaves the first frame of each, and
    ``ratio``: 240 tokens and three times 80. The paper encodes the frames in two sizes; here all
    are encoded alike and pooled. Its trained positions are no part of it.
    """

    paper: ClassVar[str] = "arXiv 2412.12735"
    ratio: float = 3

    @property
    def times(self) -> float:
        return self.ratio
