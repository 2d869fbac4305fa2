"""What is in a video file: facts from its packets, not claims from its header."""

from __future__ import annotations

import math
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from videopipe.errors import MediaError
from videopipe.media.container import MAX_PIXELS, opened, packets, video_stream
from videopipe.media.packets import PacketTable, Seconds, Ticks
from videopipe.media.partial import table_around
from videopipe.media.picture import Turn, displayed
from videopipe.media.remote import location, remote_id
from videopipe.media.subtitles import embedded_subtitles, find_subtitles
from videopipe.media.tables import packet_table
from videopipe.types import Location, Url, VideoInfo

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_TRIES = 64  # packets; a decoder that has not shown a picture by then never will


def probe(path: Location | str) -> VideoInfo:
    """Describe a video from its packet table, which is read once, and from its first frame.

    Of a remote mp4, mov, mkv or webm only the beginning and the index are read; a warning says so.

    Args:
        path: a local file, or a URL that fsspec can read (``https://``, ``s3://``, ...).

    Raises:
        NotFound: there is no such file.
        MediaError: it cannot be read, is not a media file, is encrypted, has no video or no frame
            in it, or claims pictures of more than ``MAX_PIXELS``.
    """
    path = location(path)
    identity = remote_id(path) if isinstance(path, Url) else ""
    table = table_around(path, np.empty(0)) if isinstance(path, Url) else packet_table(path)
    with opened(path) as container:
        stream = video_stream(container, path)
        context = stream.codec_context
        first = first_frame(container, stream)
        turn = Turn.of(first) if first else Turn()
        coded = (first.width, first.height) if first else (context.width, context.height)
        width, height = displayed(*coded, stream.sample_aspect_ratio)
        if turn.transposed:
            width, height = height, width
        if not 0 < width * height <= MAX_PIXELS:
            raise MediaError(
                f"{path} cannot be decoded: the size of its pictures is missing or beyond "
                f"{MAX_PIXELS:,} pixels."
            )
        figures = _measured(table) if table.whole else _claimed(container, stream, table)
        return VideoInfo(
            path=path,
            container=container.format.name.split(",")[0],
            duration=table.duration,
            width=width,
            height=height,
            coded_width=coded[0],
            coded_height=coded[1],
            rotation=turn.degrees,
            codec=context.codec.canonical_name,
            pixel_format=first.format.name if first else context.pix_fmt or "unknown",
            rate=figures.rate,
            variable_rate=figures.variable_rate,
            frame_count=figures.frame_count,
            start=float(table.start * table.tick),
            stream=table.stream,
            keyframes=figures.keyframes,
            audio=tuple(
                s.codec_context.codec.canonical_name
                for s in container.streams.audio
                if s.codec_context
            ),
            subtitles=embedded_subtitles(container, path) + find_subtitles(path),
            warnings=tuple(_warnings(container, stream, table, first is not None)),
            remote_id=identity,
        )


def first_frame(container: InputContainer, stream: VideoStream) -> VideoFrame | None:
    """The first frame of a newly opened video that can be decoded, if one comes soon."""
    import av

    context = stream.codec_context
    with suppress(av.FFmpegError):
        for packet in islice(packets(container, stream), _TRIES):
            with suppress(av.FFmpegError):
                frames = context.decode(packet)
                if frames:
                    return frames[0]
        return next(iter(context.decode(None)), None)
    return None


@dataclass(frozen=True, slots=True)
class _Figures:
    """What only all packets tell; ``keyframes`` in seconds."""

    rate: float
    variable_rate: bool
    frame_count: int
    keyframes: Seconds


def _measured(table: PacketTable) -> _Figures:
    keys = table.seconds(table.shown_keys)
    return _Figures(*_rate(table.displayed(), table), table.frame_count, keys)


def _claimed(container: InputContainer, stream: VideoStream, table: PacketTable) -> _Figures:
    """What header and index say, for a table of which only the beginning was read."""
    import av

    if container.format.name.startswith("matroska"):  # whose index is read by the first seek
        with suppress(av.FFmpegError):
            container.seek(table.start, stream=stream)
    entries = [e for e in stream.index_entries if not e.is_discard]
    stamps = np.array([e.timestamp for e in entries], np.int64)
    is_key = np.array([e.is_keyframe for e in entries], np.bool_)
    keys = (stamps - stamps[:1])[is_key] * np.float64(table.tick)
    if len(entries) == stream.frames > 0:  # all of them, by their times of decoding
        stamps += table.start - stamps[0]
        return _Figures(*_rate([stamps], table), stream.frames, keys)
    rate = float(stream.average_rate or stream.guessed_rate or 25)
    return _Figures(rate, False, stream.frames or round(rate * table.duration), keys)


def _rate(displayed: Iterable[Ticks], table: PacketTable) -> tuple[float, bool]:
    """The mean rate, and whether a gap between frames differs from the usual by more than rounding.

    The usual gap is the median of the first ones.
    """
    count, usual, last, least, most = 0, 0.0, table.start, math.inf, 0.0
    for stamps in displayed:
        gaps = np.diff(stamps, prepend=last) if count else np.diff(stamps)
        if not len(stamps):
            continue
        count, last = count + len(stamps), int(stamps[-1])
        if len(gaps):
            usual = usual or float(np.median(gaps))
            least, most = min(least, float(gaps.min())), max(most, float(gaps.max()))
    if last == table.start:
        return 1 / table.duration, False
    mean = (count - 1) / float((last - table.start) * table.tick)
    off = max(most - usual, usual - least)
    return mean, count > 2 and off > max(1.5, 0.05 * usual)


def _warnings(
    container: InputContainer, stream: VideoStream, table: PacketTable, decodes: bool
) -> list[str]:
    warnings = []
    if not table.complete:
        warnings.append(f"The file is damaged: reading ended after {table.duration:.1f} s.")
    if not decodes:
        warnings.append("The first frame cannot be decoded.")
    if not table.seekable:
        warnings.append("The file has no usable clock; times are counted from its frames.")
    if not table.whole:
        warnings.append(
            "Only the beginning of this remote file was read: frames and key frames are those "
            "that its header and its index claim."
        )
        return warnings
    claimed = None
    if stream.duration and stream.time_base:
        claimed = float(stream.duration * stream.time_base)
    elif container.duration:
        claimed = container.duration / 1e6 - float(table.start * table.tick)
    if claimed is None:
        warnings.append("The header does not say how long the video is; it was measured.")
    elif abs(claimed - table.duration) > max(1.0, 0.01 * table.duration):
        warnings.append(
            f"The header says {claimed:.1f} s, but the pictures end after {table.duration:.1f} s."
        )
    if stream.frames and stream.frames > len(table):
        warnings.append(f"The header says {stream.frames} frames, but {len(table)} are stored.")
    return warnings
