"""What a server is shown: texts and frames as chat messages."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from videopipe.errors import ModelError
from videopipe.types import FrameBatch, FrameSet

Prompt: TypeAlias = Sequence[str | FrameBatch | FrameSet]
Send: TypeAlias = Literal["images", "video"]

_JPEG_QUALITY = 90
_CLOCK = 10_000  # ticks per second in a video, in which a gap must stay below 2**31
_LAST = 60 * _CLOCK  # the encoder takes no rate of hours per frame


def messages(prompt: Prompt, system: str | None, send: Send) -> list[dict[str, Any]]:
    """``prompt`` as the messages of a request.

    Each frame is a JPEG after a text that tells its time. For ``send="video"`` the frames of a
    batch are one MP4 after a text that tells their times; frames of several sizes stay images.
    """
    parts: list[dict[str, Any]] = []
    for item in prompt:
        if isinstance(item, str):
            parts.append(_text(item))
        elif not len(item):
            continue
        elif send == "video" and isinstance(item, FrameBatch):
            times = ", ".join(f"{time:.1f}" for time in item.times)
            parts += [_text(f"<{times} seconds>"), _media("video", "mp4", mp4(item))]
        else:
            for time, frame in zip(item.times, item.frames, strict=True):
                parts += [_text(f"<{time:.1f} seconds>"), _media("image", "jpeg", _jpeg(frame))]
    first = [{"role": "system", "content": system}] if system else []
    return [*first, {"role": "user", "content": parts}]


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _media(kind: str, form: str, data: bytes) -> dict[str, Any]:
    url = f"data:{kind}/{form};base64,{base64.b64encode(data).decode()}"
    return {"type": f"{kind}_url", f"{kind}_url": {"url": url}}


def _jpeg(frame: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(frame).save(file, "JPEG", quality=_JPEG_QUALITY)
    return file.getvalue()


def mp4(batch: FrameBatch) -> bytes:
    """The frames of ``batch`` as H.264, each shown at its own time after the first.

    Odd sizes grow by a copy of the last row or column. The last frame is shown for as long as the
    others on average, a minute at most, for a second if it is alone.

    Raises:
        ModelError: there is no H.264 encoder here.
    """
    import av

    height, width = (size + size % 2 for size in batch.frames.shape[1:3])
    order = np.arange(len(batch))
    ticks = np.rint((batch.times - batch.times[0]) * _CLOCK).astype(np.int64)
    ticks = np.maximum.accumulate(ticks - order) + order  # no two frames at one time
    last = min(int(ticks[-1]) // (len(batch) - 1), _LAST) if len(batch) > 1 else _CLOCK
    file = io.BytesIO()
    try:
        with av.open(file, "w", format="mp4") as container:
            stream = container.add_stream("libx264", rate=Fraction(_CLOCK, max(1, last)))
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.codec_context.time_base = Fraction(1, _CLOCK)
            # What is said is BT.601 of limited range, which is also what most take for granted.
            stream.codec_context.colorspace, stream.codec_context.color_range = 6, 1
            stream.options = {"crf": "18", "preset": "veryfast", "bf": "0"}
            for tick, picture in zip(ticks, batch.frames, strict=True):
                grown = [(0, height - picture.shape[0]), (0, width - picture.shape[1]), (0, 0)]
                frame = av.VideoFrame.from_ndarray(np.pad(picture, grown, "edge"), "rgb24")
                frame.pts, frame.time_base = int(tick), Fraction(1, _CLOCK)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    except (av.FFmpegError, ValueError) as error:
        raise ModelError(
            f"The frames cannot be made into an H.264 video here ({error}); "
            "use --set model.send=images."
        ) from None
    return file.getvalue()
