"""QuoTA: exact shares of the budget, and frames made as small as the official ones."""

from __future__ import annotations

from math import isqrt

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from oracle import Case, cases
from torch.nn import functional

from videopipe.compress import TokenMap, VisualTokens, compress
from videopipe.compress.quota import QuotaTokens
from videopipe.compress.resample import adaptive, bilinear, grid_sampling, rows_for
from videopipe.errors import ConfigError

torch.set_num_threads(1)
VERSIONS = {
    "v1": "bilinear",
    "v2": "adaptive",
    "v3": "linspace",
    "v4": "tome",
    "v5": "tome-axes",
}
ASSIGNERS = list(VERSIONS.values())


def tokens(
    grid: tuple[int, int, int], chance: list[float] | NDArray[np.float32], dim: int = 4
) -> VisualTokens:
    """Noise on a grid, and how likely each frame answers the question."""
    pos = torch.cartesian_prod(*(torch.arange(float(side)) for side in grid))
    x = torch.randn(len(pos), dim, generator=torch.Generator().manual_seed(0))
    relevance = torch.as_tensor(chance, dtype=torch.float32)[pos[:, 0].long()]
    times = torch.arange(grid[0], dtype=torch.float64)
    return VisualTokens(x, pos, grid, times, signals={"relevance": relevance})


def case_tokens(case: Case) -> VisualTokens:
    grid = case.params["grid"]
    whole = tokens(tuple(grid), case.inputs["probability"])
    x = torch.from_numpy(case.inputs["tokens"]).flatten(0, 1)
    return VisualTokens(x, whole.pos, whole.grid, whole.times, signals=whole.signals)


def official_counts(case: Case) -> torch.Tensor:
    """What the official one makes of each frame, dropped frames at 0."""
    counts = np.zeros(case.params["grid"][0], dtype=np.int64)
    weights = case.outputs["weights" if case.params["version"] == "v1" else "capped_weights"]
    shown = np.floor(case.params["budget"] * weights) > 0
    counts[shown] = case.outputs["shape"].prod(1)
    return torch.from_numpy(counts)


def per_frame(made: TokenMap) -> NDArray[np.int64]:
    return np.bincount(made.pos[:, 0, 0].long().numpy())


def sorted_rows(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return rows[np.lexsort(rows.T)]


@pytest.mark.parametrize("case", cases("quota"))
def test_frames_become_what_the_official_one_makes_of_them(case: Case) -> None:
    assigner = VERSIONS[case.params["version"]]
    whole, counts = case_tokens(case), official_counts(case)
    made = QuotaTokens(assigner).assign(whole, counts)
    ours, official = made.apply(whole.x).numpy(), case.outputs["tokens"]
    assert ours.shape == official.shape
    if assigner.startswith("tome"):  # ours are in the order of their places
        ends = counts.cumsum(0).tolist()
        pairs = zip(np.split(ours, ends[:-1]), np.split(official, ends[:-1]), strict=True)
        for mine, theirs in pairs:
            assert np.allclose(sorted_rows(mine), sorted_rows(theirs), rtol=1e-4, atol=1e-5)
    else:
        assert np.allclose(ours, official, rtol=1e-4, atol=1e-5)
    if assigner in ("bilinear", "adaptive"):
        grids = [tuple(grid) for grid in case.outputs["shape"].tolist()]
        side = case.params["grid"][1]
        assert [rows_for(side, side, rows * columns) for rows, columns in grids] == [
            rows for rows, _ in grids
        ]


@pytest.mark.parametrize("case", cases("quota"))
def test_what_the_official_one_loses_of_the_budget_is_given_out(case: Case) -> None:
    whole, budget = case_tokens(case), case.params["budget"]
    made = compress("quota", whole, budget, assigner=VERSIONS[case.params["version"]])
    assert len(made) == budget > len(case.outputs["tokens"])
    counts = QuotaTokens(floor=0).counts(whole, budget).numpy()
    exact, size = budget * case.outputs["weights"], whole.grid[1] * whole.grid[2]
    if exact.max() <= size:
        assert (np.abs(counts - exact) < 1 + 1e-4).all()
    else:  # the cap binds: the official one loses a third
        assert counts.max() == size
        assert len(case.outputs["tokens"]) < 2 / 3 * budget


grids = st.tuples(st.integers(1, 6), st.integers(1, 7), st.integers(1, 9))


@pytest.mark.parametrize("assigner", ASSIGNERS)
@settings(max_examples=60, deadline=None)
@given(grid=grids, data=st.data())
def test_any_number_of_tokens_of_any_grid_is_exact(
    assigner: str, grid: tuple[int, int, int], data: st.DataObject
) -> None:
    steps, size = grid[0], grid[1] * grid[2]
    chance = data.draw(st.lists(st.floats(0, 1, width=32), min_size=steps, max_size=steps))
    k = data.draw(st.integers(1, steps * size))
    whole = tokens(grid, chance)
    quota = QuotaTokens(assigner, floor=data.draw(st.integers(0, 3)))
    counts, made = quota.counts(whole, k), quota(whole, k)
    assert len(made) == k
    assert per_frame(made).tolist() == counts[: len(per_frame(made))].tolist()
    assert int(counts.max()) <= size
    assert int(counts.min()) >= min(quota.floor, k // steps)
    dense = made.to_dense()
    assert torch.allclose(dense.sum(1), torch.ones(k), atol=1e-5)
    assert bool((dense[torch.arange(k), made.host] > 0).all())
    # A row is made of tokens of its own frame only.
    assert torch.equal(whole.pos[made.src, 0], made.pos[made.dst, 0, 0])
    if assigner.startswith("tome"):
        shown = counts[whole.pos[:, 0].long()] > 0
        assert torch.equal((dense > 0).sum(0), shown.long())


@pytest.mark.parametrize("assigner", ASSIGNERS)
def test_a_frame_with_all_its_tokens_is_left_as_it_is(assigner: str) -> None:
    whole = tokens((2, 5, 7), [1.0, 0.1])
    made = QuotaTokens(assigner).assign(whole, torch.tensor([35, 8]))
    assert torch.allclose(made.apply(whole.x)[:35], whole.x[:35], atol=1e-6)
    assert torch.equal(made.host[:35], torch.arange(35))


def test_rows_are_those_of_the_published_grids_wherever_one_is_filled() -> None:
    for n in range(1, 730):
        side = isqrt(n)
        rows = side + (side * (side + 1) <= n)
        assert rows_for(27, 27, n) == rows
        longest = -(-n // rows)
        assert longest - n // rows <= 1
        assert longest <= 27


@pytest.mark.parametrize(("high", "wide"), [(1, 9), (9, 1), (4, 12), (12, 4), (7, 9)])
def test_no_row_or_column_is_longer_than_that_of_the_frame(high: int, wide: int) -> None:
    for n in range(1, high * wide + 1):
        rows = rows_for(high, wide, n)
        assert 1 <= rows <= min(high, n)
        assert -(-n // rows) <= wide


@pytest.mark.parametrize(
    ("grid", "to"), [((12, 12), (5, 5)), ((9, 9), (4, 3)), ((8, 14), (3, 5)), ((14, 8), (13, 7))]
)
def test_where_rows_are_equal_frames_are_resized_as_by_torch(
    grid: tuple[int, int], to: tuple[int, int]
) -> None:
    frame = torch.randn(1, 3, *grid, generator=torch.Generator().manual_seed(0))
    flat = frame[0].flatten(1).T
    for axis, wanted in (
        (bilinear, functional.interpolate(frame, to, mode="bilinear")),
        (adaptive, functional.adaptive_avg_pool2d(frame, to)),
    ):
        made = grid_sampling(*grid, to[0] * to[1], axis)
        ours = torch.zeros(to[0] * to[1], 3)
        ours.index_add_(0, made.dst, flat[made.src] * made.weight[:, None])
        assert torch.allclose(ours.T.view(3, *to), wanted[0], atol=1e-5)


def test_what_fills_no_grid_stands_in_rows_that_differ_by_one() -> None:
    whole = tokens((1, 12, 12), [1.0])
    made = QuotaTokens("bilinear").assign(whole, torch.tensor([7]))
    # Three bands of four tokens, cut into 2, 2 and 3.
    assert made.pos[:, 0, 1].tolist() == [1.5, 1.5, 5.5, 5.5, 9.5, 9.5, 9.5]
    assert made.pos[:, 0, 2].tolist() == [2.5, 8.5, 2.5, 8.5, 1.5, 5.5, 9.5]
    merged = QuotaTokens("tome-axes").assign(whole, torch.tensor([7]))
    assert len(merged) == 7


def test_even_steps_go_from_the_first_token_of_a_frame_to_its_last() -> None:
    whole = tokens((2, 4, 4), [0.5, 0.5])
    made = QuotaTokens("linspace").assign(whole, torch.tensor([4, 1]))
    assert made.is_pruning
    assert made.host.tolist() == [0, 5, 10, 15, 16]


def test_no_frame_vanishes_as_long_as_there_is_enough() -> None:
    """Four frames that fit and 92 that do not: the released code shows four, with 3,008 tokens."""
    whole = tokens((96, 27, 27), [0.99] * 4 + [0.01] * 92, dim=1)
    made = compress("quota", whole, 12_544)
    counts = per_frame(made)
    assert counts[:4].tolist() == [729] * 4
    assert counts[4:].sum() == 12_544 - 4 * 729
    assert np.ptp(counts[4:]) <= 1
    few = per_frame(compress("quota", whole, 96))
    assert few.tolist() == [1] * 96
    dropped = QuotaTokens(floor=0).counts(whole, 100)
    assert dropped[4:].sum() == 0


def test_the_shares_are_the_squares_of_the_probabilities() -> None:
    whole = tokens((3, 10, 10), [0.2, 0.4, 0.4])
    assert QuotaTokens(floor=0).counts(whole, 90).tolist() == [10, 40, 40]
    assert QuotaTokens(floor=0, power=1).counts(whole, 100).tolist() == [20, 40, 40]
    assert QuotaTokens(power=0).counts(whole, 100).tolist() == [34, 33, 33]
    # A power so high that the smaller ones are nothing: they share what is left.
    assert QuotaTokens(power=1e6, floor=0).counts(whole, 250).tolist() == [50, 100, 100]


def test_frames_of_no_relevance_share_evenly() -> None:
    assert per_frame(compress("quota", tokens((4, 3, 3), [0.0] * 4), 14)).tolist() == [4, 4, 3, 3]


def test_copies_are_merged_before_what_differs() -> None:
    whole = tokens((1, 4, 4), [1.0], dim=16)
    x = torch.eye(16)
    x[4], x[10] = x[1], x[7]  # an even and an odd place each
    whole = VisualTokens(x, whole.pos, whole.grid, whole.times, signals=whole.signals)
    made = QuotaTokens("tome").assign(whole, torch.tensor([14]))
    together = [set(made.src[made.dst == row].tolist()) for row in range(14)]
    assert [some for some in together if len(some) > 1] == [{1, 4}, {7, 10}]


@pytest.mark.parametrize("wrong", [-0.1, 1.5, float("nan")])
def test_a_relevance_that_is_no_probability_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="is a probability, 0 to 1"):
        compress("quota", tokens((2, 2, 2), [0.5, wrong]), 3)


def test_without_relevance_it_says_what_it_needs() -> None:
    whole = tokens((2, 2, 2), [0.5, 0.5])
    with pytest.raises(ValueError, match="quota needs 'relevance'"):
        compress("quota", VisualTokens(whole.x, whole.pos, whole.grid, whole.times), 3)


@pytest.mark.parametrize(
    "wrong", [{"assigner": "v1"}, {"power": -1.0}, {"power": float("inf")}, {"floor": -1}]
)
def test_parameters_that_mean_nothing_are_told(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="compressor 'quota' does not take that"):
        compress("quota", tokens((2, 2, 2), [0.5, 0.5]), 3, **wrong)
