"""From a decoded frame to the picture as it should be seen: size, turn, colours."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from videopipe.media import tonemap

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.plane import VideoPlane

# AVColorSpace to the matrices that swscale has (its own numbers).
_MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
_FROM_LIMITED = ((np.arange(256) - 16) * (255 / 219)).round().clip(0, 255).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class Turn:
    """How the stored picture is turned to be seen: transposed first, then mirrored."""

    transposed: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    @classmethod
    def of(cls, frame: VideoFrame) -> Turn:
        """The turn that the display matrix of ``frame`` asks for, to the nearest quarter."""
        from av.sidedata.sidedata import SideDataContainer, Type

        side_data = cast(SideDataContainer, frame.side_data)
        if Type.DISPLAYMATRIX not in side_data:
            return cls()
        a, b, _, c, d = np.frombuffer(bytes(side_data[Type.DISPLAYMATRIX]), np.int32)[:5]
        if abs(int(b)) > abs(int(a)):
            return cls(True, bool(b < 0), bool(c < 0))
        return cls(False, bool(d < 0), bool(a < 0))

    @property
    def degrees(self) -> int:
        """Clockwise rotation, mirroring left aside: 0, 90, 180 or 270."""
        if self.transposed:
            return 270 if self.flip_rows else 90
        return 180 if self.flip_rows else 0

    def apply(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """``picture`` ``[H, W, 3]`` as it should be seen (a view)."""
        if self.transposed:
            picture = picture.swapaxes(0, 1)
        return picture[
            :: -1 if self.flip_rows else 1,
            :: -1 if self.flip_columns else 1,
        ]


def fitted(width: int, height: int, short_side: int | None) -> tuple[int, int]:
    """Display size scaled to ``short_side`` pixels: even sizes, never enlarged."""
    short = min(width, height)
    if short_side is None or short_side >= short:
        return width, height
    scale = short_side / short
    return max(2, 2 * round(width * scale / 2)), max(2, 2 * round(height * scale / 2))


def displayed(width: int, height: int, sample_aspect: Fraction | None) -> tuple[int, int]:
    """The size at which stored pictures are seen: every line as it is, its pixels stretched.

    A ratio beyond 8:1 is taken for damage.
    """
    if not sample_aspect or not 1 / 8 <= sample_aspect <= 8:
        return width, height
    return max(1, round(width * sample_aspect)), height


class Painter:
    """Turns the decoded frames of one video into RGB pictures as a player shows them.

    - Untagged video is BT.709 from 1280 pixels wide or 577 high on and BT.601 below; untagged
      ranges are limited.
    - PQ and HLG are tone-mapped (see ``tonemap``); other primaries and transfers are left alone.
    - Transparency is left out: what is under it is shown.
    - The two fields of an interlaced frame are woven into one picture.

    All as FFmpeg converts to ``rgb24`` with accurate rounding, save that it takes untagged video
    for BT.601, leaves HDR flat and shows grey of limited range pale.

    The turn of the first frame is that of all: PyAV's side data and its frame refer to each other,
    so that each frame asked for it would stay in memory until the garbage collector comes by.
    """

    def __init__(self) -> None:
        from av.video.reformatter import VideoReformatter

        self._scaler, self._packer = VideoReformatter(), VideoReformatter()
        self._turn: Turn | None = None

    def paint(self, frame: VideoFrame, size: tuple[int, int]) -> NDArray[np.uint8]:
        """uint8 RGB ``[height, width, 3]`` of the display ``size`` ``(width, height)``.

        Raises:
            av.FFmpegError: there is no conversion for this kind of frame.
        """
        from av.video.reformatter import ColorRange, Interpolation

        if self._turn is None:
            self._turn = Turn.of(frame)
        width, height = size[::-1] if self._turn.transposed else size
        hdr = frame.color_trc in (tonemap.PQ, tonemap.HLG)
        full = frame.color_range == ColorRange.JPEG
        # One pass over the YUV planes. Scaling to planes of RGB swscale is a third faster than to
        # packed pixels and keeps every pixel's own chroma; the flags refuse its quick, biased
        # roundings. One thread: with several its output is not even the same each time.
        planar = self._scaler.reformat(
            _woven(frame) if frame.interlaced_frame else frame,
            width,
            height,
            f"gbrp{tonemap.BITS}le" if hdr else "gbrp",
            src_colorspace=_matrix(frame),
            src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG,
            interpolation=(
                Interpolation.AREA | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INP
            ),
            threads=1,
        )
        if hdr:
            green, blue, red = (_rows(p).view(np.uint16)[:, :width] for p in planar.planes)
            return self._turn.apply(tonemap.tone_mapped((red, green, blue), frame.color_trc))
        packed = self._packer.reformat(planar, format="rgb24", threads=1)
        picture = self._turn.apply(np.asarray(packed.to_ndarray(), np.uint8))
        if frame.format.name.startswith("gray") and frame.color_range == ColorRange.MPEG:
            picture = _FROM_LIMITED.take(picture)  # swscale takes every grey for full range
        return picture


def _matrix(frame: VideoFrame) -> int:
    """The YUV matrix of ``frame``; where it names none that FFmpeg can undo, a player's guess."""
    from av.video.reformatter import Colorspace

    if frame.colorspace in _MATRICES:
        return _MATRICES[frame.colorspace]
    if frame.color_trc in (tonemap.PQ, tonemap.HLG):
        return Colorspace.BT2020
    hd = frame.width >= 1280 or frame.height > 576
    return Colorspace.ITU709 if hd else Colorspace.ITU601


def _woven(frame: VideoFrame) -> VideoFrame:
    """A copy of an interlaced frame that passes for a progressive one.

    swscale scales the fields of the other apart, which leaves combs in the smallest picture.
    """
    from av.video.frame import VideoFrame

    copy = VideoFrame(frame.width, frame.height, frame.format.name)
    for source, target in zip(map(_rows, frame.planes), map(_rows, copy.planes), strict=True):
        used = min(source.shape[1], target.shape[1])
        target[:, :used] = source[:, :used]
    return copy


def _rows(plane: VideoPlane) -> NDArray[np.uint8]:
    """The bytes of ``plane`` ``[height, bytes]`` with the padding of its rows (a view)."""
    rows: NDArray[np.uint8] = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, -1)
    return rows if plane.line_size > 0 else rows[::-1]
