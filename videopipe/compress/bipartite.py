"""Bipartite soft matching of ToMe (arXiv 2210.09461): alike tokens are merged in pairs."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

_AT_ONCE = 2**22  # similarities


class Merged(NamedTuple):
    """``N`` tokens of each of ``B`` sets, merged to ``k``.

    ``x`` is float32 ``[B, k, D]``; ``group`` int64 ``[B, N]`` is the row that each token is part
    of, ``weight`` float32 ``[B, N]`` how much it counts there: they sum to 1 in each row.
    """

    x: Tensor
    group: Tensor
    weight: Tensor


def match(metric: Tensor, r: int, *, class_token: bool = False) -> Tensor:
    """One round: which row each token goes into, int64 ``[B, N]``.

    The ``r`` tokens at even places that are most like one at an odd place (cosine) go into it. Rows
    are in the published order: even tokens that stay, the most alike first, then the odd ones.

    Args:
        metric: ``[B, N, D]``.
        r: ``N // 2`` at most; ``N - r`` rows are left.
        class_token: whether the first token stays what it is; ``r`` is ``(N - 1) // 2`` at most.
    """
    unit = normalize(metric.float(), dim=-1)
    even, odd = unit[:, ::2], unit[:, 1::2].mT
    block = max(1, _AT_ONCE // (len(unit) * odd.shape[2]))
    nearest = [(some @ odd).max(2) for some in torch.split(even, block, 1)]
    likeness, partner = (torch.cat(part, 1) for part in zip(*nearest, strict=True))
    if class_token:
        likeness[:, 0] = float("-inf")
    order = likeness.argsort(dim=1, descending=True, stable=True)
    going, staying = order[:, :r], order[:, r:]
    kept = staying.shape[1]
    row = torch.empty_like(order)
    row.scatter_(1, staying, torch.arange(kept, device=row.device).expand_as(staying))
    row.scatter_(1, going, kept + partner.gather(1, going))
    group = row.new_empty(unit.shape[:2])
    group[:, ::2] = row
    group[:, 1::2] = kept + torch.arange(odd.shape[2], device=row.device)
    return group


def merge(
    x: Tensor, k: int, *, sizes: bool = True, most: int | None = None, class_token: bool = False
) -> Merged:
    """Merge ``x`` ``[B, N, D]`` to ``k`` rows, in rounds of at most half the tokens.

    Memory is linear in ``B * N``.

    Args:
        k: 1 to ``N``.
        sizes: whether a merged token counts as many times in the next round as it has tokens, so
            that every row is the plain mean of its tokens; QuoTA and B-VLLM forget the sizes.
        most: how many are merged in a round at most; None for half of them.
        class_token: whether the first token stays what it is; ``k`` is 2 at least then.
    """
    x = x.float()
    sets, n, _ = x.shape
    size = x.new_ones(sets, n)
    weight = size
    group = torch.arange(n, device=x.device).expand(sets, -1)
    while n > k:
        r = min(n - k, (n - class_token) // 2, most or n)
        into = match(x, r, class_token=class_token)
        n -= r
        flat = (into + n * torch.arange(sets, device=x.device)[:, None]).flatten()
        total = x.new_zeros(sets * n).index_add_(0, flat, size.flatten())
        part = (size.flatten() / total[flat]).view_as(into)
        x = (
            x.new_zeros(sets * n, x.shape[2])
            .index_add_(0, flat, (x * part[..., None]).flatten(0, 1))
            .view(sets, n, -1)
        )
        weight = weight * part.gather(1, group)
        group = into.gather(1, group)
        size = total.view(sets, n) if sizes else x.new_ones(sets, n)
    return Merged(x, group, weight)
