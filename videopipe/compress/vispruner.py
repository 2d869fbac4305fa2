"""VisPruner: important tokens, and of the others those least like each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize

from videopipe.compress.demand import check, demand_needs, frame_shares
from videopipe.compress.frames import by_frame
from videopipe.compress.registry import Kind, register
from videopipe.compress.tokens import TokenMap, VisualTokens

_MOST = 1024  # tokens of a list
_AT_ONCE = 2**22  # cosines, features


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
    exact: ClassVar[str] = "the last round drops what is left to drop"
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
        order = frames.index.gather(1, score.argsort(dim=1, descending=True, stable=True))
        important = (shares.double() * self.important).floor().long()
        place = torch.arange(order.shape[1], device=order.device)
        kept = [order[place < important[:, None]]]
        diverse = shares - important
        length = (frames.there.sum(1) - important).where(diverse > 0, 0)
        if int(diverse.sum()):
            rest = order.gather(1, (place + important[:, None]).clamp(max=order.shape[1] - 1))
            kept.append(self._thinned(tokens.signals["pre"], rest, length, diverse))
        return TokenMap.keep(torch.cat(kept).sort().values, tokens.pos)

    def _thinned(self, x: Tensor, lists: Tensor, length: Tensor, keep: Tensor) -> Tensor:
        """The tokens that are left of ``lists`` ``[F, m]``, ``keep`` ``[F]`` of each."""
        parts = max(1, -(-int(length.max()) // _MOST))
        # Every part has each parts-th token; all have about as many, and keep about as many.
        pad = -lists.shape[1] % parts
        lists = torch.cat([lists, lists[:, :1].expand(-1, pad)], 1)
        lists = lists.view(len(lists), -1, parts).mT.flatten(0, 1)
        behind = torch.arange(parts - 1, -1, -1, device=lists.device)
        length, keep = (((count[:, None] + behind) // parts).flatten() for count in (length, keep))
        lists = lists[:, : int(length.max())]
        kept = []
        block = max(1, _AT_ONCE // (lists.shape[1] * max(lists.shape[1], x.shape[1])))
        for some, size, left in zip(
            *(torch.split(of, block) for of in (lists, length, keep)), strict=True
        ):
            unit = normalize(x[some].float(), dim=-1)
            places = _diverse(unit @ unit.mT, size, left, self.step)
            mine = torch.arange(places.shape[1], device=some.device) < left[:, None]
            kept.append(some.gather(1, places)[mine])
        return torch.cat(kept)


def _diverse(cosine: Tensor, length: Tensor, keep: Tensor, step: int) -> Tensor:
    """The places that are left of lists: the first ``keep`` ``[F]`` columns of int64 ``[F, m]``.

    Args:
        cosine: ``[F, m, m]``.
        length: ``[F]``: how long each list is.
        step: how many tokens go in a round, at most.
    """
    frame = torch.arange(len(cosine), device=cosine.device)[:, None]
    places = torch.arange(cosine.shape[1], device=cosine.device).expand(len(cosine), -1)
    while int((length - keep).max()) > 0:
        places = places[:, : int(length.max())]
        even, odd = places[:, ::2], places[:, 1::2]
        evens, odds = (length + 1) // 2, length // 2
        going = torch.minimum((length - keep).clamp(max=step), evens)
        number = torch.arange(even.shape[1], device=places.device)
        like = cosine[frame, even].gather(2, odd[:, None].expand(-1, even.shape[1], -1))
        nowhere = number[: odd.shape[1]] >= odds[:, None]
        nearest = like.new_full(even.shape, float("-inf"))
        if odd.shape[1]:
            nearest = like.masked_fill_(nowhere[:, None], float("-inf")).amax(2)
        nearest.masked_fill_(number >= evens[:, None], float("-inf"))
        even = even.gather(1, nearest.argsort(dim=1, descending=True, stable=True))
        # Even places that stay, the most alike first, then odd ones: the released order.
        stay = (number >= going[:, None]) & (number < evens[:, None])
        order = torch.cat([~stay, nowhere], 1).byte().argsort(dim=1, stable=True)
        places = torch.cat([even, odd], 1).gather(1, order)
        length = length - going
    return places[:, : max(1, int(keep.max()))]
