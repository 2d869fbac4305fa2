"""Long questions as clauses: text encoders read the first words and cut the others off."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

EFFECTIVE = 20  # tokens that CLIP's text encoder makes use of (Long-CLIP, arXiv 2403.15378, sec. 3)
# From the strongest joint to the weakest. Marks of scripts with spaces end something only before
# one: 12:30, 3.5 and a web address stay whole, and so does "B. a red cup".
_JOINTS = (
    re.compile(r"(?<=\n)\s*"),
    re.compile(r"(?<=[.!?؟।])(?<!\b\w\.)\s+|(?<=[。！？])\s*"),
    re.compile(r"(?<=[;:؛])\s+|(?<=[；：])\s*"),
    re.compile(r"(?<=[,،])\s+|(?<=[，、])\s*"),
    re.compile(
        r"\s+(?=(?:and|or|but|then|while|when|before|after|until|because|since|so|if|that|which"
        r"|who|where|with)\b)",
        re.IGNORECASE,
    ),
    re.compile(r"\s+"),
    re.compile(r"(?<=.)(?=\w)", re.DOTALL),  # not between a letter and the marks on it
    re.compile(r"(?<=.)(?=.)", re.DOTALL),
)

_Fits = Callable[[int, int], bool]


def clauses(question: str, limit: int, count: Callable[[str], int]) -> list[str]:
    """``question`` in pieces that an encoder reads whole, in order; no word is lost or changed.

    A question within the effective length stays whole. A longer one is split at its strongest
    joints, line breaks before sentence ends before commas before conjunctions before words, each
    time at the one nearest to the middle, and neighbours that are short are joined again. There is
    always a clause: an empty question is one.

    Args:
        limit: tokens that the encoder takes, special ones included.
        count: tokens of a text, special ones included.
    """
    text, most = question.strip(), min(limit, EFFECTIVE)

    def fits(start: int, end: int) -> bool:
        return count(_line(text[start:end])) <= most

    spans: list[tuple[int, int]] = []
    for start, end in _pieces(text, 0, len(text), fits):
        if spans and fits(spans[-1][0], end):
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
    return [_line(text[start:end]) for start, end in spans]


def _pieces(text: str, start: int, end: int, fits: _Fits) -> Iterator[tuple[int, int]]:
    """``[start, end)`` in spans that fit, as far as there are joints."""
    if not fits(start, end):
        for joint in _JOINTS:
            found = (match.span() for match in joint.finditer(text, start, end))
            cuts = [(left, right) for left, right in found if start < left and right < end]
            if cuts:
                left, right = min(cuts, key=lambda cut: abs(sum(cut) - start - end))
                yield from _pieces(text, start, left, fits)
                yield from _pieces(text, right, end, fits)
                return
    yield start, end


def _line(text: str) -> str:
    return " ".join(text.split())
