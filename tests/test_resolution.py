"""Frames and sizes within a budget: exact, by demand, and legible where that is paid for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videopipe.select import (
    Candidates,
    Footage,
    Grid,
    Selection,
    choose,
    group,
    plan,
    plan_resolution,
)
from videopipe.select.resolution import FEWEST, fit

QWEN = Grid(28, 2)


def selected(method: str, k: int, **params: object) -> tuple[Candidates, Selection]:
    rng = np.random.default_rng(0)
    relevance = rng.uniform(0.1, 0.3, 300)
    relevance[100:104] = 0.9
    relevance[200:202] = 0.8
    made = Candidates(
        np.arange(300.0),
        relevance=relevance,
        complexity=np.where(np.arange(300) < 150, 40.0, 160.0),
        cuts=np.arange(50.0, 300, 50),
    )
    return made, group(method, made, choose(method, made, k, **params))


@given(
    clips=st.lists(
        st.builds(
            Footage,
            st.integers(1, 20),
            st.integers(40, 1200),
            st.integers(40, 1200),
            st.sampled_from([1.0, 0.25, 1 / 16, 3.0]),
            st.sampled_from([0, 224, 720]),
        ),
        min_size=1,
        max_size=12,
    ),
    budget=st.integers(16, 20_000),
    grid=st.sampled_from([QWEN, Grid(32, 2), Grid(28, 1)]),
)
@settings(max_examples=150, deadline=None)
def test_a_budget_is_never_exceeded_and_is_filled_where_there_is_enough(
    clips: list[Footage], budget: int, grid: Grid
) -> None:
    fitted = fit(clips, budget, grid)
    used = sum(clip.tokens for clip in fitted)
    assert used <= budget
    whole = 0
    for clip, sized in zip(clips, fitted, strict=True):
        cells = [h * w // grid.cell**2 for h, w in sized.sizes]
        assert sum(cells[:: grid.step]) == sized.tokens
        assert len(sized.sizes) == len(sized.frames) <= clip.frames
        assert list(sized.frames) == sorted(set(sized.frames))
        native = max(1, round(clip.height / grid.cell)), max(1, round(clip.width / grid.cell))
        assert all(
            h <= native[0] * grid.cell and w <= native[1] * grid.cell for h, w in sized.sizes
        )
        whole += -(-clip.frames // grid.step) * native[0] * native[1]
    assert used >= 0.85 * min(budget, whole)


def test_q_frame_has_three_sizes_in_the_ratio_of_its_tiers() -> None:
    _, selection = selected("q-frame", 44, noise=0.0)
    planned = plan_resolution(selection, 6000, Grid(14), 1080, 1920)
    tokens: dict[float, list[float]] = {}
    for clip in planned.clips:
        tokens.setdefault(clip.weight, []).append(clip.tokens / len(clip.shown))
    high, middle, low = (np.mean(tokens[weight]) for weight in (1, 1 / 4, 1 / 16))
    assert high / middle == pytest.approx(4, rel=0.15)
    assert middle / low == pytest.approx(4, rel=0.2)
    assert 0.95 * 6000 <= planned.tokens <= 6000


def test_f2c_clips_cost_the_same_however_long_they_are() -> None:
    _, selection = selected("f2c", 32)
    assert {len(clip) for clip in selection.clips} > {1}
    planned = plan_resolution(selection, 8000, Grid(14), 1080, 1920)
    each = [clip.tokens for clip in planned.clips if len(clip) * clip.weight == pytest.approx(1)]
    assert len(each) >= 2
    assert max(each) <= 1.15 * min(each)
    assert planned.tokens >= 0.95 * 8000


def test_a_plan_is_choice_and_sizes_in_one() -> None:
    made, selection = selected("aks", 16)
    planned = plan("aks", made, 16, 3000, Grid(28, 2), 720, 1280)
    assert planned.indices.tolist() == selection.indices.tolist() == sorted(planned.indices)
    assert 0.9 * 3000 <= planned.tokens <= 3000
    assert planned.times.tolist() == made.times[planned.indices].tolist()
    for clip in planned.clips:
        assert len(clip.sizes) == len(clip.shown) <= len(clip)
        assert all(height % 28 == width % 28 == 0 for height, width in clip.sizes)


def test_even_demand_gives_all_frames_one_size() -> None:
    made, selection = selected("auto", 32, question="Who sings?")
    planned = plan_resolution(selection, 4000, Grid(28), 720, 1280, demand="even")
    each = [clip.tokens / len(clip.shown) for clip in planned.clips]
    assert max(each) <= 1.3 * min(each)
    by_weight = plan_resolution(selection, 4000, Grid(28), 720, 1280)
    first = max(by_weight.clips, key=lambda clip: clip.weight)
    assert first.tokens / len(first.shown) > 2 * min(each)
    assert made.complexity is not None


def test_equal_distortion_gives_tokens_to_what_is_complex() -> None:
    made, selection = selected("uniform", 20)
    planned = plan_resolution(
        selection, 4000, Grid(14), 720, 1280, demand="distortion", complexity=made.complexity
    )
    plain = [clip.tokens for clip in planned.clips if clip.start < 150]
    busy = [clip.tokens for clip in planned.clips if clip.start >= 150]
    assert np.mean(busy) / np.mean(plain) == pytest.approx(4, rel=0.2)
    with pytest.raises(ValueError, match="needs the complexity"):
        plan_resolution(selection, 4000, Grid(14), 720, 1280, demand="distortion")


def test_text_keeps_the_size_at_which_it_is_read_as_long_as_that_is_paid_for() -> None:
    clips = [Footage(2, 720, 1280, least=560), *[Footage(2, 720, 1280, 0.5)] * 6]
    fitted = fit(clips, 1600, QWEN)
    assert min(fitted[0].sizes[0]) >= 560
    assert all(clip.tokens >= FEWEST for clip in fitted)
    poor = fit(clips, 300, QWEN)  # not even that for all: nobody is shut out for the print
    assert all(clip.tokens >= FEWEST for clip in poor)
    assert min(poor[0].sizes[0]) < 560


def test_what_rounding_leaves_goes_to_the_clips_that_matter() -> None:
    clips = [Footage(1, 720, 1280, 0.25), Footage(1, 720, 1280), Footage(1, 720, 1280, 0.25)]
    fitted = fit(clips, 301, Grid(28))
    assert sum(clip.tokens for clip in fitted) >= 0.97 * 301
    assert fitted[1].tokens > 3 * max(fitted[0].tokens, fitted[2].tokens)


def test_too_many_frames_for_a_budget_are_thinned_out() -> None:
    (clip,) = fit([Footage(64, 720, 1280)], 128, Grid(28))
    assert len(clip.frames) == 128 // FEWEST
    assert clip.tokens <= 128
    many = fit([Footage(1, 720, 1280)] * 40, 16, Grid(28))
    assert sum(sized.tokens for sized in many) <= 16
