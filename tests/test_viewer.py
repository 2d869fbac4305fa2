"""A model that is shown clips: within its sequence, within its time, and held only once."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import tiny
from torch import Tensor
from transformers import StoppingCriteria

from videopipe.compress import VisualTokens
from videopipe.config import ModelConfig
from videopipe.errors import ConfigError, ModelError, TimeLimit
from videopipe.mllm import BudgetPlan, Reply, VideoMLLM, View, adapter, load, open_viewer
from videopipe.mllm import viewer as viewers
from videopipe.mllm.local_viewer import LocalViewer
from videopipe.select import Footage
from videopipe.types import FrameSet

torch.set_num_threads(1)
QUESTION = "What happens in the video?"

Open = Callable[[str], LocalViewer]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Open:
    folder = tmp_path_factory.mktemp("viewer")
    viewers: dict[str, LocalViewer] = {}

    def get(family: str) -> LocalViewer:
        if family not in viewers:
            viewers[family] = LocalViewer(load(str(tiny(family, folder / family))))
        return viewers[family]

    return get


def view(plan: BudgetPlan, *texts: str) -> View:
    """A view of noise that fits the plan: texts, then all clips, then the question."""
    rng = np.random.default_rng(0)
    clips = [
        FrameSet(
            np.arange(len(clip.frames)) / 2,
            tuple(rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in clip.sizes),
        )
        for clip in plan.clips
    ]
    return View([*texts, *range(len(clips)), QUESTION], clips, plan)


def shorten(patch: pytest.MonkeyPatch, viewer: LocalViewer, longest: int) -> None:
    config = viewer.model.model.config.get_text_config()
    patch.setattr(config, "max_position_embeddings", longest)


def largest_positions(patch: pytest.MonkeyPatch, viewer: LocalViewer) -> list[int]:
    """The largest position of each prompt that enters the model from now on."""
    seen: list[int] = []
    batch = VideoMLLM._batch

    def watched(self: VideoMLLM, rows: Sequence[Any]) -> Any:
        seen.extend(int(row.positions.max()) for row in rows)
        return batch(self, rows)

    patch.setattr(VideoMLLM, "_batch", watched)
    return seen


@pytest.mark.parametrize("family", ["llava_next_video", "video_llava", "video_llama_3", "internvl"])
@pytest.mark.parametrize("budget", [64, 256, 2000])
def test_no_position_is_beyond_the_sequence_of_the_model(
    family: str, budget: int, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer = opened(family)
    shorten(monkeypatch, viewer, 1024)
    seen = largest_positions(monkeypatch, viewer)
    plan = viewer.plan([Footage(48, 140, 140)] * 2, budget, "pool", 4.0)
    assert plan.budget == budget
    # Each of its frames has more text here than tokens.
    fill = 60 if family == "internvl" else 200
    assert min(budget, fill) <= plan.kept <= min(budget, 512)
    (reply,) = viewer.look([view(plan)], max_new_tokens=4, time_limit_seconds=60)
    assert not isinstance(reply, Exception)
    assert seen
    assert max(seen) + 4 < 1024


def test_a_model_with_positions_of_its_own_encodes_what_the_ratio_says(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer = opened("qwen2_5_vl")
    shorten(monkeypatch, viewer, 1024)
    plan = viewer.plan([Footage(64, 280, 280)], 400, "pool", 4.0)
    assert plan.kept == 400
    assert plan.encoded > 1024


def test_no_room_for_a_frame_is_told(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    viewer = opened("llava_next_video")
    shorten(monkeypatch, viewer, 16)
    with pytest.raises(ConfigError, match=r"9 visual tokens .* room for 8 beside its text"):
        viewer.plan([Footage(4, 100, 100)], 100, "none", 4.0)


def test_no_frames_are_planned_as_none(opened: Open) -> None:
    assert opened("smolvlm").plan([], 100, "auto", 4.0).clips == ()
    assert opened("smolvlm").plan([Footage(0, 90, 90)], 100, "auto", 4.0).frames == 0


def never(self: VideoMLLM, *args: Any, **kwargs: Any) -> VisualTokens:
    raise AssertionError("encoded in vain")


@pytest.mark.parametrize("family", ["llava_next_video", "qwen3_vl", "smolvlm"])
def test_a_text_that_is_too_long_is_told_before_anything_is_encoded(
    family: str, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer = opened(family)
    shorten(monkeypatch, viewer, 600)
    plan = viewer.plan([Footage(8, 140, 140)], 64, "auto", 2.0)
    monkeypatch.setattr(VideoMLLM, "encode", never)
    long = view(plan, "why and what ? " * 200)
    with pytest.raises(ModelError, match=r"text of the prompt is too long: it has \d{3,} tokens"):
        viewer.look([long], max_new_tokens=4, time_limit_seconds=60)
    most = 600 - viewer._text_length(viewer._scene(view(plan)))
    with pytest.raises(
        ModelError, match=rf"prompt has \d+ tokens.* may have {most}, .* 600 in all"
    ):
        viewer.look([view(plan)], max_new_tokens=most, time_limit_seconds=60)


def test_time_holds_for_the_frames_as_well(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    viewer = opened("qwen2_5_vl")
    plan = viewer.plan([Footage(4, 140, 140)] * 3, 300, "auto", 4.0)
    now, encoded = 100.0, 0
    encode = VideoMLLM.encode

    def slow(self: VideoMLLM, *args: Any, **kwargs: Any) -> VisualTokens:
        nonlocal now, encoded
        now, encoded = now + 10, encoded + 1
        return encode(self, *args, **kwargs)

    monkeypatch.setattr(VideoMLLM, "encode", slow)
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with pytest.raises(TimeLimit, match=r"said nothing within 15 s, .* on the frames"):
        viewer.look([view(plan)], max_new_tokens=4, time_limit_seconds=15)
    assert encoded == 2
    with pytest.raises(TimeLimit):
        viewer.look([view(plan)], max_new_tokens=4, time_limit_seconds=30)
    for several in (1, 2):
        replies = viewer.look([view(plan)] * several, max_new_tokens=4, time_limit_seconds=61)
        for reply in replies:
            assert isinstance(reply, Reply)
            assert (reply.seconds, reply.first_token_seconds) == (30 * several, 30 * several)


def test_generation_has_the_time_that_is_left(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer = opened("qwen2_5_vl")
    plan = viewer.plan([Footage(4, 140, 140)], 100, "auto", 4.0)
    now = 100.0
    encode = VideoMLLM.encode

    def slow(self: VideoMLLM, *args: Any, **kwargs: Any) -> VisualTokens:
        nonlocal now
        now += 10
        return encode(self, *args, **kwargs)

    class Late(StoppingCriteria):
        def __init__(self, seconds: float, *_: Any) -> None:
            limits.append(seconds)

        def __call__(self, ids: Tensor, scores: Any, **_: Any) -> Tensor:
            return torch.ones(len(ids), dtype=torch.bool)

        def stopped_by(self, row: int) -> str:
            return "time_limit"

    limits: list[float] = []
    monkeypatch.setattr(VideoMLLM, "encode", slow)
    monkeypatch.setattr(adapter, "Guards", Late)
    monkeypatch.setattr(time, "monotonic", lambda: now)
    viewer.look([view(plan)], max_new_tokens=4, time_limit_seconds=15)
    assert limits == [5]


def config(path: Path, **more: Any) -> ModelConfig:
    return ModelConfig(name=str(path), **more)


def test_a_model_stays_open_whatever_it_is_asked_for(tmp_path: Path) -> None:
    path = tiny("qwen2_5_vl", tmp_path)
    first = open_viewer(config(path))
    assert open_viewer(config(path, max_new_tokens=7, time_limit_seconds=1.0, retries=0)) is first
    assert open_viewer(config(path, dtype="float16")) is not first
    open_viewer.cache_clear()


def test_one_model_goes_before_the_next_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tiny("qwen2_5_vl", tmp_path)
    weights = weakref.ref(open_viewer(config(path)).model.model)  # type: ignore[attr-defined]
    held: list[bool] = []

    def watched(name: str, **options: Any) -> VideoMLLM:
        held.append(weights() is not None)
        return load(name, **options)

    monkeypatch.setattr(viewers, "load", watched)
    open_viewer(config(path, dtype="float16"))
    assert held == [False]
    open_viewer.cache_clear()
