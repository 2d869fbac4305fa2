"""DPC-KNN, density peaks of sets of tokens: clusters for PPE, FastVID, HoliTom and PruneVid.

A token is a centre if it is dense and far from all that are denser. Densities are kept as
logarithms: the published products of exponentials vanish in float32 where features are large.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

_AT_ONCE = 2**21  # distances
_KEPT = 2**23  # distances
_ROUNDING = 1e-6  # of squared distances, against the squared norms that they are the difference of
_LEAST = torch.finfo(torch.float32).min


class Density(NamedTuple):
    """Of the tokens of ``F`` sets, float32 ``[F, n]`` each.

    ``log_rho`` is minus the mean of the squared distances to the nearest tokens, its own of 0 among
    them; -inf where there is no token. ``delta`` is the distance to the nearest token of a higher
    density, or the largest one of the set for its densest token. Of equal densities the earlier
    token's is higher; the published code adds random noise. Distances are divided by the root of
    the number of features.
    """

    log_rho: Tensor
    delta: Tensor

    @property
    def score(self) -> Tensor:
        """``log(rho * delta)``: -inf where there is no token, finite for copies of other ones."""
        return self.log_rho + self.delta.log().clamp(min=_LEAST / 2)


def density(x: Tensor, there: Tensor | None = None, neighbours: int = 5) -> Density:
    """The densities of tokens, in memory linear in their number.

    Args:
        x: ``[F, n, D]``: ``F`` sets of at most ``n`` tokens.
        there: bool ``[F, n]``: which are tokens; None for all.
        neighbours: how many of the nearest, the token itself included; fewer in smaller sets.
    """
    if there is None:
        there = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
    n = x.shape[1]
    block = max(1, _AT_ONCE // (n * n))
    parts = [
        _few(some, here, neighbours)[0] if n * n <= _KEPT else _many(some, here, neighbours)
        for some, here in zip(torch.split(x, block), torch.split(there, block), strict=True)
    ]
    return Density(*(torch.cat(part) for part in zip(*parts, strict=True)))


def centres(score: Tensor, counts: Tensor) -> Tensor:
    """The ``counts`` ``[F]`` tokens of the highest score of each set, the best first.

    int64 ``[F, c]`` for the largest count ``c``; what is beyond the count of a set means nothing.
    Of equal scores the earlier token is better, but copies of other tokens, which nothing tells
    apart, are taken at even distances.

    Args:
        score: ``[F, n]`` as of :class:`Density`; no count exceeds the tokens of its set.
    """
    counts = counts.to(score.device)
    copy = (score > float("-inf")) & (score < _LEAST / 4)
    several = copy.sum(1).clamp(min=1)[:, None]
    wanted = (counts - (score >= _LEAST / 4).sum(1)).clamp(min=0)[:, None]
    rank = copy.cumsum(1)
    even = copy & (rank * wanted // several > (rank - 1) * wanted // several)
    score = score.masked_fill(copy, _LEAST).masked_fill(even, _LEAST / 2)
    return score.argsort(dim=1, descending=True, stable=True)[:, : int(counts.max())]


def assign(x: Tensor, centres: Tensor, counts: Tensor) -> Tensor:
    """Which centre each token is nearest to (Euclidean), int64 ``[F, n]``, a column of ``centres``.

    Centres are their own. Of centres at equal distances it is the better one.

    Args:
        x: ``[F, n, D]``.
        centres: ``[F, c]`` as of :func:`centres`, each a token of its set.
        counts: ``[F]``: how many of them there are, 1 or more for a set that matters.
    """
    counts = counts.to(x.device)
    columns = torch.arange(centres.shape[1], device=x.device)
    parts = []
    block = max(1, _AT_ONCE // (x.shape[1] * len(columns)))
    rows = max(1, _AT_ONCE // len(columns))
    for some, index, several in zip(
        *(torch.split(of, block) for of in (x, centres, counts)), strict=True
    ):
        some = some.float()
        mean = some.mean(1, keepdim=True)
        # Without the mean, which would drown small distances; as far as tokens need not be copied.
        chosen = some.gather(1, index[..., None].expand(-1, -1, some.shape[2])) - mean
        far = (mean * chosen).sum(2) + _lengths(chosen) / 2
        far.masked_fill_(columns >= several[:, None], float("inf"))
        nearest = torch.cat(
            [
                (part @ chosen.mT).sub_(far[:, None]).argmax(2)
                for part in torch.split(some, rows, 1)
            ],
            1,
        )
        parts.append(_with_centres(nearest, index, several))
    return torch.cat(parts)


def clusters(
    x: Tensor, there: Tensor, counts: Tensor, neighbours: int = 5
) -> tuple[Tensor, Tensor]:
    """:func:`centres` and :func:`assign` by the :func:`density` of ``x``, its distances made once.

    Returns:
        The centres ``[F, c]`` and which of them each token is nearest to, ``[F, n]``.
    """
    counts = counts.to(x.device)
    if x.shape[0] * x.shape[1] ** 2 > _KEPT:
        best = centres(density(x, there, neighbours).score, counts)
        return best, assign(x, best, counts)
    found, apart = _few(x, there, neighbours)
    best = centres(found.score, counts)
    rows = apart.gather(1, best[..., None].expand(-1, -1, apart.shape[2]))
    beyond = torch.arange(best.shape[1], device=x.device) >= counts[:, None]
    nearest = rows.masked_fill_(beyond[..., None], float("inf")).argmin(1)
    return best, _with_centres(nearest, best, counts)


def _with_centres(nearest: Tensor, centres: Tensor, counts: Tensor) -> Tensor:
    """``nearest`` ``[F, n]`` with each centre its own."""
    columns = torch.arange(centres.shape[1], device=centres.device)
    # What is beyond a count repeats the best centre, which is its own as well.
    own = columns.where(columns < counts[:, None], 0)
    return nearest.scatter(1, centres.gather(1, own), own)


def _lengths(x: Tensor) -> Tensor:
    """The squared lengths of vectors ``[..., D]``."""
    norm: Tensor = torch.linalg.vector_norm(x, dim=-1)
    return norm.square()


def _centred(x: Tensor, there: Tensor | None) -> Tensor:
    """``x`` without the mean of its set, which would drown small distances; 0 where not there."""
    x = x.float()
    if there is None:
        return x - x.mean(1, keepdim=True)
    share = there.float() / there.sum(1, keepdim=True).clamp(min=1)
    return (x - torch.einsum("fn,fnd->fd", share, x)[:, None]) * there[..., None]


def _squares(x: Tensor, norm: Tensor, rows: slice, columns: slice) -> Tensor:
    """Squared distances ``[F, rows, columns]`` of tokens, 0 where they are within rounding."""
    some, others = x[:, rows], x[:, columns]
    both = norm[:, rows, None] + norm[:, None, columns]
    apart = torch.baddbmm(both, some, others.mT, alpha=-2)
    return apart.masked_fill_(apart < both.mul_(_ROUNDING), 0).div_(x.shape[2])


def _spread(apart: Tensor, neighbours: int) -> Tensor:
    """Mean of the squared distances to the nearest tokens there are: ``[F, rows]``."""
    n = apart.shape[2]
    if n % 8 == 0 and n >= 8 * neighbours:
        # The nearest are among the groups of eight whose own nearest are: half of the work.
        eights = apart.view(*apart.shape[:2], 8, n // 8)
        which = eights.amin(2).topk(neighbours, dim=2, largest=False, sorted=False).indices
        apart = eights.gather(3, which[:, :, None].expand(-1, -1, 8, -1)).flatten(2)
    near = min(neighbours, apart.shape[2])
    nearest = apart.topk(near, dim=2, largest=False, sorted=False).values
    known = nearest.isfinite()
    return nearest.where(known, 0).sum(2) / known.sum(2).clamp(min=1)


def _few(x: Tensor, there: Tensor, neighbours: int) -> tuple[Density, Tensor]:
    """Of sets whose squared distances ``[F, n, n]`` are kept; these too."""
    some = None if bool(there.all()) else there
    x = _centred(x, some)
    everything = slice(None)
    apart = _squares(x, _lengths(x), everything, everything)
    apart.diagonal(dim1=1, dim2=2).zero_()
    largest = apart.flatten(1).amax(1, keepdim=True)
    if some is not None:
        both = there[:, None] & there[..., None]
        largest = apart.where(both, 0).flatten(1).amax(1, keepdim=True)
        apart.masked_fill_(~there[:, None], float("inf"))
    log_rho = -_spread(apart, neighbours).masked_fill(~there, float("inf"))
    rank = log_rho.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    least = apart.masked_fill(rank[:, None] >= rank[..., None], float("inf")).amin(2)
    delta = least.where(rank > 0, largest).sqrt().where(there, 0)
    return Density(log_rho, delta), apart


def _many(x: Tensor, there: Tensor, neighbours: int) -> Density:
    """Of one large set, in blocks of rows that are made twice."""
    log_rho = x.new_full(there.shape, float("-inf"), dtype=torch.float32)
    delta = torch.zeros_like(log_rho)
    if not bool(there.any()):
        return Density(log_rho, delta)
    x = _centred(x[:, there[0]], None)
    norm, n = _lengths(x), x.shape[1]
    step = max(1, _AT_ONCE // n)
    blocks = [slice(at, min(at + step, n)) for at in range(0, n, step)]
    spreads = []
    largest = x.new_zeros(())
    for rows in blocks:
        apart = _squares(x, norm, rows, slice(None))
        apart[:, torch.arange(apart.shape[1]), torch.arange(rows.start, rows.stop)] = 0
        largest = torch.maximum(largest, apart.max())
        spreads.append(_spread(apart, neighbours))
    spread = torch.cat(spreads, 1)[0]
    order = spread.argsort(stable=True)
    x, norm = x[:, order], norm[:, order]
    least = spread.new_empty(n)
    for rows in blocks:  # in the order of densities: those denser are all before
        apart = _squares(x, norm, rows, slice(0, rows.stop))
        later = torch.arange(rows.stop, device=x.device)
        least[order[rows]] = apart.masked_fill_(
            later >= torch.arange(rows.start, rows.stop, device=x.device)[:, None], float("inf")
        )[0].amin(1)
    least[order[0]] = largest
    log_rho[there], delta[there] = -spread, least.sqrt()
    return Density(log_rho, delta)
