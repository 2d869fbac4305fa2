"""VQToken's clustering: spherical k-means over a whole clip."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag, normalize

from videopipe.allocate import allocate
from videopipe.compress.grouped import lowest, spread
from videopipe.compress.registry import Kind, register
from videopipe.compress.resample import cut
from videopipe.compress.tokens import TokenMap, VisualTokens

_WINDOW = 256  # rows
_SEEDS = 32  # at once
_ROUNDING = 1e-6  # of a cosine
_STILL = 1e-4  # how little centres move in the last round, as published


@register("vqtoken")
@dataclass(frozen=True, slots=True)
class VectorQuantized:
    """Merges the tokens of the whole clip by spherical k-means (VQToken, NeurIPS 2025).

    The half of VQToken that is not trained: seeds by k-means++ from ``seed``, tokens to the centre
    of the highest cosine, centres the means of normalised tokens, until these stand still or
    ``max_iterations`` are over. A row is the mean of the tokens as they are (the published one of
    normalised tokens has another scale than the language model knows) and takes the place of the
    token most like its centre, and its time. Made for very few rows, 12 to 64: more than 256 are
    made in stretches of frames, 256 at most in each, so that the cost is linear in the number of
    tokens. An empty cluster gets the worst represented token.
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    kind: ClassVar[Kind] = "merge"
    whole: ClassVar[bool] = False
    exact: ClassVar[str] = "as many means"
    paper: ClassVar[str] = "arXiv 2503.16980"
    max_iterations: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        if not (isinstance(self.max_iterations, int) and self.max_iterations >= 1):
            raise ValueError(f"max_iterations is a whole number from 1, got {self.max_iterations}")
        if not isinstance(self.seed, int):
            raise ValueError(f"seed is a whole number, got {self.seed}")

    def __call__(self, tokens: VisualTokens, k: int) -> TokenMap:
        dice = torch.Generator().manual_seed(self.seed)
        rows, hosts = [], []
        first = 0
        for window, count in _windows(tokens, k):
            x = tokens.x[window].float()
            row, member = k_means(x, count, self.max_iterations, dice)
            rows.append(first + row)
            hosts.append(window.start + member)
            first += count
        return TokenMap.merge(tokens, torch.cat(rows), torch.cat(hosts))


def _windows(tokens: VisualTokens, k: int) -> Iterator[tuple[slice, int]]:
    """Stretches of the tokens, of whole frames if these are enough, and the rows of each."""
    count = -(-k // _WINDOW)
    last = tokens.sizes[tokens.sizes > 0].cumsum(0)
    if len(last) < count:
        windows = cut(len(tokens), count)
    else:
        ends = [0, *(int(last[frames.stop - 1]) for frames in cut(len(last), count))]
        windows = [slice(*pair) for pair in pairwise(ends)]
    size = [window.stop - window.start for window in windows]
    yield from zip(windows, allocate(size, k, 1, size).tolist(), strict=True)


def k_means(x: Tensor, k: int, rounds: int, dice: torch.Generator) -> tuple[Tensor, Tensor]:
    """Spherical k-means with exactly ``k`` clusters.

    Args:
        x: float32 ``[n, D]``.
        k: 1 to ``n``.

    Returns:
        The cluster of each token, int64 ``[n]``, and the token that is most like the mean of each,
        ``[k]``.
    """
    # Tokens are not copied to be normalised: what is made of them is scaled.
    scale = 1 / x.norm(dim=1).clamp(min=1e-12)
    seeds = _seeds(x, scale, k, dice)
    centre = x[seeds] * scale[seeds, None]
    for _ in range(rounds):
        row, _ = _assigned(x, scale, centre)
        size = torch.bincount(row, minlength=k)
        order = row.argsort(stable=True)
        new = embedding_bag(
            order, x, size.cumsum(0) - size, mode="sum", per_sample_weights=scale[order]
        )
        new /= size[:, None]
        moved = (new - centre).norm()
        centre = new
        if moved < _STILL:
            break
    return _assigned(x, scale, centre)


def _assigned(x: Tensor, scale: Tensor, centre: Tensor) -> tuple[Tensor, Tensor]:
    likeness, row = (x @ normalize(centre, dim=1).T).max(1)
    return _filled(row, likeness * scale, len(centre))


def _seeds(x: Tensor, scale: Tensor, k: int, dice: torch.Generator) -> Tensor:
    """k-means++: tokens drawn by their squared distance to the nearest so far, int64 ``[k]``.

    Several are drawn at a time, by the distances before. One that is nearer to another of these is
    kept with the odds of what is left of its distance: so each is drawn as if alone.
    """
    apart = torch.ones(len(x))
    drawn = torch.empty(0, dtype=torch.int64)
    while len(drawn) < k:
        if not bool((apart > 0).any()):  # all others are copies
            others = spread(len(x))
            others = others[~torch.isin(others, drawn)]
            return torch.cat([drawn, others[: k - len(drawn)]]).to(x.device)
        count = min(max(1, len(drawn) // 2), _SEEDS)
        new = torch.multinomial(apart, count, replacement=True, generator=dice)
        vectors = x[new.to(x.device)] * scale[new.to(x.device), None]
        cosine = ((x @ vectors.T) * scale[:, None]).cpu()
        limits = (apart[new] * torch.rand(count, generator=dice)).tolist()
        between = (2 - 2 * cosine[new]).tolist()
        kept: list[int] = []
        for one, limit in enumerate(limits):
            if min((between[one][other] for other in kept), default=4.0) > limit:
                kept.append(one)
        kept = kept[: k - len(drawn)]
        nearest = 2 - 2 * cosine[:, kept].amax(1)
        apart = torch.minimum(apart, nearest) if len(drawn) else nearest
        apart[apart < 2 * _ROUNDING] = 0
        drawn = torch.cat([drawn, new[kept]])
        apart[drawn] = 0
    return drawn.to(x.device)


def _filled(row: Tensor, likeness: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """``row`` ``[n]`` with the worst represented tokens in clusters that were empty.

    Also the best represented token of each cluster, ``[k]``.
    """
    empty = (torch.bincount(row, minlength=k) == 0).nonzero().squeeze(1)
    best = lowest(-likeness, row, k)
    if len(empty):
        # Each other cluster keeps its best token. Equal ones are taken from all over the clip.
        order = spread(len(row)).to(row.device)
        lost = (1 - likeness).clamp(min=_ROUNDING)
        lost = lost.index_fill(0, best[best < len(row)], -1)[order]
        worst = order[lost.argsort(descending=True, stable=True)[: len(empty)]]
        row = row.index_put((worst,), empty)
        best = best.index_put((empty,), worst)
    return row, best
