"""How a budget of visual tokens becomes frames, sizes and tokens to keep.

The budget is a hard promise. Where a family takes any resolution, sizes are chosen so that the
frames fill it; where it takes one, the number of frames is. A compressor lets more be encoded than
is kept. What comes out of the encoder is counted again by :func:`check`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from videopipe.allocate import allocate
from videopipe.compress.auto import automatic
from videopipe.errors import ConfigError, ModelError
from videopipe.mllm.pixels import Packing
from videopipe.select.resolution import FEWEST, Footage, Sized, fit, spread


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
    """The plan of a whole prompt: ``budget`` tokens, made by compressor ``method``.

    ``why`` is the reason of ``auto`` for it, else empty.
    """

    budget: int
    method: str
    clips: tuple[ClipPlan, ...]
    why: str = ""

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
            "why": self.why or None,
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
        method: a composition of compressors; ``auto`` is ``none`` where any resolution is taken.
        ratio: tokens that may be encoded for each that is kept, with a compressor.
        longest: positions of the model's sequence, where each token that is encoded takes one even
            if it is not kept; None where it does not.
        reserve: how many of these are left to text and answer. What fits into the others is
            planned, even if it is less than the budget.

    Raises:
        ConfigError: not even one frame fits, or no such compressor.
    """
    auto = automatic(method)
    why = ""
    if auto and packing.family.any_size:
        method, why = "none", "the frames are decoded as large as the budget pays"
    one = packing.tokens(1, *packing.size)
    # What a compressor is given is as much as is kept, if a last frame makes it so.
    room = budget if method == "none" else max(int(budget * ratio), budget - 1 + one)
    most = budget
    if longest is not None:
        room = max(1, min(room, longest - reserve))
        most = min(budget, room)
    fitted = (_any_size if packing.family.any_size else _one_size)(packing, footage, room, most)
    if not any(sized.frames for sized in fitted) and any(clip.frames for clip in footage):
        if most < budget:
            raise ConfigError(
                f"A frame is {one} visual tokens to this {packing.family.name} model, which has "
                f"room for {room} beside its text; take a model of a longer sequence."
            )
        raise ConfigError(
            f"A frame is {one} visual tokens to this {packing.family.name} model, the budget "
            f"{budget}; raise the budget or compress (compress.method=pool)."
        )
    encoded = [sized.tokens for sized in fitted]
    kept = encoded if sum(encoded) <= most else _kept(footage, encoded, most)
    clips = (
        ClipPlan(sized.frames, sized.sizes, sized.tokens, count)
        for sized, count in zip(fitted, kept, strict=True)
    )
    if auto and not why:
        # Clips are compressed one by one: the longest says how much there is over time.
        steps = max((-(-len(sized.frames) // packing.step) for sized in fitted), default=0)
        method, why = auto.choice(sum(encoded), sum(kept), steps)
    return BudgetPlan(budget, method, tuple(clips), why)


def most_frames(
    packing: Packing, frame: Footage, budget: int, method: str = "auto", ratio: float = 4.0
) -> int:
    """How many frames like ``frame`` can be shown within ``budget`` visual tokens, 1 at least.

    Each by itself and large enough to be seen: so that those that are selected are shown.
    """
    if packing.family.any_size:
        (alone,) = fit([frame], budget, packing.tokens_grid)
        return max(1, budget // max(1, min(FEWEST, alone.tokens)))
    one = packing.tokens(1, *packing.size)
    if method == "none":
        return max(1, budget // one)
    return max(1, min(int(budget * ratio) // one, budget // min(FEWEST, one)))


def _kept(footage: Sequence[Footage], encoded: Sequence[int], most: int) -> list[int]:
    """Of ``most`` tokens those of each clip; one that is shown keeps one as long as there are."""
    floor = [min(tokens, 1) for tokens in encoded]
    if sum(floor) > most:
        return shares(encoded, most)
    worth = [tokens * clip.weight for tokens, clip in zip(encoded, footage, strict=True)]
    kept: list[int] = allocate(worth, most, floor=floor, cap=encoded).tolist()
    return kept


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
    if not any(weights):
        return [0] * len(weights)
    given: list[int] = allocate(weights, total).tolist()
    poor = [at for at, weight in enumerate(weights) if weight and not given[at]]
    if len(poor) <= total - sum(share > 0 for share in given):
        for at in poor:
            given[max(range(len(given)), key=given.__getitem__)] -= 1
            given[at] = 1
    return given


def _any_size(packing: Packing, footage: Sequence[Footage], room: int, budget: int) -> list[Sized]:
    """Sizes that fill ``room``, or as much of it as the budget can keep."""
    return fit(footage, room, packing.tokens_grid, budget / room)


def _one_size(packing: Packing, footage: Sequence[Footage], room: int, budget: int) -> list[Sized]:
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
        Sized(spread(clip.frames, count), (packing.size,) * count, tokens)
        for clip, count, tokens in zip(footage, shares(wanted, total), counted(total), strict=True)
    ]
