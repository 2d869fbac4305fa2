"""The plan of a budget: never above it, filled wherever there is enough to show, and come true."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace as Settings

import numpy as np
import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from tiny import FAMILIES as TINY
from tiny import tiny

from videopipe.compress import compress
from videopipe.errors import ConfigError, ModelError
from videopipe.mllm import VideoMLLM, load
from videopipe.mllm.budget import BudgetPlan, ClipPlan, check, plan, shares
from videopipe.mllm.families import FAMILIES, Family
from videopipe.mllm.pixels import Packing
from videopipe.select import Footage
from videopipe.types import FrameBatch

torch.set_num_threads(1)

_PATCHES = {"merge_size": 2, "size": {"shortest_edge": 4096, "longest_edge": 25165824}}
# What decides the number of tokens in the published checkpoints.
PUBLISHED: dict[str, tuple[dict[str, object], dict[str, object]]] = {
    "Qwen2-VL": ({"patch_size": 14}, _PATCHES | {"temporal_patch_size": 2}),
    "Qwen2.5-VL": ({"patch_size": 14}, _PATCHES | {"temporal_patch_size": 2}),
    "Qwen3-VL": ({"patch_size": 16}, _PATCHES | {"temporal_patch_size": 2}),
    "Qwen3.5": ({"patch_size": 16}, _PATCHES | {"temporal_patch_size": 2}),
    "LLaVA-OneVision": (
        {"patch_size": 14, "image_size": 384},
        {"size": {"height": 384, "width": 384}},
    ),
    "LLaVA-NeXT-Video": (
        {"patch_size": 14, "image_size": 336},
        {"size": {"shortest_edge": 336}, "crop_size": {"height": 336, "width": 336}},
    ),
    "Video-LLaVA": (
        {"patch_size": 14, "image_size": 224},
        {"size": {"shortest_edge": 224}, "crop_size": {"height": 224, "width": 224}},
    ),
    "SmolVLM2": (
        {"patch_size": 16, "image_size": 512},
        {"size": {"longest_edge": 2048}, "max_image_size": {"longest_edge": 512}},
    ),
    "InternVL": (
        {"patch_size": [14, 14], "image_size": [448, 448]},
        {"size": {"height": 448, "width": 448}},
    ),
    "VideoLLaMA3": ({"patch_size": 14}, _PATCHES),
    "Gemma3": (
        {"patch_size": 14, "image_size": 896},
        {"size": {"height": 896, "width": 896}},
    ),
    "GLM-4V": ({"patch_size": 14}, _PATCHES | {"temporal_patch_size": 2}),
}
PER_FRAME = {
    "LLaVA-OneVision": 197,
    "LLaVA-NeXT-Video": 144,
    "Video-LLaVA": 257,
    "SmolVLM2": 64,
    "InternVL": 256,
    "Gemma3": 256,
}


def packing_of(family: Family, processing: dict[str, object] | None = None) -> Packing:
    vision, published = PUBLISHED[family.name]
    config = Settings(
        vision_config=Settings(**vision),
        scale_factor=4,
        downsample_ratio=0.5,
        mm_tokens_per_image=256,
    )
    return Packing.of(family, config, processing or published)


@pytest.mark.parametrize("processing", [{}, {"size": None, "image_mean": None}])
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_settings_that_are_not_there_are_told(
    family: Family, processing: dict[str, object]
) -> None:
    with pytest.raises(ModelError, match=rf"{family.name} checkpoint has no processor settings"):
        Packing.of(family, Settings(vision_config=Settings(patch_size=14)), processing)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_null_is_a_setting_left_to_the_processor(family: Family) -> None:
    _, processing = PUBLISHED[family.name]
    nulls = dict.fromkeys(("image_mean", "image_std", "resample", "rescale_factor", "do_rescale"))
    assert packing_of(family, processing | nulls) == packing_of(family)


@pytest.mark.parametrize("name", PER_FRAME)
def test_frames_of_another_size_than_the_tower_takes_are_told(name: str) -> None:
    family = next(family for family in FAMILIES if family.name == name)
    other = {
        "size": {"height": 140, "width": 140, "shortest_edge": 140, "longest_edge": 280},
        "crop_size": {"height": 140, "width": 140},
        "max_image_size": {"longest_edge": 140},
    }
    with pytest.raises(ModelError, match=r"frames of \(140, 140\) for a vision tower of"):
        packing_of(family, other)


PACKINGS = {family.name: packing_of(family) for family in FAMILIES}
ANY_SIZE = [name for name, packing in PACKINGS.items() if packing.family.any_size]
ONE_SIZE = [name for name, packing in PACKINGS.items() if not packing.family.any_size]


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("budget")

    def made(family: str) -> Path:
        if not (folder / family).is_dir():
            tiny(family, folder / family)
        return folder / family

    return made


_LOADED: dict[Path, VideoMLLM] = {}


@pytest.fixture(params=TINY)
def model(request: pytest.FixtureRequest, folders: Callable[[str], Path]) -> VideoMLLM:
    folder = folders(request.param)
    if folder not in _LOADED:
        _LOADED[folder] = load(str(folder))
    return _LOADED[folder]


def at_full_size(packing: Packing, footage: list[Footage]) -> int:
    """Tokens of all frames as they are."""
    if not packing.family.any_size:
        return sum(packing.tokens(clip.frames, *packing.size) for clip in footage if clip.frames)
    cell = packing.cell
    return sum(
        -(-clip.frames // packing.step)
        * max(1, round(clip.height / cell))
        * max(1, round(clip.width / cell))
        for clip in footage
    )


def holds(packing: Packing, footage: list[Footage], made: BudgetPlan) -> None:
    """What a plan promises, whatever was asked."""
    assert made.kept <= made.budget
    assert len(made.clips) == len(footage)
    for asked, clip in zip(footage, made.clips, strict=True):
        assert len(clip.sizes) == len(clip.frames)
        assert list(clip.frames) == sorted(set(clip.frames))
        assert all(0 <= frame < asked.frames for frame in clip.frames)
        runs = clip.runs()
        assert [place for run, _ in runs for place in run] == list(range(len(clip.frames)))
        assert clip.encoded == sum(packing.tokens(len(run), *size) for run, size in runs)
        # A stretch of one size ends where a step in time ends, but for the last.
        assert all(len(run) % packing.step == 0 for run, _ in runs[:-1])
        assert clip.kept <= clip.encoded
        assert bool(clip.kept) == bool(clip.frames)
        for high, wide in clip.sizes:
            if packing.family.any_size:
                assert high % packing.cell == wide % packing.cell == 0
                # Nothing is blown up.
                assert 0 < high <= max(packing.cell, asked.height + packing.cell // 2)
                assert 0 < wide <= max(packing.cell, asked.width + packing.cell // 2)
            else:
                assert (high, wide) == packing.size


footages = st.lists(
    st.builds(Footage, st.integers(1, 200), st.integers(64, 4000), st.integers(64, 4000)),
    min_size=1,
    max_size=5,
)
# Small and oblong pictures, where there are few grids to choose from.
small_footages = st.lists(
    st.builds(Footage, st.integers(1, 12), st.integers(16, 400), st.integers(16, 400)),
    min_size=1,
    max_size=5,
)
budgets = st.one_of(st.integers(64, 400), st.integers(64, 32768))


@pytest.mark.parametrize("name", ANY_SIZE)
@settings(max_examples=150, deadline=None)
@given(
    footage=st.one_of(footages, small_footages),
    budget=budgets,
    method=st.sampled_from(["auto", "none", "pool", "uniform"]),
    ratio=st.floats(1, 40),
)
def test_any_size_fills_the_budget_wherever_there_is_enough_to_show(
    name: str, footage: list[Footage], budget: int, method: str, ratio: float
) -> None:
    packing = PACKINGS[name]
    made = plan(packing, footage, budget, method, ratio)
    holds(packing, footage, made)
    assert made.encoded <= (budget if method in ("auto", "none") else budget * ratio)
    whole = at_full_size(packing, footage)
    if whole >= budget:
        assert made.kept >= 0.9 * budget
    else:
        assert made.kept == made.encoded == whole


@pytest.mark.parametrize(
    ("name", "sizes", "budget"),
    [
        ("Qwen3.5", [(1, 185, 199), (1, 186, 183)], 68),
        (
            "Qwen2.5-VL",
            [(3, 197, 202), (3, 142, 133), (2, 111, 65), (2, 23, 56), (3, 176, 134)],
            80,
        ),
    ],
)
def test_what_one_clip_cannot_use_goes_to_the_next(
    name: str, sizes: list[tuple[int, int, int]], budget: int
) -> None:
    """Alone, each of these clips would leave a tenth of its share."""
    footage = [Footage(*size) for size in sizes]
    made = plan(PACKINGS[name], footage, budget)
    holds(PACKINGS[name], footage, made)
    assert 0.9 * budget <= made.kept


@pytest.mark.parametrize("name", ONE_SIZE)
@settings(max_examples=100, deadline=None)
@given(
    footage=footages,
    budget=budgets,
    method=st.sampled_from(["auto", "pool", "uniform"]),
    ratio=st.floats(1, 40),
)
def test_one_size_fills_the_budget_by_its_compressor(
    name: str, footage: list[Footage], budget: int, method: str, ratio: float
) -> None:
    packing = PACKINGS[name]
    made = plan(packing, footage, budget, method, ratio)
    holds(packing, footage, made)
    one = packing.tokens(1, *packing.size)
    assert made.encoded <= max(budget * ratio, budget + one)
    assert made.frames <= budget
    whole = at_full_size(packing, footage)
    if whole >= budget:
        assert made.kept >= 0.9 * budget
    else:
        assert made.kept == made.encoded == whole


@pytest.mark.parametrize("name", ONE_SIZE)
@settings(max_examples=60, deadline=None)
@given(footage=footages, budget=budgets)
def test_one_size_without_a_compressor_takes_frames_until_one_more_would_not_fit(
    name: str, footage: list[Footage], budget: int
) -> None:
    """Only whole frames can be taken, so the rest of the budget is less than a frame's tokens."""
    packing = PACKINGS[name]
    one = packing.tokens(1, *packing.size)
    if one > budget:
        with pytest.raises(ConfigError, match=f"A frame is {one} visual tokens .* {budget}; raise"):
            plan(packing, footage, budget, "none")
        return
    made = plan(packing, footage, budget, "none")
    holds(packing, footage, made)
    assert made.kept == made.encoded
    if made.frames < sum(clip.frames for clip in footage):
        # With a line break for each clip, another spread over clips may cost some of those.
        assert made.kept + one + len(footage) > budget


@pytest.mark.parametrize("name", PACKINGS)
@settings(max_examples=30, deadline=None)
@given(footage=footages, budget=st.integers(1, 63), ratio=st.floats(1, 10))
def test_tiny_budgets_are_held_as_well(
    name: str, footage: list[Footage], budget: int, ratio: float
) -> None:
    packing = PACKINGS[name]
    for method in ("pool", "uniform"):
        made = plan(packing, footage, budget, method, ratio)
        holds(packing, footage, made)
        assert made.kept > 0
    if packing.family.any_size:
        made = plan(packing, footage, budget, "none")
        holds(packing, footage, made)
        assert made.kept > 0


@settings(max_examples=30, deadline=None)
@given(
    footage=small_footages,
    budget=st.integers(1, 600),
    method=st.sampled_from(["pool", "uniform"]),
    ratio=st.floats(1, 6),
    data=st.data(),
)
def test_plans_hold_for_the_checkpoints_of_the_other_tests(
    folders: Callable[[str], Path],
    footage: list[Footage],
    budget: int,
    method: str,
    ratio: float,
    data: st.DataObject,
) -> None:
    """Their fixed sizes are no multiples of a cell, and their frames few tokens."""
    folder = folders(data.draw(st.sampled_from(TINY)))
    if folder not in _LOADED:
        _LOADED[folder] = load(str(folder))
    packing = _LOADED[folder].packing
    made = plan(packing, footage, budget, method, ratio)
    holds(packing, footage, made)
    if at_full_size(packing, footage) >= budget >= 64:
        assert made.kept >= 0.9 * budget


@pytest.mark.parametrize("name", PER_FRAME)
def test_a_frame_costs_what_the_published_models_make_of_it(name: str) -> None:
    packing = PACKINGS[name]
    assert packing.tokens(1, *packing.size) == PER_FRAME[name]


@pytest.mark.parametrize("name", ANY_SIZE)
@pytest.mark.parametrize("budget", [1024, 4096, 16384])
def test_pictures_keep_their_shape_where_that_fills(name: str, budget: int) -> None:
    made = plan(PACKINGS[name], [Footage(64, 720, 1280)], budget)
    assert made.kept >= 0.9 * budget
    assert made.frames == 64
    for high, wide in made.clips[0].sizes:
        assert 1 / 1.2 < high / wide / (720 / 1280) < 1.2


@pytest.mark.parametrize("name", ANY_SIZE)
@settings(max_examples=60, deadline=None)
@given(
    frames=st.integers(8, 200),
    height=st.integers(240, 2160),
    width=st.integers(240, 2160),
    budget=st.integers(2048, 32768),
)
def test_usual_pictures_are_never_bent_by_much(
    name: str, frames: int, height: int, width: int, budget: int
) -> None:
    assume(1 / 2.5 < height / width < 2.5)
    made = plan(PACKINGS[name], [Footage(frames, height, width)], budget)
    for high, wide in made.clips[0].sizes:
        assert 1 / 1.3 < high / wide / (height / width) < 1.3


@pytest.mark.parametrize("name", ANY_SIZE)
def test_a_compressor_is_given_frames_of_one_size(name: str) -> None:
    """Only what is kept has to fill the budget, so that no clip falls into two stretches."""
    for budget in (300, 4096, 5000):
        made = plan(PACKINGS[name], [Footage(64, 720, 1280), Footage(9, 300, 500)], budget, "pool")
        assert made.kept == budget
        assert all(len(clip.runs()) == 1 for clip in made.clips)


@pytest.mark.parametrize("name", ANY_SIZE)
def test_frames_are_dropped_before_they_are_too_small_to_see(name: str) -> None:
    made = plan(PACKINGS[name], [Footage(200, 1080, 1920)], 256)
    assert made.kept >= 0.9 * 256
    assert made.frames <= 16 * PACKINGS[name].step
    gaps = {b - a for a, b in zip(made.clips[0].frames, made.clips[0].frames[1:], strict=False)}
    assert max(gaps) - min(gaps) <= 1


def test_plans_hold_for_many_clips() -> None:
    """200 of all sizes, for few tokens and for many."""
    rng = np.random.default_rng(0)
    sizes = rng.integers(64, 4000, (200, 2)).tolist()
    footage = [Footage(1 + at, high, wide) for at, (high, wide) in enumerate(sizes)]
    for packing in PACKINGS.values():
        for method in ("auto", "pool"):
            holds(packing, footage, plan(packing, footage, 32768, method))
            few = plan(packing, footage, 64, method)
            holds(packing, footage, few)
            assert few.kept >= 58


def test_nothing_selected_is_nothing_planned() -> None:
    for packing in PACKINGS.values():
        for footage in ([], [Footage(0, 720, 1280)]):
            made = plan(packing, footage, 64, "none")
            assert (made.kept, made.frames) == (0, 0)


@settings(max_examples=200, deadline=None)
@given(weights=st.lists(st.integers(0, 50), max_size=8), total=st.integers(0, 300))
@example(weights=[100, 1, 1], total=3)
def test_shares_are_whole_and_leave_nobody_out(weights: list[int], total: int) -> None:
    given_ = shares(weights, total)
    if not any(weights):
        assert given_ == [0] * len(weights)
        return
    assert sum(given_) == total
    assert all(share == 0 for share, weight in zip(given_, weights, strict=True) if not weight)
    if total <= sum(weights):
        assert all(share <= weight for share, weight in zip(given_, weights, strict=True))
    if total >= sum(weight > 0 for weight in weights):
        assert all(share for share, weight in zip(given_, weights, strict=True) if weight)


def pictures(footage: Footage, seed: int) -> FrameBatch:
    rng = np.random.default_rng(seed)
    shape = (footage.frames, footage.height, footage.width, 3)
    return FrameBatch(np.arange(footage.frames) / 2, rng.integers(0, 256, shape, dtype=np.uint8))


@pytest.mark.parametrize("method", ["none", "pool", "uniform"])
def test_plans_come_true(model: VideoMLLM, method: str) -> None:
    """What is encoded and kept are the tokens that were planned, and these many enter the model."""
    footage = [Footage(9, 120, 200), Footage(2, 150, 90)]
    made = plan(model.packing, footage, 41, method, 2.5)
    clips, maps, used = [], [], []
    for number, (asked, clip) in enumerate(zip(footage, made.clips, strict=True)):
        batch = pictures(asked, number)
        runs = []
        for run, size in clip.runs():
            frames = [clip.frames[place] for place in run]
            part = FrameBatch(batch.times[frames], batch.frames[frames])
            runs.append(model.encode(part, size=size))
        assert sum(map(len, runs)) == clip.encoded
        kept = shares([len(tokens) for tokens in runs], clip.kept)
        for tokens, k in zip(runs, kept, strict=True):
            if k:
                clips.append(tokens)
                maps.append(compress(method, tokens, k))
        used.append(sum(kept))
    check(made, used)
    inputs = model.inputs("What happens?", clips, maps)
    holders = int((inputs["input_ids"] == model.writer.holder_id).sum())
    assert holders == made.kept == sum(map(len, maps)) <= 41
    assert method == "none" or made.kept == 41


def test_another_number_of_tokens_than_planned_is_told() -> None:
    made = BudgetPlan(
        100, "none", (ClipPlan((0,), ((56, 56),), 4, 4), ClipPlan((0,), ((56, 84),), 6, 6))
    )
    check(made, [4, 6])
    for used in ([4, 7], [6, 4], [10], []):
        with pytest.raises(ModelError, match=f"made {sum(used)} visual tokens where 10 were plann"):
            check(made, used)
    above = replace(made, budget=9)
    with pytest.raises(ModelError, match="planned within 9"):
        check(above, [4, 6])


def test_the_report_of_a_plan_counts_frames_and_tokens() -> None:
    made = plan(PACKINGS["LLaVA-NeXT-Video"], [Footage(10, 300, 400)], 500, "pool", 2)
    assert made.to_dict() == {
        "budget": 500,
        "used": 500,
        "encoded": 864,
        "frames": 6,
        "resolutions": [[336, 336]],
        "compressor": "pool",
        "why": None,
    }
