"""How a budget of visual tokens becomes frames, sizes and tokens to keep.

The budget is a hard promise. Where a family takes any resolution, sizes are chosen so that the
frames fill it; where it takes one, the number of frames is. A compressor lets more be encoded than
is kept. What comes out of the encoder is counted again by :func:`check`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from videopipe.errors import ConfigError, ModelError
from videopipe.mllm.pixels import Packing

FEWEST = 16  # tokens of a step in time below which frames are dropped instead
_FILL = 0.9
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
) -> BudgetPlan:
    """Plan ``footage`` into ``budget`` visual tokens.

    Args:
        method: a compressor's name; ``auto`` is ``none`` where any resolution is taken, else
            ``pool``.
        ratio: tokens that may be encoded for each that is kept, with a compressor.

    Raises:
        ConfigError: without a compressor not even one frame fits.
    """
    if method == "auto":
        method = "none" if packing.family.any_size else "pool"
    room = budget if method == "none" else int(budget * ratio)
    fitted = (_any_size if packing.family.any_size else _one_size)(
        packing, footage, room, budget if method != "none" else room
    )
    if method == "none" and not any(frames for frames, _, _ in fitted):
        one = packing.tokens(1, *packing.size)
        raise ConfigError(
            f"A frame is {one} visual tokens to this {packing.family.name} model, the budget "
            f"{budget}; raise the budget or compress (compress.method=pool)."
        )
    encoded = [tokens for _, _, tokens in fitted]
    kept = encoded if sum(encoded) <= budget else shares(encoded, budget)
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


_Fitted = tuple[tuple[int, ...], tuple[tuple[int, int], ...], int]


def _one_size(packing: Packing, footage: Sequence[Footage], room: int, most: int) -> list[_Fitted]:
    """As many frames as fit, evenly from each clip; each keeps a token at least."""

    def tokens(count: int) -> int:
        return packing.tokens(count, *packing.size) if count else 0

    wanted = [clip.frames for clip in footage]
    counts = wanted
    total = sum(wanted)
    # A clip's own extra tokens make the sum no multiple of the frames: step down to what fits.
    low, high = 0, total
    while low < high:
        middle = (low + high + 1) // 2
        counts = shares(wanted, middle)
        if sum(map(tokens, counts)) <= room and middle <= most:
            low = middle
        else:
            high = middle - 1
    if not low and most < room and total:
        low = 1  # a compressor makes one frame as small as need be
    counts = shares(wanted, low)
    return [
        (_spread(clip.frames, count), (packing.size,) * count, tokens(count))
        for clip, count in zip(footage, counts, strict=True)
    ]


def _any_size(packing: Packing, footage: Sequence[Footage], room: int, most: int) -> list[_Fitted]:
    """Sizes that fill ``room``; fewer frames where each would become too small to see."""
    step, cell = packing.step, packing.cell
    wanted = [-(-clip.frames // step) for clip in footage]
    native = [
        (max(1, round(clip.height / cell)), max(1, round(clip.width / cell))) for clip in footage
    ]
    steps = shares(wanted, max(1, min(sum(wanted), room // FEWEST, most)))
    rooms = _filled([s * h * w for s, (h, w) in zip(steps, native, strict=True)], steps, room)
    fitted: list[_Fitted] = []
    for clip, count, share, (high, wide), all_steps in zip(
        footage, steps, rooms, native, wanted, strict=True
    ):
        if not count or not share:
            fitted.append(((), (), 0))
            continue
        frames = (
            tuple(range(clip.frames)) if count == all_steps else _spread(clip.frames, count * step)
        )
        grids = _grids(share, count, clip.height / clip.width, (high, wide))
        sizes = [(h * cell, w * cell) for h, w in grids for _ in range(step)][: len(frames)]
        fitted.append((frames, tuple(sizes), sum(h * w for h, w in grids)))
    return fitted


def _grids(share: int, steps: int, aspect: float, native: tuple[int, int]) -> list[tuple[int, int]]:
    """The grid of each of ``steps`` steps, so that together they are ``share`` tokens at most.

    All the same where that fills it without bending the picture; else the first ones are a size
    larger than the rest.
    """
    room = share // steps
    if room >= native[0] * native[1]:
        return [native] * steps
    even = _grid(room, aspect, native)
    if _bent(even, aspect) <= _BENT and even[0] * even[1] * steps >= _FILL * share:
        return [even] * steps
    small = _shaped(room, aspect, native)
    base = small[0] * small[1]
    best = [even] * steps
    for larger in _larger(small, aspect, native):
        gain = larger[0] * larger[1] - base
        count = min(steps, (share - base * steps) // gain) if gain > 0 else 0
        if 0 < count and base * steps + gain * count >= _FILL * share:
            return [larger] * count + [small] * (steps - count)
    return best


def _grid(room: int, aspect: float, native: tuple[int, int]) -> tuple[int, int]:
    """The least bent grid of ``room`` cells at most that fills nine tenths of it."""
    best, least = (1, min(room, native[1])), math.inf
    for high in range(1, min(room, native[0]) + 1):
        wide = min(room // high, native[1])
        if high * wide < _FILL * room:
            continue
        ideal = max(math.ceil(_FILL * room / high), min(wide, round(high / aspect)))
        grid = (high, min(ideal, wide))
        if _bent(grid, aspect) < least:
            best, least = grid, _bent(grid, aspect)
    if least == math.inf:  # the picture has no more to show in one direction
        return _shaped(room, aspect, native)
    return best


def _shaped(room: int, aspect: float, native: tuple[int, int]) -> tuple[int, int]:
    """The largest grid of ``room`` cells at most that keeps the aspect ratio."""
    best = (1, 1)
    for high in range(1, min(room, native[0]) + 1):
        wide = max(1, min(room // high, native[1], round(high / aspect)))
        if high * wide > best[0] * best[1] and high * wide <= room:
            best = (high, wide)
    return best


def _larger(
    small: tuple[int, int], aspect: float, native: tuple[int, int]
) -> list[tuple[int, int]]:
    """Grids above ``small`` of about the same shape, smallest first."""
    near = {
        (h, w)
        for h in range(small[0], min(small[0] + 3, native[0]) + 1)
        for w in range(small[1], min(small[1] + 4, native[1]) + 1)
        if h * w > small[0] * small[1]
    }
    fair = [grid for grid in near if _bent(grid, aspect) <= max(_BENT, _bent(small, aspect))]
    return sorted(fair or near, key=lambda grid: (grid[0] * grid[1], grid))


def _bent(grid: tuple[int, int], aspect: float) -> float:
    """By what factor the grid's aspect ratio is off, 1 at best."""
    off = grid[0] / grid[1] / aspect
    return max(off, 1 / off)


def _filled(caps: Sequence[int], weights: Sequence[int], room: int) -> list[int]:
    """``room`` shared out by ``weights``; what is above a cap goes to the others."""
    out = [0] * len(caps)
    open_ = [at for at, weight in enumerate(weights) if weight]
    left = room
    while open_:
        given = shares([weights[at] for at in open_], left)
        full = [at for at, share in zip(open_, given, strict=True) if share >= caps[at]]
        if not full:
            for at, share in zip(open_, given, strict=True):
                out[at] = share
            break
        for at in full:
            out[at] = caps[at]
            left -= caps[at]
        open_ = [at for at in open_ if at not in full]
    return out


def shares(weights: Sequence[int], total: int) -> list[int]:
    """``total`` shared out by ``weights`` in whole numbers, largest remainders first.

    Nobody gets more than its weight where the weights exceed the total, and as long as there is
    enough everybody with a weight gets one.
    """
    whole = sum(weights)
    if not whole:
        return [0] * len(weights)
    exact = [weight * total / whole for weight in weights]
    given = [math.floor(share) for share in exact]
    if sum(weight > 0 for weight in weights) <= total:
        given = [
            max(share, int(weight > 0)) for share, weight in zip(given, weights, strict=True)
        ]
    order = sorted(range(len(weights)), key=lambda at: (given[at] - exact[at], at))
    while sum(given) < total:
        for at in order:
            if sum(given) < total and weights[at]:
                given[at] += 1
    while sum(given) > total:
        given[max(range(len(given)), key=lambda at: (given[at], at))] -= 1
    return given


def _spread(length: int, count: int) -> tuple[int, ...]:
    """``count`` of ``length`` places, the middles of equal stretches."""
    count = min(count, length)
    return tuple((2 * at + 1) * length // (2 * count) for at in range(count))
