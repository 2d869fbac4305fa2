"""How a budget of visual tokens becomes frames, sizes and tokens to keep.

The budget is a hard promise. Where a family takes any resolution, sizes are chosen so that the
frames fill it; where it takes one, the number of frames is. A compressor lets more be encoded than
is kept. What comes out of the encoder is counted again by :func:`check`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Any

from videopipe.errors import ConfigError, ModelError
from videopipe.mllm.pixels import Packing

FEWEST = 16  # tokens of a step in time below which frames are dropped instead
_FILL = 0.9  # of the room, less is a waste of what the model may see
_BENT = 1.2  # an aspect ratio that is off by more is only taken where nothing else fills


@dataclass(frozen=True, slots=True)
class Footage:
    """The frames selected of one clip: how many, and their size in pixels."""

    frames: int
    height: int
    width: int


@dataclass(frozen=True, slots=True)
class ClipPlan:
    """What becomes of one clip.

    ``frames`` are positions among its selected frames, ascending, ``sizes`` their height and
    width. ``encoded`` tokens come out of the encoder, ``kept`` enter the sequence.
    """

    frames: tuple[int, ...]
    sizes: tuple[tuple[int, int], ...]
    encoded: int
    kept: int

    def runs(self) -> list[tuple[list[int], tuple[int, int]]]:
        """Stretches of one size, each encoded by itself: places in ``frames``, and the size."""
        places = range(len(self.frames))
        return [(list(run), size) for size, run in groupby(places, lambda at: self.sizes[at])]


@dataclass(frozen=True, slots=True)
class BudgetPlan:
    """The plan of a whole prompt: ``budget`` tokens, made by compressor ``method``."""

    budget: int
    method: str
    clips: tuple[ClipPlan, ...]

    @property
    def encoded(self) -> int:
        return sum(clip.encoded for clip in self.clips)

    @property
    def kept(self) -> int:
        return sum(clip.kept for clip in self.clips)

    @property
    def frames(self) -> int:
        return sum(len(clip.frames) for clip in self.clips)

    def to_dict(self) -> dict[str, Any]:
        """The budget report of an answer."""
        sizes = sorted({size for clip in self.clips for size in clip.sizes})
        return {
            "budget": self.budget,
            "used": self.kept,
            "encoded": self.encoded,
            "frames": self.frames,
            "resolutions": [list(size) for size in sizes],
            "compressor": self.method,
        }


def plan(
    packing: Packing,
    footage: Sequence[Footage],
    budget: int,
    method: str = "auto",
    ratio: float = 4.0,
    *,
    longest: int | None = None,
    reserve: int = 0,
) -> BudgetPlan:
    """Plan ``footage`` into ``budget`` visual tokens.

    Args:
        method: a compressor's name; ``auto`` is ``none`` where any resolution is taken, else
            ``pool``.
        ratio: tokens that may be encoded for each that is kept, with a compressor.
        longest: positions of the model's sequence, where each token that is encoded takes one even
            if it is not kept; None where it does not.
        reserve: how many of these are left to text and answer. What fits into the others is
            planned, even if it is less than the budget.

    Raises:
        ConfigError: not even one frame fits.
    """
    if method == "auto":
        method = "none" if packing.family.any_size else "pool"
    one = packing.tokens(1, *packing.size)
    # What a compressor is given is as much as is kept, if a last frame makes it so.
    room = budget if method == "none" else max(int(budget * ratio), budget - 1 + one)
    most = budget
    if longest is not None:
        room = max(1, min(room, longest - reserve))
        most = min(budget, room)
    fitted = (_any_size if packing.family.any_size else _one_size)(packing, footage, room, most)
    if not any(frames for frames, _, _ in fitted) and any(clip.frames for clip in footage):
        if most < budget:
            raise ConfigError(
                f"A frame is {one} visual tokens to this {packing.family.name} model, which has "
                f"room for {room} beside its text; take a model of a longer sequence."
            )
        raise ConfigError(
            f"A frame is {one} visual tokens to this {packing.family.name} model, the budget "
            f"{budget}; raise the budget or compress (compress.method=pool)."
        )
    encoded = [tokens for _, _, tokens in fitted]
    kept = encoded if sum(encoded) <= most else shares(encoded, most)
    clips = (ClipPlan(f, s, n, k) for (f, s, n), k in zip(fitted, kept, strict=True))
    return BudgetPlan(budget, method, tuple(clips))


def check(plan: BudgetPlan, used: Sequence[int]) -> None:
    """Hold what was encoded and compressed against the plan.

    Raises:
        ModelError: the model made another number of tokens of a clip than its files say.
    """
    wanted = [clip.kept for clip in plan.clips]
    if list(used) != wanted or sum(used) > plan.budget:
        raise ModelError(
            f"The model made {sum(used)} visual tokens where {sum(wanted)} were planned within "
            f"{plan.budget}; its processor settings do not fit its weights."
        )


def shares(weights: Sequence[int], total: int) -> list[int]:
    """``total`` shared out by ``weights`` in whole numbers, largest remainders first.

    Nobody gets more than its weight where the weights exceed the total, and as long as there is
    enough everybody with a weight gets one.
    """
    whole = sum(weights)
    if not whole:
        return [0] * len(weights)
    parts = [divmod(weight * total, whole) for weight in weights]
    given = [share for share, _ in parts]
    by_rest = sorted(range(len(weights)), key=lambda at: (-parts[at][1], at))
    for at in by_rest[: total - sum(given)]:
        given[at] += 1
    poor = [at for at, weight in enumerate(weights) if weight and not given[at]]
    if len(poor) <= total - sum(share > 0 for share in given):
        for at in poor:
            given[max(range(len(given)), key=given.__getitem__)] -= 1
            given[at] = 1
    return given


_Grid = tuple[int, int]
_Fitted = tuple[tuple[int, ...], tuple[_Grid, ...], int]


def _one_size(
    packing: Packing, footage: Sequence[Footage], room: int, budget: int
) -> list[_Fitted]:
    """As many frames as fit into ``room``, evenly from each clip; each keeps a token at least."""
    wanted = [clip.frames for clip in footage]

    def counted(total: int) -> list[int]:
        return [packing.tokens(n, *packing.size) if n else 0 for n in shares(wanted, total)]

    total, high = 0, min(sum(wanted), budget)
    while total < high:
        middle = (total + high + 1) // 2
        if sum(counted(middle)) <= room:
            total = middle
        else:
            high = middle - 1
    return [
        (_spread(clip.frames, count), (packing.size,) * count, tokens)
        for clip, count, tokens in zip(footage, shares(wanted, total), counted(total), strict=True)
    ]


def _any_size(
    packing: Packing, footage: Sequence[Footage], room: int, budget: int
) -> list[_Fitted]:
    """Sizes that fill ``room``; fewer frames where each would become too small to see."""
    step, cell = packing.step, packing.cell
    wanted = [-(-clip.frames // step) for clip in footage]
    steps = shares(wanted, min(sum(wanted), budget))
    native = [
        (max(1, round(clip.height / cell)), max(1, round(clip.width / cell))) for clip in footage
    ]
    most = [count * high * wide for count, (high, wide) in zip(steps, native, strict=True)]
    rooms = _filled(most, steps, room)
    enough = _FILL * budget / room
    fitted: list[_Fitted] = [((), (), 0)] * len(footage)
    left = 0
    # The clips with the least to show first: what they cannot use goes on to the others.
    for at in sorted(range(len(footage)), key=most.__getitem__):
        clip, area = footage[at], native[at][0] * native[at][1]
        own = min(rooms[at] + left, most[at])
        left += rooms[at]
        if not own:
            continue
        count = min(steps[at], max(own // FEWEST, -(-own // area)))
        grids = _grids(own, count, clip.height / clip.width, native[at], enough)
        whole = count == wanted[at]
        frames = tuple(range(clip.frames)) if whole else _spread(clip.frames, count * step)
        sizes = [(h * cell, w * cell) for h, w in grids for _ in range(step)][: len(frames)]
        used = sum(h * w for h, w in grids)
        fitted[at] = frames, tuple(sizes), used
        left -= used
    return fitted


def _grids(room: int, steps: int, aspect: float, native: _Grid, enough: float) -> list[_Grid]:
    """The grid of each of ``steps`` steps, so that together they are ``room`` tokens at most.

    All the same where that fills it, or is ``enough`` of it; else the first ones are a size larger
    than the rest. Shapes that bend the picture are only taken where no others fill.
    """
    if room >= steps * native[0] * native[1]:
        return [native] * steps
    best = [(1, 1)] * steps
    for choice in (_fair(aspect, native), _near(room // steps, native)):
        small = [grid for grid in choice if grid[0] * grid[1] * steps <= room]
        if not small:
            continue
        filling = [grid for grid in small if grid[0] * grid[1] * steps >= _FILL * room]
        if filling:
            return [min(filling, key=lambda grid: _bent(grid, aspect))] * steps
        base = max(small, key=_area)
        if _area(base) * steps >= enough * room:
            return [base] * steps
        grids = [base] * steps
        if larger := [grid for grid in choice if grid not in small]:
            more = min(larger, key=lambda grid: (_area(grid), _bent(grid, aspect)))
            count = (room - _area(base) * steps) // (_area(more) - _area(base))
            grids[:count] = [more] * count
        if sum(map(_area, grids)) >= _FILL * room:
            return grids
        best = max(best, grids, key=lambda grids: sum(map(_area, grids)))
    return best


@lru_cache(maxsize=64)
def _fair(aspect: float, native: _Grid) -> list[_Grid]:
    """The grids up to ``native`` of about that aspect ratio."""
    most = max(_BENT, _bent(native, aspect))
    high, wide = native
    grids = {(h, min(wide, max(1, round(h / aspect)))) for h in range(1, high + 1)}
    grids |= {(min(high, max(1, round(w * aspect))), w) for w in range(1, wide + 1)}
    return sorted(grid for grid in grids if _bent(grid, aspect) <= most)


def _near(room: int, native: _Grid) -> list[_Grid]:
    """The grids up to ``native`` of any shape that are nearest to ``room`` cells."""
    high, wide = native
    widths = [
        (h, min(wide, max(1, room // h + more))) for h in range(1, high + 1) for more in (0, 1)
    ]
    return list(dict.fromkeys(widths))


def _area(grid: _Grid) -> int:
    return grid[0] * grid[1]


def _bent(grid: _Grid, aspect: float) -> float:
    """By what factor the grid's aspect ratio is off, 1 at best."""
    off = grid[0] / grid[1] / aspect
    return max(off, 1 / off)


def _filled(caps: Sequence[int], weights: Sequence[int], room: int) -> list[int]:
    """``room`` shared out by ``weights``; what is above a cap goes to the others."""
    given = [0] * len(caps)
    order = [at for at, weight in enumerate(weights) if weight]
    order.sort(key=lambda at: caps[at] / weights[at])
    weight = sum(weights)
    for place, at in enumerate(order):
        if caps[at] * weight > room * weights[at]:
            rest = order[place:]
            for other, share in zip(rest, shares([weights[i] for i in rest], room), strict=True):
                given[other] = share
            break
        given[at] = caps[at]
        room -= caps[at]
        weight -= weights[at]
    return given


def _spread(length: int, count: int) -> tuple[int, ...]:
    """``count`` of ``length`` places, the middles of equal stretches."""
    return tuple((2 * at + 1) * length // (2 * count) for at in range(count))
