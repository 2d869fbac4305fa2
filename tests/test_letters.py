"""Which option a reply names: the forms that models write, and what names none."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videopipe.answer.letters import extract_letter, letter, unlabelled

CHOICES = ["a red car", "a blue car", "the dog", "vitamin C pills"]

NAMED = {
    "start": [
        ("A", 0), ("a", 0), ("b", 1), ("B.", 1), ("D)", 3), ("(b)", 1), ("**B**", 1), ("B", 1),
        ("B. a blue car", 1), ("B.The blue one", 1), ("a) a red car", 0), ("D: vitamin", 3),
        ("A, because he says so", 0), ("A - a red car", 0), ("A is correct", 0),
        ("A\nThe car is red", 0), ("B because of the first scene", 1), ("'C'", 2), ("[D]", 3),
    ],
    "end": [
        ("I think it is B", 1), ("Best option: (C", 2), ("So my pick would be: **D**.", 3),
        ("The answer is A. No, it is C", 2), ("选C。", 2), ("$B$", 1), ("Both A and B", 1),
    ],
    "stated": [
        ("The answer is B", 1), ("The answer is: **C**", 2), ("Answer: D", 3), ("Answer:\nB", 1),
        ("\\boxed{B}", 1), ("\\boxed{\\text{c}}", 2), ('{"answer":"B"}', 1), ("答案是B", 1),
        ('{"answer": "b", "why": "a hat"}', 1), ("I'd go with D here", 3),
        ("The correct answer is option (b) here", 1), ("Answer B is supported.", 1),
        ("the answer is likely D, I guess so", 3), ("Option B is right for it", 1),
        ("The answer is A. Wait, the answer is C, since it barks", 2),
    ],
    "weaker": [
        ("Look at (B) here", 1), ("Here B. fits well", 1), ("The letter is “C” here", 2),
        ("Maybe it is B because of this", 1), ("It may be (B), or D. in truth", 1),
    ],
    "denied": [
        ("It is not A but C as seen", 2), ("The answer isn't A, it's D.", 3),
        ("(A) is wrong but (C) fits well here", 2), ("A is wrong. So it must be C here", 2),
        ("Option B is right; option A is wrong", 1),
    ],
    "thought": [
        ("<think>A or C? A.</think> B", 1), ("thinking of A </think>C", 2),
        ("<think>A</think><think>B</think>\n\nC", 2), ("D <think>or is it A", 3),
        ("D <think>or is it A</think>", 3), ("<think>x</think> <answer>b</answer>", 1),
        ("<|begin_of_box|>C<|end_of_box|>", 2), ("See (A). <|begin_of_box|>C<|end_of_box|>", 2),
        ("**C**", 2), ("See (A), so \\boxed{\\text{C}}", 2),
    ],
    "text": [
        ("A red car", 0), ("red car.", 0), ("It shows the dog running", 2), ("Vitamin C pills", 3),
        ("The answer is a dog", 2), ("The answer is A red car", 0),
    ],
}  # fmt: skip

UNNAMED = [
    "", "E", "Z.", "I am not sure.", "I", "A man walks in", "The answer is A man", "a", "not B",
    "red car or the dog", "a car, red", "The video does not show this.", "<think>B it is",
    "<think>\nThe answer is B", "<think>a red car", "<think>A?</think><think>B",
    "John D. Rockefeller is seen here twice", "The U.S.A. is shown in R&B", "C++ is seen there",
    "Washington D.C. is seen here", "A T-shirt and a D-day film are seen", "It is 20 °C there",
    "... ?!", "5", "D'accord, it is so", "I'm here",
]  # fmt: skip


@pytest.mark.parametrize(("said", "index"), [pair for pairs in NAMED.values() for pair in pairs])
def test_a_named_option_is_read(said: str, index: int) -> None:
    assert extract_letter(said, CHOICES) == index


@pytest.mark.parametrize("said", [said for said in UNNAMED if said != "a"])
def test_no_option_is_never_a_guess(said: str) -> None:
    assert extract_letter(said, CHOICES) is None


def test_the_surest_form_wins_and_of_several_the_last() -> None:
    falling = [
        "B here", "now it is C", "the answer is D here", "see (A) here", "see B. here",
        "see C: here", "or D here",
    ]  # fmt: skip
    whole = ["B", "C", "D", "A", "B", "C", "D"]
    for place, (said, name) in enumerate(zip(falling, whole, strict=True)):
        # Weaker forms stand on either side; the start and the end of the reply stay as they are.
        weaker = [" and ".join(["well", said, *falling[place + 1 :], "so on"])]
        if place == 0:
            weaker = [" and ".join([*falling, "so on"])]
        if place == 1:
            weaker = [" and ".join(["well", *falling[2:], said])]
        for text in weaker:
            assert letter(extract_letter(text, CHOICES) or 0) == name, text
    assert extract_letter("well (B) and (D) and (C) so on", CHOICES) == 2


def test_letters_beyond_the_choices_name_nothing() -> None:
    assert extract_letter("C", ["yes", "no"]) is None
    assert extract_letter("The answer is C, or perhaps B, really", ["yes", "no"]) == 1
    assert extract_letter("A", []) is None
    assert extract_letter("I", [str(number) for number in range(9)]) == 8
    assert extract_letter("I think it is so", [str(number) for number in range(9)]) is None


def test_the_text_of_an_option_must_be_its_own() -> None:
    assert extract_letter("at the red house", ["house", "red house", "tree"]) == 1
    assert extract_letter("at the red house by a tree", ["house", "red house", "tree"]) is None
    assert extract_letter("the house", ["House", "house.", "tree"]) is None
    assert extract_letter("12", ["2", "12", "120"]) == 1
    assert extract_letter("绿色", ["红色", "绿色"]) == 1


def test_letters_before_the_options_of_a_data_set() -> None:
    assert unlabelled(["A. red", "B. blue"]) == ["red", "blue"]
    assert unlabelled(["(A) red", "(B) blue"]) == ["red", "blue"]
    assert unlabelled(["A. red", "C. blue"]) == ["A. red", "C. blue"]
    assert unlabelled(["A.", "B."]) == ["A.", "B."]
    assert extract_letter("blue", ["A. red", "B. blue"]) == 1


@given(
    st.integers(0, 25),
    st.sampled_from(["{}", "{}.", "({})", "**{}**", "Answer: {}", "The answer is {}.", "{}: x",
                     "\\boxed{{{}}}", '{{"answer": "{}"}}', "<think>Z</think>{}", "Well: {}"]),
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_every_letter_is_read_in_every_form(index: int, form: str) -> None:
    choices = [f"thing {number}" for number in range(26)]
    assert extract_letter(form.format(letter(index)), choices) == index


@given(st.text(max_size=80), st.lists(st.text(min_size=1, max_size=8), max_size=6))
@settings(max_examples=300, deadline=None)
def test_any_text_gives_a_choice_or_none(said: str, choices: list[str]) -> None:
    found = extract_letter(said, choices)
    assert found is None or 0 <= found < len(choices)


@given(st.text(st.characters(categories=("Ll", "Nd", "Po", "Zs"), max_codepoint=127), min_size=20))
@settings(max_examples=200, deadline=None)
def test_small_prose_names_no_letter(said: str) -> None:
    said = "w" + "".join(c for c in said if c not in '()`"*:.,;') + "w"
    assert extract_letter(said, ["qqqq one", "qqqq two", "qqqq three"]) is None


def test_a_long_reply_is_read_quickly() -> None:
    assert extract_letter("A and <think " * 3000, CHOICES) == 0
    assert extract_letter("(" * 20000, CHOICES) is None
