"""Faces, by the two frontal Haar detectors inside OpenCV when both agree.

Each alone sees faces in one picture of five that has none; together they made no mistake on the
real clips they were tried on. The people detector (HOG) was wrong as often as right and is not
used.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videopipe.errors import ModelError

_SHORT_SIDE = 480
_SMALLEST = 1 / 14  # of the short side


@dataclass(frozen=True, slots=True)
class Faces:
    """The faces seen at ``time``; ``largest`` is the height of the largest by the picture's."""

    time: float
    count: int
    largest: float


class FaceFinder:
    """The detectors, loaded once.

    Raises:
        ModelError: this OpenCV has lost its detectors.
    """

    def __init__(self) -> None:
        self._wide = _cascade("haarcascade_frontalface_default.xml")
        self._sure = _cascade("haarcascade_frontalface_alt2.xml")

    def find(self, time: float, frame: NDArray[np.uint8]) -> Faces:
        """Faces that look towards the camera in a frame, uint8 RGB ``[H, W, 3]``."""
        import cv2

        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        scale = _SHORT_SIDE / min(grey.shape)
        if scale < 1:
            grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        smallest = int(min(grey.shape) * _SMALLEST)
        boxes = self._wide.detectMultiScale(grey, 1.1, 8, minSize=(smallest, smallest))
        heights = [int(box[3]) for box in boxes if self._confirmed(grey, box)]
        return Faces(time, len(heights), max(heights, default=0) / grey.shape[0])

    def _confirmed(self, grey: NDArray[np.uint8], box: NDArray[np.int32]) -> bool:
        """Whether the second detector finds a face of about this size at this place."""
        x, y, width, height = (int(v) for v in box)
        edge = width // 3
        around = grey[max(0, y - edge) : y + height + edge, max(0, x - edge) : x + width + edge]
        least = int(0.6 * width)
        return len(self._sure.detectMultiScale(around, 1.1, 4, minSize=(least, least))) > 0


def _cascade(name: str) -> Any:
    import cv2

    try:
        found: Any = cv2.CascadeClassifier(str(Path(cv2.__file__).parent / "data" / name))
    except AttributeError:
        found = None
    if found is None or found.empty():
        raise ModelError(
            f"OpenCV {cv2.__version__} has no face detector; install opencv-python 4 or switch "
            "the facts off with --set facts.enabled=false."
        )
    return found
