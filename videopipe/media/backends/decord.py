"""decord: decodes in native threads and answers by the number of a frame in display order.

It loses count in open GOPs and in MPEG streams. What is damaged it may show patched up, and frames
shortly before may be lost with it, for it reads ahead.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from videopipe.media.backends.native import Native, Source, Target, Unfit, fitted_to, mirroring
from videopipe.media.decoder import Picture, Shown, Size


class Decord(Native):
    module, requirement = "decord", "videopipe[decord]"

    @staticmethod
    def load() -> None:
        import decord  # noqa: F401

    @staticmethod
    def unfit(source: Source) -> str | None:
        if source.codec == "av1":
            return "has no AV1 decoder"
        if source.container in ("mpegts", "mpeg"):
            return "loses count of the frames of MPEG program and transport streams"
        if source.open_gop:
            return "shows wrong frames where groups of pictures are open, as in this file"
        if not source.alone:
            return "does not say which of the several video streams it takes"
        return None

    def __init__(self, source: Source) -> None:
        self._source = source
        self._turn = mirroring(source.turn)
        self._size: Size = (0, 0)
        self._reader: Any = None

    def pictures(self, targets: Sequence[Target]) -> Iterator[Shown]:
        widths, heights = zip(*(size for target in targets for size in target.sizes), strict=True)
        size = (max(*widths, self._size[0]), max(*heights, self._size[1]))
        if self._reader is None or size != self._size:
            self._open(size)
        self._check(targets)
        for target in targets:
            picture = self._frame(target.rank)
            pictures = None if picture is None else fitted_to(picture, target.sizes, self._turn)
            yield target.packet, pictures

    def _open(self, size: Size) -> None:
        import decord

        self._size = size
        # It scales while it converts the colours, but upside down pictures of four channels come
        # of that where width and height change places.
        width, height = (-1, -1) if self._source.turn.transposed else size
        self._reader = decord.VideoReader(
            self._source.url, width=width, height=height, num_threads=self._source.threads
        )

    def _check(self, targets: Sequence[Target]) -> None:
        """Its index of the file must agree with the packets: so many frames, at such times."""
        source, reader = self._source, self._reader
        if len(reader) != source.frames:
            raise Unfit(f"counts {len(reader)} frames where {source.frames} are displayed")
        began, *stamps = reader.get_frame_timestamp([0, *(t.rank for t in targets)])[:, 0].tolist()
        for target, stamp in zip(targets, stamps, strict=True):
            time = target.time - source.first
            rounding = abs(time) * 2.0**-22  # it counts in single precision
            if not abs(stamp - began - time) <= source.tick / 2 + rounding:
                raise Unfit("takes the frames to be at other times than are stored")

    def _frame(self, rank: int) -> Picture | None:
        from decord import DECORDError

        for _ in range(2):  # the error may be that of another frame, by reading ahead
            try:
                return np.asarray(self._reader[rank].asnumpy(), np.uint8)
            except (DECORDError, StopIteration):
                self._open(self._size)
        return None
