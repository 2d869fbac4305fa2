"""B-VLLM's temporal merging: soft selections of nearly the same frames become one."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from videopipe.select.candidates import Floats, Indices
from videopipe.select.lazy import unit


def merge_rows(selector: ArrayLike, threshold: float = 0.75) -> Floats:
    """The map ``[k, Q]`` that merges rows of ``selector``, in the order of the queries.

    A row goes into the earlier one that it is most like (the first of several) where
    ``(cos + 1) / 2`` of the two is above ``threshold`` (arXiv 2412.09919). What is left is the
    plain mean of all rows that went into it, also over others: the released code loses those that
    went into a row which is merged itself.

    Args:
        selector: ``[Q, T]``, how much each query selects of each frame.
        threshold: 0 to 1.
    """
    rows = unit(np.asarray(selector, dtype=np.float64))
    root = np.arange(len(rows))
    for row in range(1, len(rows)):
        likeness = (rows[:row] @ rows[row] + 1) / 2
        nearest = int(likeness.argmax())
        if likeness[nearest] > threshold:
            root[row] = root[nearest]  # whose own is known
    kept, group, size = np.unique(root, return_inverse=True, return_counts=True)
    merged = np.zeros((len(kept), len(rows)))
    merged[group, np.arange(len(rows))] = 1 / size[group]
    return merged


def in_time(merged: Floats, selector: ArrayLike) -> Indices:
    """The order ``[k]`` of merged rows by the frame that each selects most of."""
    return np.argsort((merged @ np.asarray(selector)).argmax(1), kind="stable")
