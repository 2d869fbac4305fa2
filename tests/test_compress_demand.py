"""What frames share a budget by, and the compressors that recycle what they drop."""

from __future__ import annotations

import importlib
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from compress_kit import grids, holds, tokens
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Case, cases
from torch import Tensor

from pipelines._compress_plain_attention import PLAIN
from videopipe.compress import VisualTokens, compose, compress
from videopipe.compress.demand import demand_needs, frame_shares, outliers
from videopipe.compress.recoverable import outlying

DEMANDS = ["even", "vidcom2", "karl", "outliers", "relevance"]
WITHIN_FRAMES = ["fastervlm", "fopru", "hiprune", "prumerge", "recoverable", "vflowopt"]
WITHIN_FRAMES += ["visiondrop", "visionzip", "vispruner", "vtc-cls"]


@pytest.mark.parametrize("demand", DEMANDS)
@settings(max_examples=40, deadline=None)
@given(grid=grids, data=st.data())
def test_shares_are_exact_whatever_they_are_told_from(
    demand: str, grid: tuple[int, int, int], data: st.DataObject
) -> None:
    whole = tokens(grid, needs=demand_needs(demand))
    rows = data.draw(st.lists(st.booleans(), min_size=len(whole), max_size=len(whole)))
    if data.draw(st.booleans()) and any(rows):
        whole = whole.take(torch.tensor(rows))
    if data.draw(st.booleans()):
        whole = replace(whole, x=torch.ones_like(whole.x))
    k = data.draw(st.integers(1, len(whole)))
    shares = frame_shares(whole, k, demand)
    size = torch.bincount(whole.step, minlength=grid[0])
    assert shares.dtype == torch.int64
    assert int(shares.sum()) == k
    assert bool((shares <= size).all())
    if k >= int((size > 0).sum()):
        assert bool((shares[size > 0] > 0).all())


@pytest.mark.parametrize("name", WITHIN_FRAMES)
@pytest.mark.parametrize("demand", DEMANDS)
def test_methods_within_frames_share_by_any_demand(name: str, demand: str) -> None:
    spec = f"{name}(demand={demand})"
    whole = tokens((4, 6, 6), dim=6, needs=compose(spec).needs)
    for k in (3, 30, 140):
        made = compress(spec, whole, k)
        holds(made, whole, k)
        counts = torch.bincount(whole.step[made.host], minlength=4)
        assert torch.equal(counts, frame_shares(whole, k, demand))


def test_copies_of_a_frame_share_evenly_and_a_busy_one_gets_more() -> None:
    noise = torch.Generator().manual_seed(0)
    x = torch.randn(1, 36, 8, generator=noise).repeat(4, 1, 1)
    whole = tokens((4, 6, 6), x=x.flatten(0, 1), needs=())
    for demand in ("vidcom2", "karl"):
        assert frame_shares(whole, 40, demand).tolist() == [10] * 4
    x[1] = x[1] * 0.01 + 1  # nothing happens
    x[3] = torch.randn(36, 8, generator=noise) * 2
    shares = frame_shares(replace(whole, x=x.flatten(0, 1)), 40, "karl")
    assert shares[1] == 1 < shares[0] == shares[2] < shares[3]


def farthest_first(x: Tensor) -> tuple[list[int], list[float]]:
    """The picks of one frame, and how far all are from these and those before."""
    picked, radius = [int((x - x.mean(0)).square().sum(1).argmin())], []
    while len(picked) < len(x):
        apart = torch.cdist(x.double(), x[picked].double()).amin(1)
        apart[picked] = -1
        radius.append(float(apart.max()))
        picked.append(int(apart.argmax()))
    return picked, radius


def test_karl_leaves_all_frames_equally_well_described() -> None:
    noise = torch.Generator().manual_seed(3)
    x = torch.randn(5, 30, 6, generator=noise) * torch.tensor([0.1, 1, 2, 1, 0.5])[:, None, None]
    whole = tokens((5, 5, 6), x=x.flatten(0, 1), needs=())
    curves = [farthest_first(frame)[1] for frame in x]
    for k in (5, 20, 60, 120):
        largest = sorted((r for curve in curves for r in curve), reverse=True)[: k - 5]
        wanted = [1 + sum(r in largest for r in curve) for curve in curves]
        assert frame_shares(whole, k, "karl").tolist() == wanted


def test_karl_looks_at_a_part_of_large_frames() -> None:
    noise = torch.Generator().manual_seed(0)
    x = torch.cat([torch.randn(1600, 4, generator=noise) * scale for scale in (0.1, 1.0)])
    shares = frame_shares(tokens((2, 40, 40), x=x, needs=()), 200, "karl")
    assert int(shares.sum()) == 200
    assert shares[1] > 5 * shares[0] > 0


def test_relevance_is_shared_out_in_proportion() -> None:
    whole = tokens((3, 10, 10), needs=())
    chance = torch.tensor([0.2, 0.4, 0.4])[whole.step]
    whole = replace(whole, signals={"relevance": chance})
    assert frame_shares(whole, 103, "relevance").tolist() == [21, 41, 41]


@pytest.mark.parametrize("case", [c for c in cases("prumerge") if c.params["adaptive"]])
def test_outliers_are_as_many_as_in_prumerge(case: Case) -> None:
    attention = torch.from_numpy(case.outputs["cls_attention"])
    count = int(outliers(attention))
    assert count / len(attention) == pytest.approx(float(case.outputs["ratio"]), abs=1e-7)
    # What the official one keeps, and so what it would have been asked for.
    assert count == len(case.outputs["indices"])
    padded = torch.cat([attention, torch.full((7,), float("nan"))])
    assert outliers(torch.stack([padded, padded])).tolist() == [count, count]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 70), min_size=1, max_size=4),
    st.integers(1, 25),
    st.integers(0, 2**31),
)
def test_outlying_values_are_those_of_scikit_learn(
    sizes: list[int], neighbours: int, seed: int
) -> None:
    factor = importlib.import_module("sklearn.neighbors").LocalOutlierFactor
    noise = np.random.default_rng(seed)
    values = np.full((len(sizes), max(sizes)), np.inf)
    there = np.arange(max(sizes)) < np.array(sizes)[:, None]
    values[there] = noise.random(sum(sizes)).astype(np.float32) ** 4
    found = outlying(torch.from_numpy(values), torch.from_numpy(there), neighbours)
    for row, size, count in zip(values, sizes, found.tolist(), strict=True):
        if size == 1:
            assert count == 0
            continue
        near = min(neighbours, size - 1)
        official = factor(n_neighbors=near).fit_predict(np.sort(row[:size])[:, None])
        assert count == (official == -1).sum()


def recoverable_tokens() -> VisualTokens:
    """One frame of 64: token 9 and 10 attended, 40 to 43 asked for."""
    noise = torch.Generator().manual_seed(0)
    attention = torch.rand(64, generator=noise) * 0.01
    attention[9], attention[10] = 0.5, 0.4
    question = torch.rand(64, generator=noise) * 0.01
    question[40:44] = 0.9
    signals = {
        "attention:-1": attention,
        "question": question,
        "key:-1": torch.randn(64, 8, generator=noise),
    }
    return replace(tokens((1, 8, 8), needs=()), signals=signals)


def test_what_the_question_asks_for_is_recovered() -> None:
    whole = recoverable_tokens()
    made = compress("recoverable", whole, 13)
    alone = {int(host) for row, host in enumerate(made.host) if (made.dst == row).sum() == 1}
    assert {9, 10, 40, 41} <= alone
    sizes = torch.bincount(made.dst).tolist()
    merged = sorted(size for size in sizes if size > 1)
    assert set(merged[:-1]) == {33}  # a centre and the 32 most like it
    # All that is neither kept nor a centre is in one row.
    assert merged[-1] == 64 - 12
    without = replace(whole, signals={**whole.signals, "question": torch.zeros(64)})
    assert not set(range(40, 44)) <= set(compress("recoverable", without, 13).host.tolist())


def test_dropped_tokens_come_back_by_cells() -> None:
    score = torch.tensor(
        [[9.0, 1, 1, 8], [1, 2, 1, 1], [1, 1, 1, 1], [7, 1, 1, 3]],
    )
    whole = replace(tokens((1, 4, 4), needs=()), signals={"attention:-2": score.flatten()})
    made = compress("vflowopt", whole, 7, cell=2)
    # Three tokens are kept, and each of the four cells has some that are dropped.
    assert made.host.tolist() == [0, 2, 3, 5, 8, 12, 15]
    dense = made.to_dense()
    assert torch.allclose(dense[3, [1, 4, 5]], torch.tensor([0.25, 0.25, 0.5]))
    assert torch.equal((dense > 0).sum(0), torch.ones(16, dtype=torch.long))


@settings(max_examples=60, deadline=None)
@given(grid=grids, data=st.data())
def test_every_token_of_a_frame_with_a_share_is_recycled(
    grid: tuple[int, int, int], data: st.DataObject
) -> None:
    whole = tokens(grid, needs={"attention:-2"}, seed=data.draw(st.integers(0, 9)))
    k, cell = data.draw(st.integers(1, len(whole))), data.draw(st.sampled_from([1, 1.5, 3, 15.6]))
    made = compress("vflowopt", whole, k, cell=cell)
    holds(made, whole, k)
    shares = frame_shares(whole, k)
    used = torch.bincount(made.src, minlength=len(whole))
    assert torch.equal(used, (shares[whole.step] > 0).long())
    cells = math.ceil(grid[1] / cell) * math.ceil(grid[2] / cell)
    alone = torch.bincount(made.dst)[made.dst] == 1
    for step, share in enumerate(shares.tolist()):
        mine = (whole.step == step).nonzero().squeeze(1)
        best = whole.signals["attention:-2"][mine].argsort(descending=True)
        assert bool(torch.isin(mine[best[: max(0, share - cells)]], made.src[alone]).all())


def test_entropy_counts_where_it_is_asked_for() -> None:
    assert compose("vflowopt").needs == {"attention:-2"}
    assert compose("vflowopt(alpha=1)").needs == {"attention:-2", "entropy"}
    flat = torch.full((16,), 0.01)
    entropy = torch.zeros(16).index_fill(0, torch.tensor([5]), 8.0)
    whole = replace(tokens((1, 4, 4)), signals={"attention:-2": flat, "entropy": entropy})
    assert compress("vflowopt", whole, 2).host.tolist()[0] == 0
    made = compress("vflowopt", whole, 2, alpha=1)
    assert 5 in made.host.tolist()
    assert (made.to_dense()[:, 5] == 1).any()


def test_the_plain_one_recovers_as_well() -> None:
    rows = PLAIN["recoverable"](recoverable_tokens(), 13)
    assert isinstance(rows, Tensor)
    assert bool(torch.isfinite(rows).all())
