"""B-VLLM: selections of nearly the same frames become one, tokens are merged in rounds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from oracle import Case, cases

from videopipe.compress import bipartite
from videopipe.compress.bipartite import Merged, match, merge
from videopipe.select.merge import in_time, merge_rows

torch.set_num_threads(1)
TEMPORAL = [case for case in cases("bvllm") if case.params["stage"] == "temporal merge"]
ROUNDS = [case for case in cases("bvllm") if case.params["stage"] == "multi_layer_merge"]
Floats = NDArray[np.float64]


def dense(merged: Merged) -> NDArray[np.float32]:
    """The maps ``[B, k, N]``."""
    out = merged.weight.new_zeros(len(merged.x), merged.x.shape[1], merged.group.shape[1])
    return out.scatter_(1, merged.group[:, None], merged.weight[:, None]).numpy()


def like(*angles: float) -> Floats:
    """Rows of which each is at so many degrees from the first axis."""
    turned = np.radians(angles)
    return np.stack([np.cos(turned), np.sin(turned)], 1)


@pytest.mark.parametrize("case", TEMPORAL)
def test_selections_are_merged_as_by_the_official_one(case: Case) -> None:
    selector, maps = case.inputs["selector"], case.inputs["maps"]
    merged = merge_rows(selector, case.params["threshold"])
    assert np.allclose(merged, case.outputs["W"], atol=1e-5)
    assert np.allclose(merged @ maps, case.outputs["tokens"], rtol=1e-4, atol=1e-5)
    order = in_time(merged, selector)
    wanted = case.outputs["tokens_time_order"]
    assert np.allclose((merged @ maps)[order], wanted, rtol=1e-4, atol=1e-5)


def test_a_chain_of_selections_is_the_mean_of_all_of_it() -> None:
    """The third is like the second, which goes into the first that the third is not like."""
    assert merge_rows(like(0, 50, 100, 180), 0.8).tolist() == [
        [1 / 3, 1 / 3, 1 / 3, 0],
        [0, 0, 0, 1],
    ]


def test_a_selection_goes_into_the_first_of_those_as_near() -> None:
    merged = merge_rows(like(0, 90, 0, 45, 0), 0.8)
    assert merged.tolist() == [[0.25, 0, 0.25, 0.25, 0.25], [0, 1, 0, 0, 0]]


def test_likeness_must_be_above_the_threshold() -> None:
    rows = np.eye(2)  # (0 + 1) / 2
    assert merge_rows(rows, 0.5).tolist() == [[1, 0], [0, 1]]
    assert merge_rows(rows, 0.49).tolist() == [[0.5, 0.5]]


@settings(max_examples=100, deadline=None)
@given(q=st.integers(1, 20), seed=st.integers(0, 99), threshold=st.floats(0, 1))
def test_every_selection_counts_once_and_as_much_as_others(
    q: int, seed: int, threshold: float
) -> None:
    selector = np.random.default_rng(seed).dirichlet(np.full(6, 0.3), q)
    merged = merge_rows(selector, threshold)
    assert ((merged > 0).sum(0) == 1).all()
    assert np.allclose(merged.sum(1), 1)
    size = (merged > 0).sum(1, keepdims=True)
    assert np.allclose(merged[merged > 0], np.broadcast_to(1 / size, merged.shape)[merged > 0])
    first = (merged > 0).argmax(1)
    assert (np.diff(first) > 0).all()  # the order of the queries
    order = in_time(merged, selector)
    assert (np.diff((merged @ selector).argmax(1)[order]) >= 0).all()


@pytest.mark.parametrize("case", ROUNDS)
def test_tokens_are_merged_in_rounds_as_by_the_official_one(case: Case) -> None:
    x, k = torch.from_numpy(case.inputs["tokens"])[None], case.params["target"]
    merged = merge(x, k, sizes=False)
    # The very order of the rows: the next round takes even and odd ones of it.
    assert np.allclose(dense(merged)[0], case.outputs["W"], atol=1e-5)
    assert np.allclose(merged.x[0], case.outputs["tokens"], rtol=1e-4, atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, 40), sets=st.integers(1, 3), data=st.data(), sizes=st.booleans())
def test_any_number_of_tokens_can_be_left(
    n: int, sets: int, data: st.DataObject, sizes: bool
) -> None:
    k = data.draw(st.integers(1, n))
    x = torch.randn(sets, n, 4, generator=torch.Generator().manual_seed(n))
    merged = merge(x, k, sizes=sizes)
    maps = dense(merged)
    assert maps.shape == (sets, k, n)
    assert np.allclose(maps.sum(2), 1, atol=1e-5)
    assert ((maps > 0).sum(1) == 1).all()
    assert np.allclose(maps @ x.numpy(), merged.x, atol=1e-4)
    if sizes:  # each row is the plain mean of its tokens
        several = (maps > 0).sum(2)[..., None]
        assert np.allclose(maps, (maps > 0) / several, atol=1e-5)


def test_sets_do_not_see_each_other() -> None:
    x = torch.randn(3, 50, 8, generator=torch.Generator().manual_seed(1))
    together = merge(x, 12)
    for number in range(3):
        alone = merge(x[number : number + 1], 12)
        assert torch.equal(together.group[number], alone.group[0])
        assert torch.allclose(together.x[number], alone.x[0], atol=1e-5)


def test_the_most_alike_go_first() -> None:
    """Even tokens 0 and 4 are copies of odd ones, 2 and 6 are not."""
    x = torch.eye(8)[None].clone()
    x[0, 0], x[0, 4] = x[0, 7], x[0, 3]
    assert match(x, 2)[0].tolist() == [5, 2, 0, 3, 3, 4, 1, 5]
    assert match(x, 0)[0].tolist() == [0, 4, 2, 5, 1, 6, 3, 7]


def test_likeness_is_compared_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn(2, 61, 8, generator=torch.Generator().manual_seed(1))
    whole = merge(x, 9)
    monkeypatch.setattr(bipartite, "_AT_ONCE", 100)
    assert torch.equal(merge(x, 9).group, whole.group)
