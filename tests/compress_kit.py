"""Visual tokens with every signal there is, and what each compressor promises."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from hypothesis import strategies as st
from torch import Tensor

from videopipe.compress import TokenMap, VisualTokens, compose, methods

torch.set_num_threads(1)
EXTRAS = ("none", "newline", "class")
EXACT = [name for name in methods() if name != "none"]
grids = st.tuples(st.integers(1, 9), st.integers(1, 7), st.integers(1, 11))


def places(grid: tuple[int, int, int], extra: str = "none") -> Tensor:
    """The positions of a grid, with a line break at the end or a class token for each frame."""
    pos = torch.cartesian_prod(*(torch.arange(float(side)) for side in grid))
    steps = grid[0]
    if extra == "newline":
        pos = torch.cat([pos, torch.tensor([[steps - 1.0, -1.0, -1.0]])])
    if extra == "class":
        heads = torch.tensor([[[float(t), -1.0, -1.0]] for t in range(steps)])
        pos = torch.cat([heads, pos.view(steps, -1, 3)], 1).flatten(0, 1)
    return pos


def tokens(
    grid: tuple[int, int, int],
    extra: str = "none",
    dim: int = 3,
    seed: int = 0,
    x: Tensor | None = None,
    needs: Iterable[str] | None = None,
) -> VisualTokens:
    """Tokens on a grid, noise unless ``x`` is given, with all signals and context in ``needs``.

    Those of all methods if None. What is one number for a frame is one for a token.
    """
    pos = places(grid, extra)
    noise = torch.Generator().manual_seed(seed)
    if x is None:
        x = torch.randn(len(pos), dim, generator=noise)
    steps, n = grid[0], len(pos)
    signals, context = {}, {}
    if needs is None:
        needs = frozenset().union(*(compose(name).needs for name in methods()))
    for name in sorted(needs):
        match name.partition(":")[0]:
            case "relevance":
                signals[name] = torch.rand(steps, generator=noise)[pos[:, 0].long()]
            case "question":
                signals[name] = torch.rand(n, generator=noise) * 2 - 1
            case "key" | "metric" | "pre":
                signals[name] = torch.randn(n, 6, generator=noise)
            case "text":
                context[name] = torch.randn(4, x.shape[1], generator=noise)
            case "frame":
                context[name] = torch.randn(steps, 5, generator=noise)
            case _:
                signals[name] = torch.rand(n, generator=noise)
    times = torch.arange(steps, dtype=torch.float64)
    return VisualTokens(x, pos, grid, times, signals=signals, context=context)


def holds(made: TokenMap, whole: VisualTokens, k: int) -> None:
    """What every compressor promises."""
    assert len(made) == k
    assert made.tokens_in == len(whole)
    assert bool((made.host.diff() > 0).all())
    assert 0 <= int(made.host[0]) <= int(made.host[-1]) < len(whole)
    assert bool((made.pos[:, 0, 0].diff() >= 0).all())
    assert made.weight.dtype == torch.float32
    assert bool(torch.isfinite(made.weight).all())
    assert bool(torch.isfinite(made.pos).all())
    dense = made.to_dense()
    assert torch.allclose(dense.sum(1), torch.ones(k), atol=1e-5)
    # The token whose place a row takes is one that it is made of.
    assert bool((dense[torch.arange(k), made.host] != 0).all())
