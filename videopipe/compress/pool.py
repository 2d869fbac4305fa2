"""Average pooling of the grid of each frame."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from videopipe.compress.registry import Kind, register
from videopipe.compress.resample import (
    Axis,
    Sampling,
    adaptive,
    cell_sampling,
    even,
    grid_sampling,
    lowpass,
    means,
    sampled,
)
from videopipe.compress.tokens import TokenMap, VisualTokens

Window = Literal["cells", "adaptive", "lowpass", "pyramid", "line"]
_AXES: dict[str, Axis] = {"adaptive": adaptive, "lowpass": lowpass}
_AT_ONCE = 2**22  # features


@register("pool")
@dataclass(frozen=True, slots=True)
class GridPool:
    """Averages cells of each frame.

    The frames share ``k`` evenly, and a frame of ``n`` tokens is cut into bands of its aspect
    ratio, each band into as many cells as make ``n`` in all; where fewer tokens than frames are
    left, neighbouring frames are averaged as well. ``rows`` is into how many bands a frame is cut
    instead, as far as there are tokens for them.

    ``window`` is what a row is the mean of. ``cells`` have no token in common; ``adaptive`` windows
    overlap where the sides do not divide; ``lowpass`` keeps low frequencies; ``pyramid`` gives each
    frame cells of one of several nested sizes; a ``line`` is a stretch of the raster sequence.

    A row stands in the middle of its window, and that of a line at the time of its middle token;
    its host is the token nearest to that.
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    kind: ClassVar[Kind] = "pool"
    whole: ClassVar[bool] = True
    exact: ClassVar[str] = "unequal cells"
    paper: ClassVar[str] = ""
    rows: int | None = None
    window: Window = "cells"

    def __post_init__(self) -> None:
        if self.rows is not None and not (isinstance(self.rows, int) and self.rows >= 1):
            raise ValueError(f"rows is a whole number from 1, got {self.rows}")
        if self.window not in get_args(Window):
            raise ValueError(f"window is one of {', '.join(get_args(Window))}, got {self.window}")
        if self.window in ("pyramid", "line") and self.rows:
            raise ValueError(f"rows says nothing to a {self.window}")

    def __call__(self, tokens: VisualTokens, k: int) -> TokenMap:
        if self.window == "line":
            stretch = even(len(tokens), k).to(tokens.x.device)
            row = torch.arange(k, device=stretch.device).repeat_interleave(stretch)
            return TokenMap.merge(tokens, row, stretch.cumsum(0) - (stretch + 1) // 2)
        if self.window == "pyramid":
            return _in_scales(tokens, k)

        def sampler(high: int, wide: int, n: int) -> Sampling:
            rows = max(min(self.rows, high, n), -(-n // wide)) if self.rows else 0
            if self.window == "cells":
                return cell_sampling(high, wide, n, rows)
            return grid_sampling(high, wide, n, _AXES[self.window], rows)

        return sampled(tokens, even(k, min(tokens.grid[0], k)), sampler)


@register("tokenflex")
@dataclass(frozen=True, slots=True)
class TokenFlex(GridPool):
    """TokenFLEX: adaptive average pooling to any number of tokens.

    Its windows overlap where the sides do not divide. The trained projector is no part of it.
    """

    exact: ClassVar[str] = "unequal rows"
    paper: ClassVar[str] = "arXiv 2504.03154"
    window: Window = "adaptive"


@register("m3")
@dataclass(frozen=True, slots=True)
class M3(GridPool):
    """M3, Matryoshka Multimodal Models (ICLR 2025): cells of nested sizes.

    Scales are halves of the sides: 24, 12, 6, 3 and 1 (a third of what only three divides). All
    frames get the finest scale that ``k`` allows. What is left pays for the next scale of frames in
    the order of what they gain by it, the squared distance between the means of the finer and the
    coarser cells; the rest is less than one scale, and cuts the next frame into unequal cells. The
    released code rounds to a scale, and leaves the choice of one to the user.
    """

    exact: ClassVar[str] = "unequal cells in one frame"
    paper: ClassVar[str] = "arXiv 2405.17430"
    window: Window = "pyramid"


@register("llavolta")
@dataclass(frozen=True, slots=True)
class LLaVolta(GridPool):
    """LLaVolta (NeurIPS 2024) before the language model: means of a few tokens in a row.

    Stretches of the raster sequence, whose lengths differ by one: the end of a line goes together
    with the start of the next. The released code drops the last tokens where its stride does not
    divide. Its stages are of training, its deeper layers in the language model.
    """

    whole: ClassVar[bool] = False
    exact: ClassVar[str] = "unequal stretches"
    paper: ClassVar[str] = "arXiv 2406.20092"
    window: Window = "line"

    def __post_init__(self) -> None:
        GridPool.__post_init__(self)
        if self.window != "line":
            raise ValueError(f"the window of llavolta is a line, got {self.window}")


def scales(high: int, wide: int) -> dict[int, Tensor]:
    """The cell ``[high, wide]`` of each place, by the number of cells, from coarse to fine."""
    down, across = _nested(high), _nested(wide)
    one = torch.zeros(1, dtype=torch.int64)
    made = {}
    for rows, columns in zip_longest(down, across):
        row = one.expand(high) if rows is None else rows
        column = one.expand(wide) if columns is None else columns
        count = int(column.max()) + 1
        made[(int(row.max()) + 1) * count] = row[:, None] * count + column
    return dict(reversed(made.items()))


def _nested(side: int) -> list[Tensor]:
    """The cell of each place along a side, from fine to coarse."""
    cells, made = torch.arange(side), [torch.arange(side)]
    while side > 1:
        less = side // 3 if side % 2 and side % 3 == 0 else (side + 1) // 2
        cells, side = cells * less // side, less
        made.append(cells)
    return made


def _in_scales(tokens: VisualTokens, k: int) -> TokenMap:
    steps, high, wide = tokens.grid
    cells = scales(high, wide)

    def sampler(high: int, wide: int, n: int) -> Sampling:
        return means(cells[n]) if n in cells else cell_sampling(high, wide, n)

    if k < steps:
        return sampled(tokens, even(k, k), sampler)
    sizes = [*cells]
    at = max(at for at, n in enumerate(sizes) if n * steps <= k)
    shares = torch.full((steps,), sizes[at])
    if left := k - int(shares.sum()):
        x = tokens.features
        if sizes[at + 1] < high * wide:
            x = sampled(tokens, torch.full((steps,), sizes[at + 1]), sampler).apply(x)
        gain = _gain(x, cells[sizes[at]], cells[sizes[at + 1]])
        order = gain.argsort(descending=True, stable=True).cpu()
        better, rest = divmod(left, sizes[at + 1] - sizes[at])
        shares[order[:better]] = sizes[at + 1]
        shares[order[better]] += rest
    return sampled(tokens, shares, sampler)


def _gain(x: Tensor, coarse: Tensor, fine: Tensor) -> Tensor:
    """What each frame gains by finer cells: the squares of what their means ``x`` differ."""
    size = torch.bincount(fine.flatten())
    parent = torch.empty_like(size)
    parent[fine.flatten()] = coarse.flatten()
    share = torch.zeros(int(coarse.max()) + 1, len(size))
    share[parent, torch.arange(len(size))] = size.float()
    share = (share / share.sum(1, keepdim=True)).to(x.device)
    size, parent = size.to(x.device), parent.to(x.device)
    x = x.reshape(-1, len(size), x.shape[1])
    return torch.cat(
        [
            ((some - (share @ some)[:, parent]).square().sum(2) * size).sum(1)
            for some in torch.split(x, max(1, _AT_ONCE // x[0].numel()))
        ]
    )
