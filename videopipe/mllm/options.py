"""Options, such as the letters of a multiple-choice question, scored where a reply begins."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

_LEAST = 1e-6  # of probability on all options; below this is noise
_TAG = 16  # characters in which a tag that ends thoughts is written at most
_BEGINNING = 64  # characters of a reply that are looked through for its first word
_THOUGHT = re.compile(r"</think(?:ing)?>", re.IGNORECASE)
_WRAPPER = re.compile(r"<answer>|<\|begin_of_box\|>", re.IGNORECASE)


def shares(chances: ArrayLike) -> NDArray[np.float64]:
    """Probabilities ``[..., options]`` made to sum to 1 over the options; even if all are ~0."""
    held = np.asarray(chances, np.float64)
    total = held.sum(-1, keepdims=True)
    even = np.full_like(held, 1 / max(held.shape[-1], 1))
    return np.where(total >= _LEAST, held / np.maximum(total, _LEAST), even)


def margin(chances: Sequence[float]) -> float | None:
    """How far the best option is from the second best in :func:`shares`, 0 to 1.

    None for fewer than two options.
    """
    *_, second, best = [None, None, *sorted(shares(chances).tolist())]
    return None if second is None else best - second


class Opening:
    """Where a reply begins, heard piece by piece.

    Args:
        text: what stands before the first piece, such as the tag of thoughts that are open.

    Thoughts end with ``</think>``, whether or not they were seen to begin: what comes after it is
    the reply. Spaces, brackets, stars and wrappers such as ``<answer>`` are no beginning.
    """

    def __init__(self, text: str = "") -> None:
        self._said = self._tail = ""
        self.hear(text)

    @property
    def awaits(self) -> bool:
        """Whether nothing has been said yet: the next piece may be the first."""
        return not re.search(r"\w", _WRAPPER.sub("", self._said))

    def hear(self, piece: str) -> None:
        self._tail += piece
        *thoughts, after = _THOUGHT.split(self._tail)
        if thoughts:
            self._said = self._tail = after
        elif len(self._said) < _BEGINNING:
            self._said += piece
        self._tail = self._tail[-_TAG:]


class ServedToken:
    """One token of a server's answer, as it stands in ``logprobs.content``.

    Of what is not among the likeliest tokens that were told, the probability counts as 0.
    """

    def __init__(self, entry: Mapping[str, Any]) -> None:
        self.text = str(entry.get("token") or "")
        likeliest = entry.get("top_logprobs")
        self._likeliest = [
            (str(other.get("token") or "").strip(), _probability(other.get("logprob")))
            for other in (likeliest if isinstance(likeliest, list) else [])
            if isinstance(other, dict)
        ]

    def chances(self, options: Sequence[str]) -> list[float] | None:
        """The probability of each option; None where the server told of no other tokens."""
        if len(self._likeliest) < 2:
            return None
        return [
            sum(chance for token, chance in self._likeliest if token == option)
            for option in options
        ]

    def margin(self, options: Sequence[str]) -> float | None:
        """As :func:`margin`; None where this token is none of ``options``, too."""
        chances = self.chances(options) if self.text.strip() in options else None
        return None if chances is None else margin(chances)


def _probability(value: Any) -> float:
    """Of a logarithm of one; whatever is none is impossible."""
    if not isinstance(value, int | float) or math.isnan(value):
        return 0.0
    return math.exp(min(value, 0.0))


def named(text: str, options: Sequence[str]) -> NDArray[np.float64]:
    """Certainty of the option that ``text`` begins with; even where it begins with none."""
    word = re.match(r"\W*(\w+)", text)
    return shares([word is not None and word[1] == option for option in options])
