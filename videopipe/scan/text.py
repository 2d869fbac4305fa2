"""Where on-screen text has changed, judged on the small frames of the scan.

Text stands still while natural texture moves: strokes count once they have stayed for two samples,
and a frame is worth reading once enough of them were not there when the last one was read. Knows
nothing of letters; reading is the describe room's work.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_Mask = NDArray[np.uint8]

_STROKE = 36  # grey levels across two pixels: a stroke
_FAINT = 20  # a stroke seen before may have faded to this and is still the same
_WINDOW = (21, 7)  # pixels: about two letters, a line high
_TEXT_DENSITY = 0.22  # share of a window that strokes fill in text; one straight edge fills 0.14
_SCREEN = 0.5  # drawn pictures have no noise: there the limits are this much lower
_LINE_SHAPE, _LINE_WIDTH = 1.3, 60  # width by height, or pixels: a line or block of text
_STEADY = 0.75  # share of the strokes in a window that stay where text stands still
_WORD = 40  # pixels whose window is mostly new: a short word
_FORGOTTEN = 0.25  # share of the strokes read that are left when a text has gone
_BUSY = 0.3  # area still arriving, by the area that has settled, from which to wait
_SCROLL, _SCROLL_SECONDS = 0.5, 3.0  # share of all text that moves in scrolling; pace of reading
_PATIENCE = 4.0  # seconds to wait for a picture to settle


@dataclass(slots=True)
class _Sample:
    """One frame's strokes, uint8 ``[H, W, 2]``: steps to brighter and to darker, 0 or 255.

    ``strokes`` are the strong ones inside text-like blocks, ``faint`` also the weak, everywhere.
    The sign keeps the letters of one subtitle from being taken for those of the next.
    """

    index: int
    time: float
    strokes: _Mask
    faint: _Mask


class TextWatch:
    """Follows the stroke map from sample to sample and marks the frames worth reading.

    ``amount[i]`` is the share of the picture that looks like lines of text, ``fresh[i]`` the share
    of unread strokes in a marked frame and 0 in all others, ``kept[i]`` how much of the last
    marked frame's text is still in place.
    """

    def __init__(self) -> None:
        self.amount = array("f")
        self.fresh = array("f")
        self.kept = array("f")
        self._before: _Sample | None = None
        self._read: _Sample | None = None
        self._pending: tuple[_Sample, _Mask] | None = None
        self._waiting_since: float | None = None

    def add(self, time: float, grey: NDArray[np.uint8], screen: bool) -> None:
        """Take the next sample; ``screen`` says that it looks like a slide or screen."""
        sample = _strokes(len(self.amount), time, grey, screen)
        self.amount.append(_words(sample.strokes) / grey.size)
        self.fresh.append(0.0)
        before, self._before = self._before, sample
        if before is not None:
            self._follow(before, sample, screen)
        self.kept.append(self._still_there(sample))
        if self.kept[-1] < _FORGOTTEN:
            self._read = None  # when it comes back it is read again, for its time

    def finish(self) -> None:
        """Mark what was still waiting to settle when the video ended."""
        if self._pending is not None:
            self._mark(*self._pending)

    def _follow(self, before: _Sample, sample: _Sample, screen: bool) -> None:
        import cv2

        if self._pending is not None:
            waiting, unread = self._pending
            left = cv2.bitwise_and(unread, sample.faint)
            if np.count_nonzero(left) < _STEADY * np.count_nonzero(unread):
                self._mark(waiting, unread)

        settled = _settled(sample, before)
        arriving = cv2.bitwise_and(sample.strokes, cv2.bitwise_not(before.faint))
        unread = settled
        if self._read is not None:
            unread = cv2.bitwise_and(settled, cv2.bitwise_not(self._read.faint))
        new, moving = _words(unread), _words(arriving)
        if new >= _WORD:
            if self._waiting_since is None:
                self._waiting_since = sample.time
            if moving < _BUSY * new or sample.time - self._waiting_since >= _PATIENCE:
                self._mark(sample, unread)
            else:
                self._pending = (sample, unread)
        elif screen and moving >= max(_WORD, _SCROLL * _words(sample.strokes)):
            # Scrolling never settles: once it is going, read it every few seconds.
            last_read = -np.inf if self._read is None else self._read.time
            if self._waiting_since is None:
                self._waiting_since = sample.time
            elif sample.time - last_read >= _SCROLL_SECONDS:
                self._mark(sample, arriving)
                self._waiting_since = sample.time
        elif self._pending is None:
            self._waiting_since = None

    def _mark(self, sample: _Sample, unread: _Mask) -> None:
        self.fresh[sample.index] = float(np.count_nonzero(unread)) / unread.size
        self._read = sample
        self._pending = None
        self._waiting_since = None

    def _still_there(self, sample: _Sample) -> float:
        import cv2

        if self._read is None:
            return 0.0
        text = np.count_nonzero(self._read.strokes)
        if not text:
            return 0.0
        return np.count_nonzero(cv2.bitwise_and(self._read.strokes, sample.faint)) / text


def _strokes(index: int, time: float, grey: NDArray[np.uint8], screen: bool) -> _Sample:
    """Strong horizontal changes: letters are full of them, the long edges of things are not."""
    import cv2

    wide = cv2.copyMakeBorder(grey, 0, 0, 1, 1, cv2.BORDER_REPLICATE)
    left, right = wide[:, :-2], wide[:, 2:]
    steps = cv2.merge([cv2.subtract(right, left), cv2.subtract(left, right)])
    scale = _SCREEN if screen else 1.0
    strokes = cv2.threshold(steps, _STROKE * scale, 255, cv2.THRESH_BINARY)[1]
    faint = cv2.threshold(steps, _FAINT * scale, 255, cv2.THRESH_BINARY)[1]
    dense = (_density(strokes) > 255 * _TEXT_DENSITY).astype(np.uint8)
    return _Sample(index, time, cv2.bitwise_and(strokes, strokes, mask=dense), faint)


def _density(mask: _Mask) -> NDArray[np.uint8]:
    """Share of the window around each pixel that is set, either sign, 0-255, ``[H, W]``."""
    import cv2

    share: NDArray[np.uint8] = cv2.blur(cv2.max(mask[..., 0], mask[..., 1]), _WINDOW)
    return share


def _settled(sample: _Sample, before: _Sample) -> _Mask:
    """The strokes that stayed, where nearly all of them did: not by chance, as in moving grass."""
    import cv2

    stayed = cv2.bitwise_and(sample.strokes, before.faint)
    steady = _density(stayed) >= _density(sample.strokes) * _STEADY
    settled: _Mask = cv2.bitwise_and(stayed, stayed, mask=steady.astype(np.uint8))
    return settled


def _words(mask: _Mask) -> int:
    """Pixels of the places where strokes of ``mask`` alone are as dense as text and form a line."""
    import cv2

    half = _density(mask)[::2, ::2]  # nothing finer is left after the blur
    dense = (half > 255 * 0.75 * _TEXT_DENSITY).astype(np.uint8)
    if not dense.any():
        return 0
    _, _, boxes, _ = cv2.connectedComponentsWithStats(dense)
    width, height, area = 2 * boxes[1:, 2], 2 * boxes[1:, 3], 4 * boxes[1:, 4]
    lines = (width >= _LINE_SHAPE * height) | (width >= _LINE_WIDTH)
    return int(area[lines & (area >= _WORD)].sum())
