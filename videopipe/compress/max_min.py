"""Greedy choice of tokens far from each other: the same picks as the plain procedure, in blocks.

The plain greedy reads all tokens for each pick. Here what is known of a token may be old: the more
is chosen, the nearer the chosen ones are, so an old distance bounds the new one from above, and
tokens whose bound is low are not looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videopipe.compress.directions import ALIKE, filled

_LOOKED_AT = 1024  # tokens whose distances are made new together
_TOGETHER = 256  # of these, whose distances from each other are known during a block of picks
_AT_ONCE = 2**24  # distances
_CANDIDATES = 128  # of the most isolated token, looked at together
_SAMPLE = 64  # of all tokens, that each is compared with first

Floats = NDArray[np.float32]


def max_min(
    unit: Tensor, k: int, first: int, weight: Tensor | None = None, last: Tensor | None = None
) -> Tensor:
    """``k`` tokens far from each other, int64 ``[k]`` in the order in which they are picked.

    Each pick is the token of the largest ``weight * distance`` (1 - cosine) to the nearest one
    picked, ties to the earlier token. When all that are left are equal to picked ones, or have no
    weight, the rest is filled with tokens at even distances.

    Args:
        unit: ``[N, D]``, rows of unit length.
        first: the first pick.
        weight: ``[N]``, 0 or more; None for 1.
        last: bool ``[N]``, only taken when nothing else is left.
    """
    greedy = _Greedy(unit, first, weight, last)
    while len(greedy.order) < k and greedy.block(k):
        pass
    order = filled(greedy.order, k, greedy.last)
    return torch.tensor(order[:k], dtype=torch.int64, device=unit.device)


class _Greedy:
    """What is picked, and of each token its distance to the first ``seen`` of these at least."""

    def __init__(
        self, unit: Tensor, first: int, weight: Tensor | None, last: Tensor | None
    ) -> None:
        n = len(unit)
        self.unit = unit
        self.order = [first]
        self.weight: Floats = (
            np.ones(n, dtype=np.float32) if weight is None else weight.float().cpu().numpy()
        )
        self.last: NDArray[np.bool_] = (
            np.zeros(n, dtype=bool) if last is None else last.cpu().numpy()
        )
        self.distance: Floats = (1 - unit @ unit[first]).cpu().numpy()
        self.distance[self.last] = -np.inf
        self.distance[first] = -np.inf
        self.seen = np.ones(n, dtype=np.int64)

    def block(self, k: int) -> bool:
        """Look at the most promising tokens and pick some of them; whether there may be more."""
        worth = self._worth(np.arange(len(self.unit)))
        rows, bound = _highest(worth, _LOOKED_AT)
        if worth[rows].max() <= 0:
            return False
        self._look(rows)
        worth = self._worth(rows)
        rows = rows[worth >= bound]  # others cannot be picked before one that is not looked at
        if not len(rows):
            return True
        best, inner = _highest(self._worth(rows), _TOGETHER)
        rows, bound = np.sort(rows[best]), max(bound, inner)
        some = self.unit[torch.from_numpy(rows).to(self.unit.device)]
        apart = (1 - some @ some.mT).cpu().numpy()
        distance, weight = self.distance[rows], self.weight[rows]
        while len(self.order) < k:
            worth = weight * np.where(distance > ALIKE, distance, 0)
            pick = int(worth.argmax())
            if worth[pick] < bound or worth[pick] <= 0:
                break
            self.order.append(int(rows[pick]))
            np.minimum(distance, apart[pick], out=distance)
            distance[pick] = -np.inf
        self.distance[rows], self.seen[rows] = distance, len(self.order)
        return True

    def _worth(self, rows: NDArray[np.int64]) -> Floats:
        """Of ``rows``, at most; 0 of those that are equal to a picked one."""
        distance = self.distance[rows]
        worth: Floats = self.weight[rows] * np.where(distance > ALIKE, distance, 0)
        return worth

    def _look(self, rows: NDArray[np.int64]) -> None:
        """Make the distances of ``rows`` new."""
        now, device = len(self.order), self.unit.device
        stale = rows[self.seen[rows] < now]
        stale = stale[np.argsort(self.seen[stale], kind="stable")]
        picked = torch.tensor(self.order, device=device)
        # Those that have seen about as many picks go together.
        parts = max(4, -(-len(stale) * now // _AT_ONCE))
        for part in np.array_split(stale, parts):
            if len(part):
                new = self.unit[picked[int(self.seen[part[0]]) :]]
                nearest = (self.unit[torch.from_numpy(part).to(device)] @ new.mT).amax(1)
                distance = (1 - nearest).cpu().numpy()
                self.distance[part] = np.minimum(self.distance[part], distance)
        self.seen[stale] = now


def _highest(values: Floats, count: int) -> tuple[NDArray[np.int64], float]:
    """The places of the ``count`` highest, and the highest of the others."""
    if count >= len(values):
        return np.arange(len(values)), -np.inf
    order: NDArray[Any] = np.argpartition(-values, count)
    return order[:count], float(values[order[count]])


def most_isolated(unit: Tensor, near: Sequence[int] = (), last: Tensor | None = None) -> int:
    """The token whose nearest other one is farthest; the first one if all have an equal.

    Exact, and looks at few tokens where most have another near them: the distance to any other
    bounds that to the nearest, and tokens are looked at in the order of their bounds.

    Args:
        unit: ``[N, D]``, rows of unit length, two at least.
        near: how far on in the sequence a token like this one may be, for good bounds.
        last: bool ``[N]``, only taken when nothing else is left.
    """
    n = len(unit)
    bound = _bounds(unit, near)
    if last is not None:
        bound[last] = -1
    best, found = -torch.inf, int((bound > -1).int().argmax())
    if float(bound.max()) <= ALIKE:
        return found
    while True:
        highest, rows = bound.topk(min(_CANDIDATES, n))
        if float(highest[0]) <= best:
            return found
        rows = rows[highest > -1].sort().values
        apart = 1 - unit[rows] @ unit.mT
        apart[torch.arange(len(rows), device=rows.device), rows] = torch.inf
        nearest, place = apart.amin(1).max(0)
        if float(nearest) > best:
            best, found = float(nearest), int(rows[place])
        bound = torch.minimum(bound, apart.amin(0))
        bound[rows] = -1


def _bounds(unit: Tensor, near: Sequence[int]) -> Tensor:
    """The distance of each token to some others: those ``near`` by, and a sample of all."""
    n, dim = unit.shape
    bound = unit.new_full((n,), torch.inf)
    rows = max(1, _AT_ONCE // 16 // dim)
    for step in {step for step in near if 0 < step < n}:
        pairs = zip(torch.split(unit[step:], rows), torch.split(unit[:-step], rows), strict=True)
        apart = 1 - torch.cat([(one * other).sum(1) for one, other in pairs])
        bound[step:] = torch.minimum(bound[step:], apart)
        bound[:-step] = torch.minimum(bound[:-step], apart)
    count = min(n, _SAMPLE)
    sample = torch.arange(count, device=unit.device) * n // count
    apart = 1 - unit[sample] @ unit.mT
    apart[torch.arange(count, device=unit.device), sample] = torch.inf
    return torch.minimum(bound, apart.amin(0))
