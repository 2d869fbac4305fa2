"""FastVID: in each frame what is salient, of each segment clusters about dense tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from videopipe.allocate import allocate
from videopipe.compress.changes import largest, unit_scale
from videopipe.compress.density import centres, density
from videopipe.compress.frames import columns
from videopipe.compress.registry import Kind, register
from videopipe.compress.resample import even
from videopipe.compress.segments import cut_apart
from videopipe.compress.tokens import TokenMap, VisualTokens

_AT_ONCE = 2**22  # features, or likenesses


class Counts(NamedTuple):
    """Rows of each frame, int64 ``[T]`` on the CPU: its ``salient`` tokens, and ``context``."""

    salient: Tensor
    context: Tensor


@register("fastvid")
@dataclass(frozen=True, slots=True)
class FastVID:
    """FastVID (NeurIPS 2025): salient tokens of each frame, and merged ones of each segment.

    The video is cut between the frames least like each other: into ``segments`` at least, and
    wherever the cosine of their vectors is below ``tau``. Those are the ``frame`` of the context
    if it is there, or means of tokens. The share ``context`` of the tokens is for the segments, the
    rest for the tokens of most attention, as many in each frame. In every ``period``-th frame of a
    segment, counted from its end, those of the rest that are density peaks are targets. Every
    token of the segment, salient ones apart, joins in each of these frames the target most like it
    (cosine); where all frames have targets, in its own. A row is ``beta`` its target and the rest
    the mean of what joined it, at the place of the target.

    The released code rounds down in each frame; here shares go by largest remainder, and targets
    that a frame has no tokens for are salient ones of all. It makes 8 segments of 32 frames;
    ``segments`` None makes as many in proportion. Its random noise of densities is left out.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"attention:-1"})
    kind: ClassVar[Kind] = "merge"
    whole: ClassVar[bool] = True
    exact: ClassVar[str] = "largest remainders"
    paper: ClassVar[str] = "arXiv 2503.11187"
    segments: int | None = None
    tau: float = 0.9
    context: float = 0.4
    period: int = 4
    beta: float = 0.6
    neighbours: int = 4

    def __post_init__(self) -> None:
        for name in ("segments", "period", "neighbours"):
            value = getattr(self, name)
            if not (isinstance(value, int) and value >= 1) and (value, name) != (None, "segments"):
                raise ValueError(f"{name} is a whole number from 1, got {value}")
        if not -1 <= self.tau <= 1:
            raise ValueError(f"tau is a cosine, -1 to 1, got {self.tau}")
        for name in ("context", "beta"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a share, 0 to 1, got {getattr(self, name)}")

    def __call__(self, tokens: VisualTokens, k: int) -> TokenMap:
        segments = self.cut(tokens)
        return self.join(tokens, segments, self.counts(tokens, segments, k))

    def cut(self, tokens: VisualTokens) -> list[slice]:
        """The segments of the video."""
        steps = tokens.grid[0]
        frames = tokens.context.get("frame")
        if frames is None:
            frames = tokens.features.view(steps, -1, tokens.x.shape[1]).mean(1)
        return cut_apart(frames, self.segments or round(steps / 4), self.tau)

    def anchors(self, segment: slice) -> range:
        """The frames of a segment that have targets."""
        return range(segment.stop - 1, segment.start - 1, -self.period)[::-1]

    def counts(self, tokens: VisualTokens, segments: list[slice], k: int) -> Counts:
        """``k`` rows shared out: salient ones evenly, those of a segment among its anchors."""
        steps, high, wide = tokens.grid
        wanted = round(k * self.context)
        salient = even(k - wanted, steps)
        demand = torch.zeros(steps, dtype=torch.float64)
        for segment in segments:
            anchors = self.anchors(segment)
            demand[anchors] = (segment.stop - segment.start) / len(anchors)
        room = torch.where(demand > 0, high * wide - salient, 0)
        wanted = min(wanted, int(room.sum()))
        context = torch.from_numpy(allocate(demand.numpy(), wanted, 0, room.numpy()))
        room = high * wide - context
        more = allocate(np.ones(steps), k - wanted, salient.numpy(), room.numpy())
        return Counts(torch.from_numpy(more), context)

    def join(self, tokens: VisualTokens, segments: list[slice], counts: Counts) -> TokenMap:
        """The map of so many salient tokens and targets of each frame."""
        steps, high, wide = tokens.grid
        x = tokens.features.view(steps, high * wide, -1)
        salience = tokens.signals["attention:-1"].float().view(steps, -1)
        kept = largest(salience, counts.salient)
        targets = self._targets(x, ~kept, counts.context)
        index = torch.arange(len(tokens), device=x.device).view(steps, -1)
        empty = index.flatten()[:0]
        src, into = [empty], [empty]
        for segment in segments:
            anchors = self.anchors(segment)
            own = len(anchors) == segment.stop - segment.start
            groups = [(slice(n, n + 1), [n]) for n in anchors] if own else [(segment, anchors)]
            for frames, mine in groups:
                some = [targets[step] for step in mine if len(targets[step])]
                if some:
                    joins = index[frames][~kept[frames]]
                    src += [joins] * len(some)
                    into += _nearest(tokens.features, joins, some)
        joins, joined = torch.cat(src), torch.cat(into)
        size = torch.bincount(joined, minlength=len(tokens))
        part = (1 / (1 + size)).clamp(min=self.beta)
        others = ((1 - part) / size)[joined]
        target = torch.cat([*targets, index[kept]])  # a salient token is joined by none
        host, row = torch.unique(torch.cat([joined, target]), return_inverse=True)
        weight = torch.cat([others, part[target]])
        return TokenMap.merge(tokens, row, host, torch.cat([joins, target]), weight, stays=True)

    def _targets(self, x: Tensor, rest: Tensor, counts: Tensor) -> list[Tensor]:
        """Of each frame the tokens that are density peaks of the ``rest``, numbered in ``x``."""
        n = rest.shape[1]
        made = [torch.zeros(0, dtype=torch.int64, device=x.device)] * len(x)
        anchors = counts.nonzero().squeeze(1)
        for some in torch.split(anchors, max(1, _AT_ONCE // x[0].numel())) if len(anchors) else ():
            where = some.to(x.device)
            index, size = columns(rest[where])
            there = torch.arange(index.shape[1], device=x.device) < size[:, None]
            score = density(x[where[:, None], index], there, self.neighbours).score
            cells = index.gather(1, centres(score, counts[some]))
            for step, several, row in zip(some.tolist(), counts[some].tolist(), cells, strict=True):
                made[step] = step * n + row[:several]
        return made


def _nearest(x: Tensor, rows: Tensor, targets: list[Tensor]) -> list[Tensor]:
    """For each of some sets of targets: the one that each of ``rows`` is most like."""
    sizes = [len(some) for some in targets]
    unit = x[torch.cat(targets)]
    unit = unit * unit_scale(unit)[:, None]
    block = max(1, _AT_ONCE // max(x.shape[1], sum(sizes)))
    parts = [
        [some.argmax(1) for some in torch.split(x[part] @ unit.mT, sizes, 1)]
        for part in torch.split(rows, block)
    ]
    return [
        some[torch.cat(part)] for some, part in zip(targets, zip(*parts, strict=True), strict=True)
    ]
