"""Lazy greedy choice: exact, and looks at few candidates for each pick."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videopipe.select.candidates import Floats, Indices

Gains = Callable[[Indices, Indices], Floats]


def lazy_greedy(
    bounds: Floats, k: int, gains: Gains, first: Indices | None = None, block: int = 64
) -> Indices:
    """The greedy choice of ``k`` candidates, in the order in which they are chosen.

    Minoux's accelerated greedy: what a candidate adds can only become less the more is chosen, so
    an old value bounds the new one, and a candidate is chosen when its fresh value beats every
    bound. The same picks as if all were looked at every time; ties go to the lower position.

    Args:
        bounds: ``[N]`` what each adds to ``first`` at most; -inf for what is not to be chosen.
        gains: ``gains(rows, chosen)`` is what each of ``rows`` adds to ``chosen``.
        first: what is chosen already, in front of the result.
        block: how many are looked at together.
    """
    bounds = bounds.copy()
    chosen = list(first) if first is not None else []
    bounds[chosen] = -np.inf
    fresh = np.full(len(bounds), -1)
    while len(chosen) < k:
        best = int(np.argmax(bounds))
        if bounds[best] == -np.inf:
            break
        if fresh[best] == len(chosen):
            bounds[best] = -np.inf
            chosen.append(best)
            continue
        stale = np.where(fresh == len(chosen), -np.inf, bounds)
        several = min(block, len(stale))
        rows = np.argpartition(-stale, several - 1)[:several]
        rows = rows[stale[rows] > -np.inf]
        # Rounding must not lift a value above what bounded it: the order would depend on blocks.
        bounds[rows] = np.minimum(bounds[rows], gains(rows, np.array(chosen, dtype=np.int64)))
        fresh[rows] = len(chosen)
    return np.array(chosen, dtype=np.int64)


def unit(features: NDArray[Any]) -> Floats:
    """Rows of unit length, float64; a row of zeros stays one."""
    rows = np.asarray(features, dtype=np.float64)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled: Floats = rows / np.maximum(norms, 1e-12)
    return scaled


def mmr(relevance: Floats, similarity: Similarity, k: int, share: float, first: Indices) -> Indices:
    """Maximal marginal relevance: ``share r - (1 - share) max sim to the chosen``, greedily.

    Args:
        similarity: ``similarity(rows, columns)`` is ``[R, C]``.
        first: what is chosen already, one at least.
    """

    def gains(rows: Indices, chosen: Indices) -> Floats:
        worth: Floats = share * relevance[rows] - (1 - share) * similarity(rows, chosen).max(1)
        return worth

    return lazy_greedy(share * relevance + (1 - share), k, gains, first)


Similarity = Callable[[Indices, Indices], Floats]


def similarity_of(features: NDArray[Any] | None, scale: float) -> Similarity:
    """Cosines of the features; without any what is near in time is alike, ``exp(-d / scale)``.

    ``d`` counts candidates.
    """
    if features is None:
        return lambda rows, columns: np.exp(-np.abs(rows[:, None] - columns[None]) / scale)
    held = features
    return lambda rows, columns: unit(held[rows]) @ unit(held[columns]).T
