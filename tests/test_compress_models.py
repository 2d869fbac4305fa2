"""Every compressor in front of models with a class token, with M-RoPE, and with DeepStack."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from compress_kit import EXACT
from tiny import tiny
from torch import Tensor, nn

from videopipe.compress import VisualTokens, compose, compress
from videopipe.compress.sensitivity import closed_form, sampled
from videopipe.mllm import VideoMLLM, load
from videopipe.mllm.local_viewer import ASKED, RELEVANCE
from videopipe.mllm.projector import Probe, projector_of
from videopipe.types import FrameBatch

FAMILIES = ("video_llava", "qwen2_5_vl", "qwen3_vl")
QUESTION = "what happens in the video ?"
CLIP = FrameBatch(
    np.arange(6) / 2,
    np.random.default_rng(0).integers(0, 256, (6, 112, 168, 3), dtype=np.uint8),
)


@pytest.fixture(scope="module", params=FAMILIES)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> VideoMLLM:
    return load(str(tiny(request.param, tmp_path_factory.mktemp("compress") / request.param)))


def encoded(model: VideoMLLM, needs: frozenset[str]) -> VisualTokens:
    tokens = model.encode(CLIP, needs=sorted(needs - ASKED))
    if RELEVANCE in needs:
        chance = torch.rand(tokens.grid[0], generator=torch.Generator().manual_seed(0))
        signals = {**tokens.signals, RELEVANCE: chance[tokens.step]}
        tokens = replace(tokens, signals=signals)
    return model.with_question(tokens, QUESTION)


@pytest.mark.parametrize("name", [*EXACT, "evs:0.5 | divprune", "framefusion | cdpruner"])
def test_a_model_answers_from_what_is_kept(model: VideoMLLM, name: str) -> None:
    tokens = encoded(model, compose(name).needs)
    k = len(tokens) // 3
    made = compress(name, tokens, k)
    assert len(made) == k
    inputs = model.inputs(QUESTION, tokens, made)
    ids, positions = inputs["input_ids"], inputs["position_ids"]
    whole = model.inputs(QUESTION, tokens)
    assert ids.shape[1] == whole["input_ids"].shape[1] - (len(tokens) - k)
    assert positions.shape[-1] == ids.shape[1]
    features = inputs["mm_encoder_outputs"]
    (held,) = features.values()
    rows = held.pooler_output
    rows = rows[0] if isinstance(rows, list) else rows
    assert torch.allclose(rows.reshape(k, -1), made.apply(tokens.x), atol=1e-6)
    levels = held.deepstack_features or []
    assert len(levels) == len(tokens.levels)
    for level, own in zip(levels, tokens.levels, strict=True):
        assert torch.allclose(level[0], made.apply(own), atol=1e-6)  # with the same map
    reply = model.generate(QUESTION, tokens, made, max_new_tokens=2)
    assert reply.new_tokens >= 1


def test_the_question_is_seen_where_the_model_would_see_it(model: VideoMLLM) -> None:
    tokens = model.encode(CLIP)
    embed: Any = model.model.get_input_embeddings()  # type: ignore[no-untyped-call]
    ids = model.tokenizer(QUESTION, add_special_tokens=False)["input_ids"]
    with torch.inference_mode():
        alike = replace(tokens, x=embed(torch.tensor(ids[:1])).expand(len(tokens), -1))
    asked = model.with_question(alike, QUESTION)
    text = asked.context["text"]
    assert text.shape == (len(ids), tokens.x.shape[1])
    cosines = nn.functional.cosine_similarity(text[:1], text)
    assert torch.allclose(asked.signals["question"], cosines.mean().expand(len(tokens)), atol=1e-5)


def entering(model: VideoMLLM) -> tuple[list[Tensor], Tensor]:
    """What the projector's first layer is given, and the tokens that come of it."""
    given: list[Tensor] = []
    (first, *_) = [m for m in projector_of(model.model).modules() if isinstance(m, nn.Linear)]
    hook = first.register_forward_pre_hook(lambda module, args: given.append(args[0]))
    try:
        tokens = model.encode(CLIP)
    finally:
        hook.remove()
    return given, tokens.x


def test_features_before_the_projector_are_those_it_makes_tokens_of(model: VideoMLLM) -> None:
    tokens = model.encode(CLIP, needs=["pre", "sensitivity"])
    pre = tokens.signals["pre"]
    first, second = [m for m in projector_of(model.model).modules() if isinstance(m, nn.Linear)]
    activation = Probe(model.model, ["sensitivity"])._between()
    assert activation is not None
    with torch.inference_mode():
        made = second(activation(first(pre)))
        wanted = closed_form(pre, first.weight, first.bias, second.weight, activation)
    placed = tokens.placed
    assert torch.allclose(made[placed], tokens.x[placed], atol=1e-4)
    assert torch.allclose(tokens.signals["sensitivity"][placed], wanted[placed], atol=1e-4)


def test_entropy_is_of_the_shades_of_a_token(model: VideoMLLM) -> None:
    """One shade has none, two have one bit; noise has the more, the more pixels there are."""
    side = model.packing.cell if model.packing.family.any_size else model.packing.size[0]
    size = (4 * side, 4 * side) if model.packing.family.any_size else model.packing.size
    frames = np.zeros((2, *size, 3), np.uint8)
    frames[:, : size[0] // 2 : 2] = 200  # every other line of the upper half
    frames[:, :, size[1] // 2 :] = 90
    tokens = model.encode(FrameBatch(np.arange(2.0), frames), size=size, needs=["entropy"])
    seen = tokens.signals["entropy"][tokens.placed].view(tokens.grid)
    high, wide = tokens.grid[1:]
    left = seen[:, :, : wide // 2]
    assert torch.allclose(left[:, : high // 2], torch.ones(()), atol=0.02)
    assert torch.allclose(left[:, -(high // 2) + 1 :], torch.zeros(()), atol=1e-6)
    assert torch.allclose(seen[:, :, -(wide // 2) + 1 :], torch.zeros(()), atol=1e-6)
    made = compress("vflowopt(alpha=0.5)", model.encode(CLIP, needs=["entropy", "attention:-2"]), 8)
    assert len(made) == 8


@pytest.mark.parametrize("family", ["smolvlm", "gemma3", "glm4v", "llava_onevision", "internvl"])
def test_projectors_of_other_shapes_tell_their_sensitivity(
    family: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = load(str(tiny(family, tmp_path_factory.mktemp("other") / family)))
    tokens = other.encode(CLIP, needs=["pre", "sensitivity"])
    for name in ("pre", "sensitivity"):
        assert len(tokens.signals[name]) == len(tokens)
        assert bool(torch.isfinite(tokens.signals[name]).all())
    assert bool((tokens.signals["sensitivity"][tokens.placed] > 0).all())
    made = compress("zoo-prune", tokens, len(tokens) // 4)
    assert len(made) == len(tokens) // 4
    assert sampled is not None
