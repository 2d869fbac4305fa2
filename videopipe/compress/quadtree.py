"""Quadtrees of frames: each frame is halved along both axes until it is one node.

Level 0 are the tokens. A side that is odd keeps its first row, or column, apart: the nodes along
that edge have two children, that in the corner has one. All is on the CPU, but for the features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from videopipe.compress.grouped import spread
from videopipe.compress.tokens import VisualTokens

_AT_ONCE = 2**20  # features
_ROUNDING = 1e-6  # of a cosine


class Side(NamedTuple):
    """One axis of a level with ``n`` rows, in terms of the ``size`` rows of the grid.

    ``of`` int64 ``[size]`` is the row of the level that each of the grid is in, ``weight`` float32
    ``[size]`` how much that counts in the mean of means, ``up`` int64 ``[n]`` the row of the next
    level that each of this one is in.
    """

    of: Tensor
    weight: Tensor
    up: Tensor


def _sides(size: int, levels: int) -> list[Side]:
    """An axis of ``size`` rows, level by level."""
    of, weight, n = torch.arange(size), torch.ones(size), size
    made = []
    for _ in range(levels):
        up = (torch.arange(n) + n % 2) // 2
        made.append(Side(of, weight, up))
        of, weight, n = up[of], weight / torch.bincount(up)[up[of]], -(-n // 2)
    return made


@dataclass(frozen=True, slots=True)
class Tree:
    """The quadtrees of all frames of a grid; level ``rows[l]`` by ``columns[l]``.

    ``alike[l]`` float32 ``[T, h, w]`` is the least cosine of each node of level ``l + 1`` to its
    children; ``strict[l]`` the same as the released code has it, which compares a node of fewer
    than four children to the first node of the level below as well.
    """

    grid: tuple[int, int, int]
    rows: list[Side]
    columns: list[Side]
    alike: list[Tensor]
    strict: list[Tensor]

    @property
    def top(self) -> int:
        """The level of one node a frame."""
        return len(self.rows) - 1

    def root(self, number: int) -> int:
        """The level of the published ``root_level``, of which 0 has two nodes along a side."""
        level, high, wide = 0, *self.grid[1:]
        while high != 2 and wide != 2 and max(high, wide) > 1:
            level, high, wide = level + 1, -(-high // 2), -(-wide // 2)
        return max(0, level - number)

    def below(self, of: Tensor, level: int) -> Tensor:
        """What each node of the level below ``level`` has of its parent's ``of`` ``[T, h, w]``."""
        return of[:, self.rows[level - 1].up[:, None], self.columns[level - 1].up]

    def children(self, level: int) -> Tensor:
        """How many children each node of a frame has, int64 ``[h, w]``; ``level`` is 1 at least."""
        row, column = self.rows[level - 1].up, self.columns[level - 1].up
        return torch.bincount(row)[:, None] * torch.bincount(column)

    def areas(self, level: int) -> Tensor:
        """How many tokens each node of a frame has, int64 ``[h, w]``."""
        row, column = self.rows[level].of, self.columns[level].of
        return torch.bincount(row)[:, None] * torch.bincount(column)

    def leaves(self, splits: list[Tensor]) -> Tensor:
        """The level of the node that each token ends in, int64 ``[T, h, w]``.

        Args:
            splits: bool ``[T, h, w]`` of each level from 1 on; a node is split if its parents are
                as well.
        """
        level = torch.full(self.grid, self.top)
        reached = torch.ones(self.grid[0], 1, 1, dtype=torch.bool)
        for at in range(self.top, 0, -1):
            reached = self.below(reached & splits[at - 1], at)
            row, column = self.rows[at - 1].of, self.columns[at - 1].of
            level[reached[:, row[:, None], column]] = at - 1
        return level

    def nodes(self, level: Tensor) -> Tensor:
        """A number for the node of each token, given its ``level`` ``[T, h, w]``: int64."""
        ids, first = [], 0
        for row, column in zip(self.rows, self.columns, strict=True):
            ids.append(first + row.of[:, None] * len(column.up) + column.of)
            first += len(row.up) * len(column.up)
        return _picked(ids, level) + first * torch.arange(self.grid[0])[:, None, None]

    def weights(self, level: Tensor) -> Tensor:
        """What each token counts in the mean of means of its node, float32 ``[T, h, w]``."""
        sides = zip(self.rows, self.columns, strict=True)
        return _picked([row.weight[:, None] * column.weight for row, column in sides], level)

    def ends(self, level: Tensor) -> Tensor:
        """Where the node of each token ends: row and column after the last, ``[T, h, w, 2]``."""
        sides = zip(self.rows, self.columns, strict=True)
        ends = [
            torch.stack(torch.meshgrid(_ends(row.of), _ends(column.of), indexing="ij"), 2)
            for row, column in sides
        ]
        return _picked(ends, level)


def _ends(of: Tensor) -> Tensor:
    return torch.bincount(of).cumsum(0)[of]


def _picked(values: list[Tensor], level: Tensor) -> Tensor:
    """The value of each token at its level: ``values`` ``[h, w, ...]`` for each level."""
    _, high, wide = level.shape
    return torch.stack(values)[level, torch.arange(high)[:, None], torch.arange(wide)]


def tree(tokens: VisualTokens, *, sums: bool) -> Tree:
    """The quadtrees of a whole grid.

    Args:
        sums: whether a node is the mean of all its tokens, not that of its children's means.
    """
    steps, high, wide = tokens.grid
    levels = max(high - 1, wide - 1).bit_length() + 1
    rows, columns = _sides(high, levels), _sides(wide, levels)
    x = tokens.x.reshape(steps, high, wide, -1)
    alike: list[Tensor] = []
    strict: list[Tensor] = []
    for _ in range(levels - 1):
        block = max(1, _AT_ONCE // x[0].numel())
        made = [_halved(some.float(), sums) for some in torch.split(x, block)]
        x, *both = (torch.cat(part) for part in zip(*made, strict=True))
        for known, part in zip((alike, strict), both, strict=True):
            known.append(part.cpu())
    return Tree(tokens.grid, rows, columns, alike, strict)


def _halved(x: Tensor, sums: bool) -> tuple[Tensor, Tensor, Tensor]:
    """The next level of nodes ``[B, h, w, D]``; ``alike`` and ``strict`` of it."""
    norm = _norm(x)
    first, lone = x[:, :1, :1], norm[:, :1, :1]
    # A first row that is apart is halved with itself; so it counts half in a sum.
    share = x.new_ones(-(-x.shape[1] // 2), -(-x.shape[2] // 2), 1)
    if x.shape[1] % 2:
        x, norm = (torch.cat([of[:, :1], of], 1) for of in (x, norm))
        share[0] /= 2
    if x.shape[2] % 2:
        x, norm = (torch.cat([of[:, :, :1], of], 2) for of in (x, norm))
        share[:, 0] /= 2
    corners = [(x[:, a::2, b::2], norm[:, a::2, b::2]) for a in (0, 1) for b in (0, 1)]
    parent = (corners[0][0] + corners[1][0]).add_(corners[2][0]).add_(corners[3][0])
    parent *= share if sums else 0.25
    alike = torch.stack([_dot(parent, child).div_(size) for child, size in corners]).amin(0)
    norm, fewer = _norm(parent), share[..., 0] < 1
    alike /= norm
    if not fewer.any():
        return parent, alike, alike
    other = _dot(parent, first) / (norm * lone)
    return parent, alike, torch.minimum(alike, other).where(fewer, alike)


def _norm(x: Tensor) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(x, dim=3)
    return length.clamp_(min=1e-8)


def _dot(x: Tensor, y: Tensor) -> Tensor:
    product: Tensor = torch.linalg.vecdot(x, y)
    return product


class Splits(NamedTuple):
    """``of``: bool ``[T, h, w]`` of each level from 1 on, the nodes that are split.

    ``part`` is the level, frame, row and column of the node to be split to ``missing`` more nodes,
    which are fewer than it would make.
    """

    of: list[Tensor]
    part: tuple[int, int, int, int]
    missing: int


def greedy(made: Tree, root: int, k: int) -> Splits:
    """The splits that leave ``k`` nodes, from one for each frame on.

    The node whose children differ most, by ``(1 - alike)`` times its tokens, is split first, of all
    frames and levels; above the level ``root`` all are, if there are enough.

    Args:
        k: as many as frames at least.
    """
    steps = made.grid[0]
    forced = steps * made.areas(root).numel() <= k
    gain = torch.full((steps, 1, 1), float("inf"))
    gains: list[Tensor] = []
    adds, mixed = [], []
    for level in range(made.top, 0, -1):
        apart = 1 - made.alike[level - 1]
        own = apart.masked_fill(apart < _ROUNDING, 0) * made.areas(level)
        if forced and level > root:
            own = torch.full_like(own, float("inf"))
        # No node is split before its parent, and right after it if it gains more.
        gain = torch.minimum(gain, own)
        mixed.append(spread(gain.numel()) + sum(map(len, gains)))
        gains.append(gain.flatten())
        adds.append((made.children(level) - 1).expand_as(gain).flatten())
        gain = made.below(gain, level)
    # Of equal gains the larger nodes first, and these from all over the clip.
    flat, order = torch.cat(gains), torch.cat(mixed)
    order = order[flat[order].argsort(descending=True, stable=True)]
    count = steps + torch.cat(adds)[order].cumsum(0)
    whole = int((count <= k).sum())
    split = torch.zeros(len(flat), dtype=torch.bool)
    split[order[:whole]] = True
    parts = torch.split(split, [len(each) for each in gains])
    of = [part.view_as(alike) for part, alike in zip(parts[::-1], made.alike, strict=True)]
    missing = k - int(count[whole - 1] if whole else steps)
    next_one = torch.zeros_like(split)
    next_one[order[whole : whole + 1]] = True
    part = (0, 0, 0, 0)
    for level, nodes in enumerate(torch.split(next_one, [len(each) for each in gains])[::-1], 1):
        if nodes.any():
            at = nodes.view_as(made.alike[level - 1]).nonzero()[0].tolist()
            part = (level, at[0], at[1], at[2])
    return Splits(of, part, missing)
