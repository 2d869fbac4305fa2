"""PruneVid: segments of like frames, in which static tokens are merged over time, all in space."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from videopipe.compress.registry import Kind, register
from videopipe.compress.segments import clustered
from videopipe.compress.static import Rows, Split, about_peaks
from videopipe.compress.tokens import TokenMap, VisualTokens


@register("prunevid")
@dataclass(frozen=True, slots=True)
class PruneVid:
    """PruneVid's merging (ACL Findings 2025): static tokens over time, then all within frames.

    Frames are clustered by their mean tokens, ``clusters`` of them for each frame, and made
    contiguous segments. A place is static in one if the mean cosine of its tokens in all pairs of
    frames is above ``tau``; its tokens are averaged. Then the static tokens of each segment and the
    moving ones of each frame are clustered about density peaks, each row a plain mean.

    The released code merges to half of each set, and how many tokens that makes is left to the
    video. Here the sets share ``k`` by their size, one row at least of each as far as there are
    enough, and no more places are static than leaves ``k`` tokens, the steadiest first. Its second
    stage, pruning by attention in the language model, is not part of it.
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    kind: ClassVar[Kind] = "merge"
    whole: ClassVar[bool] = True
    exact: ClassVar[str] = "largest remainders"
    paper: ClassVar[str] = "arXiv 2412.16117"
    clusters: float = 0.25
    tau: float = 0.8
    neighbours: int = 7

    def __post_init__(self) -> None:
        if not 0 < self.clusters <= 1:
            raise ValueError(f"clusters is above 0 and at most 1, got {self.clusters}")
        if not -1 <= self.tau <= 1:
            raise ValueError(f"tau is a cosine, -1 to 1, got {self.tau}")
        if not (isinstance(self.neighbours, int) and self.neighbours >= 1):
            raise ValueError(f"neighbours is a whole number from 1, got {self.neighbours}")

    def __call__(self, tokens: VisualTokens, k: int) -> TokenMap:
        steps, high, wide = tokens.grid
        x = tokens.features.view(steps, high * wide, -1)
        segments = clustered(x.mean(1), max(1, int(steps * self.clusters)), self.neighbours)
        split = still(steadiness(x, segments), segments, self.tau, len(tokens) - k)
        shares = split.shares(k)
        static = self._rows(partial(split.means, x), split.static, shares.static)
        moving = self._rows(
            lambda some, cells: x[some[:, None], cells], split.moving, shares.moving
        )
        return split.join(tokens, static, moving, stays=False)

    def _rows(self, of: Callable[[Tensor, Tensor], Tensor], mask: Tensor, counts: Tensor) -> Rows:
        near = torch.full_like(counts, self.neighbours)
        centre = about_peaks(of, mask, counts, near)
        return Rows(centre, torch.ones(centre.shape, device=centre.device))


def steadiness(x: Tensor, segments: list[slice]) -> Tensor:
    """The mean cosine of the tokens of each cell in all pairs of frames of a segment, ``[S, n]``.

    -1 in segments of one frame.

    Args:
        x: ``[T, n, D]``.
    """
    made = x.new_full((len(segments), x.shape[1]), -1.0)
    norm: Tensor = torch.linalg.vector_norm(x, dim=2)
    scale = norm.clamp(min=1e-12).reciprocal()
    length = (norm * scale).square()  # 1, or 0 of a token of zeros
    for row, segment in zip(made, segments, strict=True):
        frames = segment.stop - segment.start
        if frames > 1:
            # All cosines together are the square of the sum of the unit vectors.
            total = torch.einsum("tn,tnd->nd", scale[segment], x[segment]).square().sum(1)
            row[:] = (total - length[segment].sum(0)) / (frames * (frames - 1))
    return made


def still(steady: Tensor, segments: list[slice], tau: float, most: int) -> Split:
    """The split whose static places are those above ``tau``, the steadiest that save ``most``.

    Args:
        steady: ``[S, n]``, as of :func:`steadiness`.
    """
    order = steady.flatten().argsort(descending=True, stable=True)
    several = torch.tensor([part.stop - part.start - 1 for part in segments], device=steady.device)
    saves = several[:, None].expand_as(steady).flatten()[order]
    chosen = (steady.flatten()[order] > tau) & (saves > 0)
    chosen &= (saves * chosen).cumsum(0) <= most
    static = torch.zeros_like(chosen).index_copy_(0, order, chosen)
    return Split(segments, static.view_as(steady))
