"""Reading the text of a frame with RapidOCR, whose models come inside its package."""

from __future__ import annotations

import re
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videopipe.errors import ModelError

SMALL_PRINT = 16  # pixels; lower lines are read again in the larger picture, if there is one
_THOUSANDS = re.compile(r"(?<!\d)(\d{1,3}), (?=\d{3}(?!\d))")  # a space that is none: 32, 768
# Texture read as text makes short lines: the fewer characters, the surer the recogniser must be.
_SURE = ((2, 0.95), (4, 0.85))


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text in a frame, its box in pixels of that frame."""

    text: str
    confidence: float
    left: float
    top: float
    right: float
    bottom: float

    @property
    def height(self) -> float:
        return self.bottom - self.top


@dataclass(frozen=True, slots=True)
class Reading:
    """What is written on screen during ``[start, end)`` seconds, in reading order."""

    start: float
    end: float
    lines: tuple[Line, ...]


class Reader:
    """The recogniser. One thread: videos are worked on in parallel.

    Args:
        min_confidence: lines below are dropped, 0-1.
        short_side: pixels; larger frames are shrunk to it, and read as they are only where the
            print turns out to be small.

    Raises:
        ModelError: RapidOCR cannot be loaded.
    """

    def __init__(self, min_confidence: float = 0.6, short_side: int = 720) -> None:
        try:
            from rapidocr_onnxruntime import RapidOCR

            self._engine: Any = RapidOCR(intra_op_num_threads=1, inter_op_num_threads=1)
            self._engine.text_rec.session = _WithSpaces(self._engine.text_rec)
        except Exception as error:
            raise ModelError(
                f"The text recogniser cannot be loaded ({error}); install rapidocr-onnxruntime "
                "again or switch it off with --set ocr.enabled=false."
            ) from None
        self._min_confidence = min_confidence
        self._short_side = short_side

    def read(self, frame: NDArray[np.uint8]) -> tuple[Line, ...]:
        """The lines of a frame, uint8 RGB ``[H, W, 3]``, in reading order."""
        small = shrunk(frame, self._short_side)
        lines = self._lines(small)
        if small is not frame and lines and median(x.height for x in lines) < SMALL_PRINT:
            lines = self._lines(frame)
        return reading_order(lines)

    def _lines(self, frame: NDArray[np.uint8]) -> list[Line]:
        found, _ = self._engine(np.ascontiguousarray(frame[..., ::-1]), use_cls=False)
        lines = []
        for box, text, confidence in found or ():
            corners = np.asarray(box, dtype=float)
            (left, top), (right, bottom) = corners.min(0).tolist(), corners.max(0).tolist()
            text = _THOUSANDS.sub(r"\1,", " ".join(text.split()))
            line = Line(text, float(confidence), left, top, right, bottom)
            if self._trusted(line):
                lines.append(line)
        return lines

    def _trusted(self, line: Line) -> bool:
        characters = sum(character.isalnum() for character in line.text)
        if characters == 0 or (characters == 1 and line.text.isascii()):
            return False
        least = next((sure for count, sure in _SURE if characters <= count), 0.0)
        return line.confidence >= max(self._min_confidence, least)


def shrunk(frame: NDArray[np.uint8], short_side: int) -> NDArray[np.uint8]:
    """``frame`` ``[H, W, 3]`` at ``short_side`` pixels; itself if it is no larger."""
    import cv2

    height, width = frame.shape[:2]
    scale = short_side / min(height, width)
    if scale >= 1:
        return frame
    size = (round(width * scale), round(height * scale))
    small: NDArray[np.uint8] = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    return small


def reading_order(lines: list[Line]) -> tuple[Line, ...]:
    """Rows from top to bottom, each from left to right."""
    rows: list[list[Line]] = []
    for line in sorted(lines, key=lambda line: line.top + line.bottom):
        middle = (line.top + line.bottom) / 2
        if rows and middle < rows[-1][0].bottom - 0.2 * rows[-1][0].height:
            rows[-1].append(line)
        else:
            rows.append([line])
    return tuple(line for row in rows for line in sorted(row, key=lambda line: line.left))


class _WithSpaces:
    """The recogniser's network, with the spaces that it sees but never ranks first.

    Where it says "no character here" and a space is next in its mind, the space is taken; a letter
    is never given up for one.
    """

    _BLANK = 0
    _LIKELY = 0.01

    def __init__(self, recogniser: Any) -> None:
        self._session = recogniser.session
        self._space = recogniser.postprocess_op.character.index(" ")

    def __call__(self, lines: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        (scores,) = self._session(lines)
        gap = (scores.argmax(2) == self._BLANK) & (scores[..., self._space] > self._LIKELY)
        scores[gap, self._space] = 1.0
        return [scores]
