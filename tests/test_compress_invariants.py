"""What every compressor promises, whatever it is given."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from compress_kit import EXACT, grids, holds, tokens
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from videopipe.compress import TokenMap, compose, compress, method, methods

RAGGED = [name for name in EXACT if not method(name).whole]
Grid = tuple[int, int, int]


def same(one: TokenMap, other: TokenMap) -> bool:
    return (
        torch.equal(one.host, other.host)
        and torch.allclose(one.to_dense(), other.to_dense(), atol=1e-6)
        and torch.allclose(one.pos, other.pos, atol=1e-5)
    )


def flat(kind: str, n: int, dim: int) -> Tensor:
    """Tokens that say little: what makes similarities tie, or norms vanish."""
    noise = torch.Generator().manual_seed(n)
    match kind:
        case "constant":
            return torch.ones(n, dim)
        case "zero":
            return torch.zeros(n, dim)
        case "some zero":
            return torch.randn(n, dim, generator=noise) * (torch.arange(n) % 3 > 0)[:, None]
        case "two":
            return torch.randn(2, dim, generator=noise)[torch.arange(n) // 2 % 2]
        case "huge":
            return torch.randn(n, dim, generator=noise) * 1e4
        case _:
            few = max(1, n // 5)
            return torch.randn(few, dim, generator=noise)[torch.arange(n) % few]


KINDS = ("constant", "zero", "some zero", "two", "huge", "repeated")


@pytest.mark.parametrize("name", EXACT)
@settings(max_examples=18, deadline=None)
@given(kind=st.sampled_from(KINDS), grid=grids, data=st.data())
def test_tokens_that_say_little_are_as_many(
    name: str, kind: str, grid: Grid, data: st.DataObject
) -> None:
    n = grid[0] * grid[1] * grid[2]
    whole = tokens(grid, x=flat(kind, n, 4))
    k = data.draw(st.integers(1, n))
    made = compress(name, whole, k)
    holds(made, whole, k)
    assert bool(torch.isfinite(made.apply(whole.x)).all())


@pytest.mark.parametrize("name", EXACT)
@settings(max_examples=6, deadline=None)
@given(grid=grids, data=st.data())
def test_signals_that_say_nothing_do_no_harm(name: str, grid: Grid, data: st.DataObject) -> None:
    whole = tokens(grid)
    level = data.draw(st.sampled_from([0.0, 0.5]))
    whole = replace(
        whole,
        signals={key: torch.full_like(value, level) for key, value in whole.signals.items()},
        context={key: torch.zeros_like(value) for key, value in whole.context.items()},
    )
    k = data.draw(st.integers(1, len(whole)))
    holds(compress(name, whole, k), whole, k)


@pytest.mark.parametrize("name", EXACT)
def test_the_fewest_and_the_most_rows(name: str) -> None:
    for grid in ((1, 1, 2), (1, 4, 4), (2, 1, 1), (6, 1, 1), (5, 3, 4)):
        whole = tokens(grid)
        for k in (1, len(whole) - 1):
            holds(compress(name, whole, k), whole, k)


@pytest.mark.parametrize("name", EXACT)
def test_the_same_again_whatever_was_drawn_before(name: str) -> None:
    whole = tokens((6, 5, 4), dim=8)
    before = [part.clone() for part in (whole.x, whole.pos, *whole.signals.values())]
    torch.manual_seed(1)
    state = torch.random.get_rng_state()
    first = compress(name, whole, 37)
    assert torch.equal(torch.random.get_rng_state(), state)  # nor is anything drawn from others
    torch.manual_seed(2)
    assert same(first, compress(name, whole, 37))
    after = [whole.x, whole.pos, *whole.signals.values()]
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))


@pytest.mark.parametrize("name", EXACT)
def test_half_precision_is_looked_at_in_full(name: str) -> None:
    """In bfloat16 the likeness of neighbours is 1, all of them."""
    x = 1 + 0.02 * torch.randn(4 * 5 * 6, 8, generator=torch.Generator().manual_seed(0))
    half = tokens((4, 5, 6), x=x.bfloat16())
    full = tokens((4, 5, 6), x=x.bfloat16().float())
    for k in (7, 40):
        made = compress(name, half, k)
        assert made.weight.dtype == torch.float32
        assert made.apply(half.x).dtype == torch.bfloat16
        assert same(made, compress(name, full, k))


@pytest.mark.parametrize("name", RAGGED)
@settings(max_examples=10, deadline=None)
@given(grid=grids, data=st.data())
def test_frames_may_have_different_numbers_of_tokens(
    name: str, grid: Grid, data: st.DataObject
) -> None:
    n = grid[0] * grid[1] * grid[2]
    rows = sorted(data.draw(st.sets(st.integers(0, n - 1), min_size=1, max_size=n)))
    some = tokens(grid).take(torch.tensor(rows))
    k = data.draw(st.integers(1, len(some)))
    holds(compress(name, some, k), some, k)


@pytest.mark.parametrize("name", RAGGED)
@settings(max_examples=6, deadline=None)
@given(grid=grids, data=st.data())
def test_every_method_goes_on_with_what_another_leaves(
    name: str, grid: Grid, data: st.DataObject
) -> None:
    whole = tokens(grid)
    k = data.draw(st.integers(1, len(whole)))
    first = data.draw(st.sampled_from(["evs:0.6", "pool:0.5", "framefusion:0.7", "holitom:0.8"]))
    made = compress(f"{first} | {name}", whole, k)
    assert len(made) == k
    if method(name).kind == "prune":
        holds(made, whole, k)


@pytest.mark.parametrize("name", sorted(set(EXACT) - set(RAGGED)))
def test_what_needs_whole_frames_says_so(name: str) -> None:
    some = tokens((3, 4, 4)).take(torch.arange(1, 48))
    with pytest.raises(ValueError, match="needs whole frames"):
        compress(name, some, 8)


def test_every_method_says_what_it_is() -> None:
    for name in methods():
        kind = method(name)
        assert kind.kind in ("prune", "merge", "pool"), name
        assert kind.exact, name
        assert (kind.__doc__ or "").strip(), name
        assert isinstance(compose(name).needs, frozenset), name
        if name not in ("none", "pool", "uniform", "auto", "evs"):
            assert kind.paper.startswith("arXiv "), name


def test_pruning_methods_only_prune() -> None:
    whole = tokens((5, 4, 6), dim=8)
    for name in EXACT:
        if method(name).kind == "prune":
            assert compress(name, whole, 31).is_pruning, name


def test_each_row_is_of_tokens_that_are_there_once() -> None:
    """Merging and pruning share the tokens out: none counts in two rows."""
    whole = tokens((5, 4, 6), dim=8)
    for name in EXACT:
        if method(name).kind == "merge" and name not in (
            "prumerge",
            "recoverable",
            "fastvid",
            "scissor",
        ):
            used = (compress(name, whole, 31).to_dense() > 0).sum(0)
            assert int(used.max()) <= 1, name
