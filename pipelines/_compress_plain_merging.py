"""Merging compressors as a reader of their papers would write them: what bench_compress.py
compares with.

Each takes tokens of a whole grid and a number, and gives the merged rows ``[M, D]``. Full matrices,
and loops where the released code has them. Nothing here makes a number exact: where a method has a
threshold instead, it is looked for in eight runs (sttm), or published (scissor, whose runs are
long).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, cosine_similarity, normalize

from videopipe.compress import VisualTokens


def _frames(tokens: VisualTokens, signal: str = "") -> Tensor:
    """``[T, n, D]``."""
    x = tokens.signals[signal] if signal else tokens.x
    return x.float().reshape(tokens.grid[0], -1, x.shape[1])


def _clusters(x: Tensor, k: int, neighbours: int = 5) -> Tensor:
    """The cluster of each token ``[n, D]`` of a frame by DPC-KNN."""
    apart = torch.cdist(x, x) / x.shape[1] ** 0.5
    nearest = apart.topk(min(neighbours, len(x)), largest=False).values
    rho = (-nearest.square().mean(1)).exp()
    denser = (rho[None] > rho[:, None]).float()
    delta = (apart * denser + apart.max() * (1 - denser)).amin(1)
    centres = (delta * rho).topk(k).indices
    cluster: Tensor = apart[centres].argmin(0)
    cluster[centres] = torch.arange(k)
    return cluster


def dpc_knn(tokens: VisualTokens, k: int) -> Tensor:
    """Each frame on its own, to the same number."""
    rows = []
    for x in _frames(tokens):
        cluster = _clusters(x, k // tokens.grid[0])
        member = torch.nn.functional.one_hot(cluster).float()
        rows.append(member.T @ x / member.sum(0)[:, None])
    return torch.cat(rows)


def ppe(tokens: VisualTokens, k: int, positions: int = 8) -> tuple[Tensor, Tensor]:
    """The rows and the positions ``[M, 8, 3]`` of each: the nearest to it, then the farthest."""
    rows, places = [], []
    pos = tokens.pos.view(tokens.grid[0], -1, 3)
    for x, at in zip(_frames(tokens), pos, strict=True):
        cluster = _clusters(x, k // tokens.grid[0])
        for number in range(k // tokens.grid[0]):
            members = (cluster == number).nonzero().squeeze(1)
            mean = x[members].mean(0)
            chosen = [int((x[members] - mean).norm(dim=1).argmin())]
            while len(chosen) < min(positions, len(members)):
                apart = torch.cdist(at[members], at[members[chosen]]).amin(1)
                apart[chosen] = -1
                chosen.append(int(apart.argmax()))
            turn = [chosen[n % len(chosen)] for n in range(positions)]
            rows.append(mean)
            places.append(at[members[turn]])
    return torch.stack(rows), torch.stack(places)


def _tome(metric: Tensor, x: Tensor, k: int, r: int) -> Tensor:
    """Frames ``[T, n, D]`` to ``k`` rows each, by bipartite soft matching of ``metric``."""
    size = torch.ones(*x.shape[:2], 1)
    source = torch.eye(x.shape[1]).expand(len(x), -1, -1)
    while x.shape[1] > k:
        n = x.shape[1]
        merging = min(r, n - k, n // 2)
        unit = normalize(metric, dim=2)
        likeness = unit[:, ::2] @ unit[:, 1::2].mT
        best, partner = likeness.max(2)
        order = best.argsort(dim=1, descending=True)[..., None]
        going, staying = order[:, :merging], order[:, merging:]
        into = partner[..., None].gather(1, going)

        def merge(
            values: Tensor,
            how: str,
            going: Tensor = going,
            staying: Tensor = staying,
            into: Tensor = into,
        ) -> Tensor:
            even, odd = values[:, ::2], values[:, 1::2]
            wide = values.shape[2]
            moved = even.gather(1, going.expand(-1, -1, wide))
            odd = odd.scatter_reduce(1, into.expand(-1, -1, wide), moved, reduce=how)
            return torch.cat([even.gather(1, staying.expand(-1, -1, wide)), odd], 1)

        source = merge(source, "amax")
        x, metric, grown = merge(x * size, "sum"), merge(metric * size, "sum"), merge(size, "sum")
        x, metric, size = x / grown, metric / grown, grown
    return x


def tome(tokens: VisualTokens, k: int) -> Tensor:
    """Half of the tokens in each round."""
    x = _frames(tokens)
    return _tome(x, x, k // tokens.grid[0], x.shape[1]).flatten(0, 1)


def auroracap(tokens: VisualTokens, k: int) -> Tensor:
    """By keys, an equal number in each of 31 layers."""
    x, share = _frames(tokens), k // tokens.grid[0]
    keys = _frames(tokens, "metric:-1")
    return _tome(keys, x, share, -(-(x.shape[1] - share) // 31)).flatten(0, 1)


def tinychart(tokens: VisualTokens, k: int) -> Tensor:
    """By keys, 84 in each layer."""
    return _tome(_frames(tokens, "metric:-1"), _frames(tokens), k // tokens.grid[0], 84).flatten(
        0, 1
    )


def vqtoken(tokens: VisualTokens, k: int) -> Tensor:
    """k-means++ seeds, then rounds of cosine assignment with a loop over clusters.

    The released code measures to all seeds again for each new one, which is not finished for
    thousands of tokens and hundreds of seeds: distances are kept here.
    """
    dice = torch.Generator().manual_seed(0)
    unit = normalize(tokens.x.float(), dim=1)
    seeds = [int(torch.randint(len(unit), (1,), generator=dice))]
    apart = torch.full((len(unit),), torch.inf)
    while len(seeds) < k:
        apart = torch.minimum(apart, (unit - unit[seeds[-1]]).square().sum(1))
        seeds.append(int(torch.multinomial(apart, 1, generator=dice)))
    centres = unit[seeds]
    for _ in range(100):
        label = (unit @ normalize(centres, dim=1).T).argmax(1)
        new = torch.stack(
            [unit[label == n].mean(0) if (label == n).any() else centres[n] for n in range(k)]
        )
        moved = (new - centres).norm()
        centres = new
        if moved < 1e-4:
            break
    label = (unit @ normalize(centres, dim=1).T).argmax(1)
    return torch.stack([tokens.x[label == n].mean(0) for n in range(k) if (label == n).any()])


def sttm(tokens: VisualTokens, k: int) -> Tensor:
    """Quadtrees of frames of which both sides are a power of two, without the stage over time."""
    steps, high, wide = tokens.grid
    pyramid = [tokens.x.float().view(steps, high, wide, -1).permute(0, 3, 1, 2)]
    while pyramid[0].shape[2] > 2:
        pyramid.insert(0, avg_pool2d(pyramid[0], 2))
    pyramid = [level.permute(0, 2, 3, 1) for level in pyramid]
    low, above = 0.0, 1.0
    for _ in range(8):
        made = _quadtree(pyramid, (low + above) / 2)
        low, above = ((low + above) / 2, above) if len(made) < k else (low, (low + above) / 2)
    return made


def _quadtree(pyramid: list[Tensor], threshold: float) -> Tensor:
    """A node of ``[T, h, w, D]`` stays if all its children are as alike."""
    t, y, x = torch.ones(pyramid[0].shape[:3]).nonzero().T
    nodes = []
    for level, below in pairwise(pyramid):
        corners = [(t, 2 * y + down, 2 * x + across) for down in (0, 1) for across in (0, 1)]
        parent = level[t, y, x][:, None]
        children = torch.stack([below[corner] for corner in corners], 1)
        stays = (cosine_similarity(parent, children, dim=2) >= threshold).all(1)
        nodes.append(parent[stays, 0])
        t, y, x = torch.stack([torch.stack(corner) for corner in corners], 2)[:, ~stays].flatten(1)
    return torch.cat([*nodes, pyramid[-1][t, y, x]])


def _components(alike: Tensor) -> list[list[int]]:
    """Union-find over the pairs of a bool matrix."""
    parent = list(range(len(alike)))

    def find(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for node in range(len(alike)):
        for other in alike[node].nonzero().flatten().tolist():
            parent[find(other)] = find(node)
    groups: dict[int, list[int]] = {}
    for node in range(len(alike)):
        groups.setdefault(find(node), []).append(node)
    return list(groups.values())


def scissor(tokens: VisualTokens, _: int, tau: float = 0.9) -> Tensor:
    """Components of frames, and of their means over all; all tokens to the means of these."""
    firsts = []
    for x in _frames(tokens):
        unit = normalize(x, dim=1)
        firsts += [x[group].mean(0) for group in _components(unit @ unit.T > tau)]
    means = torch.stack(firsts)
    unit = normalize(means, dim=1)
    anchors = torch.stack([means[group].mean(0) for group in _components(unit @ unit.T > tau)])
    joins = (normalize(tokens.x.float(), dim=1) @ normalize(anchors, dim=1).T).argmax(1)
    rows = anchors.index_add(0, joins, tokens.x.float())
    return rows / (1 + torch.bincount(joins, minlength=len(anchors)))[:, None]


PLAIN: dict[str, Callable[[VisualTokens, int], object]] = {
    "auroracap": auroracap,
    "dpc-knn": dpc_knn,
    "ppe": ppe,
    "scissor": scissor,
    "sttm": sttm,
    "tinychart": tinychart,
    "tome": tome,
    "vqtoken": vqtoken,
}
