"""From a decoded frame to the picture as it should be seen: size, turn, colours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.reformatter import VideoReformatter

_UNSPECIFIED = 2  # AVCOL_SPC_UNSPECIFIED
_SD_HEIGHT = 576  # untagged video is BT.601 up to here and BT.709 above, as players assume


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
            picture = picture.transpose(1, 0, 2)
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


class Painter:
    """Turns the decoded frames of one video into RGB pictures.

    Scaling and colour conversion are one pass of swscale over the YUV planes. The turn of the first
    frame is that of all: PyAV's side data and its frame refer to each other, so that each frame
    asked for it would stay in memory until the garbage collector comes by.
    """

    def __init__(self) -> None:
        self._reformatters: dict[tuple[int, int], VideoReformatter] = {}
        self._turn: Turn | None = None

    def paint(self, frame: VideoFrame, size: tuple[int, int]) -> NDArray[np.uint8]:
        """uint8 RGB ``[height, width, 3]`` of the display ``size`` ``(width, height)``."""
        from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

        if self._turn is None:
            self._turn = Turn.of(frame)
        width, height = size[::-1] if self._turn.transposed else size
        untagged_hd = frame.colorspace == _UNSPECIFIED and frame.height > _SD_HEIGHT
        image = self._reformatters.setdefault((width, height), VideoReformatter()).reformat(
            frame,
            width,
            height,
            "rgb24",
            src_colorspace=Colorspace.ITU709 if untagged_hd else None,
            dst_color_range=ColorRange.JPEG,
            interpolation=Interpolation.AREA,
            threads=1,
        )
        return self._turn.apply(np.asarray(image.to_ndarray(), np.uint8))
