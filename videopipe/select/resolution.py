"""Frames and sizes that fill a budget of visual tokens, where a model takes any resolution.

Every clip gets tokens by its demand; its frames get the largest size in whole cells that these pay
for. What rounding leaves over goes to the clips that matter most.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np

from videopipe.allocate import allocate
from videopipe.select.candidates import Floats
from videopipe.select.selection import Selection

FEWEST = 16  # tokens of a step in time below which frames are dropped instead
_FILL = 0.9  # of the room, less is a waste of what the model may see
_GROWTH = (1 / 8, 1 / 4)  # by which a clip may grow with what others leave, at first
_BENT = 1.2  # an aspect ratio that is off by more is only taken where nothing else fills
Demand = Literal["selector", "even", "distortion"]
_Cells = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Grid:
    """How a family makes tokens: of squares of ``cell`` pixels, of ``step`` frames together."""

    cell: int
    step: int = 1


@dataclass(frozen=True, slots=True)
class Footage:
    """The frames selected of one clip: how many, and their size in pixels.

    ``weight`` is what a frame is worth in tokens in relation to those of other clips. The short
    side is not to fall below ``least`` pixels as long as the budget pays for it.
    """

    frames: int
    height: int
    width: int
    weight: float = 1.0
    least: int = 0


@dataclass(frozen=True, slots=True)
class Sized:
    """Which frames of a clip are shown, at which height and width, and the tokens they come to."""

    frames: tuple[int, ...] = ()
    sizes: tuple[tuple[int, int], ...] = ()
    tokens: int = 0


def plan_resolution(
    selection: Selection,
    budget: int,
    grid: Grid,
    height: int,
    width: int,
    *,
    demand: Demand = "selector",
    complexity: Floats | None = None,
    least: int = 0,
) -> Selection:
    """``selection`` with the size of each frame, ``budget`` tokens in all at most.

    Args:
        grid: ``packing.tokens_grid`` of a model.
        height, width: of the video, pixels; no frame is shown larger.
        demand: ``selector``: by the weights of the method (F2C: every clip costs the same; Q-Frame:
            three tiers; QuoTA: quotas); ``even``: every frame the same; ``distortion``: the weights
            times ``complexity``, bytes of the compressed frames, for about the same loss in each.
        complexity: ``[N]`` of the candidates.
        least: pixels of the short side that frames are not to fall below (legibility).

    Raises:
        ValueError: ``distortion`` without ``complexity``.
    """
    weights = demands(selection, demand, complexity)
    footage = [
        Footage(len(clip), height, width, weight, least)
        for clip, weight in zip(selection.clips, weights, strict=True)
    ]
    clips = tuple(
        replace(clip, shown=sized.frames, sizes=sized.sizes, tokens=sized.tokens)
        for clip, sized in zip(selection.clips, fit(footage, budget, grid), strict=True)
    )
    return replace(selection, clips=clips, tokens=sum(clip.tokens for clip in clips))


def demands(selection: Selection, demand: Demand, complexity: Floats | None = None) -> list[float]:
    """What a frame of each clip is worth in tokens in relation to the others.

    Raises:
        ValueError: ``distortion`` without ``complexity``.
    """
    if demand == "even":
        return [1.0] * len(selection.clips)
    if demand == "selector":
        return [clip.weight for clip in selection.clips]
    if complexity is None:
        raise ValueError("an equal distortion needs the complexity of the candidates")
    # Bytes are what a frame takes at one distortion: tokens in proportion to them make it equal.
    bytes_ = [float(complexity[clip.indices].mean()) for clip in selection.clips]
    mean = float(np.mean(bytes_)) or 1.0
    worth = zip(selection.clips, bytes_, strict=True)
    return [clip.weight * max(size / mean, 1e-3) for clip, size in worth]


def fit(footage: Sequence[Footage], room: int, grid: Grid, fill: float = 1.0) -> list[Sized]:
    """Frames and sizes of each clip, ``room`` tokens in all at most.

    Fewer frames are shown where each would become too small to see; nothing is shown larger than
    it is.

    Args:
        fill: the share of the room that frames of one size must fill before several are mixed.
    """
    step, cell = grid.step, grid.cell
    wanted = [-(-clip.frames // step) for clip in footage]
    most_steps = min(sum(wanted), max(1, round(room * fill)))
    one = [min(count, 1) for count in wanted]
    floor = one if sum(one) <= most_steps else 0  # every clip is seen, where that is possible
    steps = allocate(wanted, most_steps, floor=floor, cap=wanted).tolist()
    native = [_cells(clip, cell) for clip in footage]
    most = [count * high * wide for count, (high, wide) in zip(steps, native, strict=True)]
    weights = [count * clip.weight for count, clip in zip(steps, footage, strict=True)]
    floors = _floors(footage, steps, native, room, cell)
    rooms = _rooms(weights, room, floors, most)

    def sized(at: int, own: int) -> Sized:
        clip, (high, wide) = footage[at], native[at]
        count = min(steps[at], max(own // FEWEST, -(-own // (high * wide))))
        if not count:
            return Sized()
        grids = _grids(own, count, clip.height / clip.width, native[at], _FILL * fill)
        whole = count == wanted[at]
        frames = tuple(range(clip.frames)) if whole else spread(clip.frames, count * step)
        sizes = [(h * cell, w * cell) for h, w in grids for _ in range(step)][: len(frames)]
        return Sized(frames, tuple(sizes), sum(h * w for h, w in grids))

    fitted = [sized(at, own) for at, own in enumerate(rooms)]
    left = room - sum(clip.tokens for clip in fitted)
    # What rounding left over goes to the clips that matter, the heaviest first; a little to each.
    by_weight = sorted(range(len(footage)), key=lambda at: (-footage[at].weight, at))
    for growth in (*_GROWTH, math.inf):
        for at in by_weight:
            held = fitted[at].tokens
            own = min(held + min(left, growth * held), most[at])
            if own > held and (more := sized(at, int(own))).tokens > held:
                left -= more.tokens - held
                fitted[at] = more
    return fitted


def spread(length: int, count: int) -> tuple[int, ...]:
    """``count`` of ``length`` places, the middles of equal stretches."""
    return tuple((2 * at + 1) * length // (2 * count) for at in range(count))


def _cells(clip: Footage, cell: int) -> _Cells:
    return max(1, round(clip.height / cell)), max(1, round(clip.width / cell))


def _rooms(
    weights: Sequence[float], room: int, floors: Sequence[int], most: Sequence[int]
) -> list[int]:
    """``room`` shared out by weight; who would get less than its floor gets that instead."""
    floor, cap, worth = np.array(floors), np.array(most), np.array(weights)
    rooms = np.zeros(len(weights), np.int64)
    free = np.ones(len(weights), bool)
    while free.any():
        rooms[free] = allocate(worth[free], room - int(rooms[~free].sum()), cap=cap[free])
        poor = free & (rooms < floor)
        if not poor.any():
            break
        rooms[poor] = floor[poor]
        free &= ~poor
    found: list[int] = rooms.tolist()
    return found


def _floors(
    footage: Sequence[Footage], steps: Sequence[int], native: Sequence[_Cells], room: int, cell: int
) -> list[int]:
    """Tokens that each clip gets in any case: enough to be seen, and to be read where that is left.

    Clips that are to be read come by weight. Where not all can be seen nobody has a floor.
    """
    floors = [count * min(FEWEST, h * w) for count, (h, w) in zip(steps, native, strict=True)]
    spare = room - sum(floors)
    if spare < 0:
        return [0] * len(footage)
    for at in sorted(range(len(footage)), key=lambda at: (-footage[at].weight, at)):
        clip, (high, wide) = footage[at], native[at]
        if not clip.least:
            continue
        scale = min(1.0, clip.least / min(clip.height, clip.width))
        tall = min(high, math.ceil(clip.height * scale / cell))
        broad = min(wide, math.ceil(clip.width * scale / cell))
        extra = steps[at] * tall * broad - floors[at]
        if 0 < extra <= spare:
            spare -= extra
            floors[at] += extra
    return floors


def _grids(room: int, steps: int, aspect: float, native: _Cells, enough: float) -> list[_Cells]:
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
def _fair(aspect: float, native: _Cells) -> list[_Cells]:
    """The grids up to ``native`` of about that aspect ratio."""
    most = max(_BENT, _bent(native, aspect))
    high, wide = native
    grids = {(h, min(wide, max(1, round(h / aspect)))) for h in range(1, high + 1)}
    grids |= {(min(high, max(1, round(w * aspect))), w) for w in range(1, wide + 1)}
    return sorted(grid for grid in grids if _bent(grid, aspect) <= most)


def _near(room: int, native: _Cells) -> list[_Cells]:
    """The grids up to ``native`` of any shape that are nearest to ``room`` cells."""
    high, wide = native
    widths = [
        (h, min(wide, max(1, room // h + more))) for h in range(1, high + 1) for more in (0, 1)
    ]
    return list(dict.fromkeys(widths))


def _area(grid: _Cells) -> int:
    return grid[0] * grid[1]


def _bent(grid: _Cells, aspect: float) -> float:
    """By what factor the grid's aspect ratio is off, 1 at best."""
    off = grid[0] / grid[1] / aspect
    return max(off, 1 / off)
