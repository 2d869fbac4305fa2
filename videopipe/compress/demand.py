"""How much of the budget each frame wants: what compressors within frames share ``k`` out by.

``even`` is the same for all. ``vidcom2`` gives more to frames unlike the others (arXiv 2505.14454),
``karl`` to frames that fewer tokens describe worse, so that all are described equally well (the
idea of KARL, which learns it), ``outliers`` to frames with more tokens of outstanding attention
(PruMerge, arXiv 2403.15388), ``relevance`` to frames that fit the question.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import torch
from torch import Tensor

from videopipe.compress.frames import by_frame, demand_shares, even_shares, frame_means
from videopipe.compress.tokens import VisualTokens
from videopipe.compress.vidcom2 import demand as unusual
from videopipe.compress.vidcom2 import uniqueness

_OUTLIERS = "attention:-2"
_BLOCK = re.compile(r"-?\d+%?(\.\.-?\d+%?)?")
_AT_ONCE = 2**22  # distances
_MOST = 1024  # tokens of a frame that distances are taken between
_ROUNDING = 1e-6  # of squared distances, against the squared norms that they are the difference of


def check(demand: str, *blocks: object) -> None:
    """See that parameters name a demand, and blocks of a vision tower: ``-2``, ``50%``, ``-8..-2``.

    Raises:
        ValueError: one does not.
    """
    if demand not in _SHARES:
        raise ValueError(f"demand is one of {', '.join(_SHARES)}, got {demand}")
    for block in blocks:
        if not _BLOCK.fullmatch(str(block)):
            raise ValueError(f"a block is written as -2, 50% or -8..-2, got {block}")


def demand_needs(demand: str) -> frozenset[str]:
    """The signals that a demand is told from."""
    named = {"outliers": {_OUTLIERS}, "relevance": {"relevance"}}
    return frozenset(named.get(demand, ()))


def frame_shares(tokens: VisualTokens, k: int, demand: str = "even") -> Tensor:
    """``k`` tokens shared out by a demand, int64 ``[T]`` on the CPU.

    No frame gets more than it has, and each that has tokens gets one as far as there are enough.
    """
    return _SHARES[demand](tokens, k)


def outliers(attention: Tensor) -> Tensor:
    """How many of the values ``[..., n]`` are above their third quartile by 1.5 times the range
    between the quartiles, int64 ``[...]``. NaN is no value."""
    quartiles = torch.tensor([0.25, 0.75], device=attention.device)
    low, high = torch.nanquantile(attention.float(), quartiles, -1)
    outstanding: Tensor = attention > (high + 1.5 * (high - low))[..., None]
    return outstanding.sum(-1)


def _unusual(tokens: VisualTokens, k: int) -> Tensor:
    return demand_shares(tokens, unusual(uniqueness(tokens)).cpu() * tokens.sizes, k)


def _outstanding(tokens: VisualTokens, k: int) -> Tensor:
    seen = by_frame(tokens).values(tokens.signals[_OUTLIERS].float(), float("nan"))
    return demand_shares(tokens, outliers(seen), k)


def _relevant(tokens: VisualTokens, k: int) -> Tensor:
    mean = frame_means(tokens, tokens.signals["relevance"].double())
    return demand_shares(tokens, mean.clamp(min=0), k)


def _equally_well(tokens: VisualTokens, k: int) -> Tensor:
    """As many tokens of each frame as bring all others of it within one distance of them.

    Tokens are picked farthest first. Each pick ends a distance: the ``k`` largest of all frames
    win, of equal ones the earlier pick, so that frames of one colour share evenly. In frames of
    more than 1,024 tokens every second, third, ... one is looked at.
    """
    frames = by_frame(tokens)
    nth = -(-frames.index.shape[1] // _MOST)
    there = frames.there[:, ::nth]
    some = there.any(1)
    if k < int(some.sum()):
        return even_shares(tokens, k)
    spare = max(0, k // nth - int(some.sum()))
    picks = min(there.shape[1] - 1, spare)
    block = max(1, _AT_ONCE // there.shape[1] ** 2)
    radii = []
    for at in range(0, len(there), block):
        part = slice(at, at + block)
        if nth == 1:
            x = frames.rows(tokens.features, part)
        else:
            x = tokens.features[frames.index[part, ::nth]]
        radii.append(_radii(x, there[part], picks))
    radius = torch.cat(radii)
    # By pick, then by frame: the order among equal distances.
    order = radius.T.flatten().argsort(descending=True, stable=True)[:spare]
    order = order[radius.T.flatten()[order] >= 0]
    counts = some.long() + torch.bincount(order % len(some), minlength=len(some))
    return demand_shares(tokens, counts, k, floor=0)


def _radii(x: Tensor, there: Tensor, picks: int) -> Tensor:
    """How far the farthest token is from all that were picked before it, squared ``[F, picks]``.

    The first pick, which is not counted, is the token nearest to the mean. -1 where there is no
    token left.

    Args:
        x: ``[F, n, D]``.
        there: bool ``[F, n]``: which are tokens.
    """
    dot = x @ x.mT
    norm = dot.diagonal(dim1=1, dim2=2).clone()
    both = norm[:, :, None] + norm[:, None]
    apart = dot.mul_(-2).add_(both)
    apart.masked_fill_(apart < both.mul_(_ROUNDING), 0)
    share = there.float() / there.sum(1, keepdim=True).clamp(min=1)
    from_mean = torch.bmm(apart, share[..., None]).squeeze(2)  # but for a constant
    pick = from_mean.masked_fill(~there, float("inf")).argmin(1)
    nearest = x.new_full(there.shape, float("inf")).masked_fill_(~there, -1)
    radius = x.new_empty(len(x), picks)
    for number in range(picks):
        chosen = pick[:, None]
        row = apart.gather(1, chosen[..., None].expand(-1, 1, apart.shape[2])).squeeze(1)
        # What was picked is never picked again.
        nearest = torch.minimum(nearest, row).scatter_(1, chosen, -1)
        radius[:, number], pick = nearest.max(1)
    return radius


_SHARES: dict[str, Callable[[VisualTokens, int], Tensor]] = {
    "even": even_shares,
    "vidcom2": _unusual,
    "karl": _equally_well,
    "outliers": _outstanding,
    "relevance": _relevant,
}
