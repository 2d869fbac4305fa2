"""Cut the texts of clips into passages: the units that are scored, quoted and cited."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from videopipe.types import ClipText, Source, TimedText

MAX_GAP_SECONDS = 2.0
"""A longer silence ends a sentence, whatever its punctuation."""
MAX_WORDS = 60
"""Longer runs without punctuation (automatic captions have none) are cut here."""

_ENDS = tuple(".!?…。！？؟।")
_CLOSERS = "\"'”’»)]」』"


@dataclass(frozen=True, slots=True)
class Passage:
    """A sentence that is said, a block that is read on screen, or a measured statement."""

    video_id: str
    source: Source
    start: float
    end: float
    text: str


def passages(texts: Iterable[ClipText]) -> list[Passage]:
    """The passages of ``texts`` (given in clip order), in time order, each once.

    What two clips share (a cue across their boundary, a slide that stays) counts once, so that
    sentences run on over clip boundaries when the neighbouring clips' texts are given too.
    """
    lines: dict[tuple[str, Source], list[TimedText]] = {}
    for text in texts:
        lines.setdefault((text.clip.video_id, text.source), []).extend(text.lines)
    found = []
    for (video_id, source), members in lines.items():
        for group in _groups(source, _continued(members)):
            joined = (" " if source != "ocr" else " / ").join(line.text for line in group)
            ends = sorted(line.end for line in group)
            # A block counts until half of it is gone: a title can stay when its slide goes.
            end = ends[(len(ends) - 1) // 2] if source == "ocr" else ends[-1]
            found.append(Passage(video_id, source, group[0].start, end, joined))
    return sorted(found, key=lambda p: (p.video_id, p.start, p.end, p.source))


def _continued(lines: Iterable[TimedText]) -> list[TimedText]:
    """Lines by start, those that go on where they left off joined into one."""
    joined: list[TimedText] = []
    latest: dict[str, int] = {}
    # By start alone: lines that came up together stay in reading order.
    for line in sorted(lines, key=lambda line: line.start):
        place = latest.get(line.text)
        if place is not None and line.start <= joined[place].end:
            joined[place] = replace(joined[place], end=max(joined[place].end, line.end))
        else:
            latest[line.text] = len(joined)
            joined.append(line)
    return joined


def _groups(source: Source, lines: Sequence[TimedText]) -> list[list[TimedText]]:
    if source in ("subtitle", "asr"):
        return _sentences(lines)
    if source == "ocr":
        return _blocks(lines)
    return [[line] for line in lines]


def _sentences(cues: Sequence[TimedText]) -> list[list[TimedText]]:
    """Cues joined until a sentence ends, a silence comes, or the run gets too long."""
    sentences: list[list[TimedText]] = []
    open_words = 0
    for cue in cues:
        last = sentences[-1][-1] if sentences else None
        goes_on = (
            last is not None
            and not last.text.rstrip(_CLOSERS).endswith(_ENDS)
            and cue.start - last.end <= MAX_GAP_SECONDS
            and open_words + len(cue.text.split()) <= MAX_WORDS
        )
        if goes_on:
            sentences[-1].append(cue)
            open_words += len(cue.text.split())
        else:
            sentences.append([cue])
            open_words = len(cue.text.split())
    return sentences


def _blocks(lines: Sequence[TimedText]) -> list[list[TimedText]]:
    """Lines that came up together (a slide, a page), cut to a length that can be quoted."""
    blocks: list[list[TimedText]] = []
    for _, together in groupby(lines, key=lambda line: line.start):
        words = MAX_WORDS
        for line in together:
            words += len(line.text.split())
            if words > MAX_WORDS:
                blocks.append([])
                words = len(line.text.split())
            blocks[-1].append(line)
    return blocks
