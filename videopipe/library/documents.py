"""Cutting long documents to what a sentence encoder reads."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate

from videopipe.library.lexical import SPACELESS
from videopipe.types import TimedText

# MiniLM reads 256 tokens, about 1.3 a word, and a vector says less the more text it stands for.
MAX_WORDS = 120
_WORD = re.compile(rf"[{SPACELESS}]|[^\s{SPACELESS}]+")


def split_document(
    lines: Sequence[TimedText], max_words: int = MAX_WORDS
) -> list[tuple[TimedText, ...]]:
    """Cut lines into groups of at most ``max_words`` words each, of about equal size.

    Cuts fall between lines. Only a line that is too long by itself is cut between words; each part
    keeps the line's times. Characters of scripts without spaces count as words. Empty lines are
    dropped.
    """
    parts = [part for line in lines for part in _parts(line, max_words)]
    sizes = [_size(part.text) for part in parts]
    pieces = -(-sum(sizes) // max_words)
    groups: list[list[TimedText]] = []
    room, share = 0, sum(sizes) / max(pieces, 1)
    for part, size, end in zip(parts, sizes, accumulate(sizes), strict=True):
        # Past its even share a group closes, so that the last one is not a stub.
        if not groups or size > room or end - size >= share * len(groups):
            groups.append([])
            room = max_words
        groups[-1].append(part)
        room -= size
    return [tuple(group) for group in groups]


def _parts(line: TimedText, max_words: int) -> Iterator[TimedText]:
    words = list(_WORD.finditer(line.text))
    for start in range(0, len(words), max_words):
        last = words[min(start + max_words, len(words)) - 1]
        yield replace(line, text=line.text[words[start].start() : last.end()])


def _size(text: str) -> int:
    return len(_WORD.findall(text))
