"""OpenCV: decodes one frame after the other, each known by its time stamp.

It is asked to seek only where its arithmetic of frame numbers holds. What is damaged it may show
patched up.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from videopipe.media.backends.native import Native, Source, Target, Unfit, fitted_to
from videopipe.media.decoder import Picture, Shown, Size

_FAR = 300  # frames; reading past fewer is cheaper than a seek
_GIVE_UP = 1000  # grabs without a frame; the end of the file looks the same as damage
_EXACT_SEEK = ("mov", "matroska")


class OpenCV(Native):
    module, requirement = "cv2", "opencv-python>=4.10,<5"

    @staticmethod
    def load() -> None:
        # So many packets of other streams may lie between two frames of a slide show.
        os.environ["OPENCV_FFMPEG_READ_ATTEMPTS"] = "1000000"
        import cv2  # noqa: F401

    @staticmethod
    def unfit(source: Source) -> str | None:
        if source.foremost != source.stream:
            return "takes another of its video streams"
        return None

    def __init__(self, source: Source) -> None:
        import cv2

        cv2.setNumThreads(source.threads)
        self._source = source
        self._capture: Any = None
        self._rank, self._time = -1, -math.inf  # of the frame that was grabbed last
        self._broken = False
        self._seeks = (
            source.uniform
            and not source.open_gop
            and source.container in _EXACT_SEEK
            and source.codec != "av1"
        )

    def pictures(self, targets: Sequence[Target]) -> Iterator[Shown]:
        for target in targets:
            found = self._find(target)
            yield target.packet, self._retrieve(target.sizes) if found else None

    def _find(self, target: Target) -> bool:
        """Grab frames until that of ``target``; false if it does not come."""
        if self._capture is None or target.time < self._time - self._source.tick / 2:
            self._open()
        if self._seeks and target.rank - self._rank > _FAR:
            self._seek(target)
        while self._time < target.time - self._source.tick / 2:
            if not self._next():
                return False
        return self._source.same(self._time, target.time) and not self._broken

    def _next(self) -> bool:
        """Grab the next frame. After an error those up to the next key frame are broken."""
        import cv2

        for _ in range(_GIVE_UP):
            if self._capture.grab():
                time = self._source.zero + self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
                if not time > self._time:
                    raise Unfit("gives frames of this file without a time of their own")
                self._rank, self._time = self._rank + 1, time
                if self._broken and np.abs(self._source.keys - time).min() <= self._source.tick / 2:
                    self._broken = False
                return True
            self._broken = True
        return False

    def _open(self) -> None:
        import cv2

        threads = [cv2.CAP_PROP_N_THREADS, self._source.threads]
        self._capture = cv2.VideoCapture(self._source.url, cv2.CAP_FFMPEG, threads)
        self._capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)
        self._rank, self._time, self._broken = -1, -math.inf, False
        if not self._capture.isOpened():
            raise Unfit("cannot open it")
        whole = self._next() and not self._broken
        if whole and not self._source.same(self._time, self._source.first):
            raise Unfit("takes the frames to be at other times than are stored")

    def _seek(self, target: Target) -> None:
        import cv2

        self._capture.set(cv2.CAP_PROP_POS_FRAMES, target.rank)
        self._rank, self._time, self._broken = target.rank - 1, -math.inf, False
        if not self._next() or self._time > target.time + self._source.tick / 2:
            self._seeks = False
            self._open()

    def _retrieve(self, sizes: Sequence[Size]) -> tuple[Picture, ...] | None:
        import cv2

        there, picture = self._capture.retrieve()
        if not there:
            return None
        scaled = fitted_to(picture, sizes, self._source.turn)
        return tuple(cv2.cvtColor(each, cv2.COLOR_BGR2RGB) for each in scaled)
