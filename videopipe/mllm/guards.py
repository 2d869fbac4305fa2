"""When generated text has run into a loop, as a poisoned frame or a weak model makes it do.

Three signs, each read from the end of the text alone: the same words or characters over and over,
and prose that says next to nothing new (lines that differ in a counter only). The thresholds stand
far above what people write: refrains, nursery rhymes, rules of dashes and tables of zeros pass.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Hashable, Sequence

STRIDE = 32  # characters between two looks at a growing text

_TAIL = 4000  # characters looked at: four turns of a cycle of about 150 words
_TURNS = 4  # a cycle must have come round this often, and as often as makes up the lengths below
_WORDS = 48  # words of repetition beyond the first turn
_NUMBERS = 96  # the same when all are numbers: tables hold many zeros
_CHARACTERS = 320  # rules and empty table cells are long
_TOKENS = 192
_TOKEN_TAIL = 1024

_WINDOW = 800  # characters whose information is measured
_RATIO = 6.0  # zlib on them: plain prose is near 2, "the house that Jack built" at 5.2
_LETTERS = 0.7  # of all but spaces: prose; JSON and code repeat their keys and are left alone

# Thai to Burmese, Khmer, kana and Chinese put no spaces between words: there a letter is a unit.
_UNSPACED = (
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
    r"\U00020000-\U0003ffff"
)
_UNIT = re.compile(f"[{_UNSPACED}]|[^\\W{_UNSPACED}]+")


class RepetitionStop:
    """Watches one growing text; the cost of a call does not grow with the text."""

    def __init__(self) -> None:
        self._next = 0

    def seen(self, text: str) -> bool:
        """Whether ``text``, all that was generated so far, ends in a loop.

        It looks again only when the text has grown by ``STRIDE`` characters; between two looks the
        answer is False.
        """
        if len(text) < self._next:
            return False
        self._next = len(text) + STRIDE
        return loops(text)


def loops(text: str) -> bool:
    """Whether ``text`` ends in a loop: of words, of characters, or of next to no information."""
    tail = text[-_TAIL:]
    words = _UNIT.findall(tail.casefold())
    return _turns(words, _WORDS, _NUMBERS) or _turns(tail, _CHARACTERS) or _says_nothing_new(tail)


def cycles(tokens: Sequence[int]) -> bool:
    """Whether ``tokens`` end in one sequence over and over, whatever it looks like as text."""
    return _turns(tokens[-_TOKEN_TAIL:], _TOKENS)


def _turns(units: Sequence[Hashable], least: int, least_numbers: int | None = None) -> bool:
    """Whether ``units`` end in a cycle that repeats ``least`` units and turns ``_TURNS`` times.

    ``least_numbers`` holds in place of ``least`` for a cycle of words without a letter.
    """
    for period, repeated in enumerate(_repeated(units), 1):
        if repeated < max(least, (_TURNS - 1) * period):
            continue
        if least_numbers is None or repeated >= least_numbers:
            return True
        if not all(str(word).isnumeric() for word in units[-period:]):
            return True
    return False


def _repeated(units: Sequence[Hashable]) -> list[int]:
    """For each period from 1 on, how many units at the end equal those one period before.

    This is the Z function of the reversed sequence, linear in its length.
    """
    turned = units[::-1]
    size = len(turned)
    lengths = [0] * size
    left = right = 0
    for start in range(1, size):
        length = min(right - start, lengths[start - left]) if start < right else 0
        while start + length < size and turned[length] == turned[start + length]:
            length += 1
        lengths[start] = length
        if start + length > right:
            left, right = start, start + length
    return lengths[1:]


def _says_nothing_new(text: str) -> bool:
    window = text[-_WINDOW:]
    if len(window) < _WINDOW:
        return False
    inked = sum(not character.isspace() for character in window)
    if sum(character.isalpha() for character in window) < _LETTERS * inked or not inked:
        return False
    encoded = window.encode("utf-8", "replace")
    return len(encoded) > _RATIO * len(zlib.compress(encoded))
