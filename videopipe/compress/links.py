"""Tokens that are alike, as the links of a graph: what they join, and its trees."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree
from torch import Tensor
from torch.nn.functional import normalize

_COSINES = 2**23  # at once
_FEATURES = 2**22


class Links(NamedTuple):
    """Pairs ``first``, ``second`` int64 ``[P]`` of nodes, and their cosine float32 ``[P]``."""

    first: Tensor
    second: Tensor
    cosine: Tensor

    def over(self, least: float) -> Links:
        """Those of the cosine ``least`` or more."""
        some = self.cosine >= least
        return Links(self.first[some], self.second[some], self.cosine[some])

    def forest(self, nodes: int) -> Links:
        """Those of the trees that join all nodes by the most alike, the most alike first."""
        kept = minimum_spanning_tree(_graph(self, nodes)).tocoo()
        links = (torch.from_numpy(part).long() for part in (kept.row, kept.col))
        order = torch.from_numpy(kept.data).argsort(stable=True)
        first, second = (part[order] for part in links)
        return Links(first, second, 2 - torch.from_numpy(kept.data)[order].float())

    def strong(self, least: float) -> int:
        """How many there are of the cosine ``least`` or more."""
        return int((self.cosine >= least).sum())

    def groups(self, nodes: int, count: int | None = None) -> Tensor:
        """The nodes that the first ``count`` links join: the group of each, int64 ``[nodes]``."""
        some = Links(self.first[:count], self.second[:count], self.cosine[:count])
        graph = _graph(some, nodes)
        return torch.from_numpy(connected_components(graph, directed=False)[1]).long()


def _graph(links: Links, nodes: int) -> Any:
    # Zeros would be no links.
    apart = 2 - links.cosine.double()
    return coo_matrix((apart.numpy(), (links.first.numpy(), links.second.numpy())), (nodes, nodes))


def trees(x: Tensor, index: Tensor, there: Tensor) -> Links:
    """The most alike trees within each of ``F`` sets of rows, the most alike link first.

    Cutting them at a cosine leaves the components of the graph of all pairs above it. By Prim's
    algorithm, on all sets at once: memory is ``n`` times ``n`` for a block of sets.

    Args:
        x: ``[M, D]``.
        index: int64 ``[F, n]``: rows of ``x``.
        there: bool ``[F, n]``: which are rows; the first ones of each set.
    """
    n = index.shape[1]
    block = max(1, min(_COSINES // (n * n), _FEATURES // (n * x.shape[1])))
    made = []
    for some, here in zip(torch.split(index, block), torch.split(there, block), strict=True):
        unit = normalize(x[some].float(), dim=2)
        first, second, cosine = _prim((unit @ unit.mT).masked_fill_(~here[:, None], -torch.inf))
        known = here[:, 1:]  # as many as there are rows, less one
        pairs = (some.gather(1, end)[known].cpu() for end in (first, second))
        made.append((*pairs, cosine[known].cpu()))
    first, second, cosine = (torch.cat(part) for part in zip(*made, strict=True))
    order = cosine.argsort(descending=True, stable=True)
    return Links(first[order], second[order], cosine[order])


def _prim(cosine: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Links of ``[F, n, n]``, ``n - 1`` each: from which row to which, and how alike."""
    sets, n, _ = cosine.shape
    at = torch.arange(sets, device=cosine.device)
    free = torch.ones(sets, n, dtype=torch.bool, device=cosine.device)
    free[:, 0] = False
    best, origin = cosine[:, 0].masked_fill(~free, -torch.inf), torch.zeros_like(free).long()
    links = []
    for _ in range(n - 1):
        value, new = best.max(1)
        links.append((origin[at, new], new, value))
        free[at, new] = False
        row = cosine[at, new]
        better = (row > best) & free
        best = row.where(better, best).masked_fill_(~free, -torch.inf)
        origin = new[:, None].where(better, origin)
    if not links:
        nothing = torch.empty(sets, 0, dtype=torch.int64, device=cosine.device)
        return nothing, nothing, nothing.float()
    first, second, values = (torch.stack(part, 1) for part in zip(*links, strict=True))
    return first, second, values
