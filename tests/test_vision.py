"""What a vision tower pays attention to, beside the weights of an attention written out in full."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import FAMILIES, tiny
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface, eager_mask

from videopipe.errors import ConfigError
from videopipe.mllm import VideoMLLM, load, vision
from videopipe.mllm.vision import _blocks, tower_of
from videopipe.types import FrameBatch

torch.set_num_threads(1)
WITH_CLASS = ("llava_next_video", "video_llava", "internvl")
# Neither side is a multiple of the windows of Qwen2.5-VL, and the frames are no multiple of two.
SIZE = {28: (84, 140), 32: (96, 160)}

Load = Callable[[str], VideoMLLM]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Load:
    folder = tmp_path_factory.mktemp("vision")
    models: dict[str, VideoMLLM] = {}

    def get(family: str) -> VideoMLLM:
        if family not in models:
            models[family] = load(str(tiny(family, folder / family)))
        return models[family]

    return get


@pytest.fixture(params=FAMILIES)
def model(request: pytest.FixtureRequest, loaded: Load) -> VideoMLLM:
    return loaded(request.param)


@pytest.fixture(params=WITH_CLASS)
def with_class(request: pytest.FixtureRequest, loaded: Load) -> VideoMLLM:
    return loaded(request.param)


def clip(frames: int = 3) -> FrameBatch:
    rng = np.random.default_rng(frames)
    pictures = rng.integers(0, 256, (frames, 90, 150, 3), dtype=np.uint8)
    return FrameBatch(np.arange(frames) / 2, pictures)


def size_for(model: VideoMLLM) -> tuple[int, int]:
    packing = model.packing
    return SIZE[packing.cell] if packing.family.any_size else packing.size


def features(model: VideoMLLM, batch: FrameBatch) -> list[Tensor]:
    """The features of transformers' own call, one row a token."""
    inner: Any = model.model.model
    pixels = model.packing.pack(batch.frames, size_for(model))
    if "pixel_values_videos" in pixels:
        out = inner.get_video_features(**pixels, return_dict=True).pooler_output
    else:
        out = inner.get_image_features(**pixels, return_dict=True).pooler_output

    def rows(part: Any) -> list[Tensor]:
        if isinstance(part, Tensor):
            return list(part.flatten(0, -2))
        return [row for piece in part for row in rows(piece)]

    return rows(out)


@dataclass
class Written:
    """What one block did, in the tower's order: ``[P]``, ``[P]`` or None, ``[P, d]``."""

    received: Tensor
    from_class: Tensor | None
    key: Tensor


@contextmanager
def written_out(tower: Any, calls: list[tuple[nn.Module, Tensor, Tensor]]) -> Iterator[None]:
    """The tower computes its attention in full, and notes weights and keys."""

    def attend(
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        scaling: float | None = None,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor]:
        scores = query @ key.mT * (query.shape[-1] ** -0.5 if scaling is None else scaling)
        weights = (scores if attention_mask is None else scores + attention_mask).softmax(-1)
        calls.append((module, weights.detach(), key.detach()))
        return (weights @ value).transpose(1, 2).contiguous(), weights

    AttentionInterface.register("written_out", attend)
    AttentionMaskInterface.register("written_out", eager_mask)
    held = tower.config._attn_implementation
    tower.set_attn_implementation("written_out")
    try:
        yield
    finally:
        tower.set_attn_implementation(held)


def numbers(tower: nn.Module) -> dict[int, int]:
    """The block of each module, by the names that transformers gives them."""
    found = {}
    for name, module in tower.named_modules():
        if match := re.search(r"(?:^|\.)(?:blocks|layers|layer)\.(\d+)\.", name + "."):
            found[id(module)] = int(match[1])
    return found


def seen_by_hand(model: VideoMLLM, batch: FrameBatch) -> dict[int, Written]:
    tower: Any = tower_of(model.model)
    calls: list[tuple[nn.Module, Tensor, Tensor]] = []
    with written_out(tower, calls), torch.no_grad():
        features(model, batch)
    place, out = numbers(tower), {}
    for number in sorted(set(place.values())):
        own = [(w, k) for module, w, k in calls if place[id(module)] == number]
        if not own:
            continue
        out[number] = Written(
            torch.cat([w.mean((1, 2)).flatten() for w, _ in own]),
            torch.cat([w[:, :, 0].mean(1).flatten() for w, _ in own]),
            torch.cat([k.transpose(1, 2).flatten(2).flatten(0, 1) for _, k in own]),
        )
    return out


def patches_of_tokens(model: VideoMLLM, batch: FrameBatch) -> Tensor:
    """Bool ``[N, P]``: the patches, in the tower's order, that a token is made of.

    Found by the gradient of each token for what the tower hands on.
    """
    tower: Any = tower_of(model.model)
    layer = getattr(model.model.config, "vision_feature_layer", -1)
    held: list[Tensor] = []

    def keep(module: nn.Module, given: Any, out: Any) -> None:
        held.append(out[0] if isinstance(out, tuple) else out)

    handle = _blocks(tower)[layer].register_forward_hook(keep)
    try:
        rows = features(model, batch)
    finally:
        handle.remove()
    (last,) = held
    made = []
    for row in rows:
        slope = torch.autograd.grad(row.sum(), last, retain_graph=True, allow_unused=True)[0]
        none = slope is None  # a line break is made of no patch
        made.append(torch.zeros_like(last) if none else slope)
    return torch.stack([slope.abs().sum(-1).flatten() > 0 for slope in made])


def of_tokens(model: VideoMLLM, values: Tensor, batch: FrameBatch) -> Tensor:
    """The mean over the patches of each token that has a place; 0 for the others."""
    behind = patches_of_tokens(model, batch)
    if model.family.name == "LLaVA-OneVision":
        behind[:-1] = overlapping(5, 3, len(batch))
    if model.family.extra == "class":
        behind[:: len(behind) // len(batch)] = False
    share = behind.float() / behind.sum(1, keepdim=True).clamp(min=1)
    return (share @ values.float().view(len(values), -1)).view(-1, *values.shape[1:])


def overlapping(side: int, to: int, frames: int) -> Tensor:
    """Bins of adaptive pooling, from the floor of their start to the ceiling of their end.

    The model takes single points of its features here, between which it interpolates.
    """
    bins = torch.zeros(to, side, dtype=torch.bool)
    for number in range(to):
        bins[number, number * side // to : -(-(number + 1) * side // to)] = True
    frame = torch.kron(bins.int(), bins.int())
    return torch.kron(torch.eye(frames, dtype=torch.int32), frame).bool()


def signals(model: VideoMLLM, batch: FrameBatch, needs: Sequence[str]) -> dict[str, Tensor]:
    return dict(model.encode(batch, size=size_for(model), needs=needs).signals)


def depth(model: VideoMLLM) -> int:
    config: Any = tower_of(model.model).config
    return int(getattr(config, "depth", None) or config.num_hidden_layers)


def test_signals_are_those_of_attention_written_out(model: VideoMLLM) -> None:
    """For every block: windows and whole frames of Qwen2.5-VL, towers with a class token or none,
    cells of 2 x 2 and pooled grids."""
    batch = clip()
    wanted = seen_by_hand(model, batch)
    count = depth(model)
    needs = [f"{kind}:{block}" for kind in ("recv", "key") for block in range(count)]
    found = signals(model, batch, needs)
    assert sorted(found) == sorted(needs)
    for block in range(count):
        received = of_tokens(model, wanted[block].received, batch)
        assert torch.allclose(found[f"recv:{block}"], received, rtol=0, atol=1e-6)
        keys = of_tokens(model, wanted[block].key, batch)
        assert found[f"key:{block}"].shape == keys.shape
        assert torch.allclose(found[f"key:{block}"], keys, rtol=0, atol=1e-5)
    assert found["recv:0"].std() > 0


def test_attention_of_the_class_token_is_that_of_attention_written_out(
    with_class: VideoMLLM,
) -> None:
    batch = clip()
    wanted = seen_by_hand(with_class, batch)
    found = signals(with_class, batch, ["cls:0", "cls:-1"])
    for name, block in (("cls:0", 0), ("cls:-1", depth(with_class) - 1)):
        from_class = wanted[block].from_class
        assert from_class is not None
        assert torch.allclose(
            found[name], of_tokens(with_class, from_class, batch), rtol=0, atol=1e-6
        )


def test_what_a_frame_receives_sums_to_one(loaded: Load) -> None:
    """Each query has one unit of attention to give, and there are as many queries as patches."""
    qwen = loaded("qwen2_vl")
    received = signals(qwen, clip(4), ["recv:-1"])["recv:-1"]
    cells = len(received) // 2
    # A token's is the mean of its four patches'.
    assert torch.allclose(received.view(2, cells).sum(1) * 4, torch.ones(2), atol=1e-5)


def test_windows_are_put_back_in_order(loaded: Load) -> None:
    """A bright corner is found in the corner; the keys of the first block know nothing else."""
    qwen = loaded("qwen2_5_vl")
    assert tower_of(qwen.model).config.fullatt_block_indexes == [1]  # so that 0 has windows
    frames = np.zeros((2, 84, 140, 3), np.uint8)
    plain = FrameBatch(np.arange(2.0), frames.copy())
    frames[:, 56:, 112:] = 255
    marked = FrameBatch(np.arange(2.0), frames)
    before, after = (signals(qwen, b, ["key:0"])["key:0"] for b in (plain, marked))
    changed = (before - after).abs().sum(1) > 1e-3
    assert changed.view(3, 5).nonzero().tolist() == [[2, 4]]


def test_blocks_count_from_the_end_as_well(model: VideoMLLM) -> None:
    count = depth(model)
    needs = ["recv:-1", f"recv:{count - 1}", f"key:-{count}", "key:0"]
    found = signals(model, clip(2), needs)
    assert torch.equal(found["recv:-1"], found[f"recv:{count - 1}"])
    assert torch.equal(found[f"key:-{count}"], found["key:0"])


def test_several_blocks_are_their_mean_as_far_as_there_are_any(model: VideoMLLM) -> None:
    count = depth(model)
    each = signals(model, clip(2), [f"recv:{block}" for block in range(count)])
    found = signals(model, clip(2), ["recv:-8..-1", "recv:-8..-2", "recv:0..0"])
    received = [each[f"recv:{block}"] for block in range(count)]
    assert torch.allclose(found["recv:-8..-1"], torch.stack(received).mean(0), atol=1e-7)
    assert torch.allclose(found["recv:-8..-2"], torch.stack(received[:-1]).mean(0), atol=1e-7)
    assert torch.equal(found["recv:0..0"], received[0])
    with pytest.raises(ConfigError, match=f"this vision tower has {count} blocks"):
        signals(model, clip(2), ["recv:-1..-2"])


def test_a_share_of_the_depth_is_the_last_block_of_it(model: VideoMLLM) -> None:
    count = depth(model)
    found = signals(model, clip(2), ["recv:50%", "recv:100%", "recv:1%"])
    found |= signals(model, clip(2), [f"recv:{round(count / 2) - 1}", "recv:-1", "recv:0"])
    assert torch.equal(found["recv:50%"], found[f"recv:{round(count / 2) - 1}"])
    assert torch.equal(found["recv:100%"], found["recv:-1"])
    assert torch.equal(found["recv:1%"], found["recv:0"])


def test_attention_is_of_the_class_token_where_there_is_one(
    loaded: Load, with_class: VideoMLLM
) -> None:
    found = signals(with_class, clip(2), ["attention:-1", "cls:-1"])
    assert torch.equal(found["attention:-1"], found["cls:-1"])
    qwen = loaded("qwen2_5_vl")
    found = signals(qwen, clip(2), ["attention:-1", "recv:-1"])
    assert torch.equal(found["attention:-1"], found["recv:-1"])
    with pytest.raises(ConfigError, match=r"no class token, as those of Video-LLaVA .* recv:-1"):
        signals(qwen, clip(2), ["cls:-1"])


def test_the_metric_is_the_key_over_all_heads(model: VideoMLLM) -> None:
    config: Any = tower_of(model.model).config
    heads = getattr(config, "num_heads", None) or config.num_attention_heads
    found = signals(model, clip(2), ["metric:-1", "key:-1"])
    keys = found["key:-1"]
    wanted = keys.view(len(keys), heads, -1).mean(1)
    assert torch.allclose(found["metric:-1"], wanted, atol=1e-5)


def test_tokens_without_a_place_have_no_signal(loaded: Load) -> None:
    for family, count in (("llava_onevision", 1), ("video_llava", 3)):
        model = loaded(family)
        tokens = model.encode(clip(), needs=["recv:-1", "key:-1"])
        assert int((~tokens.placed).sum()) == count
        for signal in tokens.signals.values():
            assert not signal[~tokens.placed].any()
            assert signal[tokens.placed].abs().sum() > 0


@pytest.mark.parametrize("held", ["sdpa", "eager"])
def test_looking_changes_nothing(model: VideoMLLM, held: str) -> None:
    tower = model.encoder.tower
    before = tower.config._attn_implementation
    batch = clip()
    plain = model.encode(batch)
    tower.set_attn_implementation(held)
    try:
        looked = model.encode(batch, needs=["recv:-1", "recv:0", "key:-1"])
        assert tower.config._attn_implementation == held
    finally:
        tower.set_attn_implementation(before)
    for own, other in zip((plain.x, *plain.levels), (looked.x, *looked.levels), strict=True):
        assert torch.allclose(own, other, rtol=0, atol=1e-6 * max(1.0, float(own.abs().max())))
    assert model.encode(batch).signals == {}


def test_the_attention_is_put_back_when_the_tower_fails(
    model: VideoMLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    tower = model.encoder.tower
    held = tower.config._attn_implementation

    def fail(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("broken")

    with monkeypatch.context() as patch:
        patch.setattr(_blocks(tower)[-1], "forward", fail)
        with pytest.raises(RuntimeError, match="broken"):
            model.encode(clip(2), needs=["recv:0"])
    assert tower.config._attn_implementation == held
    seen = model.encode(clip(2), needs=["recv:0"]).signals["recv:0"]
    assert torch.equal(seen, model.encode(clip(2), needs=["recv:0"]).signals["recv:0"])


def test_models_in_two_threads_are_looked_into_at_once(tmp_path: Path) -> None:
    """Each sees its own attention only, though the other starts and ends in between."""
    models = [load(str(tiny("qwen2_5_vl", tmp_path / str(n), seed=n))) for n in range(2)]
    needs = ["recv:0", "recv:1"]
    alone = [model.encode(clip(2), needs=needs).signals for model in models]
    started, ended = threading.Event(), threading.Event()

    def wait(*_: object) -> None:
        started.set()
        assert ended.wait(60)

    def second() -> dict[str, Tensor]:
        assert started.wait(60)
        try:
            return models[1].encode(clip(2), needs=needs).signals
        finally:
            ended.set()

    held = _blocks(models[0].encoder.tower)[0].register_forward_pre_hook(wait)
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(second)
        seen = [models[0].encode(clip(2), needs=needs).signals, other.result()]
    held.remove()
    for got, wanted in zip(seen, alone, strict=True):
        for need in needs:
            assert torch.equal(got[need], wanted[need])


def test_few_weights_are_held_at_a_time(model: VideoMLLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row of attention of all heads is the least; otherwise no more than the limit."""
    batch = clip()
    whole = signals(model, batch, ["recv:-1"])["recv:-1"]
    config: Any = model.encoder.tower.config
    heads = getattr(config, "num_heads", None) or config.num_attention_heads
    softmax, sizes, widths = torch.Tensor.softmax, [], []

    def watched(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        sizes.append(self.numel())
        widths.append(self.shape[-1])
        return softmax(self, *args, **kwargs)

    monkeypatch.setattr(torch.Tensor, "softmax", watched)
    for most in (1, 100, 500):
        sizes.clear()
        monkeypatch.setattr(vision, "_AT_ONCE", most)
        parts = signals(model, batch, ["recv:-1"])["recv:-1"]
        assert torch.allclose(parts, whole, rtol=0, atol=1e-6)
        assert sizes
        assert max(sizes) <= max(most, heads * max(widths))
    assert len(sizes) > 1


@pytest.mark.parametrize("need", ["recv", "recv:", "attn:0", "recv:1.5", "recv:0 ", "RECV:0", ""])
def test_a_signal_that_is_none_is_told(loaded: Load, need: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"no signal '{need}'; it gives recv:B, cls:B")):
        loaded("qwen2_vl").encode(clip(2), needs=[need])


def test_a_block_that_is_not_there_is_told(model: VideoMLLM) -> None:
    count = depth(model)
    for need in (f"recv:{count}", f"key:-{count + 1}"):
        with pytest.raises(ConfigError, match=f"'{need}': this vision tower has {count} blocks"):
            model.encode(clip(2), needs=[need])


@pytest.mark.parametrize("family", [name for name in FAMILIES if name not in WITH_CLASS])
def test_a_tower_without_a_class_token_says_so(loaded: Load, family: str) -> None:
    with pytest.raises(ConfigError, match=r"'cls:-1': .* as those of Video-LLaVA .* recv:-1"):
        loaded(family).encode(clip(2), needs=["cls:-1"])


def test_the_blocks_are_those_that_attend(model: VideoMLLM) -> None:
    tower = tower_of(model.model)
    place = numbers(tower)
    assert [place[id(block)] for block in _blocks(tower)] == list(range(depth(model)))


def test_the_blocks_of_the_published_sizes_are_found(model: VideoMLLM) -> None:
    """Built without memory, of the sizes that the configurations of transformers default to."""
    kind: Any = type(tower_of(model.model))
    config = type(tower_of(model.model).config)()
    with torch.device("meta"):
        tower = kind(config)
    wanted = getattr(config, "depth", None) or config.num_hidden_layers
    assert wanted >= 12
    assert len(_blocks(tower)) == wanted
