"""Reads timed text as people really write it: SRT, WebVTT and ASS, valid or not."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from videopipe.types import TimedText

_DEFAULT_SECONDS = 4.0  # how long a line without an end stays, at most until the next one
_ABUTTING_SECONDS = 0.1  # cues this close continue each other

_TIME = r"(-?)(?:(\d+):)?(\d{1,2}):(\d{1,2})(?:[.,:](\d+))?"
_TIMING = re.compile(rf"\s*{_TIME}\s*-{{1,2}}>\s*(?:{_TIME})?")
_ARROW = re.compile(r"-{1,2}>")
_VOICE = re.compile(r"<v(?:\.[^\s>]*)?\s+([^>]+)>")
_RUBY = re.compile(r"<rt>.*?(</rt>|(?=</ruby>)|$)", re.DOTALL)
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_TAG = re.compile(r"</?[A-Za-z][^<>]*>|<[\d:.]+>|\{\\[^{}]*\}")
_DRAWING = re.compile(r"\{[^{}]*\\p[1-9]")
# Zero-width and direction marks: invisible, and they hide words from a search.
_INVISIBLE = re.compile("[\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")


class Cue(NamedTuple):
    """A cue as written: the end may be missing or wrong, the text still has its markup."""

    start: float
    end: float | None
    text: str


def decoded(data: bytes) -> str:
    """Text of unknown encoding: what the bytes say of themselves, else the likeliest guess."""
    for mark, encoding in (
        (b"\xef\xbb\xbf", "utf-8"),
        (b"\xff\xfe", "utf-16"),
        (b"\xfe\xff", "utf-16"),
    ):
        if data.startswith(mark):
            return data.decode(encoding, errors="replace").lstrip("\ufeff")
    zeros = data[:4096].count(0)
    if zeros > len(data[:4096]) // 4:
        big = data[:4096:2].count(0) > zeros // 2
        return data.decode("utf-16-be" if big else "utf-16-le", errors="replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    # Chinese writes every sign with two high bytes; Western European ones mostly stand alone.
    runs = re.findall(rb"[\x80-\xff]+", data)
    paired = sum(len(run) for run in runs if len(run) % 2 == 0)
    likely = ("gb18030", "cp1252") if paired > 0.8 * sum(map(len, runs)) else ("cp1252",)
    for encoding in likely:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode("utf-8", errors="replace")


def parse(text: str, format: str) -> Iterator[Cue]:
    """The cues of a subtitle file; ``format`` is its suffix without the dot."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if format in ("ass", "ssa"):
        return _parse_ass(lines)
    return _parse_timed(lines, vtt=format == "vtt" or lines[0].startswith("WEBVTT"))


def ass_text(text: str) -> str:
    """The text of an ASS event with its own line breaks; nothing of one that is a drawing."""
    if _DRAWING.search(text):
        return ""
    return text.replace("\\N", "\n").replace("\\n", "\n").replace("\\h", " ")


def cleaned(cues: Iterable[Cue]) -> list[TimedText]:
    """Plain lines in order of time, each with ``0 <= start < end``, without rolling repeats."""
    ordered = sorted(cues, key=lambda cue: cue.start)
    kept: list[TimedText] = []
    before: list[str] = []
    for place, cue in enumerate(ordered):
        end = cue.end
        if end is None or end <= cue.start:
            later = (c.start for c in ordered[place + 1 :] if c.start > cue.start)
            end = min(next(later, float("inf")), cue.start + _DEFAULT_SECONDS)
        start, lines = max(cue.start, 0.0), _plain(cue.text)
        if end <= start or not lines:
            continue
        last = kept[-1] if kept else None
        if last is not None and start - last.end <= _ABUTTING_SECONDS:
            fresh = _unrepeated(before, lines)
            if not fresh:
                kept[-1] = TimedText(last.start, max(last.end, end), last.text)
                continue
            before, text = lines, " ".join(fresh)
            if text.startswith(f"{last.text} "):  # a live caption that grows word by word
                kept[-1] = TimedText(last.start, max(last.end, end), text)
                continue
        else:
            before, text = lines, " ".join(lines)
        kept.append(TimedText(start, end, text))
    return sorted(kept, key=lambda line: (line.start, line.end))


def _unrepeated(before: list[str], lines: list[str]) -> list[str]:
    """``lines`` without those that roll up from the cue before."""
    for count in range(min(len(before), len(lines)), 0, -1):
        if before[-count:] == lines[:count]:
            return lines[count:]
    return lines


def _parse_timed(lines: list[str], vtt: bool) -> Iterator[Cue]:
    """SRT and WebVTT: a line of times, then text up to an empty line.

    In SRT the text may itself hold empty lines, so there it goes on to the next line of times less
    the counter before that.
    """
    starts = [place for place, line in enumerate(lines) if _ARROW.search(line)]
    for place, following in zip(starts, [*starts[1:], len(lines)], strict=True):
        timing = _TIMING.match(lines[place])
        if timing is None or (vtt and _in_comment(lines, place)):
            continue
        body = lines[place + 1 : following]
        if vtt:
            # A first line of blanks belongs to the text: automatic captions begin with one.
            ends = (i for i, line in enumerate(body) if not line or (i and line.isspace()))
            empty = next(ends, len(body))
            body = body[:empty]
        elif following < len(lines) and body and body[-1].strip().isdigit():
            body = body[:-1]
        start, end = _seconds(timing.groups()[:5]), _seconds(timing.groups()[5:])
        if start is not None:
            yield Cue(start, end, "\n".join(body))


def _in_comment(lines: list[str], place: int) -> bool:
    while place > 0 and lines[place - 1].strip():
        place -= 1
    return lines[place].startswith(("NOTE", "STYLE", "REGION"))


def _parse_ass(lines: list[str]) -> Iterator[Cue]:
    columns = ["layer", "start", "end", "style", "name", "l", "r", "v", "effect", "text"]
    in_events = False
    for line in lines:
        kind, _, rest = line.strip().partition(":")
        if line.startswith("["):
            in_events = line.strip().lower() == "[events]"
        elif in_events and kind == "Format":
            columns = [name.strip().lower() for name in rest.split(",")]
        elif kind == "Dialogue":
            values = dict(zip(columns, rest.split(",", len(columns) - 1), strict=False))
            timing = _TIMING.match(f"{values.get('start', '')} --> {values.get('end', '')}")
            start = _seconds(timing.groups()[:5]) if timing else None
            if timing and start is not None:
                yield Cue(start, _seconds(timing.groups()[5:]), ass_text(values.get("text", "")))


def _seconds(parts: tuple[str | None, ...]) -> float | None:
    """Seconds of the groups of ``_TIME``; ``None`` where no time is written."""
    sign, hours, minutes, seconds, fraction = parts
    if minutes is None or seconds is None:
        return None
    whole = int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds)
    return (-1 if sign else 1) * (whole + float(f"0.{fraction or 0}"))


def _plain(text: str) -> list[str]:
    """The lines that a viewer reads."""
    text = _VOICE.sub(lambda voice: f"\n{voice[1].strip()}: ", text)
    text = _BREAK.sub("\n", _RUBY.sub("", text))
    # Entities last: what they spell is text, even where it looks like a tag.
    text = html.unescape(_TAG.sub("", text))
    text = unicodedata.normalize("NFC", _INVISIBLE.sub("", text))
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return [line for line in lines if line.strip(":- ")]
