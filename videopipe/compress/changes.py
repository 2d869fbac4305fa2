"""What changes at its place: differences of tokens over time, for EVS, DTD and FrameFusion."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from videopipe.compress.tokens import VisualTokens

Reference = Literal["kept", "previous"]

_PASSES = 8
_STRIDE = 8
_PAIRS = 64  # frames: of so few all pairs are compared, once for all passes
_ROUNDING = 1e-6  # of products of unit vectors
_LEAST = 1e-9  # the lowest threshold


def checked(reference: str) -> None:
    """Raise ValueError for what is no :data:`Reference`."""
    if reference not in ("kept", "previous"):
        raise ValueError(f"reference is kept or previous, got {reference}")


def changes(tokens: VisualTokens, k: int, reference: Reference) -> Tensor:
    """The ``k`` tokens that differ most from one before them at the same cell, bool ``[T, h * w]``.

    The difference is ``1 - cosine``. All tokens of the first frame are among them; where ``k`` is
    less than these, they count by how they differ from their neighbour to the left (in the first
    column: above), the first token of all always. Of tokens that differ equally, those at even
    distances are taken.

    Args:
        tokens: of whole frames.
        reference: ``previous`` compares with the token of the frame before, ``kept`` with the last
            one that is kept, or that of the first frame. For that the threshold is searched which
            leaves about ``k``, on an eighth of the cells and then on all, in eight passes at most;
            then it is lowered cell by cell, and at last a few are taken by their difference.
    """
    steps, high, wide = tokens.grid
    x = tokens.features.view(steps, high * wide, -1)
    scale = unit_scale(x)
    if k >= high * wide:
        first = x.new_full((high * wide,), float("inf"))
    else:
        first = _beside((x[0] * scale[0, :, None]).view(high, wide, -1))
    if reference == "previous" or steps == 1:
        scores = _Cells(x, scale, first, None).since(None)
    else:
        pairs = _pairs(x, scale) if steps <= _PAIRS else None
        scores = _since_kept(_Cells(x, scale, first, pairs), k)
    return largest(scores.view(1, -1), torch.tensor([k])).view_as(scores)


def largest(scores: Tensor, counts: Tensor) -> Tensor:
    """Which of the ``scores`` ``[F, n]`` are the ``counts`` ``[F]`` largest of each row: bools.

    Of equal ones, those at even distances.
    """
    counts = counts.to(scores.device)[:, None]
    order = scores.sort(dim=1, descending=True).values
    least = order.gather(1, (counts - 1).clamp(min=0))
    taken, tied = scores.gt(least), scores.eq(least)
    wanted, several = counts - taken.sum(1, keepdim=True), tied.sum(1, keepdim=True)
    rank = tied.cumsum(1)
    return taken | tied & (rank * wanted // several > (rank - 1) * wanted // several)


def unit_scale(x: Tensor) -> Tensor:
    """What makes vectors ``[..., D]`` those of unit length; those of zeros stay so."""
    norm: Tensor = torch.linalg.vector_norm(x, dim=-1)
    return norm.clamp(min=1e-12).reciprocal()


def differences(x: Tensor, scale: Tensor, frames: Sequence[int], others: Sequence[int]) -> Tensor:
    """``1 - cosine`` of the tokens of ``frames`` and those of ``others`` at their cell, ``[F, n]``.

    Args:
        x: ``[T, n, D]``.
        scale: ``[T, n]`` as of :func:`unit_scale`.
    """
    apart = x.new_empty(len(frames), x.shape[1])
    one, two = torch.empty_like(x[0]), torch.empty_like(x[0])
    for row, step, other in zip(apart, frames, others, strict=True):
        torch.mul(x[step], scale[step, :, None], out=one)
        torch.mul(x[other], scale[other, :, None], out=two)
        _apart(one, two, two, row)
    return apart


@dataclass(frozen=True, slots=True)
class _Cells:
    """Tokens ``x`` ``[T, n, D]`` of ``n`` cells, and ``scale`` ``[T, n]``, 1 by their norms.

    ``first`` ``[n]`` stands for the differences of the first frame. ``pairs`` ``[T, T, n]`` are
    those of all pairs of frames, or None.
    """

    x: Tensor
    scale: Tensor
    first: Tensor
    pairs: Tensor | None

    def some(self, cells: slice) -> _Cells:
        pairs = None if self.pairs is None else self.pairs[:, :, cells]
        return _Cells(self.x[:, cells], self.scale[:, cells], self.first[cells], pairs)

    def since(self, threshold: float | None) -> Tensor:
        """Differences ``[T, n]`` from the last token of the cell that is above the threshold.

        From the frame before, if it is None.
        """
        steps = torch.arange(len(self.x), device=self.x.device)
        if threshold is None:
            if self.pairs is None:
                before = range(len(self.x) - 1)
                apart = differences(self.x, self.scale, range(1, len(self.x)), before)
            else:
                apart = self.pairs[steps[1:], steps[:-1]]
            return torch.cat([self.first[None], apart])
        if self.pairs is None:
            return _scan(self.x, self.scale, self.first, threshold)
        last = torch.zeros_like(self.first, dtype=torch.int64)
        rows = [self.first]
        for step in range(1, len(self.x)):
            rows.append(self.pairs[step].gather(0, last[None])[0])
            last = torch.where(rows[-1] > threshold, steps[step], last)
        return torch.stack(rows)


class _Pass(NamedTuple):
    """How many tokens a ``threshold`` keeps, and the differences ``apart`` ``[T, n]`` with it."""

    threshold: float
    kept: int
    apart: Tensor


class _Found(NamedTuple):
    """The nearest passes that keep more than asked for, and no more; the last of all.

    ``slope`` is how the logarithm of the threshold goes with that of the number of tokens.
    """

    many: _Pass | None
    few: _Pass | None
    last: _Pass
    slope: float | None


def _since_kept(cells: _Cells, k: int) -> Tensor:
    """Scores ``[T, n]`` of which the ``k`` largest are to be kept."""
    start, slope = _above(cells.since(None), k), None
    if len(cells.first) >= 8 * _STRIDE:  # a first look at some of them
        some = cells.some(slice(_STRIDE // 2, None, _STRIDE))
        share = max(1, k * len(some.first) // len(cells.first))
        look = _search(some, share, start, None)
        start, slope = look.last.threshold, look.slope
    many, few, last, _ = _search(cells, k, start, slope)
    if not (many and few):
        return last.apart
    # The threshold is lowered cell by cell, those first that are the nearest to one token more.
    kept, more = few.apart > few.threshold, many.apart > many.threshold
    nearest = few.apart.masked_fill(kept, 0).amax(0).argsort(descending=True, stable=True)
    growth = (more.sum(0) - kept.sum(0))[nearest].cumsum(0)
    growth = growth.masked_fill(growth > k - few.kept, 0)
    lower = nearest[: int(growth.argmax()) + 1] if int(growth.max()) > 0 else nearest[:0]
    scores = few.apart.masked_fill(kept, float("inf"))
    scores[:, lower] = many.apart.masked_fill(more, float("inf"))[:, lower]
    return scores


def _search(cells: _Cells, k: int, threshold: float, slope: float | None) -> _Found:
    """Look for the threshold that keeps ``k``: the number goes about with a power of it."""
    sure = int(cells.first.isinf().sum())
    passes: list[_Pass] = []
    many: _Pass | None = None
    few: _Pass | None = None
    for _ in range(_PASSES):
        threshold = max(threshold, _LEAST)
        apart = cells.since(threshold)
        passes.append(_Pass(threshold, int((apart > threshold).sum()), apart))
        many = min((p for p in passes if p.kept > k), key=lambda p: p.kept, default=None)
        few = max((p for p in passes if p.kept <= k), key=lambda p: p.kept, default=None)
        low, high = many.threshold if many else _LEAST, few.threshold if few else 2.0
        near = k - few.kept <= k // 64 or high < low * 1.00001 if few else False
        if near or (few and many and many.kept - few.kept <= k // 8):
            break
        logs = [(math.log(p.threshold), math.log(max(p.kept - sure, 0.5))) for p in passes[-2:]]
        if len(logs) == 2 and logs[0][1] != logs[1][1]:
            slope = (logs[1][0] - logs[0][0]) / (logs[1][1] - logs[0][1])
        if slope is None:
            threshold = _above(apart, k)
        else:
            more = math.log(max(k - sure, 0.5)) - logs[-1][1]
            threshold = math.exp(min(logs[-1][0] + slope * more, 1.0))
        if not low < threshold < high:
            threshold = math.sqrt(low * high)
    return _Found(many, few, passes[-1], slope)


def _above(scores: Tensor, k: int) -> float:
    """The threshold that ``k`` of the scores are above, where no two are equal."""
    return float(scores.flatten().topk(k + 1).values[-1])


def _beside(unit: Tensor) -> Tensor:
    """Differences of a frame of unit vectors ``[h, w, D]`` from their neighbours, ``[h * w]``."""
    apart = unit.new_full(unit.shape[:2], float("inf"))
    apart[:, 1:] = (unit[:, 1:] - unit[:, :-1]).square().sum(2) / 2
    apart[1:, 0] = (unit[1:, 0] - unit[:-1, 0]).square().sum(1) / 2
    return apart.flatten()


def _apart(one: Tensor, two: Tensor, spare: Tensor, out: Tensor) -> None:
    """``1 - cosine`` of unit vectors ``[n, D]``, which rounding does not blur for near copies."""
    torch.sub(one, two, out=spare)
    torch.linalg.vector_norm(spare, dim=1, out=out)
    out.square_().mul_(0.5)


def _scan(x: Tensor, scale: Tensor, first: Tensor, threshold: float) -> Tensor:
    """As :meth:`_Cells.since`, from the tokens themselves."""
    apart = x.new_empty(x.shape[:2])
    apart[0] = first
    last = x[0] * scale[0, :, None]
    unit, spare = torch.empty_like(last), torch.empty_like(last)
    for step in range(1, len(x)):
        torch.mul(x[step], scale[step, :, None], out=unit)
        _apart(unit, last, spare, apart[step])
        moved = (apart[step] > threshold).nonzero().squeeze(1)
        last.index_copy_(0, moved, unit.index_select(0, moved))
    return apart


def _pairs(x: Tensor, scale: Tensor) -> Tensor:
    """``1 - cosine`` of all pairs of frames at the same cell, ``[T, T, n]``."""
    likeness = torch.bmm(x.transpose(0, 1), x.permute(1, 2, 0))
    likeness *= scale.mT[:, :, None] * scale.mT[:, None]
    square = likeness.diagonal(dim1=1, dim2=2) / 2
    apart = (square[:, :, None] + square[:, None] - likeness).permute(1, 2, 0).contiguous()
    return apart.masked_fill_(apart < _ROUNDING, 0)
