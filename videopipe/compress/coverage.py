"""Facility location: tokens chosen so that each place is well stood for by one of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videopipe.compress.directions import ALIKE, filled

_AT_ONCE = 2**16  # numbers

Floats = NDArray[np.float64]


class Coverage:
    """How well each of ``R`` places is stood for by the best of the chosen of ``n`` tokens.

    ``gain`` float64 ``[n]`` is what each token would add to the sum over places. It is always up to
    date: choosing a token changes what others add only at places that it stands for better than
    those before it, fewer and fewer.
    """

    def __init__(self, values: NDArray[np.float32]) -> None:
        """``values`` ``[R, n]``, 0 or more: how well a token stands for a place."""
        self.values = values
        self.best = np.zeros(len(values), dtype=np.float32)
        self.gain: Floats = values.sum(0, dtype=np.float64)
        # Room for some rows, kept: memory asked for anew each time costs more than the sums.
        places, n = values.shape
        self._within = np.empty((min(places, max(1, _AT_ONCE // n)), n), dtype=np.float32)

    def take(self, token: int) -> bool:
        """Choose a token; whether any place is stood for better by it."""
        column = self.values[:, token]
        rows = np.flatnonzero(column > self.best)
        if not len(rows):
            return False
        old, new = self.best[rows], column[rows]
        for start in range(0, len(rows), len(self._within)):
            part = slice(start, start + len(self._within))
            within = self._within[: len(rows[part])]
            self.values.take(rows[part], axis=0, out=within, mode="clip")
            np.maximum(within, old[part, None], out=within)
            np.minimum(within, new[part, None], out=within)
            self.gain -= within.sum(0, dtype=np.float64)
        self.gain += old.sum(dtype=np.float64)
        self.best[rows] = new
        return True


def most_covering(
    windows: Sequence[Coverage],
    k: int,
    everywhere: Coverage | None = None,
    bonus: NDArray[Any] | None = None,
    barred: NDArray[np.bool_] | None = None,
) -> list[int]:
    """``k`` of ``N`` tokens, in the order in which they are chosen: greedily the most added first.

    That is at least 63 % of the most that any ``k`` could. Ties go to the earlier token. When no
    token adds anything but a bonus that is the same for all, others follow at even distances.

    Args:
        windows: of consecutive tokens, ``N`` in all; places are stood for within their window.
        everywhere: places that any token may stand for, ``[R, N]``.
        bonus: ``[N]``, what a token adds by itself.
        barred: bool ``[N]``, only taken when nothing else is left.
    """
    ends = np.cumsum([len(window.gain) for window in windows]).tolist()
    spans = [slice(end - len(w.gain), end) for w, end in zip(windows, ends, strict=True)]
    within = np.concatenate([window.gain for window in windows])
    for window, span in zip(windows, spans, strict=True):
        window.gain = within[span]  # where it keeps up to date what its tokens add
    last = np.zeros(ends[-1], dtype=bool) if barred is None else barred
    # What a token adds by itself: nothing can make up for it once it is chosen.
    own = np.zeros(ends[-1]) if bonus is None else np.array(bonus, dtype=np.float64)
    own[last] = -np.inf

    def added(to: Any) -> Any:
        return within[to] if everywhere is None else within[to] + everywhere.gain[to]

    nothing = ALIKE * added(slice(None))
    best, top = [0] * len(windows), np.zeros(len(windows))

    def look(number: int) -> None:
        worth = added(spans[number]) + own[spans[number]]
        best[number] = int(worth.argmax())
        top[number] = worth[best[number]]

    for number in range(len(windows)):
        look(number)
    order: list[int] = []
    while len(order) < k:
        where = int(top.argmax())
        if top[where] == -np.inf:
            break
        pick = spans[where].start + best[where]
        if added(pick) <= nothing[pick]:
            left = own > -np.inf
            if (added(left) <= nothing[left]).all() and np.ptp(own[left]) <= ALIKE:
                break
        order.append(pick)
        own[pick] = -np.inf
        windows[where].take(best[where])
        changed = everywhere is not None and everywhere.take(pick)
        for number in range(len(windows)) if changed else (where,):
            look(number)
    return filled(order, k, last)
