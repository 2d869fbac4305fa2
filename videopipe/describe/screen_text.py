"""From readings of single frames to the timed text of clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from videopipe.describe.ocr import Line, Reading
from videopipe.types import Clip, ClipText, TimedText

_SAME = 0.8  # similarity from which two readings are of one text
_GAP = 2.0  # seconds a text may go unseen and still be the same showing
_BLOCK_CHARACTERS = 300  # a longer paragraph is told in parts, so that a quotation stays short


@dataclass(slots=True)
class _Shown:
    """One line of text followed through the readings."""

    line: Line
    start: float
    end: float
    block: int


def ocr_texts(clips: Sequence[Clip], readings: Sequence[Reading]) -> list[ClipText]:
    """One document for each clip in which something can be read.

    The same text read again is one line over the whole time; near-identical readings are one, too,
    in the words of the most confident. Lines that stand together and came together are joined.
    """
    shown = _paragraphs(_follow(readings))
    texts = []
    for clip in clips:
        lines = tuple(
            replace(text, start=max(text.start, clip.start), end=min(text.end, clip.end))
            for text in shown
            if text.start < clip.end and text.end > clip.start
        )
        if lines:
            texts.append(ClipText(clip, "ocr", "\n".join(line.text for line in lines), lines))
    return texts


def similarity(a: str, b: str) -> float:
    """One minus the edit distance by the longer length, spaces and case aside, 0-1."""
    a, b = ("".join(text.casefold().split()) for text in (a, b))
    longest = max(len(a), len(b))
    if not longest:
        return 1.0
    if min(len(a), len(b)) < _SAME * longest:
        return min(len(a), len(b)) / longest
    row = list(range(len(b) + 1))
    for i, character in enumerate(a, 1):
        corner, row[0] = row[0], i
        for j, other in enumerate(b, 1):
            corner, row[j] = row[j], min(corner + (character != other), row[j] + 1, row[j - 1] + 1)
    return 1.0 - row[-1] / longest


def _follow(readings: Sequence[Reading]) -> list[_Shown]:
    """Every showing of every line, in order of appearance."""
    done: list[_Shown] = []
    live: list[_Shown] = []
    block = 0
    for reading in readings:
        done += [shown for shown in live if shown.end + _GAP < reading.start]
        live = [shown for shown in live if shown.end + _GAP >= reading.start]
        known = list(live)
        above: Line | None = None
        for line in reading.lines:
            block += above is None or not _continues(above, line)
            above = line
            match = max(known, key=lambda s: similarity(s.line.text, line.text), default=None)
            if match is None or similarity(match.line.text, line.text) < _SAME:
                live.append(_Shown(line, reading.start, reading.end, block))
                continue
            known.remove(match)
            match.end = reading.end
            if line.confidence > match.line.confidence:
                match.line = line
        block += 1
    return sorted(done + live, key=lambda shown: (shown.start, shown.block))


def _continues(above: Line, below: Line) -> bool:
    """Whether ``below`` reads on from ``above``: like in size, close under it, in its column."""
    sizes = sorted((above.height, below.height))
    gap = below.top - above.bottom
    overlap = min(above.right, below.right) - max(above.left, below.left)
    return (
        sizes[1] < 1.5 * sizes[0]
        and -0.5 * sizes[0] < gap < sizes[0]
        and overlap > 0.5 * min(above.right - above.left, below.right - below.left)
        and abs(above.left - below.left) < 3 * sizes[1]
    )


def _paragraphs(shown: list[_Shown]) -> list[TimedText]:
    out: list[TimedText] = []
    before: _Shown | None = None
    for line in shown:
        together = before is not None and (before.block, before.start) == (line.block, line.start)
        text = line.line.text
        if together and len(out[-1].text) + len(text) < _BLOCK_CHARACTERS:
            joint = "" if _ideographic(out[-1].text[-1]) and _ideographic(text[0]) else " "
            text = out[-1].text + joint + text
            out[-1] = TimedText(line.start, max(out[-1].end, line.end), text)
        else:
            out.append(TimedText(line.start, line.end, text))
        before = line
    return out


def _ideographic(character: str) -> bool:
    return "\u3000" <= character <= "\u9fff" or "\uff00" <= character <= "\uffef"
