"""One interface to twelve families: what enters the model, beside the same put together by hand."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny import FAMILIES, tiny
from torch import Tensor

from videopipe.compress import TokenMap, VisualTokens, compress
from videopipe.errors import ConfigError, ModelError
from videopipe.mllm import VIDEO, VideoMLLM, encoder, load
from videopipe.mllm.prompt import PromptWriter
from videopipe.types import FrameBatch

torch.set_num_threads(1)
QUESTION = "What happens in the video?"
STEPS = 16

Load = Callable[[str], VideoMLLM]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Load:
    folder = tmp_path_factory.mktemp("adapter")
    models: dict[str, VideoMLLM] = {}

    def get(family: str) -> VideoMLLM:
        if family not in models:
            models[family] = load(str(tiny(family, folder / family)))
        return models[family]

    return get


@pytest.fixture(params=FAMILIES)
def model(request: pytest.FixtureRequest, loaded: Load) -> VideoMLLM:
    return loaded(request.param)


def clip(frames: int, height: int, width: int, *, start: float = 0.0, seed: int = 0) -> FrameBatch:
    rng = np.random.default_rng([seed, frames])
    pictures = rng.integers(0, 256, (frames, height, width, 3), dtype=np.uint8)
    return FrameBatch(start + np.arange(frames) * 0.5, pictures)


LONG, SHORT = clip(6, 90, 150), clip(3, 120, 80, start=20, seed=1)


def some(tokens: VisualTokens, k: int, seed: int = 0) -> TokenMap:
    """A random choice of ``k`` tokens."""
    order = torch.randperm(len(tokens), generator=torch.Generator().manual_seed(seed))
    return TokenMap.keep(order[:k].sort().values, tokens.pos)


def rows(features: Any) -> Tensor:
    """The features of transformers, however they are packed, one row a token."""
    if isinstance(features, Tensor):
        return features.flatten(0, -2)
    return torch.cat([rows(part) for part in features])


@dataclass
class ByHand:
    """A prompt laid out in this test, with nothing of the code under test but its token ids."""

    model: VideoMLLM
    ids: Tensor
    embeds: Tensor
    positions: Tensor
    visual: Tensor
    levels: list[Tensor]

    @classmethod
    @torch.inference_mode()
    def of(
        cls,
        model: VideoMLLM,
        prompt: Any,
        clips: Sequence[FrameBatch],
        maps: Sequence[TokenMap | None],
    ) -> ByHand:
        ids = model.inputs(prompt, [model.encode(c) for c in clips])["input_ids"][0]
        inner: Any = model.model.model
        features, grids, levels, paces = [], [], [], []
        for batch, made in zip(clips, maps, strict=True):
            size = model.packing.official_size(len(batch), *batch.frames.shape[1:3])
            pixels = model.packing.pack(batch.frames, size)
            if "pixel_values_videos" in pixels:
                out = inner.get_video_features(**pixels, return_dict=True)
            else:
                out = inner.get_image_features(**pixels, return_dict=True)
            found = rows(out.pooler_output)
            dense = torch.eye(len(found)) if made is None else made.to_dense()
            features.append(dense @ found)
            if getattr(out, "deepstack_features", None):
                levels.append([dense @ rows(level) for level in out.deepstack_features])
            grids.append(pixels.get("video_grid_thw"))
            paces.append(model.packing.step * 0.5)
        places = (ids == model.writer.holder_id).nonzero().squeeze(1)
        stays = torch.ones(len(ids), dtype=torch.bool)
        at = 0
        for batch, made in zip(clips, maps, strict=True):
            n = len(model.encode(batch)) if made is None else made.tokens_in
            if made is not None:
                gone = torch.ones(n, dtype=torch.bool)
                gone[made.host] = False
                stays[places[at : at + n][gone]] = False
            at += n
        assert at == len(places)
        kinds = (ids == model.writer.holder_id).long() * 2
        if hasattr(inner, "get_rope_index") and clips:
            more = {}
            if model.family.name == "Qwen2.5-VL":
                more["second_per_grid_ts"] = torch.tensor(paces)
            positions = inner.get_rope_index(
                ids[None], mm_token_type_ids=kinds[None], video_grid_thw=torch.cat(grids), **more
            )[0]
        else:
            positions = torch.arange(len(ids))[None]
        embeds = model.model.get_input_embeddings()(ids).clone()[stays]
        visual = (ids == model.writer.holder_id)[stays]
        embeds[visual] = torch.cat(features)
        stacked = [torch.cat(level) for level in zip(*levels, strict=True)] if levels else []
        return cls(model, ids[stays], embeds, positions[..., stays], visual, stacked)

    def mask(self) -> Any:
        """What each token sees, where the model is given it."""
        n = len(self.ids)
        at = torch.arange(n)
        causal = at[None, :] <= at[:, None]
        if self.model.family.name != "Gemma3":
            return causal[None, None]
        number, blocks = -1, []
        for place, seen in enumerate(self.visual.tolist()):
            number += seen and not (place and bool(self.visual[place - 1]))
            blocks.append(number if seen else -1 - place)
        block = torch.tensor(blocks)
        both = causal | (block[None, :] == block[:, None])
        window = self.model.model.config.text_config.sliding_window
        near = at[None, :] > at[:, None] - window
        return {"full_attention": both[None, None], "sliding_attention": (both & near)[None, None]}

    @torch.inference_mode()
    def logits(self) -> Tensor:
        inner: Any = self.model.model.model
        language = getattr(inner, "language_model", None) or inner.text_model
        given: dict[str, Any] = {"attention_mask": self.mask()}
        if self.model.family.name == "Qwen3.5":  # its linear layers take no such mask
            given["attention_mask"] = torch.ones(1, len(self.ids), dtype=torch.int64)
        if self.levels:
            given["deepstack_visual_embeds"] = self.levels
            given["visual_pos_masks"] = self.visual[None]
        out = language(
            inputs_embeds=self.embeds[None], position_ids=self.positions, use_cache=False, **given
        )
        return self.model.model.lm_head(out.last_hidden_state)[0]

    def more(self, token: int) -> ByHand:
        """With one token after it, at the next position of all axes."""
        embed = self.model.model.get_input_embeddings()(torch.tensor([token]))
        after = self.positions[..., -1:].amax() + 1
        return ByHand(
            self.model,
            torch.cat([self.ids, torch.tensor([token])]),
            torch.cat([self.embeds, embed]),
            torch.cat([self.positions, after.expand(*self.positions.shape[:-1], 1)], -1),
            torch.cat([self.visual, torch.tensor([False])]),
            self.levels,
        )

    @torch.inference_mode()
    def reply(self, steps: int) -> list[int]:
        """Greedy, reading the whole sequence again for every token."""
        ends = self.model.model.generation_config.eos_token_id
        penalty = self.model.model.generation_config.repetition_penalty or 1.0
        held, said = self, []
        for _ in range(steps):
            scores = held.logits()[-1]
            used = held.ids.unique()
            scores[used] = torch.where(
                scores[used] < 0, scores[used] * penalty, scores[used] / penalty
            )
            token = int(scores.argmax())
            if token in ends:
                break
            said.append(token)
            held = held.more(token)
        return said


def logits(model: VideoMLLM, inputs: dict[str, Any]) -> Tensor:
    with torch.inference_mode():
        return model.model(**inputs).logits[0]


def text(model: VideoMLLM, ids: list[int]) -> str:
    opening = "<think>\n" if model.family.name == "Qwen3.5" else ""
    return (opening + model.tokenizer.decode(ids, skip_special_tokens=True)).strip()


@pytest.mark.parametrize("method", ["random", "uniform"])
def test_a_pruned_prompt_is_the_full_one_without_the_tokens_that_go(
    model: VideoMLLM, method: str
) -> None:
    tokens = model.encode(LONG)
    k = len(tokens) // 3
    made = some(tokens, k) if method == "random" else compress("uniform", tokens, k)
    inputs = model.inputs(QUESTION, tokens, made)
    wanted = ByHand.of(model, QUESTION, [LONG], [made])
    assert inputs["input_ids"][0].tolist() == wanted.ids.tolist()
    assert int((inputs["input_ids"] == model.writer.holder_id).sum()) == k
    assert torch.allclose(logits(model, inputs), wanted.logits(), rtol=0, atol=1e-5)


def test_what_is_left_out_makes_a_difference(model: VideoMLLM) -> None:
    """Else the comparisons above would say nothing."""
    tokens = model.encode(LONG)
    first, second = some(tokens, len(tokens) // 2), some(tokens, len(tokens) // 2, seed=1)
    one, other = (logits(model, model.inputs(QUESTION, tokens, m)) for m in (first, second))
    assert (one[-1] - other[-1]).abs().max() > 1e-3


def test_merged_tokens_enter_as_the_map_makes_them(model: VideoMLLM) -> None:
    tokens = model.encode(LONG)
    made = compress("pool", tokens, len(tokens) // 4)
    inputs = model.inputs(QUESTION, tokens, made)
    given_ = inputs["mm_encoder_outputs"][model.family.modality]
    dense = made.to_dense()
    assert torch.allclose(rows(given_.pooler_output), dense @ tokens.x, atol=1e-5)
    for level, own in zip(given_.deepstack_features or [], tokens.levels, strict=True):
        assert torch.allclose(rows(level), dense @ own, atol=1e-5)
    if model.family.name == "Qwen3-VL":
        assert len(tokens.levels) == 2
    wanted = ByHand.of(model, QUESTION, [LONG], [made])
    assert inputs["input_ids"][0].tolist() == wanted.ids.tolist()
    if model.family.rope == "1d":
        assert torch.allclose(logits(model, inputs), wanted.logits(), rtol=0, atol=1e-5)
        return
    # Time is the host's; height and width are the mean place of what was merged.
    off = made.pos[:, 0] - tokens.pos[made.host]
    moved = wanted.positions.float()
    moved[1:, 0, wanted.visual] += off[:, 1:].T
    assert off[:, 1:].abs().max() > 0
    assert torch.allclose(inputs["position_ids"][1:].float(), moved)
    wanted.positions = moved
    assert torch.allclose(logits(model, inputs), wanted.logits(), rtol=0, atol=2e-5)


@pytest.mark.parametrize("method", ["random", "pool"])
def test_replies_go_on_where_the_full_prompt_ended(model: VideoMLLM, method: str) -> None:
    tokens = model.encode(LONG)
    k = len(tokens) // 3
    made = some(tokens, k) if method == "random" else compress("pool", tokens, k)
    by_hand = ByHand.of(model, QUESTION, [LONG], [made])
    if method == "pool" and model.family.rope != "1d":
        by_hand.positions = model.inputs(QUESTION, tokens, made)["position_ids"][1:]
    wanted = by_hand.reply(STEPS)
    reply = model.generate(QUESTION, tokens, made, max_new_tokens=STEPS)
    assert reply.text == text(model, wanted)
    assert reply.new_tokens == len(wanted)
    assert reply.prompt_tokens == len(by_hand.ids)


def test_prompts_of_a_batch_are_answered_as_by_themselves(model: VideoMLLM) -> None:
    """Of different lengths, with one clip, two or none, pruned, pooled and whole."""
    long, short = model.encode(LONG), model.encode(SHORT)
    cases: list[tuple[Any, Any, Any]] = [
        (QUESTION, long, compress("pool", long, len(long) // 4)),
        (["First", VIDEO, "then", VIDEO, "what?"], [short, long], [some(short, 3), None]),
        ("Who are you ?", (), None),
        ([VIDEO, "Is there a red car on the street ?"], short, some(short, 2)),
    ]
    prompts, tokens, maps = zip(*cases, strict=True)
    together = model.generate_batch(prompts, tokens, maps, max_new_tokens=STEPS)
    for (prompt, clips, made), reply in zip(cases, together, strict=True):
        alone = model.generate(prompt, clips, made, max_new_tokens=STEPS)
        assert (reply.text, reply.new_tokens) == (alone.text, alone.new_tokens)
        assert reply.stopped_by == alone.stopped_by
        assert reply.prompt_tokens == alone.prompt_tokens


def test_a_batch_leaves_the_logits_of_each_prompt_alone(model: VideoMLLM) -> None:
    long, short = model.encode(LONG), model.encode(SHORT)
    pairs = [(QUESTION, long, some(long, 5)), ("Describe the picture .", short, None)]
    parts = [model._sequenced(p, t, m, None) for p, t, m in pairs]
    alone = [logits(model, model._batch([part])) for part in parts]
    inputs = model._batch(parts)
    with torch.inference_mode():
        together = model.model(**inputs).logits
    for row, own in zip(together, alone, strict=True):
        # The linear layers of Qwen3.5 add up in stretches that padding moves.
        near = 1e-4 if model.family.name == "Qwen3.5" else 2e-5
        assert torch.allclose(row[-len(own) :], own, rtol=0, atol=near)


def test_no_prompts_no_replies(model: VideoMLLM) -> None:
    assert model.generate_batch([], [], []) == []


def test_clips_stand_among_the_texts_where_they_were_put(model: VideoMLLM) -> None:
    long, short = model.encode(LONG), model.encode(SHORT)
    prompt = ["s", VIDEO, "the first clip", VIDEO, "the second clip", VIDEO, "user"]
    clips = [short, long, short]
    maps = [None, some(long, 4), some(short, 2)]
    ids = model.inputs(prompt, clips, maps, system="The rules.")["input_ids"][0].tolist()
    holder = model.writer.holder_id
    held = [place for place, token in enumerate(ids) if token == holder]
    assert len(held) == len(short) + 4 + 2
    ends = np.cumsum([0, len(short), 4, 2])
    stretches = [(held[a], held[b - 1]) for a, b in pairwise(ends)]
    decoded = [
        model.tokenizer.decode(ids[start:end])
        for start, end in zip(
            [0, *(last + 1 for _, last in stretches)],
            [*(first for first, _ in stretches), len(ids)],
            strict=True,
        )
    ]
    assert "The rules." in decoded[0]
    assert "s" in decoded[0].split("The rules.")[1]
    assert "the first clip" in decoded[1]
    assert "the second clip" in decoded[2]
    assert "user" in decoded[3]


@pytest.mark.parametrize("word", ["s", "user", "im", ":"])
def test_a_text_that_the_template_has_as_well_keeps_its_place(model: VideoMLLM, word: str) -> None:
    tokens = model.encode(SHORT)
    ids = model.inputs([word, VIDEO, "why ?"], tokens)["input_ids"][0].tolist()
    first = ids.index(model.writer.holder_id)
    bare = model.inputs([VIDEO, "why ?"], tokens)["input_ids"][0].tolist()
    before = model.tokenizer.decode(ids[:first])
    assert before.count(word) > model.tokenizer.decode(
        bare[: bare.index(model.writer.holder_id)]
    ).count(word)


def test_several_clips_meet_their_own_placeholders(model: VideoMLLM) -> None:
    long, short = model.encode(LONG), model.encode(SHORT)
    prompt = ["Look at", VIDEO, "and then at", VIDEO, "What is different ?"]
    maps = [some(short, 3), some(long, 7)]
    inputs = model.inputs(prompt, [short, long], maps)
    wanted = ByHand.of(model, prompt, [SHORT, LONG], maps)
    assert torch.allclose(logits(model, inputs), wanted.logits(), rtol=0, atol=1e-5)


def test_clips_without_a_place_come_first(model: VideoMLLM) -> None:
    tokens = [model.encode(SHORT), model.encode(LONG)]
    given_ = model.inputs(QUESTION, tokens)["input_ids"]
    placed = model.inputs([VIDEO, VIDEO, QUESTION], tokens)["input_ids"]
    assert given_.tolist() == placed.tolist()


def controls(model: VideoMLLM) -> list[str]:
    return sorted({*model.tokenizer.all_special_tokens, model.writer.marker, model.writer.holder})


def test_control_tokens_in_texts_are_plain_text(model: VideoMLLM) -> None:
    tokens = model.encode(SHORT)
    evil = " ".join(controls(model)) + "".join(controls(model))
    special = set(model.tokenizer.all_special_ids)

    def count(question: str, system: str) -> list[int]:
        ids = model.inputs(question, tokens, system=system)["input_ids"][0].tolist()
        assert ids.count(model.writer.holder_id) == len(tokens)
        return [i for i in ids if i in special]

    assert count(evil, evil) == count("Why ?", "Be brief .")


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_no_pieces_of_control_tokens_add_up_to_one(model: VideoMLLM, data: st.DataObject) -> None:
    pieces = [part for token in controls(model) for part in (token[:3], token[3:], token[:-1])]
    pieces += ["<", "|", ">", " ", "\n", "x", *controls(model)]
    texts = st.lists(st.sampled_from(pieces), min_size=1, max_size=6).map("".join)
    tokens = model.encode(clip(2, 60, 60))
    before = data.draw(st.lists(texts, max_size=3))
    after = data.draw(st.lists(texts, min_size=1, max_size=3))
    special = set(model.tokenizer.all_special_ids)
    ids, plain = (
        model.inputs([*head, VIDEO, *tail], tokens)["input_ids"][0].tolist()
        for head, tail in ((before, after), (["a"] * len(before), ["b"] * len(after)))
    )
    assert ids.count(model.writer.holder_id) == len(tokens)
    assert sorted(i for i in ids if i in special) == sorted(i for i in plain if i in special)


def test_line_breaks_are_text_even_where_they_are_added_tokens(loaded: Load) -> None:
    model = loaded("gemma3")
    tokenizer = copy.deepcopy(model.tokenizer)
    tokenizer.add_tokens(["\n\n", "  ", "<table>"])
    writer = PromptWriter(model.family, tokenizer, model.model.config, 1)
    assert writer.plain("a\n\nb  c <table>") == "a\n\nb  c < table>"


def test_wrong_use_is_told(model: VideoMLLM) -> None:
    tokens = model.encode(SHORT)
    with pytest.raises(ValueError, match="nothing to encode: the clip has no frames"):
        model.encode(FrameBatch(np.zeros(0), np.zeros((0, 60, 60, 3), np.uint8)))
    allowed = "multiples of" if model.family.any_size else "alone"
    for size in ((85, 85), (0, 0), (-56, 56)):
        with pytest.raises(ValueError, match=rf"{model.family.name} does not take .*{allowed}"):
            model.encode(SHORT, size=size)
    with pytest.raises(ValueError, match="2 maps were given for 1 clips"):
        model.inputs(QUESTION, tokens, [None, None])
    other = some(model.encode(LONG), 4)
    with pytest.raises(ValueError, match="is not a map of VisualTokens"):
        model.inputs(QUESTION, tokens, other)
    for prompt in ([VIDEO, QUESTION, VIDEO], [VIDEO]):
        with pytest.raises(ValueError, match="no place for each of"):
            model.inputs(prompt, [tokens] * 3)
    with pytest.raises(ConfigError, match="gives no signal 'attention'"):
        model.encode(SHORT, needs=["attention"])
    with pytest.raises(ValueError, match="2 prompts"):
        model.generate_batch([QUESTION, QUESTION], [tokens], [None])


def test_text_is_handed_on_as_it_comes(model: VideoMLLM) -> None:
    tokens = model.encode(SHORT)
    pieces: list[str] = []
    reply = model.generate(QUESTION, tokens, max_new_tokens=40, on_text=pieces.append)
    assert reply.text
    assert "".join(pieces).strip() == reply.text.removeprefix("<think>").strip()
    assert all(pieces)
    silent = model.generate(QUESTION, tokens, max_new_tokens=40)
    assert silent.text == reply.text


def test_thoughts_that_the_prompt_opens_are_told_apart(loaded: Load) -> None:
    model = loaded("qwen3_5")
    assert model.generate(QUESTION, max_new_tokens=2).text.startswith("<think>\n")
    other = loaded("qwen3_vl").generate("Say <think>", max_new_tokens=2)
    assert "<think>" not in other.text


def test_nothing_is_written_beside_the_reply(
    loaded: Load, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for family in ("qwen3_5", "llava_next_video"):
        model = loaded(family)
        monkeypatch.setattr(model.tokenizer, "model_max_length", 8)
        monkeypatch.setattr(model.tokenizer, "deprecation_warnings", {})
        model.writer.count(QUESTION * 4)
        model.generate(QUESTION, model.encode(SHORT), max_new_tokens=2)
        model.writer.write(QUESTION * 4, [])
        assert not caplog.records


def test_a_reply_says_what_ended_it(model: VideoMLLM, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = model.encode(SHORT)
    inputs = model.inputs(QUESTION, tokens)
    said = ByHand.of(model, QUESTION, [SHORT], [None]).reply(4)
    assert len(said) == 4
    cut = model.generate(QUESTION, tokens, max_new_tokens=4)
    assert (cut.stopped_by, cut.new_tokens) == ("max_new_tokens", 4)
    assert cut.prompt_tokens == inputs["input_ids"].shape[1]
    assert cut.first_token_seconds is not None
    assert 0 < cut.first_token_seconds <= cut.seconds
    late = model.generate(QUESTION, tokens, max_new_tokens=4, time_limit_seconds=0)
    assert (late.stopped_by, late.new_tokens) == ("time_limit", 1)
    at = next((n for n, token in enumerate(said) if n and token not in said[:n]), 0)
    monkeypatch.setattr(model.model.generation_config, "eos_token_id", [said[at]])
    ended = model.generate(QUESTION, tokens, max_new_tokens=4)
    assert (ended.stopped_by, ended.new_tokens) == ("end", at)
    assert ended.text == text(model, said[:at])


def test_a_prompt_that_is_too_long_is_told(
    model: VideoMLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = model.encode(SHORT)
    length = model.inputs(QUESTION, tokens)["input_ids"].shape[1]
    config = model.model.config.get_text_config()
    monkeypatch.setattr(config, "max_position_embeddings", length + 3)
    with pytest.raises(
        ModelError, match=f"prompt has {length} tokens .* may have 4, .* {length + 3} "
    ):
        model.generate(QUESTION, tokens, max_new_tokens=4)
    assert model.generate(QUESTION, tokens, max_new_tokens=3).new_tokens <= 3


def test_a_few_frames_at_a_time_are_the_same_tokens(
    model: VideoMLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = clip(7, 90, 150)
    needs = ["recv:-1", "key:0"]
    size = model.packing.official_size(4, *odd.frames.shape[1:3])
    whole = model.encode(odd, size=size, needs=needs)
    for several in (1, 2):
        patches = several * model.encoder._patches_per_step(size)
        monkeypatch.setattr(encoder, "_PATCHES_AT_ONCE", patches)
        parts = model.encode(odd, size=size, needs=needs)
        near = 1e-6 * max(1.0, float(whole.x.abs().max()))
        assert torch.allclose(parts.x, whole.x, rtol=0, atol=near)
        for level, own in zip(parts.levels, whole.levels, strict=True):
            assert torch.allclose(level, own, rtol=0, atol=near)
        for need in needs:
            assert torch.allclose(parts.signals[need], whole.signals[need], rtol=0, atol=1e-6)
        assert torch.equal(parts.pos, whole.pos)
        assert parts.grid == whole.grid
        assert torch.equal(parts.times, whole.times)


def test_times_of_steps_are_the_middle_of_their_frames(model: VideoMLLM) -> None:
    tokens = model.encode(clip(5, 60, 60, start=10))
    step = model.packing.step
    wanted = [10.25, 11.25, 12.0] if step == 2 else [10, 10.5, 11, 11.5, 12]
    assert tokens.times.tolist() == wanted
    assert tokens.frame_times is not None
    assert tokens.frame_times.tolist() == [10, 10.5, 11, 11.5, 12]
    assert len(tokens) == model.packing.tokens(5, *model.packing.official_size(5, 60, 60))
