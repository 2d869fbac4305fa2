"""ToMe's bipartite merging of each frame, and that of models whose vision towers merge with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from videopipe.compress.bipartite import merge
from videopipe.compress.frames import even_shares
from videopipe.compress.grouped import merged
from videopipe.compress.registry import Kind, register
from videopipe.compress.tokens import TokenMap, VisualTokens

_KEYS = "metric:-1"


@register("tome")
@dataclass(frozen=True, slots=True)
class TokenMerging:
    """Merges alike tokens of each frame in pairs, in rounds (ToMe, ICLR 2023).

    Frames share ``k`` evenly. In a round the tokens at even places that are most like one at an odd
    place go into it, by the cosine of their features (``metric="x"``) or of the keys of the last
    block of the vision tower (``"key"``, as published); what is compared in the next round is the
    mean of what was merged. A row is the plain mean of all its tokens. ToMe merges between the
    layers of the vision tower, which speeds that up and cannot be made up for afterwards; this
    merges what comes out. ``rounds`` spreads the merging evenly over as many rounds, as its layers
    do, and ``r`` merges as many tokens in each; with neither a round merges half of the tokens. The
    tower's order of rows, scrambled, is put back in the order of places.
    """

    kind: ClassVar[Kind] = "merge"
    whole: ClassVar[bool] = False
    exact: ClassVar[str] = "as many merges"
    paper: ClassVar[str] = "arXiv 2210.09461"
    metric: str = "x"
    rounds: int | None = None
    r: int | None = None

    def __post_init__(self) -> None:
        if self.metric not in ("x", "key"):
            raise ValueError(f"metric is x or key, got {self.metric}")
        for count in (self.rounds, self.r):
            if count is not None and not (isinstance(count, int) and count >= 1):
                raise ValueError(f"rounds and r are whole numbers from 1, got {count}")
        if self.rounds and self.r:
            raise ValueError("rounds and r are not given both")

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({_KEYS} if self.metric == "key" else ())

    def __call__(self, tokens: VisualTokens, k: int) -> TokenMap:
        def merger(x: Tensor, n: int) -> tuple[Tensor, Tensor]:
            most = -(-(x.shape[1] - n) // self.rounds) if self.rounds else self.r
            made = merge(x, n, most=most)
            return made.group, made.weight

        of = tokens.signals[_KEYS] if self.metric == "key" else None
        return merged(tokens, even_shares(tokens, k), merger, of)


@register("auroracap")
@dataclass(frozen=True, slots=True)
class AuroraCap(TokenMerging):
    """As tome in 31 rounds by keys: AuroraCap's merging, ICLR 2025, after its vision tower.

    The model merges in each of the layers that its features come from, 31 of 32. That it rounds
    the number for a layer down, and counts one layer too many, leaves more tokens than it is asked
    for; here the rest is merged as well. Its attention in proportion to sizes, which is without
    effect as released, is part of the tower and is not made.
    """

    paper: ClassVar[str] = "arXiv 2410.03051"
    metric: str = "key"
    rounds: int | None = 31
    r: int | None = None


@register("tinychart")
@dataclass(frozen=True, slots=True)
class TinyChart(TokenMerging):
    """As tome with 84 pairs a round by keys: TinyChart's merging, 2024, after its vision tower.

    The model goes from 2,916 tokens to 732 in 26 layers; here there are as many rounds as lead to
    the number. Frames of 168 tokens or fewer are merged by half in each.
    """

    paper: ClassVar[str] = "arXiv 2404.16635"
    metric: str = "key"
    rounds: int | None = None
    r: int | None = 84
