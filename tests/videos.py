"""Small synthetic videos whose frames carry their number, which proves a picked frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from videopipe.types import TimedText

Picture = NDArray[np.uint8]
BITS = 16
_TEXT_CODEC = {".mp4": "mov_text", ".mov": "mov_text", ".mkv": "subrip", ".webm": "webvtt"}
_OPTIONS = {
    "libx264": {"preset": "veryfast", "crf": "20"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8", "b": "1M"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "b": "1M"},
    "libsvtav1": {"preset": "12", "crf": "40"},
    "mpeg4": {"qscale": "3"},
}


def draw_number(number: int, width: int, height: int) -> Picture:
    """The number as 16 black and white bars over a slanted gradient that moves with it."""
    row = (np.arange(width) * 2 + number * 4) % 256
    picture = np.empty((height, width, 3), np.uint8)
    picture[:] = row[None, :, None]
    bits = (number >> np.arange(BITS)[::-1]) & 1
    picture[: height * 2 // 3] = (bits[np.arange(width) * BITS // width] * 255)[None, :, None]
    return picture


def read_number(frame: Picture) -> int:
    """The number drawn into ``frame`` uint8 ``[H, W, 3]`` by :func:`draw_number`, at any size."""
    height, width = frame.shape[:2]
    rows = frame[height // 6 : height // 2].mean(axis=(0, 2))
    columns = ((np.arange(BITS) + 0.5) * width / BITS).astype(int)
    return int("".join("1" if rows[column] > 127 else "0" for column in columns), 2)


def make_video(
    path: Path,
    *,
    seconds: float = 2.0,
    rate: int | Fraction = 25,
    size: tuple[int, int] = (160, 96),
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    gop: int = 12,
    bframes: int = 0,
    times: Sequence[float] | None = None,
    first_pts: float = 0.0,
    rotation: int = 0,
    audio: bool = False,
    subtitles: Sequence[TimedText] | None = None,
    draw: Callable[[int, float], Picture] | None = None,
    options: dict[str, str] | None = None,
    mux: dict[str, str] | None = None,
    title: str | None = None,
) -> Path:
    """Encode a video; the container follows from the suffix of ``path``.

    Args:
        seconds: length at a constant ``rate``; ``times`` (seconds) gives explicit ones instead.
        size: ``(width, height)`` as displayed, that is after ``rotation`` (clockwise degrees).
        first_pts: seconds on the file's own clock at which the first frame is shown.
        subtitles: written as an embedded text track.
        draw: ``(frame index, time) -> uint8 RGB`` of ``size``; default: the frame number.
        options: encoder options over the defaults for ``codec``.
        mux: options of the container.
        title: of the video track.
    """
    width, height = size
    paint = draw or (lambda index, _: draw_number(index, width, height))
    period = 1 / Fraction(rate)
    tick = Fraction(1, 60000) if times is not None or first_pts else period
    instants = times if times is not None else [i * period for i in range(round(seconds * rate))]
    stamps = [round(instant / tick) for instant in instants]
    offset = round(first_pts / tick)

    with av.open(str(path), "w", options=mux or {}) as container:
        stream: Any = container.add_stream(codec, rate=Fraction(rate))
        stream.width, stream.height = (height, width) if rotation % 180 else (width, height)
        stream.pix_fmt = pixel_format
        stream.codec_context.time_base = tick
        stream.codec_context.gop_size = gop
        stream.codec_context.thread_count = 1
        stream.options = _OPTIONS.get(codec, {}) | (options or {})
        if codec == "libx264":
            stream.options = {"bf": str(bframes), "sc_threshold": "0"} | stream.options
        else:
            stream.codec_context.max_b_frames = bframes
        if title:
            stream.metadata["title"] = title
        if rotation:
            stream.set_display_rotation(-rotation)
        sound: Any = None
        if audio:
            name = "libopus" if path.suffix == ".webm" else "aac"
            sound = container.add_stream(name, rate=48000, layout="mono")
        text: Any = None
        if subtitles is not None:
            text = container.add_mux_stream(_TEXT_CODEC[path.suffix])
            text.time_base = Fraction(1, 1000)
        container.start_encoding()

        if text is not None:
            _mux_text(container, text, subtitles or (), first_pts, path.suffix)
        if sound is not None:
            _mux_tone(container, sound, float(stamps[-1] * tick))
        for index, stamp in enumerate(stamps):
            picture = np.rot90(paint(index, float(stamp * tick)), k=rotation // 90)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame = frame.reformat(format=pixel_format, threads=1)  # several differ at times
            frame.pts, frame.time_base = stamp + offset, tick
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _mux_text(
    container: Any, stream: Any, lines: Sequence[TimedText], shift: float, suffix: str
) -> None:
    for line in lines:
        payload = line.text.encode()
        if _TEXT_CODEC[suffix] == "mov_text":
            payload = len(payload).to_bytes(2, "big") + payload
        packet = av.Packet(payload)
        packet.stream = stream
        packet.time_base = Fraction(1, 1000)
        packet.pts = packet.dts = round((line.start + shift) * 1000)
        packet.duration = round((line.end - line.start) * 1000)
        packet.is_keyframe = True
        container.mux(packet)


def _mux_tone(container: Any, stream: Any, seconds: float) -> None:
    samples = np.sin(np.arange(960) * (2 * np.pi * 10 / 960)).astype(np.float32) / 4
    for index in range(max(1, round(seconds * 50))):
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, index * 960, Fraction(1, 48000)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
