"""Which composition ``auto`` takes, and what is said about it."""

from __future__ import annotations

import pytest
import torch
from compress_kit import grids, holds, tokens
from hypothesis import given, settings
from hypothesis import strategies as st

from videopipe.compress import compose, compress
from videopipe.compress.auto import Auto, automatic
from videopipe.errors import ConfigError
from videopipe.types import Asks


@pytest.mark.parametrize(
    ("asks", "n", "k", "steps", "spec"),
    [
        ("content", 9216, 900, 64, "framefusion | dpc-knn"),
        ("content", 576, 50, 1, "dpc-knn"),
        ("overview", 9216, 900, 64, "vqtoken"),
        ("space", 9216, 2304, 64, "vqtoken"),
        ("space", 9216, 900, 64, "uniform"),
        ("space", 576, 12, 4, "progressive"),
        ("space", 576, 58, 4, "uniform"),
    ],
)
def test_the_choice_is_by_question_budget_and_length(
    asks: Asks, n: int, k: int, steps: int, spec: str
) -> None:
    choice = Auto(asks).choice(n, k, steps)
    assert choice.spec == spec
    assert choice.why
    assert not compose(choice.spec).needs  # so that every family has what it takes


@settings(max_examples=30, deadline=None)
@given(grid=grids, data=st.data())
def test_it_is_what_it_says(grid: tuple[int, int, int], data: st.DataObject) -> None:
    whole = tokens(grid)
    k = data.draw(st.integers(1, len(whole)))
    asks: Asks = data.draw(st.sampled_from(["content", "space", "overview"]))
    made = compress(f"auto(asks={asks})", whole, k)
    holds(made, whole, k)
    if k < len(whole):
        spec = Auto(asks).choice(len(whole), k, grid[0]).spec
        assert torch.equal(made.to_dense(), compress(spec, whole, k).to_dense())


def test_a_composition_that_is_auto_alone_is_known() -> None:
    assert automatic("auto") == Auto()
    assert automatic("auto(asks=space)") == Auto("space")
    assert automatic("evs:0.5 | divprune") is None
    assert automatic("none") is None
    with pytest.raises(ConfigError, match="asks is one of content, space, overview, got time"):
        automatic("auto(asks=time)")
