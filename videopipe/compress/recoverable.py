"""Recoverable compression: what the question asks for is recovered from the tokens not kept."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from videopipe.allocate import allocate
from videopipe.compress.demand import check, demand_needs, frame_shares
from videopipe.compress.frames import Frames, by_frame, top
from videopipe.compress.prumerge import LEAST, alike, leftover
from videopipe.compress.registry import Kind, register
from videopipe.compress.tokens import TokenMap, VisualTokens


@register("recoverable")
@dataclass(frozen=True, slots=True)
class RecoverableCompression:
    """Recoverable Compression (AAAI 2025): attended tokens, those of the question, the rest merged.

    A frame keeps the tokens that get the most attention in ``block``, then those nearest to the
    question. Of the others the most attended are centres: each takes in the 32 tokens of its frame
    most like it (cosine of keys, and ``text`` times the likeness to the question) by the attention
    they get. One more row of each frame is the mean of all that are left, by attention.
    ``demand`` is what frames share the budget by, see :mod:`videopipe.compress.demand`.

    The paper takes as many of each kind as there are outliers (local outlier factor of the sorted
    scores), which meets no number: here these counts share out the frame's part. Rows are divided
    by the sum of their weights. The released code looks up the keys of centres by wrong indices.
    ``text`` is its weight of 50, for likeness that it divides by the root of 768.
    """

    kind: ClassVar[Kind] = "merge"
    whole: ClassVar[bool] = False
    exact: ClassVar[str] = "even shares of the frames"
    paper: ClassVar[str] = "arXiv 2409.01179"
    text: float = 50 / math.sqrt(768)
    block: str = "-1"
    demand: str = "even"

    def __post_init__(self) -> None:
        check(self.demand, self.block)
        if not (math.isfinite(self.text) and self.text >= 0):
            raise ValueError(f"text is a number, 0 or more, got {self.text}")

    @property
    def needs(self) -> frozenset[str]:
        signals = {f"attention:{self.block}", f"key:{self.block}", "question"}
        return frozenset(signals) | demand_needs(self.demand)

    def __call__(self, tokens: VisualTokens, k: int) -> TokenMap:
        frames, shares = by_frame(tokens), frame_shares(tokens, k, self.demand)
        attention = tokens.signals[f"attention:{self.block}"].float().clamp(min=LEAST)
        question = tokens.signals["question"].float()
        kinds = _kinds(frames, attention, question, shares)
        seen = top(attention, frames, kinds[:, 0])
        asked = top(_without(seen, question), frames, kinds[:, 1])
        kept = torch.cat([seen, asked])
        centre = top(_without(kept, attention), frames, kinds[:, 2])
        keys = tokens.signals[f"key:{self.block}"]
        like, which = alike(keys, frames, centre, 32, self.text * question)
        single = torch.cat([kept, centre])
        rest, host, row = leftover(single, attention, tokens, shares)
        return TokenMap.merge(
            tokens,
            row=torch.cat(
                [
                    torch.arange(len(single), device=single.device),
                    len(kept) + which,
                    len(single) + row,
                ]
            ),
            host=torch.cat([single, host]),
            src=torch.cat([single, like, rest]),
            weight=torch.cat([torch.ones_like(single), attention[like], attention[rest]]),
            stays=True,
        )


def _without(taken: Tensor, score: Tensor) -> Tensor:
    return score.index_fill(0, taken, float("-inf"))


def _kinds(frames: Frames, attention: Tensor, question: Tensor, shares: Tensor) -> Tensor:
    """How many tokens of each frame are attended, asked for, and centres: int64 ``[T, 3]``.

    With the row of what is left they are the frame's share, in the proportions of the published
    counts. One is added to each of these, so that every kind gets something of a large share.
    """
    there, size = frames.there, frames.there.sum(1)
    score, asked = frames.values(attention), frames.values(question, float("inf"))
    seen = outlying(score, there, 20)
    picked = _best(score, seen)
    asked = asked.where(~picked, asked.amin(1, keepdim=True)).where(there, float("-inf"))
    text = outlying(asked, there, 20) * (size - seen) // size.clamp(min=1)
    picked |= _best(asked.masked_fill(picked, float("-inf")), text)
    left = there & ~picked
    merged = (seen + text) * outlying(score, left, 10) // left.sum(1).clamp(min=1)
    wanted = torch.stack([seen, text, merged], 1).cpu().numpy() + 1
    parts = [allocate(of, max(0, n - 1)) for of, n in zip(wanted, shares.tolist(), strict=True)]
    return torch.from_numpy(np.stack(parts))


def _best(score: Tensor, count: Tensor) -> Tensor:
    """Bool ``[T, n]``: the ``count`` ``[T]`` highest of each row."""
    rank = score.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    return rank < count[:, None]


def outlying(values: Tensor, there: Tensor, neighbours: int) -> Tensor:
    """How many values of each row ``[T, n]`` are outliers by their local outlier factor, ``[T]``.

    Those whose ``neighbours`` nearest are more than 1.5 times as dense on average, as scikit-learn
    counts them. Of sorted values the nearest are a window.

    Args:
        there: bool ``[T, n]``: which are values.
    """
    size = there.sum(1)[:, None, None]
    values = values.double().masked_fill(~there, float("inf")).sort(dim=1).values
    values = values.masked_fill(values.isinf(), 0)
    n = values.shape[1]
    near = (size - 1).clamp(0, neighbours)  # [T, 1, 1]
    place = torch.arange(n, device=values.device)[:, None]
    number = torch.arange(min(neighbours, n - 1) + 1, device=values.device)

    def at(of: Tensor, index: Tensor) -> Tensor:
        index = index.clamp(0, n - 1).expand(len(of), -1, -1)
        return of.gather(1, index.flatten(1)).view(index.shape)

    # All windows of near + 1 values around each; the narrowest are its nearest.
    start = place - number
    reach = torch.maximum(
        values[..., None] - at(values, start), at(values, start + near) - values[..., None]
    )
    fits = (start >= 0) & (number <= near) & (start + near < size)
    width, back = reach.masked_fill(~fits, float("inf")).min(2)
    member = (place - back[..., None]) + number
    others = (number <= near) & (member != place)
    apart = torch.maximum((at(values, member) - values[..., None]).abs(), at(width, member))
    near = near.squeeze(2).clamp(min=1)
    density = 1 / (apart.where(others, 0).sum(2) / near + 1e-10)
    factor = at(density, member).where(others, 0).sum(2) / near / density
    return ((factor > 1.5) & (size.squeeze(2) > place.T)).sum(1)
