"""The extractive reader: it picks, quotes and cites; it never makes anything up.

Every passage of the retrieved clips is scored against the question by the library's own measure
(meaning and exact words). The best passages are the answer; when none reaches the threshold, the
answer is that nothing matches.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from videopipe.answer.passages import Passage
from videopipe.types import Source

Score = Callable[[str, Sequence[str]], NDArray[np.float64]]
"""Scores texts against a query: ``(query, texts [N]) -> [N]`` in ``[0, 1]``."""

CLOSE = 0.85
"""Passages that score at least this share of the best one belong to the answer, too."""
PREFERENCE = 0.1
"""Added to a passage of the channel that the question asks for by name."""

_ASKS_FOR: tuple[tuple[tuple[Source, ...], re.Pattern[str]], ...] = (
    (
        ("subtitle", "asr"),
        re.compile(
            r"\b(narrat\w*|say|says|said|speak\w*|mention\w*|talk\w*|tell\w*|"
            r"told|explain\w*|voice|hear\w*|spoken)\b",
            re.IGNORECASE,
        ),
    ),
    (
        ("ocr",),
        re.compile(
            r"\b(slides?|screen|written|writes?|reads?|text|title|heading|sign|"
            r"caption|table|bullet|label|displayed|page)\b",
            re.IGNORECASE,
        ),
    ),
    (
        ("facts", "caption"),
        re.compile(
            r"\b(picture|colou?rs?|bright|dark|black|white|orange|red|"
            r"green|blue|yellow|purple|pink|brown|gr[ae]y|faces?|people|"
            r"person|camera|look\w*|moves?|moving|motion|still|shot|"
            r"footage|see|seen)\b",
            re.IGNORECASE,
        ),
    ),
)


def preferred(question: str) -> frozenset[Source]:
    """The channels that the words of the question point to."""
    return frozenset(
        source for sources, words in _ASKS_FOR if words.search(question) for source in sources
    )


def read(
    question: str, found: Sequence[Passage], score: Score, *, count: int, min_score: float
) -> list[tuple[Passage, float]]:
    """The passages that answer ``question``, in time order, at most ``count``; may be none."""
    if not found:
        return []
    scores = score(question, [passage.text for passage in found])
    wanted = preferred(question)
    bonus = np.array([PREFERENCE * (passage.source in wanted) for passage in found])
    # The channel decides between matches; it does not make one.
    order = np.argsort(-(scores + bonus), kind="stable")
    ranked = [int(i) for i in order if scores[i] >= min_score]
    chosen: list[int] = []
    for index in ranked:
        enough = len(chosen) == count
        if enough or scores[index] + bonus[index] < CLOSE * (scores + bonus)[ranked[0]]:
            break
        if not any(_repeats(found[index], found[other]) for other in chosen):
            chosen.append(index)
    chosen.sort(key=lambda i: (found[i].video_id, found[i].start, found[i].end))
    return [(found[i], float(scores[i])) for i in chosen]


def choose(
    question: str, choices: Sequence[str], found: Sequence[Passage], score: Score
) -> tuple[NDArray[np.float64], list[Passage]]:
    """How well the evidence supports each choice: scores ``[C]`` and the passage behind each.

    A passage supports a choice as far as it matches the question *and* gains from the choice being
    named: the mean of its match with question and choice together and with the choice alone,
    weighted by its match with the question.
    """
    texts = [passage.text for passage in found]
    about = score(question, texts)
    support = np.stack(
        [
            (0.5 + 0.5 * about) * (score(f"{question} {choice}", texts) + score(choice, texts)) / 2
            for choice in choices
        ]
    )
    best = support.argmax(axis=1)
    return support.max(axis=1), [found[int(index)] for index in best]


def _repeats(passage: Passage, other: Passage) -> bool:
    """Whether ``other`` says the same at the same time; the same said elsewhere is evidence."""
    return (
        passage.video_id == other.video_id
        and passage.text.casefold() == other.text.casefold()
        and passage.start < other.end
        and other.start < passage.end
    )
