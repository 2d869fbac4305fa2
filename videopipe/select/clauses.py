"""Long questions as clauses: text encoders read the first words and cut the others off."""

from __future__ import annotations

import re
from collections.abc import Callable

EFFECTIVE = 20  # tokens that CLIP's text encoder makes use of (Long-CLIP, arXiv 2403.15378, sec. 3)
# From the strongest joint to the weakest.
_JOINTS = (
    re.compile(r"(?<=[.!?。！？])\s*"),
    re.compile(r"(?<=[;:；：])\s*"),
    re.compile(r"(?<=[,，、])\s*"),
    re.compile(
        r"\s+(?=(?:and|or|but|then|while|when|before|after|until|because|since|so|if|that|which"
        r"|who|where|with)\b)",
        re.IGNORECASE,
    ),
    re.compile(r"\s+"),
    re.compile(r"(?<=.)(?=.)", re.DOTALL),
)


def clauses(question: str, limit: int, count: Callable[[str], int]) -> list[str]:
    """``question`` in pieces that an encoder reads whole, in order; no word is lost.

    A question within the effective length stays whole. A longer one is split at its strongest
    joints, sentence ends before commas before conjunctions before words, and what is short is
    joined again.

    Args:
        limit: tokens that the encoder takes, special ones included.
        count: tokens of a text, special ones included.
    """
    most = min(limit, EFFECTIVE)
    return _split(" ".join(question.split()), most, count, 0)


def _split(text: str, most: int, count: Callable[[str], int], joint: int) -> list[str]:
    if count(text) <= most or joint == len(_JOINTS):
        return [text]
    pieces = [piece for piece in _JOINTS[joint].split(text) if piece]
    between = "" if joint == len(_JOINTS) - 1 else " "
    joined: list[str] = []
    for piece in pieces:
        longer = f"{joined[-1]}{between}{piece}" if joined else piece
        if joined and count(longer) <= most:
            joined[-1] = longer
        else:
            joined.append(piece)
    return [part for piece in joined for part in _split(piece, most, count, joint + 1)]
