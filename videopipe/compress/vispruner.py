"""VisPruner: important tokens, and of the others those least like each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from videopipe.compress.demand import check, demand_needs, frame_shares
from videopipe.compress.frames import Frames, by_frame
from videopipe.compress.registry import Kind, register
from videopipe.compress.tokens import TokenMap, VisualTokens

_MOST = 1024  # tokens of a list
_AT_ONCE = 2**22  # cosines


@register("vispruner")
@dataclass(frozen=True, slots=True)
class VisPruner:
    """VisPruner: the most attended tokens of each frame, and diverse ones of the rest.

    Of a frame's share the part ``important`` are the tokens that get the most attention in
    ``block``. The others are a list by attention, which is thinned in rounds: of the tokens at even
    places the ``step`` most like one at an odd place go (cosine of the features before the
    projector). ``demand`` is what frames share the budget by, see
    :mod:`videopipe.compress.demand`.

    The released code fails where the list has an odd length. Here frames are thinned together, and
    a list of more than 1,024 tokens as several, of every second, third, ... token.
    """

    kind: ClassVar[Kind] = "prune"
    whole: ClassVar[bool] = False
    exact: ClassVar[str] = "a last round of what is left to drop"
    paper: ClassVar[str] = "arXiv 2412.01818"
    important: float = 0.5
    step: int = 8
    block: str = "-2"
    demand: str = "even"

    def __post_init__(self) -> None:
        check(self.demand, self.block)
        if not 0 <= self.important <= 1:
            raise ValueError(f"important is a part, 0 to 1, got {self.important}")
        if not (isinstance(self.step, int) and self.step >= 1):
            raise ValueError(f"step is a whole number, 1 or more, got {self.step}")

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({f"attention:{self.block}", "pre"}) | demand_needs(self.demand)

    def __call__(self, tokens: VisualTokens, k: int) -> TokenMap:
        frames = by_frame(tokens)
        shares = frame_shares(tokens, k, self.demand).to(tokens.x.device)
        score = frames.values(tokens.signals[f"attention:{self.block}"].float())
        order = score.argsort(dim=1, descending=True, stable=True)
        important = (shares.double() * self.important).floor().long()
        place = torch.arange(order.shape[1], device=order.device)
        kept = [frames.index.gather(1, order)[place < important[:, None]]]
        diverse = shares - important
        if int(diverse.sum()):
            length = (frames.there.sum(1) - important).where(diverse > 0, 0)
            rest = order.gather(1, (place + important[:, None]).clamp(max=len(place) - 1))
            rest = rest[:, : int(length.max())]
            kept.append(_thinned(frames, tokens.signals["pre"], rest, length, diverse, self.step))
        return TokenMap.keep(torch.cat(kept).sort().values, tokens.pos)


def _thinned(
    frames: Frames, x: Tensor, lists: Tensor, length: Tensor, keep: Tensor, step: int
) -> Tensor:
    """The tokens that are left of ``lists`` ``[T, m]``, columns of the frames, ``keep`` of each."""
    index, parts = frames.index, -(-lists.shape[1] // _MOST)
    if parts > 1:  # each has every parts-th token: all are about as long, and keep about as many
        lists = functional.pad(lists, (0, -lists.shape[1] % parts))
        index = index.gather(1, lists).view(len(lists), -1, parts).mT.flatten(0, 1)
        lists = torch.arange(index.shape[1], device=index.device).expand(len(index), -1)
        behind = torch.arange(parts - 1, -1, -1, device=index.device)
        length, keep = (((count[:, None] + behind) // parts).flatten() for count in (length, keep))
    kept = []
    block = max(1, _AT_ONCE // index.shape[1] ** 2)
    for at in range(0, len(index), block):
        some = slice(at, at + block)
        features = frames.rows(x, some) if parts == 1 else x[index[some]]
        columns = _diverse(_cosine(features.float()), lists[some], length[some], keep[some], step)
        mine = torch.arange(columns.shape[1], device=index.device) < keep[some, None]
        kept.append(index[some].gather(1, columns)[mine])
    return torch.cat(kept)


def _cosine(x: Tensor) -> Tensor:
    """``[F, n, D]`` to ``[F, n, n]``: no unit vectors are made, which are larger."""
    dot = x @ x.mT
    scale = 1 / dot.diagonal(dim1=1, dim2=2).sqrt().clamp(min=1e-12)
    return dot.mul_(scale[:, None]).mul_(scale[..., None])


def _diverse(cosine: Tensor, lists: Tensor, length: Tensor, keep: Tensor, step: int) -> Tensor:
    """What is left of ``lists`` ``[F, m]``: the first ``keep`` ``[F]`` of the columns answered.

    Args:
        cosine: ``[F, n, n]``, of the ``n`` tokens that lists name.
        length: ``[F]``: how long each list is.
        step: how many tokens go in a round, at most.
    """
    n = cosine.shape[1]
    first = n * torch.arange(len(cosine), device=cosine.device)[:, None]
    while int((length - keep).max()) > 0:
        lists = lists[:, : int(length.max())]
        even, odd = lists[:, ::2], lists[:, 1::2]
        evens, odds = (length + 1) // 2, length // 2
        number = torch.arange(even.shape[1], device=lists.device)
        nowhere = number[: odd.shape[1]] >= odds[:, None]
        nearest = cosine.new_full(even.shape, float("-inf"))
        if odd.shape[1]:
            like = cosine.view(-1, n).index_select(0, (first + even).flatten())
            like = like.view(*even.shape, n).gather(2, odd[:, None].expand(*even.shape, -1))
            nearest = like.masked_fill_(nowhere[:, None], float("-inf")).amax(2)
        nearest.masked_fill_(number >= evens[:, None], float("-inf"))
        even = even.gather(1, nearest.argsort(dim=1, descending=True, stable=True))
        # Even places that stay, the most alike first, then odd ones: the released order.
        going = torch.minimum((length - keep).clamp(max=step), evens)
        stay = (number >= going[:, None]) & (number < evens[:, None])
        order = torch.cat([~stay, nowhere], 1).byte().argsort(dim=1, stable=True)
        lists = torch.cat([even, odd], 1).gather(1, order)
        length = length - going
    return lists[:, : int(keep.max())]
