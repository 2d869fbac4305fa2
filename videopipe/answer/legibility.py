"""Whether on-screen text can be read at the size at which a frame is shown: by reading it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from functools import cache

import numpy as np
from numpy.typing import NDArray

from videopipe.answer.evidence import decoding, known_packets
from videopipe.answer.look import Asked
from videopipe.answer.parts import Box, Part, footage_of, frame_size
from videopipe.describe.ocr import Reader
from videopipe.errors import VideopipeError
from videopipe.library import Video
from videopipe.media import fetch

_PARTS = 3  # that are read again at most, those that fit best
_READ = 0.8  # share of the characters that must be read
_SIZES = (112, 144, 180, 224, 280, 360, 448, 540, 720)  # pixels of the short side that are tried
_FULL = 1080  # pixels of the short side at most at which a frame is read for comparison
_CELL = 1 / 8  # margin around text that is cut out, a cell of Visual Perception Token's grid
_NEAR = 0.5  # share of the best line's relevance from which a line is cut out with it
_TEXT = re.compile(
    r"\b(?:read|reads|written|writes?|writing|text|texts|sign|signs|title|titles|caption|captions"
    r"|headline|slide|slides|says?|spell(?:ed|s)?|words?|letters?|label|labels|logo|subtitles?"
    r"|number (?:on|plate)|licen[cs]e plate|on (?:the )?(?:screen|board|display|whiteboard|poster"
    r"|page|sheet|shirt|banner)|url|web ?site|e-?mail|address|code|formula|equation|printed)\b",
    re.IGNORECASE,
)


def asks_for_text(question: str) -> bool:
    """Whether a question is about something written, by its words (English)."""
    return _TEXT.search(question) is not None


def legible(parts: Sequence[Part], asked: Asked, budget: int) -> list[Part]:
    """``parts`` with the least size at which the text on their screens can be read.

    Of the few that fit best and hold on-screen text that matters. A frame is read at the size at
    which it would be shown within ``budget``, and at larger ones where that is not enough.
    """
    wanted = sorted(
        (part for part in parts if part.runs and part.quoted and _written(part, asked)),
        key=lambda part: -part.score,
    )[:_PARTS]
    if not wanted:
        return list(parts)
    how = asked.config.compress
    plan = asked.viewer.plan(footage_of(parts), budget, how.method, how.ratio)
    planned = iter(plan.clips)
    sides = {
        id(part): max((min(size) for _ in part.runs for size in next(planned).sizes), default=0)
        for part in parts
    }
    least = {id(part): _least_side(part, sides[id(part)], asked) for part in wanted}
    return [
        replace(part, runs=tuple(replace(run, least=least[id(part)]) for run in part.runs))
        if id(part) in least
        else part
        for part in parts
    ]


def small_print(parts: Sequence[Part], sizes: Sequence[Sequence[tuple[int, int]]]) -> list[int]:
    """The places of the parts whose text is shown smaller than it can be read."""
    return [
        at
        for at, (part, mine) in enumerate(zip(parts, sizes, strict=True))
        if mine
        and max(min(size) for size in mine)
        < 0.95 * max((run.least for run in part.runs), default=0)
    ]


def readable_side(frame: NDArray[np.uint8], text: str, shown: int, reader: Reader) -> int:
    """The smallest short side, in pixels, from ``shown`` on at which most of ``text`` is read.

    That of the frame where it is at no smaller one.

    Args:
        frame: uint8 RGB ``[H, W, 3]``.
        text: what is known to be written in it.
        shown: pixels of the short side at which it would be shown.
    """
    side = min(frame.shape[:2])
    tried = [size for size in (shown, *(s for s in _SIZES if s > shown)) if size < side]
    low, high = 0, len(tried)  # the first of ``tried`` at which it can be read
    middle = 0  # as it would be shown first: mostly that is enough
    while low < high:
        if (
            _share(_said([text]), _said(x.text for x in reader.read(_at(frame, tried[middle]))))
            >= _READ
        ):
            high = middle
        else:
            low = middle + 1
        middle = (low + high) // 2
    return tried[low] if low < len(tried) else side


def text_box(video: Video, second: float, asked: Asked) -> Box | None:
    """Where the text that fits the question stands in a frame, with a margin; None for nowhere.

    None also where it fills most of the picture.
    """
    frame = _frame(video, second, asked)
    if frame is None:
        return None
    lines = _reader().read(frame)
    if not lines:
        return None
    scores = asked.library.relevance(
        asked.question, [line.text for line in lines], asked.embedder, videos=[video.video_id]
    )
    near = [
        line for line, score in zip(lines, scores, strict=True) if score >= _NEAR * scores.max()
    ]
    height, width = frame.shape[:2]
    box = (
        max(0.0, min(line.left for line in near) / width - _CELL),
        max(0.0, min(line.top for line in near) / height - _CELL),
        min(1.0, max(line.right for line in near) / width + _CELL),
        min(1.0, max(line.bottom for line in near) / height + _CELL),
    )
    whole = (box[2] - box[0]) * (box[3] - box[1])
    return box if whole < 0.6 else None


@cache
def _reader() -> Reader:
    return Reader(short_side=_FULL)


def _written(part: Part, asked: Asked) -> bool:
    """Whether the clip has text on screen that matters to the question."""
    texts = [text for text in asked.library.texts([part.clip]) if text.source == "ocr"]
    if not texts or asks_for_text(asked.question):
        return bool(texts)
    scores = asked.library.relevance(
        asked.question,
        [text.text for text in texts],
        asked.embedder,
        videos=[part.video.video_id],
    )
    return bool(scores.max() >= asked.config.answer.min_score)


def _least_side(part: Part, shown: int, asked: Asked) -> int:
    """The short side from ``shown`` on at which a frame of the part can be read; 0 for any."""
    lines = [
        line
        for text in asked.library.texts([part.clip])
        if text.source == "ocr"
        for line in text.lines
    ]
    held = {
        second: [line.text for line in lines if line.start <= second < line.end]
        for second in part.times.tolist()
    }
    second = max(held, key=lambda second: len(held[second]), default=None)
    if second is None or not held[second]:
        return 0
    frame = _frame(part.video, second, asked)
    if frame is None:
        return 0
    return readable_side(frame, " ".join(held[second]), max(shown, _SIZES[0]), _reader())


def _frame(video: Video, second: float, asked: Asked) -> NDArray[np.uint8] | None:
    """A frame as it is read: at full size, or a little less."""
    known_packets(video, asked.library)
    try:
        frames = fetch(
            video.path,
            [second],
            min(_FULL, *frame_size(video)),
            **decoding(asked.config),
        )
    except VideopipeError:  # whoever shows the frame says so
        return None
    frame: NDArray[np.uint8] = frames.frames[0]
    return frame


def _at(frame: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The frame as a model sees it at this short side: with no more detail than that."""
    import cv2

    height, width = frame.shape[:2]
    scale = side / min(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small: NDArray[np.uint8] = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    return small


def _said(texts: Iterable[str]) -> str:
    return "".join(c for text in texts for c in text.casefold() if c.isalnum())


def _share(whole: str, read: str) -> float:
    """How much of a text another one has, in order; all of one that says nothing."""
    if not whole:
        return 1.0
    blocks = SequenceMatcher(None, whole, read, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks) / len(whole)
