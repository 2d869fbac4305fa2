"""How likely each option is where a reply begins: in this process and behind a server."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from openai_server import OpenAIServer, openai_server
from test_adapter import LONG, SHORT, some
from test_viewer import view
from tiny import tiny
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from videopipe.compress import VisualTokens
from videopipe.errors import ModelError, TimeLimit
from videopipe.mllm import VIDEO, Reply, VideoMLLM, load
from videopipe.mllm.local_viewer import LocalViewer
from videopipe.mllm.options import Opening, margin, shares
from videopipe.mllm.scores import OptionScores, spellings
from videopipe.mllm.server import ServerModel
from videopipe.mllm.server_viewer import ServerViewer
from videopipe.select import Footage

torch.set_num_threads(1)
QUESTION = "Is there a red car? A. yes B. no"
LETTERS = ("A", "B", "C")
FAMILIES = (  # positions on three axes, or one; one whose logits are always of all tokens
    "qwen2_5_vl",
    "qwen3_vl",
    "qwen3_5",
    "llava_onevision",
    "video_llama_3",
    "gemma3",
    "smolvlm",
)

Load = Callable[[str], VideoMLLM]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Load:
    folder = tmp_path_factory.mktemp("options")
    models: dict[str, VideoMLLM] = {}

    def get(family: str) -> VideoMLLM:
        if family not in models:
            models[family] = load(str(tiny(family, folder / family)))
        return models[family]

    return get


@pytest.fixture(params=FAMILIES)
def model(request: pytest.FixtureRequest, loaded: Load) -> VideoMLLM:
    return loaded(request.param)


def spelt(model: VideoMLLM, option: str) -> list[int]:
    """Read from the whole vocabulary."""
    texts = [model.tokenizer.decode([i]) for i in range(len(model.tokenizer))]
    return [i for i, text in enumerate(texts) if text.strip() == option]


def by_hand(model: VideoMLLM, logits: Tensor, options: Sequence[str]) -> np.ndarray:
    likely = logits.double().softmax(-1)
    summed = np.array([float(likely[spelt(model, option)].sum()) for option in options])
    return summed / summed.sum()


@contextmanager
def louder(model: VideoMLLM, *steps: dict[str, float]) -> Iterator[list[Tensor]]:
    """The model with more of some tokens, step by step, the last of ``steps`` for all that follow.

    Gives the logits ``[B, V]`` of the last position of each step.
    """
    seen: list[Tensor] = []

    def add(module: Any, given: Any, logits: Tensor) -> Tensor:
        now = steps[min(len(seen), len(steps) - 1)]
        for token, more in now.items():
            logits[..., model.tokenizer.convert_tokens_to_ids(token)] += more
        seen.append(logits[:, -1] if logits.ndim == 3 else logits)
        return logits

    handle = model.model.get_output_embeddings().register_forward_hook(add)
    try:
        yield seen
    finally:
        handle.remove()


def test_options_are_as_likely_as_the_logits_say(
    model: VideoMLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    long, short = model.encode(LONG), model.encode(SHORT)
    prompt = ["First", VIDEO, "then", VIDEO, QUESTION]
    made = [some(long, len(long) // 3), None]
    chosen = model.choose([prompt], [[long, short]], [made], LETTERS)
    if model.family.name == "Qwen3.5":  # its template can close the thoughts that it opens
        render = partial(model.tokenizer.apply_chat_template, enable_thinking=False)
        monkeypatch.setattr(model.tokenizer, "apply_chat_template", render)
    inputs = model.inputs(prompt, [long, short], made)
    with torch.inference_mode():
        logits = model.model(**inputs).logits[0, -1]
    assert all(len(spelt(model, option)) == 2 for option in ("A", "B"))  # "A" and " A"
    np.testing.assert_allclose(chosen, [by_hand(model, logits, LETTERS)], atol=1e-5)
    assert np.ptp(chosen) > 0.01


def test_options_of_a_batch_are_as_likely_as_by_themselves(model: VideoMLLM) -> None:
    long, short = model.encode(LONG), model.encode(SHORT)
    cases: list[tuple[Any, Any, Any]] = [
        (QUESTION, long, some(long, 5)),
        (["What", VIDEO, "is on the screen?"], short, None),
        ("Who are you ?", (), None),
    ]
    prompts, tokens, maps = zip(*cases, strict=True)
    together = model.choose(prompts, tokens, maps, LETTERS)
    alone = [model.choose([p], [t], [m], LETTERS)[0] for p, t, m in cases]
    np.testing.assert_allclose(together, alone, atol=1e-4)
    np.testing.assert_allclose(together.sum(1), 1)


def test_no_prompts_have_no_chances(loaded: Load) -> None:
    assert loaded("smolvlm").choose([], [], [], LETTERS).shape == (0, 3)


def test_options_that_are_not_likely_at_all_are_even(loaded: Load) -> None:
    model = loaded("smolvlm")
    with louder(model, {name: -200.0 for letter in LETTERS for name in (letter, f"Ġ{letter}")}):
        assert model.choose([QUESTION], [()], [None], LETTERS).tolist() == [[1 / 3] * 3]


def test_an_option_of_several_tokens_is_refused(loaded: Load) -> None:
    with pytest.raises(ValueError, match="'zebra crossing' is not one token"):
        loaded("smolvlm").choose([QUESTION], [()], [None], ["A", "zebra crossing"])
    with pytest.raises(ValueError, match="'zebra crossing' is not one token"):
        loaded("smolvlm").generate(QUESTION, options=["A", "zebra crossing"])


@pytest.mark.parametrize("scheme", ["always", "never"])  # a space is put before a text, or none
def test_spaces_that_are_written_into_tokens_are_spellings_as_well(scheme: str) -> None:
    words = ["<unk>", "\u2581", "A", "B", "\u2581A", "\u2581The", "AB", "\u2581C"]
    merges = [("\u2581", "A"), ("A", "B"), ("\u2581", "C")]
    vocabulary = {word: place for place, word in enumerate([*words, "C"])}
    backend = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    backend.decoder = decoders.Metaspace(prepend_scheme=scheme)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>")
    assert spellings(tokenizer, LETTERS) == [[2, 4], [3], [7, 8]]
    for unknown in ("D", "AB C"):
        with pytest.raises(ValueError, match="is not one token"):
            spellings(tokenizer, [unknown])


# Loud enough to be said first, and near enough to one another to leave a doubt.
LOUD = {"A": 18.0, "ĠA": 18.0, "B": 18.0, "ĠB": 18.0, "C": 18.0}


def test_the_margin_is_what_the_logits_say(model: VideoMLLM) -> None:
    tokens = model.encode(LONG)
    thinks = model.family.name == "Qwen3.5"
    with louder(model, *([{"</think>": 60.0}] if thinks else []), LOUD) as seen:
        reply = model.generate(QUESTION, tokens, max_new_tokens=4, options=LETTERS)
    scores = seen[int(thinks)][0].clone()
    penalty = model.model.generation_config.repetition_penalty or 1.0
    used = model.inputs(QUESTION, tokens)["input_ids"][0].unique()
    scores[used] = torch.where(scores[used] < 0, scores[used] * penalty, scores[used] / penalty)
    third, second, first = sorted(by_hand(model, scores, LETTERS))
    assert reply.margin == pytest.approx(first - second, abs=1e-5)
    assert third > 0
    assert reply.to_dict()["margin"] == round(first - second, 4)


def test_margins_of_a_batch_are_those_of_each_prompt(model: VideoMLLM) -> None:
    long, short = model.encode(LONG), model.encode(SHORT)
    cases: list[tuple[Any, Any]] = [(QUESTION, long), ("What is on the screen ?", short)]
    steps = ([{"</think>": 60.0}] if model.family.name == "Qwen3.5" else []) + [LOUD]
    with louder(model, *steps):
        together = model.generate_batch(
            *zip(*cases, strict=True), [None] * 2, max_new_tokens=4, options=LETTERS
        )
    for (prompt, tokens), reply in zip(cases, together, strict=True):
        with louder(model, *steps):
            alone = model.generate(prompt, tokens, max_new_tokens=4, options=LETTERS)
        assert reply.margin is not None
        assert reply.margin == pytest.approx(alone.margin, abs=1e-4)
        assert reply.text == alone.text


def test_a_reply_is_the_same_whether_or_not_its_margin_is_asked_for(loaded: Load) -> None:
    model = loaded("qwen2_5_vl")
    with louder(model, LOUD):
        asked, plain = (
            model.generate(QUESTION, max_new_tokens=8, options=options) for options in (LETTERS, ())
        )
    assert (asked.text, asked.new_tokens) == (plain.text, plain.new_tokens)
    assert asked.margin is not None
    assert plain.margin is None
    assert plain.to_dict()["margin"] is None


def test_thoughts_without_an_end_have_no_margin(loaded: Load) -> None:
    model = loaded("qwen3_5")
    with louder(model, LOUD):
        reply = model.generate(QUESTION, max_new_tokens=6, options=LETTERS)
    assert reply.text.startswith("<think>")
    assert reply.margin is None


@pytest.mark.parametrize(
    ("opening", "said", "at"),
    [
        ("", ["A", "."], 0),
        ("", ["\n", " ", "A", "."], 2),
        ("", ["(", "A", ")"], 1),
        ("", ["**", "A", "**"], 1),
        ("", ["<answer>", "A", "</answer>"], 1),
        ("", ["<", "answer", ">", "A"], 3),
        ("", ["<|begin_of_box|>", "A", "<|end_of_box|>"], 1),
        ("", ["<think>", "A", "man", "</think>", "\n\n", "A"], 5),
        ("", ["<", "think", ">", "B", "</", "think", ">", "A"], 7),
        ("<think>\n", ["A", "car", "</think>", "A"], 3),
        ("", ["A", "car", "</think>", "A"], 3),  # opened where nobody saw it
        ("<think>\n", ["A", "car"], None),
        ("", ["The", " answer", " is", " A"], None),
        ("", ["<end>", "A"], None),
    ],
)
def test_a_reply_begins_at_its_first_word_after_its_thoughts(
    opening: str, said: list[str], at: int | None
) -> None:
    words = list(dict.fromkeys([*said, "A", "B"]))
    scores = OptionScores([[words.index("A")], [words.index("B")]], [opening], words.__getitem__)
    ids = torch.zeros((1, 3), dtype=torch.long)
    for step, word in enumerate(said):
        logits = torch.full((1, len(words)), -5.0)
        logits[0, words.index(word)] = 3.0
        logits[0, words.index("B")] += 0.1 * step  # each step is known by its margin
        assert scores(ids, logits) is logits
        ids = torch.cat([ids, torch.tensor([[words.index(word)]])], 1)
    if at is None:
        assert scores.margin(0) is None
        return
    assert scores.margin(0) == pytest.approx(math.tanh((8 - 0.1 * at) / 2), abs=1e-6)


def test_the_beginning_of_a_long_reply_is_found_in_constant_memory() -> None:
    reply = Opening("<think>\n")
    for _ in range(10_000):
        reply.hear("word ")
    assert not reply.awaits
    assert len(reply._said) + len(reply._tail) < 200
    reply.hear("</think>")
    assert reply.awaits


def test_shares_and_margins() -> None:
    assert shares([0.2, 0.1, 0.1]).tolist() == [0.5, 0.25, 0.25]
    assert shares([[0.0, 0.0], [1e-9, 0.0]]).tolist() == [[0.5, 0.5]] * 2
    assert margin([0.1, 0.3, 0.1]) == pytest.approx(0.4)
    assert margin([0.2, 0.2]) == 0
    assert margin([1.0]) is None


def test_views_are_scored_in_small_batches(loaded: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    viewer = LocalViewer(loaded("llava_onevision"))
    plan = viewer.plan([Footage(2, 90, 90)], 64, "auto", 2.0)
    texts = ["the red car " * (number % 4) for number in range(11)]
    views = [view(plan, text) for text in texts]
    sizes: list[int] = []
    choose = VideoMLLM.choose

    def watched(self: VideoMLLM, prompts: Sequence[Any], *rest: Any, **more: Any) -> Any:
        sizes.append(len(prompts))
        return choose(self, prompts, *rest, **more)

    monkeypatch.setattr(VideoMLLM, "choose", watched)
    found = viewer.choose(views, LETTERS, time_limit_seconds=60)
    assert sizes == [8, 3]
    alone = [viewer.choose([one], LETTERS, time_limit_seconds=60)[0] for one in views[:4]]
    np.testing.assert_allclose(found, [alone[number % 4] for number in range(11)], atol=1e-4)
    assert viewer.choose([], LETTERS, time_limit_seconds=60).shape == (0, 3)


def test_time_holds_for_scores_as_well(loaded: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    viewer = LocalViewer(loaded("llava_onevision"))
    plan = viewer.plan([Footage(2, 90, 90)], 64, "auto", 2.0)
    now = 100.0
    encode = VideoMLLM.encode

    def slow(self: VideoMLLM, *args: Any, **kwargs: Any) -> VisualTokens:
        nonlocal now
        now += 10
        return encode(self, *args, **kwargs)

    monkeypatch.setattr(VideoMLLM, "encode", slow)
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with pytest.raises(TimeLimit, match=r"said nothing within 15 s"):
        viewer.choose([view(plan)] * 3, LETTERS, time_limit_seconds=15)


def test_a_view_is_looked_at_with_options(loaded: Load) -> None:
    viewer = LocalViewer(loaded("llava_onevision"))
    plan = viewer.plan([Footage(2, 90, 90)], 64, "auto", 2.0)
    with louder(viewer.model, LOUD):
        for several in (1, 2):
            for reply in viewer.look(
                [view(plan)] * several, max_new_tokens=2, time_limit_seconds=60, options=LETTERS
            ):
                assert isinstance(reply, Reply)
                assert reply.margin is not None


@pytest.fixture(scope="module")
def running() -> Iterator[OpenAIServer]:
    with openai_server("tiny-vl") as server:
        yield server


@pytest.fixture
def server(running: OpenAIServer) -> OpenAIServer:
    running.behave()
    return running


def served(server: OpenAIServer) -> ServerModel:
    return ServerModel("tiny-vl", server.url, timeout_seconds=20.0, retries=0, concurrency=3)


def chances(server: OpenAIServer, *prompts: str, options: Sequence[str] = ("A", "B")) -> Any:
    given = [[prompt] for prompt in prompts or ("Which?",)]
    return served(server).choose(given, options, time_limit_seconds=20).tolist()


def say(server: OpenAIServer, options: Sequence[str] = ("A", "B")) -> Reply:
    return served(server).reply(
        ["Which?"], max_new_tokens=9, time_limit_seconds=20, options=options
    )


def test_a_server_is_asked_for_the_likeliest_first_tokens(server: OpenAIServer) -> None:
    server.behave(answer="A", likely=[{"A": 0.4, " A": 0.2, "B": 0.15, "The": 0.2, "a": 0.05}])
    assert chances(server) == [[pytest.approx(0.8), pytest.approx(0.2)]]
    body = server.state().body
    assert (body["max_tokens"], body["temperature"]) == (1, 0)
    assert (body["logprobs"], body["top_logprobs"]) == (True, 20)
    assert body["chat_template_kwargs"] == {"enable_thinking": False}


@pytest.mark.parametrize("document", [False, True])
def test_no_option_among_the_likeliest_is_an_even_chance(
    server: OpenAIServer, document: bool
) -> None:
    server.behave(answer="The", document=document, likely=[{"The": 0.9, "An": 0.1}])
    assert chances(server, options=LETTERS) == [[1 / 3] * 3]


def test_prompts_are_scored_at_once_and_in_order(server: OpenAIServer) -> None:
    server.behave(echo=True, late_for="A", together=3)
    assert chances(server, "A", "B", "(B)") == [[1, 0], [0, 1], [0, 1]]
    assert server.state().most_at_once == 3


@pytest.mark.parametrize("refused", ["logprobs", "top_logprobs"])
@pytest.mark.parametrize("status", [400, 403])
def test_a_server_that_tells_no_probabilities_is_sure_of_its_letter(
    server: OpenAIServer, refused: str, status: int
) -> None:
    server.behave(answer=" B", unfit=[refused, "chat_template_kwargs"], refusal=status)
    assert chances(server) == [[0, 1]]
    assert not server.state().body.keys() & {"logprobs", "top_logprobs", "chat_template_kwargs"}
    server.behave(answer="Maybe", unfit=[refused])
    assert chances(server) == [[0.5, 0.5]]
    assert say(server).margin is None


def test_what_goes_wrong_with_a_score_is_raised(server: OpenAIServer) -> None:
    server.behave(fail=9, status=401, message="no")
    with pytest.raises(ModelError, match="wants a key"):
        chances(server, "one", "two")
    server.behave(hang_for="two")
    with pytest.raises(TimeLimit):
        served(server).choose([["one"], ["two"]], LETTERS, time_limit_seconds=0.3)


SURE, UNSURE = {"A": 0.98, "B": 0.02}, {"A": 0.45, " B": 0.3, "The": 0.25}


@pytest.mark.parametrize("document", [False, True])
@pytest.mark.parametrize(
    ("said", "likely", "expected"),
    [
        ({"answer": "A is it"}, [UNSURE, SURE], 0.2),
        ({"answer": "** A **"}, [SURE, UNSURE, SURE], 0.2),
        ({"answer": "<think> A man </think> A"}, [SURE, SURE, SURE, SURE, UNSURE], 0.2),
        ({"answer": "A", "thoughts": "A man"}, [SURE, SURE, SURE, UNSURE], 0.2),
        ({"answer": "The answer is A"}, [SURE, SURE, SURE, SURE], None),
        ({"answer": "A is it"}, [{"A": 1.0}], None),  # nothing of the others
        ({"answer": "A is it"}, [], None),
    ],
)
def test_the_margin_of_a_served_reply(
    server: OpenAIServer,
    said: dict[str, str],
    likely: list[dict[str, float]],
    expected: float | None,
    document: bool,
) -> None:
    server.behave(likely=likely, document=document, **said)
    reply = say(server)
    assert reply.text == said["answer"]
    assert reply.margin == (expected and pytest.approx(expected))


def test_thoughts_that_are_told_apart_are_none_of_the_reply(server: OpenAIServer) -> None:
    apart = {"answer": "A", "thoughts": "A man", "closing": False, "likely": [SURE, SURE, UNSURE]}
    server.behave(**apart)
    assert say(server).margin == pytest.approx(0.2)
    server.behave(**apart, document=True)  # nothing tells which of the tokens is the first
    assert say(server).margin is None


def test_probabilities_are_asked_for_with_options_only(server: OpenAIServer) -> None:
    server.behave(answer="A", likely=[UNSURE])
    assert say(server, options=()).margin is None
    assert not server.state().body.keys() & {"logprobs", "top_logprobs", "chat_template_kwargs"}
    several = served(server).replies(
        [["one"], ["two"]], max_new_tokens=9, time_limit_seconds=20, options=("A", "B")
    )
    for reply in several:
        assert isinstance(reply, Reply)
        assert reply.margin == pytest.approx(0.2)
    assert "chat_template_kwargs" not in server.state().body


@pytest.mark.parametrize(
    "scores",
    [
        "5",
        '{"content": 3}',
        '{"content": [7]}',
        '{"content": [{"token": null, "top_logprobs": [1, {"logprob": "x"}]}]}',
        '{"content": [{"token": "A", "top_logprobs": [{"token": "A", "logprob": null}, {}]}]}',
    ],
)
def test_senseless_probabilities_are_none(server: OpenAIServer, scores: str) -> None:
    choice = '{"message": {"content": "B"}, "finish_reason": "stop", "logprobs": %s}'
    server.behave(raw='{"choices": [%s]}' % (choice % scores))
    assert chances(server)[0] in ([0, 1], [0.5, 0.5])
    assert say(server).margin in (None, 0)


def test_a_served_view_is_scored(server: OpenAIServer) -> None:
    viewer = ServerViewer(served(server))
    plan = viewer.plan([Footage(2, 90, 90)], 64, "auto", 2.0)
    server.behave(answer="A", likely=[UNSURE])
    found = viewer.choose([view(plan)] * 2, ("A", "B"), time_limit_seconds=20)
    np.testing.assert_allclose(found, [[0.6, 0.4]] * 2)
    assert [part["type"] for part in server.state().parts].count("image") == plan.frames
    (reply,) = viewer.look(
        [view(plan)], max_new_tokens=4, time_limit_seconds=20, options=("A", "B")
    )
    assert isinstance(reply, Reply)
    assert reply.margin == pytest.approx(0.2)
