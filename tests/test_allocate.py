"""Sharing out: the exact sum, floors, caps, and the counts of LEOPARD."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from oracle import Case, cases

from videopipe.allocate import allocate

Ints = NDArray[np.int64]


class Shared(NamedTuple):
    """Something to share out; whole demands, so that what is right is known exactly."""

    demand: list[int]
    total: int
    floor: list[int]
    cap: list[int]

    def out(self) -> Ints:
        return allocate(self.demand, self.total, self.floor, self.cap)


@st.composite
def sharings(draw: st.DrawFn) -> Shared:
    n = draw(st.integers(1, 9))
    demand = draw(st.lists(st.integers(0, 12) | st.integers(0, 10**6), min_size=n, max_size=n))
    floor = draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    more = draw(st.lists(st.integers(0, 12), min_size=n, max_size=n))
    cap = [least + room for least, room in zip(floor, more, strict=True)]
    return Shared(demand, sum(floor) + draw(st.integers(0, 60)), floor, cap)


def exact(sharing: Shared) -> list[int]:
    """What :func:`allocate` promises, in fractions, one full place at a time."""
    demand, total, floor, cap = sharing
    given_ = list(floor)
    while (left := min(total, sum(cap)) - sum(given_)) > 0:
        open_ = [at for at in range(len(cap)) if given_[at] < cap[at]]
        wanting = [at for at in open_ if demand[at]] or open_
        weight = {at: demand[at] if demand[wanting[0]] else 1 for at in wanting}
        parts = {at: Fraction(left * weight[at], sum(weight.values())) for at in wanting}
        full = [at for at in wanting if parts[at] >= cap[at] - given_[at]]
        if full:
            for at in full:
                given_[at] = cap[at]
            continue
        for at in wanting:
            given_[at] += int(parts[at])
        by_rest = sorted(wanting, key=lambda at: (int(parts[at]) - parts[at], at))
        for at in by_rest[: left - sum(int(part) for part in parts.values())]:
            given_[at] += 1
    return given_


@settings(max_examples=300, deadline=None)
@given(sharing=sharings())
def test_whole_demands_are_shared_out_exactly_within_floors_and_caps(sharing: Shared) -> None:
    given_ = sharing.out()
    assert given_.dtype == np.int64
    assert given_.sum() == min(sharing.total, sum(sharing.cap))
    assert (given_ >= sharing.floor).all()
    assert (given_ <= sharing.cap).all()
    assert given_.tolist() == exact(sharing)


@settings(max_examples=150, deadline=None)
@given(
    demand=st.lists(st.floats(0, 1e300), min_size=1, max_size=12),
    total=st.integers(0, 10**6),
    cap=st.integers(0, 10**5) | st.none(),
)
def test_any_demand_comes_to_the_exact_sum(
    demand: list[float], total: int, cap: int | None
) -> None:
    given_ = allocate(demand, total, cap=cap)
    assert given_.sum() == (total if cap is None else min(total, cap * len(demand)))
    assert (given_ >= 0).all()
    assert cap is None or (given_ <= cap).all()


@settings(max_examples=150, deadline=None)
@given(sharing=sharings(), data=st.data())
def test_who_wants_more_gets_no_less(sharing: Shared, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(sharing.demand) - 1))
    more = list(sharing.demand)
    more[at] += data.draw(st.integers(1, 50))
    assert sharing._replace(demand=more).out()[at] >= sharing.out()[at]


@settings(max_examples=150, deadline=None)
@given(demand=st.lists(st.integers(0, 50), min_size=1, max_size=12), total=st.integers(0, 90))
def test_under_one_cap_the_order_of_demands_is_that_of_shares(
    demand: list[int], total: int
) -> None:
    given_ = allocate(demand, total, cap=9).tolist()
    # Of several that want as much, the first has one more at most.
    ranked = sorted(range(len(demand)), key=lambda at: (-demand[at], at))
    shares = [given_[at] for at in ranked]
    assert shares == sorted(shares, reverse=True)
    for some in set(demand):
        alike = [share for share, wanted in zip(given_, demand, strict=True) if wanted == some]
        assert max(alike) - min(alike) <= 1


@pytest.mark.parametrize("floor", [0, 2])
def test_without_any_demand_everybody_has_the_same(floor: int) -> None:
    assert allocate([0, 0, 0, 0], 11, floor).tolist() == [3, 3, 3, 2]
    assert allocate([0, 0, 0, 0], 11, floor, [2, 9, 9, 9]).tolist() == [2, 3, 3, 3]
    assert allocate([], 11).tolist() == []


def test_what_is_above_a_cap_goes_to_the_others_by_their_demand() -> None:
    assert allocate([90, 6, 3, 1], 40, cap=[10, 99, 99, 99]).tolist() == [10, 18, 9, 3]
    # Those who want nothing only get what nobody else can take.
    assert allocate([5, 0, 5, 0], 10, cap=3).tolist() == [3, 2, 3, 2]


def test_ties_go_to_the_first_whatever_floats_make_of_them() -> None:
    """20 of 12: the first is owed 3 1/3, the others 8 1/3; in floats these are not one third."""
    assert allocate([2, 5, 5], 20).tolist() == [4, 8, 8]
    assert allocate([0.2, 0.5, 0.5], 1, cap=1).tolist() == [0, 1, 0]


def test_demands_far_from_one_are_shared_out_as_others() -> None:
    for scale in (1e-300, 1e-30, 1e30, 1e307):
        assert allocate(np.array([3, 1, 6]) * scale, 20).tolist() == [6, 2, 12]


def test_many_caps_that_bind_one_after_the_other() -> None:
    """Each demand is half of the one before, down to the least there are: all fill up in turn."""
    demand = np.repeat(2.0 ** -np.arange(1000.0), 20)
    given_ = allocate(demand, 12_345, cap=1)
    assert given_.tolist() == [1] * 12_345 + [0] * (len(demand) - 12_345)


@pytest.mark.parametrize("wrong", [[1, -1], [1, float("nan")], [1, float("inf")]])
def test_a_demand_that_is_no_amount_is_refused(wrong: list[float]) -> None:
    with pytest.raises(ValueError, match="a demand is a finite number"):
        allocate(wrong, 3)


def test_floors_that_cannot_be_kept_are_refused() -> None:
    with pytest.raises(ValueError, match="floors come to 6, more than 5"):
        allocate([1, 1], 5, floor=3)
    with pytest.raises(ValueError, match="a floor is above its cap"):
        allocate([1, 1], 9, floor=[0, 3], cap=2)


@pytest.mark.parametrize("case", cases("leopard"))
def test_what_leopard_gives_is_filled_up_to_the_budget(case: Case) -> None:
    patch, budget = case.params["patch_size"], case.params["budget"]
    wanted = np.prod(np.round(case.inputs["sizes"] / patch), axis=1).astype(np.int64)
    wanted[wanted == 1] = 0  # the thumbnail is enough
    official = case.outputs["counts"]
    assert (budget * wanted // max(wanted.sum(), budget)).tolist() == official.tolist()
    ours = allocate(wanted, budget, cap=wanted)
    assert ours.sum() == min(budget, wanted.sum())
    assert set((ours - official).tolist()) <= {0, 1}
