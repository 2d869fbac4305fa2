"""Several compressors in a row, and how they are written."""

from __future__ import annotations

import pytest
import torch
from compress_kit import grids, holds, tokens
from hypothesis import given, settings
from hypothesis import strategies as st

from videopipe.compress import compose, compress
from videopipe.errors import ConfigError


def test_a_composition_is_the_product_of_its_maps() -> None:
    whole = tokens((6, 4, 5), dim=8)
    first = compress("evs", whole, 60)
    second = compress("divprune", whole.under(first), 17)
    made = compress("evs:0.5 | divprune", whole, 17)
    assert torch.equal(made.to_dense(), second.to_dense() @ first.to_dense())
    assert torch.equal(made.host, first.host[second.host])
    merged = compress("framefusion:0.5 | divprune", whole, 17)
    assert torch.allclose(merged.to_dense().sum(1), torch.ones(17), atol=1e-6)
    assert not merged.is_pruning


@settings(max_examples=30, deadline=None)
@given(grid=grids, data=st.data())
def test_the_number_is_met_whatever_the_shares(
    grid: tuple[int, int, int], data: st.DataObject
) -> None:
    whole = tokens(grid)
    k = data.draw(st.integers(1, len(whole)))
    share = data.draw(st.floats(0.01, 0.99))
    for spec in (f"evs:{share} | uniform", f"pool:{share} | divprune:0.9 | uniform"):
        holds(compress(spec, whole, k), whole, k)


def test_without_shares_each_stage_leaves_as_much_as_the_next() -> None:
    whole = tokens((4, 5, 5), dim=8)  # 100 tokens
    made = compress("evs | divprune", whole, 25)
    asked = compress("evs:0.5 | divprune", whole, 25)
    assert torch.equal(made.host, asked.host)


def test_a_stage_that_has_few_enough_already_is_passed() -> None:
    whole = tokens((4, 5, 5), dim=8)
    made = compress("evs:0.2 | divprune", whole, 60)  # 20 % would be fewer than are kept
    assert torch.equal(made.host, compress("evs", whole, 60).host)


def test_what_all_stages_need_is_needed() -> None:
    assert compose("evs | fastervlm | cdpruner").needs == {"attention:-2", "question"}
    assert compose("fastervlm(block=3)").needs == {"attention:3"}
    assert compose("evs:0.5|divprune").needs == set()
    whole = tokens((2, 3, 3), needs=())
    with pytest.raises(ValueError, match=r"needs 'attention:-2' .*'question' .*with a question"):
        compress("evs | fastervlm | cdpruner", whole, 4)


def test_parameters_stand_behind_a_name() -> None:
    whole = tokens((2, 4, 6))
    made = compress("pool(rows=2)", whole, 12)
    assert torch.equal(made.to_dense(), compress("pool", whole, 12, rows=2).to_dense())
    relevant = compress("quota(assigner=tome, power=1.0)", whole, 9)
    asked = compress("quota", whole, 9, assigner="tome", power=1.0)
    assert torch.equal(relevant.to_dense(), asked.to_dense())


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("", "is not a compressor: write a name"),
        ("evs |", "is not a compressor: write a name"),
        ("evs:0.5", "has no share of its own: write 'evs' alone"),
        ("evs:1.5 | divprune", "1.5 is no share"),
        ("evs:0 | divprune", "0 is no share"),
        ("evs:. | divprune", r"\. is no share"),
        (
            "divprune | evs",
            r"'evs' works on whole frames, so it goes first \('evs:0.5 \| divprune'",
        ),
        ("evs | pool", "'pool' works on whole frames, so it goes first instead of 'evs'"),
        ("evs | magic", "no compressor 'magic'"),
        ("pool(rows)", "'rows' is no parameter; write name=value"),
        ("pool(high=2)", "compressor 'pool' does not take that"),
        ("pool(rows={[1]:2})", "compressor 'pool' does not take that"),
        ("sttm(weighted_avg=no)", "weighted_avg is true or false"),
        ("evs | llavolta(window=cells)", "window of llavolta is a line"),
        ("pool(rows=x)", "compressor 'pool' does not take that"),
    ],
)
def test_what_cannot_be_read_is_told(spec: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        compose(spec)


def test_parameters_of_several_are_told() -> None:
    with pytest.raises(ConfigError, match="write parameters behind the name"):
        compress("evs | divprune", tokens((2, 3, 3)), 4, power=2)
