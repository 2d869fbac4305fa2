"""Which packets to show for given times, and how far off that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from videopipe.media.packets import IDLE, Indices, PacketTable, Seconds, Ticks, latest

Exactness = Literal["exact", "nonref", "keyframe"]
AutoExactness = Literal[Exactness, "auto"]
_CHEAPEST_FIRST: tuple[Exactness, ...] = ("keyframe", "nonref", "exact")


@dataclass(frozen=True, slots=True, eq=False)
class Aim:
    """The ``packets`` ``[T]`` to show, and ``times`` ``[T]`` at which their frames are on display.

    ``since`` ``[T]`` is the first of the times asked for that each packet stands for.
    ``largest_error`` is the distance in seconds between a frame that was asked for and the one
    taken for it, at worst.
    """

    times: Seconds
    packets: Indices
    since: Seconds
    exactness: Exactness
    largest_error: float


def aim(
    table: PacketTable,
    times: Seconds,
    exactness: AutoExactness,
    *,
    tolerance: float = 0.0,
) -> Aim:
    """What to show for ``times`` (seconds, ascending, not before 0).

    ``exact`` takes the frame on display; ``nonref`` the nearest one that other pictures refer to,
    so that no other need be decoded; ``keyframe`` the nearest key frame, which needs no other.
    ``auto`` is the cheapest of them that is nowhere off by more than ``tolerance`` seconds. A frame
    that is taken for another comes once, with the time at which it is itself displayed.
    """
    exact = table.on_display(times)
    for each in _CHEAPEST_FIRST if exactness == "auto" else (exactness,):
        taken = _taken(table, exact, each)
        apart = np.abs(table.pts.at(taken) - table.pts.at(exact)).max(initial=0)
        error = float(apart * table.tick)
        if exactness != "auto" or error <= tolerance:
            break
    own = taken == exact
    _, first, which = np.unique(taken, return_index=True, return_inverse=True)
    once = np.zeros(len(taken), np.bool_)
    once[first] = True
    kept = own | (once & ~np.isin(taken, taken[own]))
    at = np.where(own, times, table.seconds(taken))
    return Aim(at[kept], taken[kept], times[first[which]][kept], each, error)


def _taken(table: PacketTable, exact: Indices, exactness: Exactness) -> Indices:
    if exactness == "exact":
        return exact
    ticks = table.pts.at(exact)
    if exactness == "keyframe":
        keys = table.shown_keys
        return _nearest(keys, table.pts.at(keys), ticks) if len(keys) else exact
    taken = exact.copy()
    for inside, order, stamps in table.windows(ticks):
        kept = table.flags[order] & IDLE == 0
        if kept.any():
            taken[inside] = _nearest(order[kept], stamps[kept], ticks[inside])
    return taken


def _nearest(packets: Indices, stamps: Ticks, ticks: Ticks) -> Indices:
    """Of ``packets`` in display order the one nearest to each of ``ticks``, the earlier of two."""
    before = latest(stamps, ticks)
    after = np.minimum(before + 1, len(stamps) - 1)
    closer = stamps[after] - ticks < np.abs(ticks - stamps[before])
    return np.asarray(packets[np.where(closer, after, before)])
