"""Compressors across frames as a reader of their papers would write them, for bench_compress.py.

Short and obvious: whole matrices, and the loops that the procedures are written with. Each takes
visual tokens on a whole grid and a number, from which it works out its rate, and gives the tokens
that it keeps, or the rows that it makes; few of them meet the number.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import groupby, pairwise

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

from videopipe.compress import VisualTokens


def _frames(tokens: VisualTokens) -> Tensor:
    return tokens.x.float().view(tokens.grid[0], -1, tokens.x.shape[1])


def evs(tokens: VisualTokens, k: int) -> Tensor:
    """The first frame, and the tokens least like those of the frame before."""
    x = _frames(tokens)
    apart = 1 - cosine_similarity(x[1:], x[:-1], dim=2)
    apart = torch.cat([torch.full_like(apart[:1], 255), apart])
    kept = max(k, x.shape[1])
    return apart.flatten().argsort(descending=True, stable=True)[:kept].sort().values


def dtd(tokens: VisualTokens, k: int) -> Tensor:
    """Token by token: dropped if more like the one before than most are."""
    x = _frames(tokens)
    steps, n, _ = x.shape
    alike = cosine_similarity(x[1:], x[:-1], dim=2)
    tau = alike.flatten().kthvalue(max(1, k - n)).values.item()
    kept = set(range(n))
    for step in range(1, steps):
        for cell, cosine in enumerate(alike[step - 1].tolist()):
            if cosine <= tau:
                kept.add(step * n + cell)
    return torch.tensor(sorted(kept))


def dycoke(tokens: VisualTokens, k: int) -> Tensor:
    """Pairs of frames, then the first and the third of four; all at one rate."""
    x = _frames(tokens)
    steps, n, _ = x.shape
    reduced = sum(step % 4 > 0 for step in range(steps))
    few = max(0, k - n * (steps - reduced)) // max(1, reduced)
    kept = [torch.arange(n) for _ in range(steps)]
    pairs = [(step - 1, step) for step in range(1, steps, 2)]
    for one, two in pairs + [(step, step + 2) for step in range(0, steps - 2, 4)]:
        alike = cosine_similarity(x[one], x[two], dim=1)
        kept[two] = alike.topk(few, largest=False).indices
    return torch.cat([step * n + cells for step, cells in enumerate(kept)])


def framefusion(tokens: VisualTokens, k: int) -> Tensor:
    """Group by place with a matrix of places and tokens, and average runs."""
    x = tokens.x.float()
    n = tokens.grid[1] * tokens.grid[2]
    place = torch.arange(len(x)) % n
    where, order = torch.where(place == torch.arange(n)[:, None])
    alike = cosine_similarity(x[order[1:]], x[order[:-1]], dim=1)
    alike = torch.cat([torch.full((1,), -2.0), alike])
    alike[1:][where[1:] != where[:-1]] = -2
    merged = torch.zeros(len(x), dtype=torch.bool)
    merged[alike.topk(len(x) - max(k, n)).indices] = True
    head = (~merged).cumsum(0) - 1
    total = torch.zeros(int(head[-1]) + 1, x.shape[1]).index_add_(0, head, x[order])
    mean = total / torch.bincount(head)[:, None]
    return mean[order[~merged].argsort()]


def vidcom2(tokens: VisualTokens, k: int) -> Tensor:
    """Distances to the mean of all and of each frame; shares of frames are rounded."""
    x = _frames(tokens)
    steps, n, dim = x.shape
    calm = x.flatten(0, 1).var(0, correction=0).topk(dim // 2, largest=False).indices
    unit = normalize(x[:, :, calm], dim=2)
    scores = []
    for centre in (unit.mean((0, 1), keepdim=True), unit.mean(1, keepdim=True)):
        squares = (unit - centre).square().sum(2)
        kernels = [torch.exp(-squares / (2 * a)) for a in (1 / 8, 1 / 4, 1 / 2, 1, 2)]
        scores.append(torch.stack(kernels).sum(0))
    chance = (-scores[0].mean(1) / 0.01).softmax(0)
    scale = (k / (steps * n) * (1 + chance - chance.mean())).clamp(max=1)
    counts = (scale * n).round().long().clamp(min=1).tolist()
    score = scores[0] + scores[1]
    return torch.cat(
        [
            score[step].topk(count, largest=False).indices.sort().values + step * n
            for step, count in enumerate(counts)
        ]
    )


def _peaks(x: Tensor, count: int, neighbours: int) -> tuple[Tensor, Tensor]:
    """The centres of DPC-KNN of ``x`` ``[n, D]``, and all distances."""
    apart = torch.cdist(x, x) / math.sqrt(x.shape[1])
    nearest = apart.topk(min(neighbours, len(x)), largest=False).values
    rho = (-nearest.square().mean(1)).exp()
    denser = rho[None] > rho[:, None]
    delta = apart.where(denser, apart.max()).min(1).values
    return (rho * delta).topk(count).indices, apart


def _clusters(x: Tensor, count: int, neighbours: int, beta: float | None = None) -> Tensor:
    """Rows of clusters: plain means, or ``beta`` the centre and the rest the others."""
    peaks, apart = _peaks(x, count, neighbours)
    label = apart[:, peaks].argmin(1)
    label[peaks] = torch.arange(count)
    rows = []
    for number, peak in enumerate(peaks.tolist()):
        members = label == number
        if beta is None:
            rows.append(x[members].mean(0))
            continue
        members[peak] = False
        others = x[members].mean(0) if members.any() else x[peak]
        rows.append(beta * x[peak] + (1 - beta) * others)
    return torch.stack(rows)


def saving(alike: Tensor, tau: float) -> tuple[list[tuple[int, int]], int]:
    """Segments, first and last frame, that save the most: a table of all of them, and a DP."""
    steps, n = len(alike) + 1, alike.shape[1]
    same = torch.ones(steps, steps, n)
    for start in range(steps - 1):
        same[start, start + 1 :] = (alike[start:] > tau).cumprod(0)
    length = (torch.arange(steps)[None] - torch.arange(steps)[:, None]).clamp(min=0)
    saved = same.sum(2) * length
    best, begin = torch.zeros(steps), list(range(steps))
    for end in range(steps):
        most = best[end - 1] if end else torch.zeros(())
        for first in range(end - 1, -1, -1):
            value = saved[first, end] + (best[first - 1] if first else 0)
            if value > most:
                most, begin[end] = value, first
        best[end] = most
    segments, end = [], steps - 1
    while end >= 0:
        segments.append((begin[end], end))
        end = begin[end] - 1
    return segments[::-1], int(best[-1])


def holitom(tokens: VisualTokens, k: int) -> Tensor:
    """Segments, static tokens once and clustered, moving ones by attention."""
    x = _frames(tokens)
    attention = tokens.signals["recv:-1"].float().view(x.shape[:2])
    rate, tau = k / len(tokens), 0.65 if k <= 0.1 * len(tokens) else 0.8
    unit = normalize(x, dim=2)
    alike = (unit[1:] * unit[:-1]).sum(2)
    segments, saved = saving(alike, tau)
    rate = min(rate * len(tokens) / (len(tokens) - saved), 1)
    rows = []
    for first, last in segments:
        static = (alike[first:last] > tau).all(0)
        if first == last:
            static[:] = False
        count = round(int(static.sum()) * rate)
        if count:
            means = x[first : last + 1, static].mean(0)
            rows.append(_clusters(means, count, min(7, count), 0.6))
        for step in range(first, last + 1):
            moving = (~static).nonzero().squeeze(1)
            few = math.ceil(len(moving) * rate)
            best = attention[step, moving].topk(few).indices.sort().values
            rows.append(x[step, moving[best]])
    return torch.cat(rows)


def fastvid(tokens: VisualTokens, k: int) -> Tensor:
    """Cuts, salient tokens, and in each anchor frame targets that all of the segment joins."""
    x = _frames(tokens)
    steps, n, dim = x.shape
    attention = tokens.signals["attention:-1"].float().view(steps, n)
    frames = normalize(x.mean(1), dim=1)
    alike = (frames[1:] * frames[:-1]).sum(1)
    cut = set(alike.topk(min(7, steps - 1), largest=False).indices.tolist())
    cut |= set((alike < 0.9).nonzero().flatten().tolist())
    kept = int(k / steps)
    context = int(kept * 0.4)
    salient = attention.topk(kept - context, dim=1).indices
    rest = torch.ones(steps, n, dtype=torch.bool).scatter_(1, salient, False)
    rest_index = rest.nonzero()[:, 1].view(steps, -1)
    others = x.gather(1, rest_index[..., None].expand(-1, -1, dim))
    apart = torch.cdist(others, others) / math.sqrt(dim)
    rho = (-apart.topk(4, dim=2, largest=False).values.square().mean(2)).exp()
    denser = (rho[:, None] > rho[:, :, None]).float()
    farthest = apart.flatten(1).max(1).values[:, None, None]
    score = (apart * denser + farthest * (1 - denser)).min(2).values * rho
    rows = [x.gather(1, salient[..., None].expand(-1, -1, dim)).flatten(0, 1)]
    for first, end in pairwise([0, *sorted(step + 1 for step in cut), steps]):
        anchors = [step for step in range(first, end) if (end - 1 - step) % 4 == 0]
        count = context * (end - first) // len(anchors)
        if not count:
            continue
        members = others[first:end].flatten(0, 1)
        for step in anchors:
            targets = others[step, score[step].topk(count).indices]
            nearest = (normalize(members, dim=1) @ normalize(targets, dim=1).mT).argmax(1)
            joins = torch.zeros(len(members), count).scatter_(1, nearest[:, None], 1)
            size = joins.sum(0)[:, None]
            mean = joins.mT @ members / size.clamp(min=1)
            part = (1 / (1 + size)).clamp(min=0.6)
            rows.append(part * targets + (1 - part) * mean)
    return torch.cat(rows)


def prunevid(tokens: VisualTokens, k: int) -> Tensor:
    """Clusters of frames as segments; cosines of all pairs; each set clustered by itself."""
    x = _frames(tokens)
    steps = len(x)
    peaks, apart = _peaks(x.mean(1), max(1, steps // 4), 7)
    label = apart[:, peaks].argmin(1)
    label[peaks] = torch.arange(len(peaks))
    runs = [len(list(run)) for _, run in groupby(label.tolist())]
    names = [name for name, _ in groupby(label.tolist())]
    longest = {
        name: max(length for length, other in zip(runs, names, strict=True) if other == name)
        for name in set(names)
    }
    ends, at = [0], 0
    for name, length in zip(names, runs, strict=True):
        at += length
        if length == longest[name] > 1:
            ends.append(at)
    ends[-1] = steps
    sets: list[Tensor] = []
    for first, end in pairwise(ends if len(ends) > 1 else [0, steps]):
        some = x[first:end]
        frames = len(some)
        unit = normalize(some, dim=2)
        static = torch.zeros(x.shape[1], dtype=torch.bool)
        if frames > 1:
            cosines = torch.einsum("snd,tnd->nst", unit, unit)
            mean = (cosines.sum((1, 2)) - frames) / (frames * (frames - 1))
            static = mean > 0.8
        if static.any():
            sets.append(some[:, static].mean(0))
        sets += [frame[~static] for frame in some if not static.all()]
    rate = k / sum(len(some) for some in sets)
    counts = [min(len(some), round(rate * len(some))) for some in sets]
    return torch.cat(
        [_clusters(some, count, 7) for some, count in zip(sets, counts, strict=True) if count]
    )


PLAIN: dict[str, Callable[[VisualTokens, int], object]] = {
    "dtd": dtd,
    "dycoke": dycoke,
    "evs": evs,
    "fastvid": fastvid,
    "framefusion": framefusion,
    "holitom": holitom,
    "prunevid": prunevid,
    "vidcom2": vidcom2,
}
