"""Guards against replies that never end: what trips them, what must not, and a real generate."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM

from videopipe.mllm.guards import STRIDE, RepetitionStop, cycles, loops
from videopipe.mllm.stopping import Guards

END, PAD, VOCABULARY = 2, 0, 64

PROSE = """A woman in a green coat walks up to the counter and puts a parcel on the scales [E1]. The
clerk reads the weight aloud, types it in, and asks whether she wants it insured; she shakes her
head. Behind her a queue has formed: two students with a rolled poster, a man on the telephone, and
a child who keeps pressing the button of the ticket machine. When the parcel is stamped the clerk
slides it onto the belt, where it travels past the window and out of the picture [E2]. The camera
then follows it through the sorting hall. Arms push letters left and right, a scanner blinks over
every label, and sacks hang open below the chutes. At the far end a driver in a yellow vest loads
the last trolley, closes the doors of the van, and signs a sheet on a clipboard [E4]. It is still
dark when he leaves. The film closes with the same woman, weeks later, reading a postcard at her
kitchen table while the kettle boils; she laughs, turns the card over, and pins it to the wall."""

_HOUSE = (
    "the house that Jack built",
    "the malt that lay in",
    "the rat that ate",
    "the cat that killed",
    "the dog that worried",
    "the cow with the crumpled horn that tossed",
    "the maiden all forlorn that milked",
    "the man all tattered and torn that kissed",
    "the priest all shaven and shorn that married",
    "the cock that crowed in the morn that waked",
    "the farmer sowing his corn that kept",
)
HOUSE = "\n\n".join(
    "This is " + "\n".join(reversed(_HOUSE[: verse + 1])) + "." for verse in range(len(_HOUSE))
)
REFRAIN = "\n\n".join(
    f"{verse}\nRow, row, row it,\nmerrily, merrily, merrily, merrily,\nla la la la la la la."
    for verse in ("Down the stream", "Past the mill", "Under the bridge", "Out to sea", "Home")
)
SHOPPING = "\n".join(
    f"- The {colour} {thing}"
    for thing in [
        "car",
        "house",
        "door",
        "man",
        "woman",
        "tree",
        "boat",
        "table",
        "lamp",
        "chair",
        "dog",
        "horse",
    ]
    for colour in [
        "red",
        "blue",
        "green",
        "white",
        "black",
        "silver",
        "yellow",
        "orange",
        "brown",
        "grey",
        "pink",
    ]
)
CODE = '''
def total(rows: list[dict[str, int]]) -> dict[str, int]:
    """Sums per key."""
    sums = {"a": 0, "b": 0, "c": 0, "d": 0, "e": 0, "f": 0, "g": 0, "h": 0, "i": 0, "j": 0}
    # ------------------------------------------------------------------------------------------
    for row in rows:
        for key in row:
            if key in sums:
                if row[key]:
                    sums[key] += row[key]
                else:
                    sums[key] += 0
    return sums


assert total([]) == {"a": 0, "b": 0, "c": 0, "d": 0, "e": 0, "f": 0, "g": 0, "h": 0}
assert total([{"a": 1}]) == {"a": 1, "b": 0, "c": 0, "d": 0, "e": 0, "f": 0, "g": 0, "h": 0}
'''
TABLE = "| name | t | x | y | z |\n|------|---|---|---|---|\n" + "\n".join(
    f"| part | {n} | 0 | 0 | 0 |" for n in range(60)
)
BOXES = json.dumps(
    [{"label": "person", "box": [n, 2 * n, n + 40, 2 * n + 90], "lost": False} for n in range(60)]
)
CHINESE = (
    "一位穿绿色外套的女士走到柜台前,把包裹放在秤上。店员大声念出重量,问她要不要买保险,"
    "她摇了摇头。她身后已经排起了队:两个拿着海报的学生、一个打电话的男人,还有一个不停按取号机"
    "的孩子。盖好章以后,包裹被推上传送带,经过窗口,离开了画面。清晨天还没亮,司机就开车走了。"
)
HARMLESS = {
    "prose": PROSE,
    "nursery rhyme": HOUSE,
    "refrain": REFRAIN,
    "list": SHOPPING,
    "code": CODE,
    "table": TABLE,
    "json": BOXES,
    "zeros": "\n".join(" ".join(["0"] * 8) for _ in range(8)),
    "rules": "\n".join(["=" * 100, "A title", "=" * 100, "text", "-" * 100]),
    "chinese": CHINESE,
    "laughter": "Ha" * 20 + "! " + "哈" * 30 + " " + "na " * 24 + "Batman",
}

SENTENCES = [
    "The man opens the door.",
    "I",
    "no, ",
    "这个人打开了门。",
    "ประตูเปิด",
    "!?",
    "\n",
    "🎉",
    "The man in the red shirt opens the door and walks out of the house into the garden. ",
]


def first_stop(text: str, step: int = 1) -> int | None:
    """How much of ``text`` had been streamed, ``step`` characters at a time, when it tripped."""
    stop = RepetitionStop()
    ends = range(step, len(text) + step, step)
    return next((end for end in ends if stop.seen(text[:end])), None)


@pytest.mark.parametrize("name", HARMLESS)
def test_what_people_write_never_trips_at_any_prefix(name: str) -> None:
    text = HARMLESS[name]
    assert not [end for end in range(len(text) + 1) if loops(text[:end])]


@pytest.mark.parametrize("sentence", SENTENCES)
@pytest.mark.parametrize("step", [1, 7, 400])
def test_a_loop_trips_soon_after_real_text(sentence: str, step: int) -> None:
    stopped = first_stop(PROSE + "\n" + sentence * (2000 // len(sentence)), step)
    assert stopped is not None
    assert len(PROSE) < stopped < len(PROSE) + 450 + step


@given(
    st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=60),
    st.text(max_size=200),
    st.sampled_from(["", " ", "\n"]),
)
@settings(max_examples=60, deadline=None)
def test_anything_over_and_over_trips(phrase: str, before: str, joint: str) -> None:
    phrase += joint
    assert loops(before + phrase * (700 // len(phrase) + 1))


@given(st.integers(0, 10**6), st.integers(12, 30))
@settings(max_examples=25, deadline=None)
def test_shuffled_words_never_trip(seed: int, size: int) -> None:
    words = sorted(set(PROSE.split()))[: size * 3]
    dice = random.Random(seed)
    assert first_stop(" ".join(dice.choice(words) for _ in range(400))) is None


@given(st.lists(st.lists(st.integers(-99, 99), min_size=5, max_size=5), max_size=60))
@settings(max_examples=25, deadline=None)
def test_tables_of_numbers_never_trip(rows: list[list[int]]) -> None:
    numbered = [[place, *row] for place, row in enumerate(rows)]
    assert first_stop(json.dumps(numbered)) is None
    assert first_stop("\n".join("\t".join(map(str, row)) for row in numbered)) is None


@pytest.mark.parametrize(
    "line", ["{n}. The man walks to the left. ", "At 0:{n:02d} a car stops at the light.\n"]
)
def test_lines_that_differ_in_a_counter_only_trip(line: str) -> None:
    stopped = first_stop("".join(line.format(n=n) for n in range(100)))
    assert stopped is not None
    assert stopped <= 1000


def test_the_case_and_the_punctuation_of_a_loop_may_vary() -> None:
    dice = random.Random(7)
    turns = ("the man walks on" if dice.random() < 0.5 else "The Man walks on" for _ in range(30))
    assert loops("".join(turn + dice.choice([". ", "! ", ", ", " - "]) for turn in turns))


def test_a_loop_that_was_left_is_no_loop() -> None:
    assert not loops("no " * 100 + PROSE)


def test_odd_text_is_read() -> None:
    assert not loops("")
    assert not loops("\ud800")
    assert loops("\ud800" * 900)


def test_a_call_looks_at_the_tail_only(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    monkeypatch.setattr("videopipe.mllm.guards.loops", lambda text: sizes.append(len(text)))
    stop = RepetitionStop()
    for end in range(1, 1000):
        stop.seen("x" * end)
    assert len(sizes) <= 1000 / STRIDE + 1


@given(st.lists(st.integers(0, 9), min_size=1, max_size=60), st.lists(st.integers(0, 9)))
@settings(max_examples=50, deadline=None)
def test_cycles_of_tokens(cycle: list[int], before: list[int]) -> None:
    turns = 4 + 200 // len(cycle)
    assert cycles(before + cycle * turns)
    assert not cycles(cycle[:50] * 3)


def test_cycles_need_four_turns() -> None:
    long = list(range(100))
    assert not cycles(long * 3 + long[:99])
    assert cycles(long * 4)


def test_the_text_guard_needs_no_torch() -> None:
    code = "import sys, videopipe.mllm.guards; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# A real model whose next token is a table of the last one: what it says is known beforehand.


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def model_that_says(follow: Callable[[int], int | None]) -> LlamaForCausalLM:
    """A Llama that says ``follow(token)`` after ``token``, END for None; else p(END) is 0."""
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=VOCABULARY,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            eos_token_id=END,
            pad_token_id=PAD,
            bos_token_id=1,
            tie_word_embeddings=False,
        )
    ).eval()
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        model.model.embed_tokens.weight.copy_(torch.eye(VOCABULARY))
        model.lm_head.weight.fill_(-1e4)
        for token in range(VOCABULARY):
            model.lm_head.weight[follow(token) or END, token] = 1e4
    return model


def decode(tokens: list[int]) -> str:
    return "".join(f" w{token}" for token in tokens)


class Clock:
    """Goes on by a second each time it is read."""

    def __init__(self) -> None:
        self.now = -1.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


def guards(limit: float = 1e9) -> Guards:
    return Guards(limit, (END, PAD), decode, clock=Clock())


def generate(
    model: LlamaForCausalLM, prompts: list[list[int]], guard: Guards, most: int = 400
) -> list[list[int]]:
    tokens = torch.tensor(prompts)
    made = model.generate(
        tokens,
        attention_mask=torch.ones_like(tokens),
        max_new_tokens=most,
        do_sample=False,
        stopping_criteria=[guard],
    )
    return made[:, tokens.shape[1] :].tolist()


def test_a_looping_model_is_stopped() -> None:
    guard = guards()
    (reply,) = generate(model_that_says(lambda t: 10 + (t + 1) % 5), [[5, 11]], guard)
    assert guard.stopped_by() == "repetition"
    assert len(reply) < 80


def test_a_loop_that_shows_no_text_is_stopped() -> None:
    guard = Guards(1e9, (END, PAD), lambda tokens: "", clock=Clock())
    (reply,) = generate(model_that_says(lambda t: 10), [[5]], guard)
    assert guard.stopped_by() == "repetition"
    assert len(reply) < 220


def test_a_model_that_never_ends_is_stopped_by_the_clock() -> None:
    guard = guards(limit=30)
    (reply,) = generate(model_that_says(lambda t: 3 + (t + 1) % 60), [[5]], guard)
    assert guard.stopped_by() == "time_limit"
    assert len(reply) == 30


def test_a_model_that_never_ends_is_stopped_by_the_limit_of_tokens() -> None:
    guard = guards()
    (reply,) = generate(model_that_says(lambda t: 3 + (t + 1) % 60), [[5]], guard, most=20)
    assert guard.stopped_by() == "max_new_tokens"
    assert len(reply) == 20


@pytest.mark.parametrize(
    ("limit", "why", "length"), [(1e9, "end", 5), (5, "end", 5), (4, "time_limit", 4)]
)
def test_an_end_is_an_end_even_at_the_last_moment(limit: float, why: str, length: int) -> None:
    guard = guards(limit)
    (reply,) = generate(model_that_says({9: 10, 10: 11, 11: 12, 12: 13}.get), [[9]], guard)
    assert reply == [10, 11, 12, 13, END][:length]
    assert guard.stopped_by() == why


def test_the_prompt_is_not_part_of_the_reply() -> None:
    guard = guards()
    looping_prompt = [10] * 300 + [END]
    (reply,) = generate(model_that_says(lambda t: 20 if t == END else END), [looping_prompt], guard)
    assert reply == [20, END]
    assert guard.stopped_by() == "end"


def test_embeddings_as_prompt() -> None:
    model = model_that_says(lambda t: 10)
    guard = guards()
    made = model.generate(
        inputs_embeds=model.get_input_embeddings()(torch.tensor([[5, 6, 7]])),
        attention_mask=torch.ones(1, 3, dtype=torch.long),
        max_new_tokens=300,
        do_sample=False,
        stopping_criteria=[guard],
    )
    assert guard.stopped_by() == "repetition"
    assert made.shape[1] < 80


def test_each_row_remembers_why_it_stopped() -> None:
    def follow(token: int) -> int | None:
        if token < 20:
            return token + 1 if token < 13 else None
        return 20 + (token + 1) % 3 if token < 30 else 30 + (token + 1) % 30

    guard = guards(limit=90)
    replies = generate(model_that_says(follow), [[10], [20], [31]], guard)
    assert [guard.stopped_by(row) for row in range(3)] == ["end", "repetition", "time_limit"]
    assert replies[0][:4] == [11, 12, 13, END]
    assert PAD in replies[1]
    assert len(replies[2]) == 90
