"""What is left of visual tokens under a map."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from videopipe.compress import TokenMap, VisualTokens

_AT_ONCE = 2**24  # similarities


def nearest(tokens: VisualTokens, rows: Tensor) -> Tensor:
    """For each token the row that is nearest to it (Euclidean), int64 ``[N]``.

    Args:
        rows: ``[K, D]``.
    """
    rows = rows.float()
    half = rows.square().sum(1) / 2
    block = max(1, _AT_ONCE // len(rows))
    parts = [(some @ rows.T - half).argmax(1) for some in torch.split(tokens.features, block)]
    return torch.cat(parts)


def reconstruction_error(tokens: VisualTokens, made: TokenMap) -> float:
    """What the rows of a map cannot tell of the tokens, 0 to about 1.

    Each token is told by the row nearest to it, anywhere in the clip; the squared error of that as
    a share of the squared distance of the tokens from their mean. 0 if all are there.
    """
    x = tokens.features
    rows = made.apply(x)
    error = (x - rows[nearest(tokens, rows)]).square().sum()
    whole = (x - x.mean(0)).square().sum()
    return float(error / whole.clamp(min=1e-12))


def coverage(tokens: VisualTokens, made: TokenMap) -> float:
    """How much there is like each token among the rows, -1 to 1.

    The mean over the tokens of the largest cosine to a row, both from the mean of the tokens: what
    all have in common counts for nothing.
    """
    x = tokens.features
    mean = x.mean(0)
    rows = normalize(made.apply(x) - mean, dim=1)
    block = max(1, _AT_ONCE // len(rows))
    best = [
        (normalize(some - mean, dim=1) @ rows.T).amax(1).sum() for some in torch.split(x, block)
    ]
    return float(torch.stack(best).sum() / len(x))
