"""Sharing a budget out: exact, with floors and caps."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def allocate(
    demand: ArrayLike,
    total: int,
    floor: ArrayLike = 0,
    cap: ArrayLike | None = None,
) -> NDArray[np.int64]:
    """``total`` shared out in proportion to ``demand`` in whole numbers, int64 ``[N]``.

    ``floor + largest remainder of the rest by demand``, never above ``cap``: what does not fit
    under a cap goes to the others by their demand (water-filling), so that the sum is ``total``
    wherever the caps leave room for it. Ties go to the lower index; where there is no demand at
    all, everybody has the same. Used for tokens over frames (LEOPARD, arXiv 2410.01744; QuoTA,
    arXiv 2503.08689) and for frames over segments.

    Args:
        demand: ``[N]``, finite, 0 or more.
        total: 0 or more.
        floor: whole numbers, one or ``[N]``; what everybody gets in any case.
        cap: whole numbers, one or ``[N]``; None for none.

    Raises:
        ValueError: the floors come to more than ``total``, or one is above its cap.
    """
    wanted = np.asarray(demand, dtype=np.float64)
    if not np.isfinite(wanted).all() or (wanted < 0).any():
        raise ValueError("a demand is a finite number, 0 or more")
    least = np.broadcast_to(np.asarray(floor, dtype=np.int64), wanted.shape)
    most = np.broadcast_to(np.asarray(total if cap is None else cap, dtype=np.int64), wanted.shape)
    if (least > most).any() and cap is not None:
        raise ValueError("a floor is above its cap")
    if int(least.sum()) > total:
        raise ValueError(f"the floors come to {int(least.sum())}, more than {total}")
    most = np.maximum(most, least)
    given = least.copy()
    left = min(total, int(most.sum())) - int(given.sum())
    while left:
        open_ = given < most
        share = np.where(open_, wanted, 0.0)
        if not share.any():
            share = open_.astype(np.float64)
        exact = left * (share / share.sum())
        room = most - given
        full = exact >= room
        if (full & open_).any() and (exact > room).any():
            given[full] += room[full]  # these are at their caps; the rest is shared again
        else:
            whole = np.floor(exact).astype(np.int64)
            by_rest = np.lexsort((np.arange(len(exact)), whole - exact))
            whole[by_rest[: left - int(whole.sum())]] += 1
            given += np.minimum(whole, room)
        left = min(total, int(most.sum())) - int(given.sum())
    return given
