"""STTM: quadtrees of frames, whose nodes may be merged over time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from videopipe.compress.links import Links
from videopipe.compress.quadtree import Splits, Tree, greedy, tree
from videopipe.compress.registry import Kind, register
from videopipe.compress.resample import cut
from videopipe.compress.tokens import TokenMap, VisualTokens

_AT_ONCE = 2**21  # features
_TRIES = 6


@register("sttm")
@dataclass(frozen=True, slots=True)
class SpatioTemporal:
    """Averages the parts of frames in which little changes, by quadtrees (STTM, ICCV 2025).

    Published is a threshold: a node of a frame's pyramid is split if a child is less like it. To
    meet a number, the node whose children differ most, ``(1 - least cosine) * tokens``, is split
    first, of all frames, from the nodes of ``root_level`` on; the last one in part where its four
    children are too many, the most alike staying together. With fewer tokens than such roots it
    starts from one node a frame; with fewer than frames, runs of frames are averaged.

    ``temporal`` also merges nodes of consecutive frames of which one covers the other, if their
    cosine is that or more: with as many more nodes of frames as are saved by it, and of the
    pairs those most alike, so that the number stays exact. It is off, as the number is met without
    and there is one parameter less to tune.

    A node is the mean of its children's means, with ``weighted_avg`` that of its tokens, which
    differs where a side is odd; likewise for nodes merged over time. Nodes at odd edges are
    compared to their children only, see :func:`by_threshold`.
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    kind: ClassVar[Kind] = "merge"
    whole: ClassVar[bool] = True
    exact: ClassVar[str] = "splits by gain"
    paper: ClassVar[str] = "arXiv 2507.07990"
    root_level: int = 0
    weighted_avg: bool = False
    temporal: float | None = None

    def __post_init__(self) -> None:
        if not (isinstance(self.root_level, int) and self.root_level >= 0):
            raise ValueError(f"root_level is a whole number, 0 or more, got {self.root_level}")
        if not isinstance(self.weighted_avg, bool):
            raise ValueError(f"weighted_avg is true or false, got {self.weighted_avg}")
        if self.temporal is not None and not -1 <= self.temporal <= 1:
            raise ValueError(f"temporal is a cosine, -1 to 1, got {self.temporal}")

    def __call__(self, tokens: VisualTokens, k: int) -> TokenMap:
        made = tree(tokens, sums=self.weighted_avg)
        if k < tokens.grid[0]:
            run = torch.empty(tokens.grid[0], dtype=torch.int64)
            for number, frames in enumerate(cut(tokens.grid[0], k)):
                run[frames] = number
            whole = torch.full(tokens.grid, made.top)
            return _map(tokens, run[:, None, None].expand(tokens.grid), made.weights(whole))
        if self.temporal is None:
            return self._frames(tokens, made, k)
        # As many nodes of frames as come to k or fewer if those alike are merged.
        least, tried, most = k, len(tokens), len(tokens) + 1
        nodes, links = self._linked(tokens, made, k)
        for _ in range(_TRIES):
            some, linked = self._linked(tokens, made, tried)
            if tried - linked.strong(self.temporal) <= k:
                least, nodes, links = tried, some, linked
            else:
                most = tried
            tried = round((least * most) ** 0.5)
            if not least < tried < most:
                break
        return _joined(tokens, nodes, links.groups(least, least - k), self.weighted_avg)

    def _frames(self, tokens: VisualTokens, made: Tree, k: int) -> TokenMap:
        splits = greedy(made, made.root(self.root_level), k)
        level = made.leaves(splits.of)
        cell = made.nodes(level)
        if splits.missing:
            cell = _split_in_part(tokens, made, splits, cell)
        weight = torch.ones(tokens.grid) if self.weighted_avg else made.weights(level)
        return _map(tokens, cell, weight)

    def _linked(self, tokens: VisualTokens, made: Tree, count: int) -> tuple[TokenMap, Links]:
        nodes = self._frames(tokens, made, count)
        return nodes, _between(tokens, nodes).forest(count)


class Quadtree(NamedTuple):
    """What the released code gives: the map to ``M`` nodes, ``patches`` int64 ``[M]``, how many
    tokens each has, and ``boxes`` int64 ``[M, 5]``: frame, first row and column, and those after
    the last, of the first node of each."""

    map: TokenMap
    patches: Tensor
    boxes: Tensor


def by_threshold(
    tokens: VisualTokens,
    threshold: float,
    temporal_threshold: float = -1.0,
    root_level: int = 0,
    weighted_avg: bool = False,
) -> Quadtree:
    """The published procedure, with as many rows as come of it.

    As released, a node with fewer than four children, at the edge of an odd side, is also compared
    to the first node of its frame, and all pairs of nodes that are alike over time are merged, with
    all that they are merged with; the paper takes the most alike for each.

    Args:
        threshold: nodes with a child of a lower cosine are split.
        temporal_threshold: pairs of this cosine or more are merged; none if 0 or less.
    """
    made = tree(tokens, sums=weighted_avg)
    root = made.root(root_level)
    splits = [(alike < threshold) | (at > root) for at, alike in enumerate(made.strict, 1)]
    level = made.leaves(splits)
    weight = torch.ones(tokens.grid) if weighted_avg else made.weights(level)
    nodes = _map(tokens, made.nodes(level), weight)
    joined = nodes
    if temporal_threshold > 0:
        links = _between(tokens, nodes)
        groups = links.over(temporal_threshold).groups(len(nodes))
        joined = _joined(tokens, nodes, groups, weighted_avg)
    host = joined.host.cpu()
    first = torch.stack(torch.unravel_index(host, tokens.grid), 1)
    boxes = torch.cat([first, made.ends(level).flatten(0, 2)[host]], 1)
    return Quadtree(joined, torch.bincount(joined.dst).cpu(), boxes)


def _between(tokens: VisualTokens, nodes: TokenMap) -> Links:
    """The nodes of consecutive frames of which one covers the other: nodes at one place do."""
    steps, high, wide = tokens.grid
    row = torch.empty(len(tokens), dtype=torch.int64)
    row[nodes.src.cpu()] = nodes.dst.cpu()
    row = row.view(steps, high * wide)
    both = row[:-1].flatten() * len(nodes) + row[1:].flatten()
    both = torch.unique(both)
    pairs = torch.stack([both // len(nodes), both % len(nodes)])
    unit = normalize(nodes.apply(tokens.features), dim=1)
    block = max(1, _AT_ONCE // unit.shape[1])
    cosine = [
        (unit[first] * unit[second]).sum(1)
        for first, second in torch.split(pairs.to(unit.device), block, 1)
    ]
    return Links(pairs[0], pairs[1], torch.cat([*cosine, unit.new_empty(0)]).cpu())


def _map(tokens: VisualTokens, cell: Tensor, weight: Tensor) -> TokenMap:
    """Cells of tokens ``[T, h, w]``, each in the place of its first, to a map."""
    _, row = torch.unique(cell.flatten(), return_inverse=True)
    return _in_order(tokens, torch.arange(len(row)), row, weight.flatten())


def _in_order(tokens: VisualTokens, src: Tensor, row: Tensor, weight: Tensor) -> TokenMap:
    host = torch.full((int(row.max()) + 1,), len(tokens)).scatter_reduce_(0, row, src, "amin")
    row, host, src, weight = (part.to(tokens.x.device) for part in (row, host, src, weight))
    return TokenMap.merge(tokens, row, host, src, weight)


def _joined(tokens: VisualTokens, nodes: TokenMap, group: Tensor, weighted: bool) -> TokenMap:
    """``nodes`` merged to groups ``[M]``: the mean of nodes, or ``weighted`` of their tokens."""
    src, dst, weight = (part.cpu() for part in (nodes.src, nodes.dst, nodes.weight))
    return _in_order(tokens, src, group[dst], torch.ones_like(weight) if weighted else weight)


def _split_in_part(tokens: VisualTokens, made: Tree, splits: Splits, cell: Tensor) -> Tensor:
    """``cell`` with the node of :class:`Splits` split to ``missing`` more, 1 or 2 of its four."""
    level, step, y, x = splits.part
    down, across = made.rows[level - 1], made.columns[level - 1]
    rows = (made.rows[level].of == y).nonzero()
    columns = (made.columns[level].of == x).nonzero().T
    below, beside = (
        side.of[at] - side.of[at.min()] for side, at in ((down, rows), (across, columns))
    )
    child = 2 * below + beside
    device = tokens.x.device
    own = tokens.features[((step * len(down.of) + rows) * len(across.of) + columns).to(device)]
    unit = own.new_zeros(4, own.shape[2]).index_add_(
        0, child.flatten().to(device), own.flatten(0, 1)
    )
    alike = normalize(unit, dim=1) @ normalize(unit, dim=1).T
    # The pairs side by side, then those one above the other.
    pairs = alike[[0, 2, 0, 1], [1, 3, 2, 3]].tolist()
    if splits.missing == 1:
        part = below if pairs[0] + pairs[1] >= pairs[2] + pairs[3] else beside
    else:
        best = pairs.index(max(pairs))
        first, second = ((0, 1), (2, 3), (0, 2), (1, 3))[best]
        part = torch.where(child == second, first, child)
    cell = cell.clone()
    cell[step, rows, columns] = int(cell.max()) + 1 + part
    return cell
