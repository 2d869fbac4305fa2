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
    wherever the caps leave room for it. Demands that are whole numbers are shared out exactly.
    Ties go to the lower index; where there is no demand at all, everybody has the same. Used for
    tokens over frames (LEOPARD, arXiv 2410.01744; QuoTA, arXiv 2503.08689) and for frames over
    segments.

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
    room = np.maximum(most, least) - least
    left = min(total - int(least.sum()), int(room.sum()))
    # A power of two: no sum overflows, and whole numbers are shared out exactly.
    wanted = np.ldexp(wanted, -int(np.frexp(wanted.max(initial=0.0))[1]))
    given = _poured(wanted, room, left)
    rest = left - int(given.sum())
    if rest:  # all that want something are full
        given += _poured((wanted == 0).astype(np.float64), room - given, rest)
    return least + given


def _poured(demand: NDArray[np.float64], room: NDArray[np.int64], left: int) -> NDArray[np.int64]:
    """``left`` by ``demand`` within ``room``; of it all, unless those with a demand are full.

    Those that become full are the first in the order of ``demand / room``.
    """
    given = np.zeros_like(room)
    wants = np.flatnonzero((demand > 0) & (room > 0))
    wants = wants[np.argsort(-demand[wants] / room[wants], kind="stable")]
    if not len(wants):
        return given
    # Of those from each place of the order on: what they have to share, and what they want.
    shared = left - (np.cumsum(room[wants]) - room[wants])
    wanted = np.cumsum(demand[wants][::-1])[::-1]
    over = room[wants] * wanted > demand[wants] * shared
    full = int(np.argmax(over)) if over.any() else len(wants)
    given[wants[:full]] = room[wants[:full]]
    others = np.sort(wants[full:])
    if len(others):
        mine = demand[others]
        whole, remainder = np.divmod(mine * int(shared[full]), mine.sum())
        given[others] = np.minimum(whole.astype(np.int64), room[others])
        order = others[np.argsort(-remainder, kind="stable")]
        while (spare := left - int(given.sum())) > 0:
            given[order[given[order] < room[order]][:spare]] += 1
    return given
