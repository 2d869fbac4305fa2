"""Dominant tokens kept, the others merged into contextual ones: VisionZip and VisionDrop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize

from videopipe.compress.demand import check, demand_needs, frame_shares
from videopipe.compress.frames import by_frame, columns, top
from videopipe.compress.registry import Kind, register
from videopipe.compress.tokens import TokenMap, VisualTokens

_AT_ONCE = 2**22  # cosines


@dataclass(frozen=True, slots=True)
class DominantContextual:
    """Keeps the dominant tokens of each frame and merges all others into contextual ones.

    Of a frame's share the part ``dominant`` are the tokens that get the most attention in
    ``block``. Of the others, tokens at even distances are targets; each other one joins the target
    whose key (mean over heads) is most like its own (cosine). ``demand`` is what frames share the
    budget by, see :mod:`videopipe.compress.demand`.

    The released code takes targets at whole steps, which never reach the last of the others, and
    adds the mean of the tokens that join to the target, which makes tokens up to twice as long.
    Here the targets go on to the end, as evenly as can be, and a row is the mean of all its tokens,
    at the place of its target.
    """

    kind: ClassVar[Kind] = "merge"
    whole: ClassVar[bool] = False
    exact: ClassVar[str] = "contextual tokens that fill the share"
    paper: ClassVar[str] = ""
    dominant: float = 54 / 64
    block: str = "-2"
    demand: str = "even"

    def __post_init__(self) -> None:
        check(self.demand, self.block)
        if not 0 <= self.dominant <= 1:
            raise ValueError(f"dominant is a part, 0 to 1, got {self.dominant}")

    @property
    def needs(self) -> frozenset[str]:
        signals = {f"attention:{self.block}", f"metric:{self.block}"}
        return frozenset(signals) | demand_needs(self.demand)

    def __call__(self, tokens: VisualTokens, k: int) -> TokenMap:
        frames, shares = by_frame(tokens), frame_shares(tokens, k, self.demand)
        dominant = (shares.double() * self.dominant).round().long()
        kept = top(tokens.signals[f"attention:{self.block}"], frames, dominant)
        if len(kept) == k:
            return TokenMap.keep(kept, tokens.pos)
        others = torch.ones(len(tokens), dtype=torch.bool, device=kept.device)
        others[kept] = False
        column, left = columns(others[frames.index] & frames.there)
        rest = frames.index.gather(1, column)
        contextual = (shares - dominant).to(rest.device)
        number = torch.arange(int(contextual.max()), device=rest.device)
        # At even distances: where these are whole, the published targets.
        place = number * left[:, None] // contextual.clamp(min=1)[:, None]
        target = rest.gather(1, place.clamp(max=rest.shape[1] - 1))
        nearest = _nearest(tokens.signals[f"metric:{self.block}"], rest, target, contextual)
        is_target = number < contextual[:, None]
        # The place of a target is once more that of the first, which is its own as well.
        own = number.where(is_target, 0).expand_as(place)
        nearest.scatter_(1, place.where(is_target, 0), own)
        joins = torch.arange(rest.shape[1], device=rest.device) < left[:, None]
        joins &= contextual[:, None] > 0
        first = (len(kept) + contextual.cumsum(0) - contextual)[:, None]
        return TokenMap.merge(
            tokens,
            row=torch.cat([torch.arange(len(kept), device=kept.device), (first + nearest)[joins]]),
            host=torch.cat([kept, target[is_target]]),
            src=torch.cat([kept, rest[joins]]),
            stays=True,
        )


def _nearest(keys: Tensor, rest: Tensor, target: Tensor, count: Tensor) -> Tensor:
    """Which of the first ``count`` ``[T]`` columns of ``target`` each of ``rest`` is most like.

    int64 ``[T, m]``; the tokens are ``rest`` ``[T, m]`` and ``target`` ``[T, c]`` of ``keys``.
    """
    keys = normalize(keys.float(), dim=1)
    beyond = torch.arange(target.shape[1], device=rest.device) >= count[:, None]
    block = max(1, _AT_ONCE // (rest.shape[1] * target.shape[1]))
    rows = max(1, _AT_ONCE // target.shape[1])
    found = []
    for some, other, none in zip(
        *(torch.split(of, block) for of in (rest, target, beyond)), strict=True
    ):
        towards = keys[other].mT
        found.append(
            torch.cat(
                [
                    (keys[part] @ towards).masked_fill_(none[:, None], float("-inf")).argmax(2)
                    for part in torch.split(some, rows, 1)
                ],
                1,
            )
        )
    return torch.cat(found)


@register("visionzip")
@dataclass(frozen=True, slots=True)
class VisionZip(DominantContextual):
    """VisionZip (CVPR 2025): the most attended tokens, and the others merged into a few.

    The class token, which the paper passes on as well, is no token of the grid and not counted.
    """

    paper: ClassVar[str] = "arXiv 2412.04467"
    dominant: float = 54 / 64
    block: str = "-2"
    demand: str = "even"


@register("visiondrop")
@dataclass(frozen=True, slots=True)
class VisionDrop(DominantContextual):
    """VisionDrop (AAAI 2026), its stage in the vision tower: as VisionZip, with other shares.

    Its later stages work within the language model and are not done here.
    """

    paper: ClassVar[str] = "arXiv 2506.22283"
    dominant: float = 42 / 48
    block: str = "-2"
    demand: str = "even"
