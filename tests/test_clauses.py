"""Clauses of long questions: short enough, nothing lost, cut where the question has joints."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videopipe.select.clauses import EFFECTIVE, clauses

LONG = (
    "After the man in the red coat opens the door of the house, walks to the window and talks to "
    "the two people there, which of the following happens first: the car on the street starts, "
    "the lights go out, or the person who stands beside the table leaves the room?"
)


def words(text: str) -> int:
    return len(text.split()) + 2


def letters(text: str) -> int:
    return len(text) + 2


@given(st.lists(st.text("abAä,.;:?1 \n", min_size=1, max_size=9), max_size=60), st.integers(4, 80))
def test_no_clause_is_too_long_and_no_word_is_lost(pieces: list[str], limit: int) -> None:
    question = " ".join(pieces)
    found = clauses(question, limit, words)
    assert " ".join(found).split() == question.split()
    assert all(words(clause) <= min(limit, EFFECTIVE) for clause in found)


@given(st.text(max_size=200), st.integers(3, 80))
def test_any_text_is_cut_to_any_length(question: str, limit: int) -> None:
    found = clauses(question, limit, letters)
    assert "".join("".join(found).split()) == "".join(question.split())
    assert all(letters(clause) <= min(limit, EFFECTIVE) for clause in found)
    assert found


@given(st.lists(st.sampled_from(["door", "and", "red,", "opens.", "if"]), max_size=60))
def test_neighbours_that_fit_together_are_one_clause(pieces: list[str]) -> None:
    found = clauses(" ".join(pieces), 77, words)
    both = [" ".join(pair) for pair in pairwise(found)]
    assert all(words(pair) > EFFECTIVE for pair in both)


@pytest.mark.parametrize("question", ["Who opens the door?", "one. two, three; four", "", "誰？"])
def test_what_is_short_stays_whole(question: str) -> None:
    assert clauses(question, 77, words) == [question]


def test_a_short_limit_holds_below_the_effective_length() -> None:
    found = clauses("the man opens the door and the woman leaves", 8, words)
    assert found == ["the man opens the door", "and the woman leaves"]


def test_clauses_end_where_the_question_has_joints() -> None:
    found = clauses(LONG, 77, words)
    assert len(found) <= 4
    assert all(re.search(r"[,:?]$", clause) for clause in found)


def test_numbers_abbreviations_and_addresses_stay_whole() -> None:
    kept = ("12:30", "3.5", "1,000", "U.S. team", "www.example.com")
    question = (
        "When the clock on the wall of the kitchen shows 12:30 and the scale on the table says 3.5 "
        "kg, how many people of the U.S. team, of 1,000 in all, stand in the room, and what is "
        "written beside www.example.com on the board that hangs there?"
    )
    found = clauses(question, 77, words)
    assert len(found) > 2
    assert all(any(part in clause for clause in found) for part in kept)


def test_choices_on_lines_of_their_own_are_not_torn_apart() -> None:
    choices = [
        "A. a red cup that stands on the table beside the window",
        "B. a blue cup with a handle, held by the woman there",
        "C. a knife and a fork that lie on a plate",
    ]
    question = "\n".join(["What does he hold when the light goes out?", *choices])
    found = clauses(question, 77, words)
    assert all(any(choice in clause for clause in found) for choice in choices)


def test_what_has_no_joint_is_cut_in_even_parts() -> None:
    found = clauses(" ".join(["word"] * 21), 77, words)
    assert sorted(len(clause.split()) for clause in found) == [10, 11]


def test_text_without_spaces_is_cut_at_its_own_marks() -> None:
    sentence = "ドアを開けて部屋に入る人は誰ですか、そして窓のそばに立つのは誰ですか。"
    found = clauses(sentence * 2, 64, lambda text: len(text) // 2 + 2)
    assert found == [sentence] * 2
    found = clauses(sentence * 2, 64, letters)
    assert "".join(found) == sentence * 2
    assert any(clause.endswith("、") for clause in found)


def test_letters_keep_the_marks_on_them() -> None:
    thai = "ผู้ชายที่ยืนอยู่ข้างหน้าต่างถืออะไรไว้ในมือ"
    found = clauses(thai, 64, letters)
    assert "".join(found) == thai
    assert all(clause[0].isalpha() for clause in found)
