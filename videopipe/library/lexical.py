"""The word index: which texts hold the words of a query, in any script.

It finds what a sentence encoder cannot: part numbers, names, exact strings on screen, and languages
the encoder never saw. Words are cut here and stored in an FTS5 table that keeps postings only.
"""

from __future__ import annotations

import re
import sqlite3
import unicodedata
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# For a regular expression's brackets: scripts without spaces, and Hangul, whose words carry their
# particles.
SPACELESS = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\u1780-\u17ff"  # Myanmar, Khmer
    "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # kana, Han
    "\uac00-\ud7a3"  # Hangul
    "\U00020000-\U0003134f"
)
_PIECE = re.compile(f"[{SPACELESS}]+|[0-9]+|[^0-9{SPACELESS}]+")
_VOWEL = re.compile(r"[aeiouy]")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")

# Words of questions and grammar: they say nothing about which clip is meant.
_STOP_WORDS = """
    a about after all also am an and any anyone anything are as at be because been before being
    both but by can could did do does doing during each for from get give had has have having he
    her here him his how i if in into is it its just ll many me more most much my no nor not of on
    once only off or other our out over own please re s same say says she should show shown shows
    so some someone something such t tell than that the their them then there these they this
    those through to too under up us ve very was we were what when where which while who whom
    whose why will with would you your clip clips part scene scenes screen slide slides speaker
    narrator narration video videos appear happen occur mention
    que qui quoi quel quelle est les des une dans pour avec de la
    le el los las un en y es por como der die das und ist ein eine wer wie wo wann warum mit von
    zu den dem was 什么 怎么 哪里 为什 么时 时候 多少 是什 有什 这个 那个 のは です ます った 何で
    ما هو هي في من على هل متى أين كيف إلى عن что это как где когда кто в на и с какой какая какое
    какие какую какого каких чем о об у к по из за от для не ни бы ли же то мы вы он она они его ее
    है हैं था थी थे में का की के को से पर और यह वह ये वे क्या कब कहाँ कौन कैसे क्यों कितना कितने
    ist sind wird im am auf für welche welcher welches wieviel où quand comment pourquoi combien
    quién cuándo dónde cómo cuánto
"""
_STOP_WEIGHT = 0.1
# A query must bring some information before its words count: one rare word brings 1.
_PRIOR = 0.25
_PRIOR_TEXTS = 100


def _stem(word: str) -> str:
    """An English word without its common endings, so that ``orders`` and ``ordering`` meet."""
    if len(word) < 4 or not (word.isascii() and word.isalpha()):
        return word
    if word.endswith("ies"):
        word = word[:-3] + "y"
    elif word.endswith(("sses", "shes", "ches", "xes")):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    for ending in ("ing", "ed"):
        rest = word.removesuffix(ending)
        if rest != word and len(rest) > 2 and _VOWEL.search(rest) and not word.endswith("eed"):
            doubled = rest[-1] == rest[-2] and rest[-1] not in "lsz"
            word = rest[:-1] if doubled else rest
            break
    return word[:-1] if len(word) > 3 and word.endswith("e") else word


STOP_WORDS = frozenset(_stem(word) for word in _STOP_WORDS.split())


def index_terms(text: str) -> set[str]:
    """The terms a text is found by.

    Letters and digits are cut apart (``KX-4417``, ``KX4417`` and ``KX 4417`` are the same), as are
    words that were run together with capitals, as text recognition does. In scripts without spaces
    the terms are characters and pairs of characters.
    """
    terms: set[str] = set()
    for piece in {*_pieces(text), *_pieces(_CAMEL.sub(" ", text))}:
        terms.update((*piece, *_pairs(piece)) if _is_run(piece) else (piece,))
    return terms


def query_terms(text: str) -> list[str]:
    """The terms of a query, each once, in order; of a run of characters only the pairs."""
    terms: dict[str, None] = {}
    for piece in _pieces(text):
        terms.update(dict.fromkeys((_is_run(piece) and _pairs(piece)) or [piece]))
    return list(terms)


def _pieces(text: str) -> list[str]:
    return [
        _stem(piece)
        for word in fold(text).translate(_SEPARATORS).split()
        for piece in _PIECE.findall(word)
    ]


def _is_run(piece: str) -> bool:
    return not piece.isascii() and re.match(f"[{SPACELESS}]", piece) is not None


def _pairs(run: str) -> list[str]:
    return [run[i : i + 2] for i in range(len(run) - 1)]


def fold(text: str) -> str:
    """Compatibility forms, case and accents removed; vowel signs of Indic scripts are kept."""
    text = unicodedata.normalize("NFKC", text).casefold()
    if text.isascii():
        return text
    letters = (c for c in unicodedata.normalize("NFD", text) if unicodedata.combining(c) < 10)
    return unicodedata.normalize("NFC", "".join(letters))


class _Separators(dict[int, str]):
    """For ``str.translate``: keeps letters and marks, makes digits 0-9, and all else a space."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        kind = unicodedata.category(character)
        if kind == "Nd":
            character = str(unicodedata.decimal(character))
        self[code] = character if kind[0] in "LNM" else " "
        return self[code]


_SEPARATORS = _Separators()


def add(db: sqlite3.Connection, texts: Iterable[tuple[int, str]]) -> None:
    """Index texts by id."""
    db.executemany("INSERT INTO words (rowid, terms) VALUES (?, ?)", map(_row, texts))


def drop(db: sqlite3.Connection, texts: Iterable[tuple[int, str]]) -> None:
    """Forget texts; the table keeps no copy and needs to be told what they were."""
    db.executemany(
        "INSERT INTO words (words, rowid, terms) VALUES ('delete', ?, ?)", map(_row, texts)
    )


def clear(db: sqlite3.Connection) -> None:
    """Forget all texts."""
    db.execute("INSERT INTO words (words) VALUES ('delete-all')")


def _row(text: tuple[int, str]) -> tuple[int, str]:
    return text[0], " ".join(sorted(index_terms(text[1])))


class Term(NamedTuple):
    """A term of a query: the ids of the texts that hold it, and how much it says."""

    text: str
    ids: NDArray[np.int64]
    weight: float


def weigh(
    db: sqlite3.Connection, query: str, total: int, allowed: NDArray[np.int64] | None
) -> list[Term]:
    """The terms of a query, weighed by how many of ``total`` texts hold them.

    With ``n(t)`` texts holding term ``t``, its weight is
    ``w(t) = 1 - log(n + 1) / log(total + 100)``, a tenth of that for stop words, which count only
    where a query has nothing else.
    """
    terms = query_terms(query)
    terms = [term for term in terms if term not in STOP_WORDS] or terms
    weighed = []
    for term in terms:
        rows = db.execute("SELECT rowid FROM words WHERE words MATCH ?", (f'"{term}"',))
        ids = np.fromiter((row[0] for row in rows), dtype=np.int64)
        if allowed is not None:
            ids = ids[np.isin(ids, allowed, assume_unique=True)]
        weight = 1 - float(np.log(len(ids) + 1) / np.log(total + _PRIOR_TEXTS))
        weighed.append(Term(term, ids, weight * (_STOP_WEIGHT if term in STOP_WORDS else 1)))
    return weighed


def coverage(terms: Sequence[Term]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """How much of a query stands in each indexed text that holds any of it.

    A text is covered by ``sum of w over the terms it holds / (0.25 + sum of w over all terms)``.

    Returns:
        Text ids, ascending, and their coverage in ``[0, 1)``.
    """
    if not terms:
        return np.empty(0, np.int64), np.empty(0)
    ids, slot = np.unique(np.concatenate([term.ids for term in terms]), return_inverse=True)
    each = np.repeat([term.weight for term in terms], [len(term.ids) for term in terms])
    return ids, np.bincount(slot, weights=each, minlength=len(ids)) / _whole(terms)


def coverage_of(terms: Sequence[Term], text: str) -> float:
    """Like ``coverage``, of a text that is not in the index."""
    held = index_terms(text)
    return sum(term.weight for term in terms if term.text in held) / _whole(terms)


def _whole(terms: Sequence[Term]) -> float:
    return _PRIOR + sum(term.weight for term in terms)
