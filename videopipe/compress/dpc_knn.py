"""Clusters about density peaks within frames: Chat-UniVi's merging, and PPE's, which keeps more
than one position of each cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from videopipe.compress import density
from videopipe.compress.frames import Frames, by_frame, even_shares
from videopipe.compress.grouped import lowest
from videopipe.compress.registry import Kind, register
from videopipe.compress.tokens import TokenMap, VisualTokens

_AT_ONCE = 2**20  # features


class Clusters(NamedTuple):
    """``K`` clusters within frames: the tokens ``src`` ``[E]``, ascending, their cluster ``row``
    ``[E]``, and the centre ``[K]`` of each, in the order of frames and then of scores."""

    src: Tensor
    row: Tensor
    centre: Tensor


def clusters(tokens: VisualTokens, counts: Tensor, neighbours: int) -> Clusters:
    """Clusters of each frame.

    Args:
        counts: int64 ``[T]`` on the CPU; the tokens of a frame of 0 are in none.
        neighbours: for densities, see :func:`videopipe.compress.density.density`.
    """
    frames = by_frame(tokens)
    first = counts.cumsum(0) - counts
    shown = counts.nonzero().squeeze(1)
    block = max(1, _AT_ONCE // (frames.index.shape[1] * tokens.x.shape[1]))
    parts = []
    for some in torch.split(shown, block):
        several = counts[some].to(tokens.x.device)
        begin = first[some].to(tokens.x.device)
        x = _features(tokens, frames, some)
        some = some.to(tokens.x.device)
        index, there = frames.index[some], frames.there[some]
        peaks, label = density.clusters(x, there, several, neighbours)
        row = begin[:, None] + label
        known = torch.arange(peaks.shape[1], device=peaks.device) < several[:, None]
        parts.append((index[there], row[there], index.gather(1, peaks)[known]))
    return Clusters(*(torch.cat(part) for part in zip(*parts, strict=True)))


def _features(tokens: VisualTokens, frames: Frames, some: Tensor) -> Tensor:
    """Features ``[F, n, D]`` of the frames ``some``, not copied if one follows the other."""
    first, last = int(some[0]), int(some[-1])
    if tokens.whole and last - first + 1 == len(some):
        return tokens.x.reshape(*frames.index.shape, -1)[first : last + 1].float()
    return tokens.x[frames.index[some.to(tokens.x.device)]].float()


@register("dpc-knn")
@dataclass(frozen=True, slots=True)
class DensityPeaks:
    """Merges the tokens of each frame about its density peaks (Chat-UniVi's DPC-KNN).

    Frames share ``k`` evenly. A frame's centres are its tokens of the highest density times
    distance to anything denser, density from the nearest ``neighbours``; each token joins the
    nearest centre, and a row is the plain mean of its cluster (arXiv 2311.08046). It takes the
    place of its centre in the sequence, and stands at the mean place of its tokens. The random
    noise of the released code is left out: of equal densities the earlier token's is higher.
    Clustering of frames to events, off as released with PPE, is left out as well.
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    kind: ClassVar[Kind] = "merge"
    whole: ClassVar[bool] = False
    exact: ClassVar[str] = "as many centres"
    paper: ClassVar[str] = "arXiv 2311.08046"
    neighbours: int = 5

    def __post_init__(self) -> None:
        if not (isinstance(self.neighbours, int) and self.neighbours >= 1):
            raise ValueError(f"neighbours is a whole number from 1, got {self.neighbours}")

    def __call__(self, tokens: VisualTokens, k: int) -> TokenMap:
        made = clusters(tokens, even_shares(tokens, k), self.neighbours)
        return TokenMap.merge(tokens, made.row, made.centre, made.src)


@register("ppe")
@dataclass(frozen=True, slots=True)
class PositionPreserving(DensityPeaks):
    """As dpc-knn, but each row keeps the positions of several of its tokens (PPE, ICLR 2026).

    A model whose rotary embedding takes them turns each band of frequencies by another of the
    ``positions``, which makes one token stand at all of them. The first is that of the token
    nearest to the row, which also gives the row its place in the sequence; the others are each the
    farthest from those before in ``(t, h, w)``, so that they span the cluster. Smaller clusters
    repeat theirs in turn. The released code means to take tokens by weight but takes the last ones
    of each cluster. Clusters in layers of the language model are not made.
    """

    paper: ClassVar[str] = "arXiv 2510.22936"
    neighbours: int = 5
    positions: int = 8

    def __post_init__(self) -> None:
        DensityPeaks.__post_init__(self)
        if not (isinstance(self.positions, int) and self.positions >= 1):
            raise ValueError(f"positions is a whole number from 1, got {self.positions}")

    def __call__(self, tokens: VisualTokens, k: int) -> TokenMap:
        src, row, centre = clusters(tokens, even_shares(tokens, k), self.neighbours)
        mean = TokenMap.merge(tokens, row, centre, src)
        member = lowest(_from_mean(tokens, mean), mean.dst, k)
        host, order = src[member].sort()
        rank = torch.empty_like(order)
        rank[order] = torch.arange(k, device=order.device)
        row, member = rank[mean.dst], member[order]
        size = torch.bincount(row, minlength=k)
        chosen = _farthest(tokens.pos[src], row, member, self.positions)
        turn = torch.arange(self.positions, device=row.device) % size[:, None]
        pos = tokens.pos[src[chosen.gather(1, turn)]]
        return TokenMap(src, row, mean.weight, pos, host, len(tokens))


def _from_mean(tokens: VisualTokens, mean: TokenMap) -> Tensor:
    """How far the token of each entry ``[E]`` is from the row that it is part of, squared."""
    rows = mean.apply(tokens.features)
    block = max(1, _AT_ONCE // rows.shape[1])
    parts = zip(torch.split(mean.src, block), torch.split(mean.dst, block), strict=True)
    return torch.cat([(tokens.features[src] - rows[dst]).square().sum(1) for src, dst in parts])


def _farthest(pos: Tensor, row: Tensor, first: Tensor, count: int) -> Tensor:
    """Elements of each row from ``first`` on, each the farthest from those before: ``[K, count]``.

    What follows the last element of a small row means nothing.

    Args:
        pos: ``[E, 3]``.
        row: ``[E]``: 0 to ``K - 1``.
        first: int64 ``[K]``: an element of each row.
    """
    chosen = [first]
    apart = pos.new_full((len(pos),), float("inf"))
    for _ in range(1, count):
        apart = torch.minimum(apart, (pos - pos[chosen[-1]][row]).square().sum(1))
        apart[chosen[-1]] = -1  # not again, also where others are at the same place
        chosen.append(lowest(-apart, row, len(first)))
    return torch.stack(chosen, 1)
