"""What a native back end is told of a video, and what it must do with it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from videopipe.media import tonemap
from videopipe.media.container import opened
from videopipe.media.decoder import Picture, Shown, Size
from videopipe.media.packets import PacketTable
from videopipe.media.picture import Turn
from videopipe.media.probe import first_frame
from videopipe.types import VideoInfo


class Unfit(Exception):
    """The back end cannot tell which frame is the right one; the message ends a sentence."""


class Target(NamedTuple):
    """A frame that is wanted: its packet, its place in display order, its time, and the sizes."""

    packet: int
    rank: int
    time: float
    sizes: tuple[Size, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """A video as its packets describe it. Times are seconds on the stream's own clock.

    ``first`` is the time of the first of ``frames`` displayed frames, ``keys`` are those of the key
    frames, ``zero`` is what FFmpeg takes for the start of the stream. ``alone`` says that there are
    no other videos but cover pictures; ``foremost`` is the stream stored first. ``uniform`` says
    that frame n stands at n / rate. ``hdr`` (PQ or HLG), ``interlaced`` and ``turn`` are those of
    the first frame.
    """

    path: Path
    container: str
    codec: str
    stream: int
    alone: bool
    foremost: int
    tick: float
    zero: float
    first: float
    frames: int
    keys: NDArray[np.float64]
    uniform: bool
    open_gop: bool
    hdr: bool
    interlaced: bool
    turn: Turn
    threads: int

    @classmethod
    def of(cls, path: Path, info: VideoInfo, table: PacketTable, threads: int) -> Self:
        """What ``info`` and ``table`` do not hold is read from the file.

        Raises:
            NotFound, MediaError: as for ``opened``.
        """
        from av.stream import Disposition

        tick = float(table.tick)
        with opened(path) as container:
            stream = next(s for s in container.streams.video if s.index == table.stream)
            videos = container.streams.video
            moving = [s for s in videos if not s.disposition & Disposition.attached_pic]
            zero = (stream.start_time or 0) * tick
            frame = first_frame(container, stream)
            return cls(
                path=path,
                container=info.container,
                codec=info.codec,
                stream=table.stream,
                alone=len(moving) == 1,
                foremost=videos[0].index,
                tick=tick,
                zero=zero,
                first=table.start * tick,
                frames=table.frame_count,
                keys=info.keyframes + table.start * tick,
                uniform=not info.variable_rate,
                open_gop=table.open_gop,
                hdr=frame is not None and frame.color_trc in (tonemap.PQ, tonemap.HLG),
                interlaced=frame is not None and frame.interlaced_frame,
                turn=Turn.of(frame) if frame else Turn(),
                threads=threads,
            )

    @property
    def url(self) -> str:
        """The path as FFmpeg takes it, whatever characters are in it."""
        return f"file:{self.path}"

    def same(self, time: float, other: float) -> bool:
        """Whether two times are those of one frame."""
        return abs(time - other) <= self.tick / 2


class Native(ABC):
    """A decoder that is not trusted with the process it runs in.

    ``module`` is what is imported and ``requirement`` what pip is asked for to have it; ``device``
    is what it runs on, as torch names it.
    """

    module: ClassVar[str]
    requirement: ClassVar[str]
    device: str = "cpu"

    @staticmethod
    @abstractmethod
    def load() -> None:
        """Import what is needed; any error means that it does not work here."""

    @staticmethod
    @abstractmethod
    def unfit(source: Source) -> str | None:
        """Why this back end cannot be right on ``source``, as the end of a sentence."""

    @abstractmethod
    def __init__(self, source: Source) -> None: ...

    @abstractmethod
    def pictures(self, targets: Sequence[Target]) -> Iterator[Shown]:
        """The ``targets`` (in display order), ``None`` for what cannot be decoded.

        Raises:
            Unfit: the frames turn out not to be those of the packets.
        """


def fitted_to(picture: Picture, sizes: Sequence[Size], turn: Turn) -> tuple[Picture, ...]:
    """``picture`` ``[H, W, 3]``, turned by ``turn``, in each of the display ``sizes``."""
    return tuple(
        np.ascontiguousarray(turn.apply(_resized(picture, *size[:: -1 if turn.transposed else 1])))
        for size in sizes
    )


def _resized(picture: Picture, width: int, height: int) -> Picture:
    import cv2

    # Halving is many times faster than other scales, and two of them are one of a quarter.
    while picture.shape[0] >= 2 * height and picture.shape[1] >= 2 * width:
        rows, columns = picture.shape[:2]
        if rows % 2 or columns % 2:
            break
        picture = cv2.resize(picture, (columns // 2, rows // 2), interpolation=cv2.INTER_AREA)
    if picture.shape[:2] == (height, width):
        return picture
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def mirroring(turn: Turn) -> Turn:
    """What is left of ``turn`` for a back end that rotates by itself but does not mirror."""
    mirrored = turn.transposed ^ turn.flip_rows ^ turn.flip_columns
    return Turn(False, mirrored and not turn.transposed, mirrored and turn.transposed)
