"""Compressors by attention as a reader of their papers would write them, for bench_compress.py.

Short and obvious: frame by frame, whole matrices, the loops that the procedures are written with.
Each takes visual tokens on a whole grid and a number, of which every frame gets an equal part
(rounded down), and gives the tokens that it keeps, or the rows that it makes. Nothing here meets a
number exactly.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import normalize

from videopipe.compress import VisualTokens


def fastervlm(tokens: VisualTokens, k: int) -> Tensor:
    """The most attended tokens of each frame."""
    return _best(tokens, "attention:-2", k)


def vtc_cls(tokens: VisualTokens, k: int) -> Tensor:
    """The same, by several blocks."""
    return _best(tokens, "attention:-8..-2", k)


def fopru(tokens: VisualTokens, k: int) -> Tensor:
    """The same, by the attention from all tokens."""
    return _best(tokens, "recv:-2", k)


def _best(tokens: VisualTokens, signal: str, k: int) -> Tensor:
    score = _by_frame(tokens, signal)
    best = score.topk(k // len(score), dim=1).indices.sort(dim=1).values
    return (best + _first(tokens)).flatten()


def hiprune(tokens: VisualTokens, k: int) -> Tensor:
    """Anchors, their four neighbours by number, clamped, and registers."""
    middle, deep = _by_frame(tokens, "recv:50%"), _by_frame(tokens, "recv:-1")
    steps, n = middle.shape
    wide = tokens.grid[2]
    kept = []
    for frame in range(steps):
        anchor = middle[frame].topk(round(k // steps * 0.1 / 5)).indices
        near = torch.cat([anchor + move for move in (0, -1, 1, -wide, wide)])
        near = torch.unique(near.clamp(0, n - 1))
        score = deep[frame].clone()
        score[near] -= 1
        others = score.topk(k // steps - len(near)).indices
        kept.append(torch.cat([near, others]).sort().values + frame * n)
    return torch.cat(kept)


def vispruner(tokens: VisualTokens, k: int) -> Tensor:
    """Half by attention, the rest thinned in rounds of eight: each a matrix of cosines."""
    score = _by_frame(tokens, "attention:-2")
    steps, n = score.shape
    unit = normalize(tokens.signals["pre"].float(), dim=-1).view(steps, n, -1)
    important = k // steps // 2
    keep = k // steps - important
    kept = []
    for frame in range(steps):
        order = score[frame].argsort(descending=True)
        rest = order[important:]
        while len(rest) > keep:
            going = min(8, len(rest) - keep)
            even, odd = rest[::2], rest[1::2]
            like = (unit[frame, even] @ unit[frame, odd].T).max(1).values
            rest = torch.cat([even[like.argsort(descending=True)[going:]], odd])
        kept.append(torch.cat([order[:important], rest]).sort().values + frame * n)
    return torch.cat(kept)


def visionzip(tokens: VisualTokens, k: int) -> Tensor:
    """Dominant tokens, and targets at whole steps with the mean of what is nearest to them."""
    return _dominant_contextual(tokens, k, 54 / 64)


def visiondrop(tokens: VisualTokens, k: int) -> Tensor:
    """The same with other parts."""
    return _dominant_contextual(tokens, k, 42 / 48)


def _dominant_contextual(tokens: VisualTokens, k: int, part: float) -> Tensor:
    score = _by_frame(tokens, "attention:-2")
    steps, n = score.shape
    x = tokens.features.view(steps, n, -1)
    metric = tokens.signals["metric:-2"].float().view(steps, n, -1)
    dominant = round(k // steps * part)
    contextual = k // steps - dominant
    out = []
    for frame in range(steps):
        best = torch.zeros(n, dtype=torch.bool)
        best[score[frame].topk(dominant).indices] = True
        rest, keys = x[frame, ~best], normalize(metric[frame, ~best], dim=-1)
        step = max(1, len(rest) // contextual)
        target = torch.arange(0, len(rest), step)[:contextual]
        is_target = torch.zeros(len(rest), dtype=torch.bool)
        is_target[target] = True
        nearest = (keys[~is_target] @ keys[target].T).argmax(1)
        joins = torch.zeros(len(nearest), contextual)
        joins[torch.arange(len(nearest)), nearest] = 1
        mean = joins.T @ rest[~is_target] / joins.sum(0).clamp(min=1)[:, None]
        out.append(torch.cat([x[frame, best], rest[target] + mean]))
    return torch.cat(out)


def prumerge(tokens: VisualTokens, k: int) -> Tensor:
    """Each kept token with 32 like it, by attention, in a loop; the sum of the others."""
    attention = _by_frame(tokens, "attention:-1")
    steps, n = attention.shape
    x = tokens.features.view(steps, n, -1)
    keys = normalize(tokens.signals["key:-1"].float(), dim=-1).view(steps, n, -1)
    out = []
    for frame in range(steps):
        kept = attention[frame].topk(k // steps - 1).indices
        for i in kept.tolist():
            others = torch.cat([torch.arange(i), torch.arange(i + 1, n)])
            cosine = keys[frame, i] @ keys[frame, others].T
            near = others[cosine.topk(min(32, n - 1)).indices]
            out.append(x[frame, i] + attention[frame, near] @ x[frame, near])
        rest = torch.ones(n, dtype=torch.bool)
        rest[kept] = False
        out.append(attention[frame, rest] @ x[frame, rest])
    return torch.stack(out)


def vflowopt(tokens: VisualTokens, k: int) -> Tensor:
    """The best of each frame, and the others of each cell of 15.6 as one, in a loop over cells."""
    score = _by_frame(tokens, "attention:-2")
    steps, n = score.shape
    side = 15.6
    x = tokens.features.view(steps, n, -1)
    place = tokens.pos[:n, 1:] // side
    out = []
    for frame in range(steps):
        order = score[frame].argsort()
        dropped = order[: n - k // steps + int(n / side**2)]
        is_kept = torch.ones(n, dtype=torch.bool)
        is_kept[dropped] = False
        rows = {int(i): x[frame, i] for i in is_kept.nonzero().flatten()}
        for cell in torch.unique(place[dropped], dim=0):
            some = dropped[(place[dropped] == cell).all(1)]
            weight = score[frame, some]
            host = int(some[weight.argmax()])
            rows[host] = weight @ x[frame, some] / weight.sum()
        out += [rows[i] for i in sorted(rows)]
    return torch.stack(out)


def recoverable(tokens: VisualTokens, k: int) -> Tensor:
    """As many of each kind as there are outliers, whatever ``k`` is: what comes out is no number.

    Of each frame at most ``k / T`` are kept, and as many centres, so that times can be compared.
    """
    attention, asked = _by_frame(tokens, "attention:-1"), _by_frame(tokens, "question")
    steps, n = attention.shape
    x = tokens.features.view(steps, n, -1)
    keys = normalize(tokens.signals["key:-1"].float(), dim=-1).view(steps, n, -1)
    asked = asked / 768**0.5
    out = []
    for frame in range(steps):
        seen, text = attention[frame], asked[frame].clone()
        kept = seen.topk(min(k // steps, _outlying(seen, 20))).indices
        text[kept] = text.min()
        count = int((n - len(kept)) * _outlying(text, 20) / n)
        kept = torch.unique(
            torch.cat([kept, text.topk(min(k // steps - len(kept), count)).indices])
        )
        left = torch.ones(n, dtype=torch.bool)
        left[kept] = False
        rest = left.nonzero().flatten()
        out += list(x[frame, kept])
        centres = rest[seen[rest].topk(min(k // steps, _outlying(seen[rest], 10))).indices]
        for i in centres.tolist():
            like = keys[frame, i] @ keys[frame].T + 50 * asked[frame]
            near = like.topk(min(32, n)).indices
            out.append(x[frame, i] + seen[near] @ x[frame, near])
            left[i] = False
        out.append(seen[left] @ x[frame, left])
    return torch.stack(out)


def _outlying(values: Tensor, neighbours: int) -> int:
    """The outliers of one list by the local outlier factor, from the matrix of distances."""
    values = values.double()
    apart = (values[:, None] - values).abs().fill_diagonal_(float("inf"))
    near = apart.topk(min(neighbours, len(values) - 1), largest=False)
    reach = torch.maximum(near.values, near.values[:, -1][near.indices])
    density = 1 / (reach.mean(1) + 1e-10)
    return int((density[near.indices].mean(1) / density > 1.5).sum())


def _by_frame(tokens: VisualTokens, signal: str) -> Tensor:
    return tokens.signals[signal].float().view(tokens.grid[0], -1)


def _first(tokens: VisualTokens) -> Tensor:
    return torch.arange(tokens.grid[0])[:, None] * (len(tokens) // tokens.grid[0])


PLAIN: dict[str, Callable[[VisualTokens, int], object]] = {
    "fastervlm": fastervlm,
    "vtc-cls": vtc_cls,
    "fopru": fopru,
    "hiprune": hiprune,
    "vispruner": vispruner,
    "visionzip": visionzip,
    "visiondrop": visiondrop,
    "prumerge": prumerge,
    "vflowopt": vflowopt,
    "recoverable": recoverable,
}
