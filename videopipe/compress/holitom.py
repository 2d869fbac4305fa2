"""HoliTom: segments that save the most tokens, what is static in them merged, the rest pruned."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from videopipe.compress.changes import differences, largest, unit_scale
from videopipe.compress.registry import Kind, register
from videopipe.compress.segments import saving
from videopipe.compress.static import Rows, Shares, Split, about_peaks
from videopipe.compress.tokens import TokenMap, VisualTokens

_LEAST = 0.5  # cosine: what is less alike is not static
_STEPS = 12


@register("holitom")
@dataclass(frozen=True, slots=True)
class HoliTom:
    """HoliTom (NeurIPS 2025): merges what is static in segments that save most, prunes the rest.

    A token is static in a segment if the cosine to that at its place in the next frame is above
    ``tau`` all along. The video is cut where the static tokens, one for each place and segment,
    save the most. Of all that is left the same part is kept: in each frame the moving tokens that
    receive the most attention; in each segment clusters of the static ones about density peaks, a
    row being ``beta`` its centre and the rest the mean of the others.

    Published are ``tau`` 0.65 for a tenth of the tokens and 0.8 for more. Here, if it is None, it
    is what makes both steps equally hard: static tokens save so many that of the others as large a
    part is kept, but no less than 0.5. A ``tau`` that leaves fewer than ``k`` tokens is raised.
    Parts are shared out by largest remainder, at least one token of each frame and segment that
    has some, as far as there are enough. Merging in the language model is not part of it.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"recv:-1"})
    kind: ClassVar[Kind] = "merge"
    whole: ClassVar[bool] = True
    exact: ClassVar[str] = "bisection of tau, largest remainders"
    paper: ClassVar[str] = "arXiv 2505.21334"
    tau: float | None = None
    beta: float = 0.6
    neighbours: int = 7

    def __post_init__(self) -> None:
        if self.tau is not None and not -1 <= self.tau <= 1:
            raise ValueError(f"tau is a cosine, -1 to 1, got {self.tau}")
        if not 0 < self.beta <= 1:
            raise ValueError(f"beta is above 0 and at most 1, got {self.beta}")
        if not (isinstance(self.neighbours, int) and self.neighbours >= 1):
            raise ValueError(f"neighbours is a whole number from 1, got {self.neighbours}")

    def __call__(self, tokens: VisualTokens, k: int) -> TokenMap:
        alike = likeness(tokens)
        if self.tau is None:
            split = at_least(alike, max(k, math.isqrt(k * len(tokens))), _LEAST)
        else:
            split = at_least(alike, k, self.tau)
        return self.join(tokens, split, split.shares(k))

    def join(self, tokens: VisualTokens, split: Split, shares: Shares) -> TokenMap:
        """The map of the static and the moving tokens, so many of each set."""
        steps, high, wide = tokens.grid
        x = tokens.features.view(steps, high * wide, -1)
        # As released: no more neighbours than clusters.
        near = shares.static.clamp(max=self.neighbours)
        means = partial(split.means, x)
        centre = about_peaks(means, split.static, shares.static, near)
        cells = torch.arange(high * wide, device=x.device)
        known = centre >= 0
        size = torch.zeros_like(centre).scatter_add_(1, centre.clamp(min=0), known.long())
        others = size.gather(1, centre.clamp(min=0)) - 1
        weight = (1 - self.beta) / others.clamp(min=1)
        weight = weight.masked_fill(centre == cells, self.beta)
        received = tokens.signals["recv:-1"].float().view(steps, -1)
        kept = largest(received.masked_fill(~split.moving, float("-inf")), shares.moving)
        moving = Rows(cells.expand(steps, -1).where(kept, -1), torch.ones_like(received))
        return split.join(tokens, Rows(centre, weight), moving, stays=True)


def likeness(tokens: VisualTokens) -> Tensor:
    """The cosine of the tokens of each frame and the next at their cell, ``[T - 1, h * w]``."""
    x = tokens.features.view(tokens.grid[0], -1, tokens.x.shape[1])
    return 1 - differences(x, unit_scale(x), range(len(x) - 1), range(1, len(x)))


def split(alike: Tensor, tau: float) -> Split:
    """The segments that save the most, and what is static in them.

    Args:
        alike: ``[T - 1, n]``, as of :func:`likeness`.
    """
    same = alike > tau
    segments, _ = saving(same.cpu().numpy())
    static = [
        same[segment.start : segment.stop - 1].all(0)
        if segment.stop - segment.start > 1
        else same.new_zeros(same.shape[1])
        for segment in segments
    ]
    return Split(segments, torch.stack(static))


def at_least(alike: Tensor, left: int, tau: float) -> Split:
    """The split of the lowest threshold from ``tau`` that leaves ``left`` tokens or more."""
    most = (len(alike) + 1) * alike.shape[1] - left
    if saving((alike > tau).cpu().numpy())[1] > most:
        low, tau = tau, 1.5
        for _ in range(_STEPS):
            middle = (low + tau) / 2
            if saving((alike > middle).cpu().numpy())[1] > most:
                low = middle
            else:
                tau = middle
    return split(alike, tau)
