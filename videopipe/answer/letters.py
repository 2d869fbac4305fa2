"""The option that a model's reply to a multiple-choice question names.

Benchmarks read replies by the form in which a letter stands: the surest form wins, and of several
letters in that form the last one. A reply that names no option is None, never a guess.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

from videopipe.mllm.quoting import spoken

# A letter that stands alone: not part of a word, U.S., R&B, T-shirt, C++, °C or I'm.
_BEFORE = r"(?<![A-Za-z0-9_°&])(?<![A-Za-z][.'’-])"
_AFTER = r"(?![A-Za-z0-9_&#°]|['’-]\w|\+\+|\.[A-Za-z]\b)"
_LETTER = f"{_BEFORE}(?P<letter>[A-Za-z]){_AFTER}"
_QUIET = r"[^\w.]{0,10}"  # brackets, quotes, stars, spaces

_STATES = re.compile(
    r"(?:(?:answer|option|choice|solution)\b"
    r"(?:\W{0,3}\b(?:is|would be|must be|should be|option|letter))*"
    r"|\b(?:choose|chose|pick|select|go with|best option is|correct option is)|答案(?:是|为|為)?"
    r"|\\boxed\{)"
    r"(?:\s*\b(?:most likely|likely|probably|clearly|therefore|the|\\text|option|letter|choice))*"
    rf"{_QUIET}{_LETTER}",
    re.IGNORECASE,
)
_STARTS = re.compile(rf"^\W*{_LETTER}")
_BRACKETS = re.compile(rf"[(\[【{{]\s*{_LETTER}\s*[)\]】}}]")
_FORMS = (  # from sure to weak; the ranks 10, 9, 7, 6, 5, 4 and 0 of the harnesses
    _STARTS,
    re.compile(rf"{_LETTER}\W*$"),
    _STATES,
    _BRACKETS,
    re.compile(rf"{_LETTER}(?=\.)"),
    re.compile(rf"{_LETTER}(?=[):*\"”`])"),
    re.compile(_LETTER),
)

_DENIED = re.compile(r"(?:\bnot|\bnor|n['’]t)(?: be)?(?: option)?\s*\W?$", re.IGNORECASE)
_REFUSED = re.compile(r"\W{0,3}\s(?:is|was)\s+(?:not|wrong|incorrect|false)\b")
_NEAR = 40  # characters before a letter that say what it is
# After "A" at the head of a sentence: an article is never followed by one of these.
_VERB = re.compile(r"\s+(?:is|was|because|since|seems|would|appears|as|and|or)\b")
_INITIAL = re.compile(r"([A-Z][a-z]+) $")  # the name before one
_CLOSED = re.compile(r"\s*(?:$|[.,:;)\]}】\"”*`$])|\n|\s+[-–—]\s")
_NOT_NAMES = frozenset({"Option", "Answer", "Choice", "Letter", "Is", "The", "Select", "Pick"})
_LABEL = re.compile(r"\s*\(?([A-Z])(?:[.:]|\))(?:\s+|$)")


def letter(index: int) -> str:
    """The letter of the ``index``-th choice, 0 to 25."""
    return chr(65 + index)


def unlabelled(choices: Sequence[str]) -> list[str]:
    """``choices`` without the letters that data sets put before them ("A. a cat")."""
    labels = [_LABEL.match(choice) for choice in choices]
    texts = [
        choice[label.end() :].strip()
        for index, (choice, label) in enumerate(zip(choices, labels, strict=True))
        if label and label[1] == letter(index) and choice[label.end() :].strip()
    ]
    return texts if len(texts) == len(choices) else [choice.strip() for choice in choices]


def extract_letter(text: str, choices: Sequence[str]) -> int | None:
    """The index of the choice (at most 26) that the reply ``text`` names, or None.

    What the model thought does not count. Where no letter is named, the full text of an
    option is accepted if it is that of one option only.
    """
    said = unicodedata.normalize("NFKC", spoken(text))
    texts = [_plain(choice) for choice in unlabelled(choices)]
    plain = _plain(said)
    if len(plain) > 1 and texts.count(plain) == 1:
        return texts.index(plain)
    for form in _FORMS:
        found = [index for index in _named(form, said) if index < len(choices)]
        if found:
            return found[-1]
    return _quoted(plain, texts)


def _named(form: re.Pattern[str], said: str) -> Iterator[int]:
    """Indices of the letters that stand in this form, in order."""
    for match in form.finditer(said):
        if _is_option(said, match.start("letter"), form):
            yield ord(match["letter"].upper()) - 65


def _is_option(said: str, place: int, form: re.Pattern[str]) -> bool:
    """Whether the letter at ``place`` names an option: no article, pronoun, initial or denial."""
    before = said[max(0, place - _NEAR) : place]
    sign, after = said[place], said[place + 1 : place + 1 + _NEAR]
    if _DENIED.search(before) or _REFUSED.match(after):
        return False
    closed = _CLOSED.match(after) is not None
    if sign.islower():
        return closed and form in (_STARTS, _STATES, _BRACKETS)
    name = _INITIAL.search(before)
    if name and name[1] not in _NOT_NAMES and re.match(r"\. [A-Z][a-z]", after):
        return False
    if sign == "I":
        return closed or after.startswith(" is ")
    if sign == "A":
        return closed or _VERB.match(after) is not None
    return True


def _quoted(plain: str, texts: Sequence[str]) -> int | None:
    """The option whose whole text stands in the reply, if all others there are parts of it."""
    held = [text for text in texts if text and f" {text} " in f" {plain} "]
    if not held:
        return None
    longest = max(held, key=len)
    unique = texts.count(longest) == 1 and all(f" {t} " in f" {longest} " for t in held)
    return texts.index(longest) if unique else None


def _plain(text: str) -> str:
    """Lower case, no punctuation, no article at the head."""
    words = re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(words[1:] if words[1:] and words[0] in ("a", "an", "the") else words)
