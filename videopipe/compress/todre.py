"""ToDRE, first stage: tokens that are as different as can be from all chosen ones together."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videopipe.compress.directions import ALIKE, filled, unit_rows
from videopipe.compress.max_min import max_min
from videopipe.compress.registry import Kind, register
from videopipe.compress.tokens import TokenMap, VisualTokens

_ATTENTION = "attention:-2"
_ROWS = 64  # of likenesses to all tokens, computed together
_HELD = 2**24  # likenesses
_SMALL = 2**23  # features
_LOOKED_AT = 1024  # tokens that the next picks may be of


@register("todre")
@dataclass(frozen=True, slots=True)
class ToDRE:
    """Keeps the tokens that are least like all chosen ones together (ToDRE, first stage).

    ``rule="max-sum"``, of the second version of the paper, always takes the token whose cosines
    with the chosen ones sum to the least; ``rule="k-center"``, of the first, the one that is
    farthest from the nearest chosen one. Both over the whole video, from the token that is least
    like the mean of all, or with ``seed_by="attention"``, as published, from the one with the
    highest attention; the paper finds that it hardly matters (0.2 %). No code was released. Tokens
    of zeros come last, and tokens that nothing tells apart follow at even distances. The second
    stage, which drops all vision late in the language model, is none of a compressor's.
    """

    kind: ClassVar[Kind] = "prune"
    whole: ClassVar[bool] = False
    exact: ClassVar[str] = "one token a pick"
    paper: ClassVar[str] = "arXiv 2505.18757"
    rule: str = "max-sum"
    seed_by: str = "mean"

    def __post_init__(self) -> None:
        if self.rule not in ("max-sum", "k-center"):
            raise ValueError(f"rule is max-sum or k-center, got {self.rule}")
        if self.seed_by not in ("mean", "attention"):
            raise ValueError(f"seed_by is mean or attention, got {self.seed_by}")

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({_ATTENTION} if self.seed_by == "attention" else ())

    def __call__(self, tokens: VisualTokens, k: int) -> TokenMap:
        return TokenMap.keep(self.order(tokens, k).sort().values, tokens.pos)

    def order(self, tokens: VisualTokens, k: int) -> Tensor:
        """The tokens in the order in which they are picked, int64 ``[k]``."""
        unit, nothing = unit_rows(tokens.features)
        if self.seed_by == "attention":
            score = tokens.signals[_ATTENTION].float().to(unit.device)
        else:
            score = -(unit @ unit.mean(0))
        seed = int(score.masked_fill(nothing, -torch.inf).argmax())
        if self.rule == "k-center":
            return max_min(unit, k, seed, last=nothing)
        return max_sum(unit, k, seed, nothing)


def max_sum(unit: Tensor, k: int, first: int, last: Tensor) -> Tensor:
    """``k`` tokens, each the least like those picked before it, int64 ``[k]`` in this order.

    A token's cosines with all others are needed once it is picked. They are computed for many
    together, those that would be picked next if there were only the tokens that are now the least
    alike, and kept until their turn comes: the same picks as with all tokens read for each. Few
    tokens are read faster than the next picks are foreseen.

    Args:
        unit: ``[N, D]``, rows of unit length.
        first: the first pick.
        last: bool ``[N]``, only taken when nothing else is left.
    """
    if unit.numel() <= _SMALL:
        return _one_by_one(unit, k, first, last)
    n, device = len(unit), unit.device
    at_end: NDArray[np.bool_] = last.cpu().numpy()
    held: dict[int, NDArray[np.float32]] = {first: (unit @ unit[first]).cpu().numpy()}
    likeness = np.zeros(n)  # float64: thousands of cosines are summed
    likeness[at_end] = np.inf
    order, pick, foreseen = [], first, 0
    while True:
        order.append(pick)
        likeness += held.pop(pick)
        likeness[pick] = np.inf
        if len(order) == k:
            break
        pick = int(likeness.argmin())
        if pick in held:
            continue
        left = np.isfinite(likeness)
        if not left.any() or np.ptp(likeness[left]) <= ALIKE * len(order):
            break
        # As far ahead as was foreseen last time, and further if all of it came true.
        several = min(_ROWS, max(_ROWS // 8, 2 * (len(order) - foreseen)))
        foreseen = len(order)
        rows = _ahead(unit, likeness, pick, several, held)
        worst_first = sorted(held, key=likeness.__getitem__, reverse=True)
        for row in worst_first[: max(0, len(held) + len(rows) - max(_ROWS, _HELD // n))]:
            del held[row]
        cosines = (unit[torch.tensor(rows, device=device)] @ unit.mT).cpu().numpy()
        # Copies: a row must not hold the others that it was computed with.
        held.update(zip(rows, map(np.copy, cosines), strict=True))
    return torch.tensor(filled(order, k, at_end), dtype=torch.int64, device=device)


def _one_by_one(unit: Tensor, k: int, first: int, last: Tensor) -> Tensor:
    likeness = torch.zeros(len(unit), dtype=torch.float64, device=unit.device)
    gone = last.clone()
    order, pick = [], first
    while True:
        order.append(pick)
        gone[pick] = True
        likeness += unit @ unit[pick]
        if len(order) == k:
            break
        low, place = likeness.masked_fill(gone, torch.inf).min(0)
        if bool(likeness.masked_fill(gone, -torch.inf).max() - low <= ALIKE * len(order)):
            break  # nothing tells those apart that are left, or there are none
        pick = int(place)
    return torch.tensor(filled(order, k, last.cpu().numpy()), device=unit.device)


def _ahead(
    unit: Tensor, likeness: NDArray[np.float64], pick: int, several: int, held: Container[int]
) -> list[int]:
    """The next picks, ``pick`` first, if all of them are of the tokens that are now the best.

    ``several`` at most, without those that are ``held``.
    """
    some = min(len(unit), max(_ROWS, min(_LOOKED_AT, len(unit) // 16)))
    rows = np.argpartition(likeness, some - 1)[:some]
    rows = np.unique(np.append(rows[np.isfinite(likeness[rows])], pick))
    among = unit[torch.from_numpy(rows).to(unit.device)]
    cosines, here = (among @ among.mT).cpu().numpy(), likeness[rows]
    found, place = [], int(np.searchsorted(rows, pick))
    for _ in rows:
        if (row := int(rows[place])) not in held:
            found.append(row)
        if len(found) == several:
            break
        here += cosines[place]
        here[place] = np.inf
        place = int(here.argmin())
    return found
