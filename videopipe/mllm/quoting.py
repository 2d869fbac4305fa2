"""What was said or shown in a video as it stands in a prompt, and what a model says in reply.

What is quoted is one line and only data: it can make no marks and no control tokens of its own.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import groupby

from videopipe.types import Source, TimedText

_LEADS: dict[Source, str] = {
    "subtitle": "Said",
    "asr": "Said",
    "ocr": "On screen",
    "caption": "Caption",
}


def quoted_lines(lines: Sequence[tuple[Source, TimedText]]) -> list[str]:
    """Lines as they stand in a prompt, cues that follow each other as one.

    Measured facts and empty lines are left out.
    """
    told = [
        (source, line.text)
        for source, line in lines
        if source in _LEADS and _visible(line.text).strip()
    ]
    # Joined before they are quoted: two halves could make a mark.
    return [
        line_text(source, (" / " if source == "ocr" else " ").join(text for _, text in several))
        for source, several in groupby(told, key=lambda entry: entry[0])
    ]


def line_text(source: Source, text: str) -> str:
    """One line of evidence as it stands in a prompt, "Said: ..."; empty for measured facts."""
    quoted = clean(text)
    return f"{_LEADS[source]}: {quoted}" if quoted and source in _LEADS else ""


def clean(text: str) -> str:
    """``text`` as one line of quoted data: no marks, no control tokens, no control characters."""
    text = " ".join(_visible(text).split())
    if not _OPENING.search(text):  # most lines; this is much faster than to look for each
        return text
    text = MARK.sub(lambda match: match["space"] + match["inside"], text)
    text = _OPENERS.sub(lambda run: " " if " " in run[0] else "", text)
    text = _BRACKET_TOKEN.sub(r"(\1)", text)
    text = _ANGLE_TOKEN.sub(r"‹\1›", _OPENS_TOKEN.sub("‹", text))
    return " ".join(text.split())


def spoken(text: str) -> str:
    """A reply without what the model thought, and without the wrappers of what it says."""
    said, *tags = _THINKING.split(text)
    thinks = False
    for closes, after in zip(tags[::2], tags[1::2], strict=True):
        if not closes:
            thinks = True
        elif thinks:
            thinks, said = False, said + after
        else:  # all before was thought
            said = after
    wrapped = ""
    said = _BOLD.sub("", _WRAPPERS.sub("", said))
    while said != wrapped:  # from the inside out
        wrapped, said = said, _BOXED.sub(r"\1", said)
    return said.strip()


def clock(seconds: float) -> str:
    """``h:mm:ss``, as times stand in a prompt."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"


# Wide brackets are written as escapes: they look like the narrow ones.
_OPEN, _CLOSE = r"[\[(\u3010\uff3b\uff08]", r"[\])\u3011\uff3d\uff09]"
_NO_BRACKET = r"[^\[\]()\u3010\u3011\uff3b\uff3d\uff08\uff09]"
# A mark that cites evidence, in the forms that models write: its space before and its inside.
MARK = re.compile(
    rf"(?P<space>[ \t]*){_OPEN}\s*(?P<inside>[Ee]\s?\d{_NO_BRACKET}{{0,80}}?)\s*{_CLOSE}"
)
# Spaces and opening brackets before what would be a mark.
_OPENERS = re.compile(r"(?<![\s\[(\u3010\uff3b\uff08])[\s\[(\u3010\uff3b\uff08]++(?=[Ee]\s?\d)")
_OPENING = re.compile(r"[\[(\u3010\uff3b\uff08<\uff1c‹]")
_OPENS_TOKEN = re.compile(r"[<\uff1c](?=\S)")
_ANGLE_TOKEN = re.compile(r"‹([^‹›<>]*)>")
_BRACKET_TOKEN = re.compile(r"\[(/?[A-Za-z]?[A-Z][A-Z0-9_]*)\]")  # [INST], [/INST], [gMASK]
_THINKING = re.compile(r"<(/?)think(?:ing)?>", re.IGNORECASE)
_WRAPPERS = re.compile(r"</?answer>|<\|(?:begin|end)_of_box\|>", re.IGNORECASE)
_BOXED = re.compile(r"\\(?:boxed|text)\{((?:[^{}]|\{[^{}]*+\})*+)\}")
_BOLD = re.compile(r"(?<!\*)\*\*(?!\*)(?:(?<![0-9A-Za-z]\*\*)|(?![0-9A-Za-z]))")


def _visible(text: str) -> str:
    """``text`` with plain spaces and without what cannot be seen."""
    if text.isprintable():
        return text
    return "".join(" " if c.isspace() else c for c in text if c.isspace() or not _is_hidden(c))


def _is_hidden(character: str) -> bool:
    """Control and format characters and lone surrogates; joiners are part of words and emoji."""
    return unicodedata.category(character) in ("Cc", "Cf", "Cs") and character not in "\u200c\u200d"
