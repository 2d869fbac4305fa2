"""Opening a media file: one clear sentence for whatever is wrong with it."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from videopipe.errors import MediaError, NotFound
from videopipe.media.remote import RemoteFile, reading
from videopipe.types import Location, Url

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

_Stream = TypeVar("_Stream", "VideoStream", "AudioStream")

MAX_PIXELS = 2**26  # of a picture, 8192 x 8192; a small damaged file can claim far more
_STILL = ("image2", "tty", "txd", "ico")  # demuxers that make a "video" of a picture or a text
_BOUNDS = {"max_pixels": str(MAX_PIXELS)}
_HEAD = 16  # bytes that tell what a file is
_PLAYLISTS = (b"#EXTM3U", b"ffconcat version")


class NoVideo(MediaError):
    """A media file without moving pictures."""


@contextmanager
def opened(path: Location) -> Iterator[InputContainer]:
    """The open container of a file, whose decoders refuse more than ``MAX_PIXELS``.

    Raises:
        NotFound: there is no such file.
        MediaError: not readable, empty, or not a media file; or a list of others.
    """
    with _file(path) as (file, head):
        yield from _opened(path, file, head)


@contextmanager
def _file(path: Location) -> Iterator[tuple[str | RemoteFile, bytes]]:
    """What libav opens, and how it begins."""
    if isinstance(path, Url):
        with reading(path) as file:
            head = file.read(_HEAD)
            file.seek(0)
            yield file, head
    else:
        # "file:" keeps libav from reading a protocol or a number pattern into the name.
        yield f"file:{path}", _head(path)


def _opened(path: Location, file: str | RemoteFile, head: bytes) -> Iterator[InputContainer]:
    import av

    if head.startswith(_PLAYLISTS):  # a live one would be waited on for ever
        raise MediaError(f"{path} is a playlist; name the video files that it lists.")
    try:
        container: InputContainer = av.open(
            file,
            "r",
            metadata_errors="replace",
            options=_BOUNDS,
            # What refers to other files must not reach beyond local ones, nor from afar to them.
            container_options={
                "protocol_whitelist": "file" if isinstance(file, str) else "none",
                "fflags": "+genpts",
            },
        )
    except (av.FFmpegError, OSError):
        if head[4:8] in (b"ftyp", b"mdat", b"wide", b"free"):
            reason = "is incomplete: its index is missing or damaged; copy or record it again"
        else:
            reason = "is not a media file, or its beginning is damaged"
        raise MediaError(f"{path} {reason}.") from None
    with container:
        format_name = container.format.name
        if format_name in _STILL or format_name.endswith("_pipe"):
            raise MediaError(f"{path} is a picture or a text, not a video.")
        for stream in container.streams.video:
            if stream.codec_context is not None:
                stream.codec_context.options = dict(_BOUNDS)
        yield container


def video_stream(container: InputContainer, path: Location) -> VideoStream:
    """The video to look at: never a cover picture; the default-flagged, then the largest.

    Raises:
        NoVideo: there is none.
        MediaError: there is one that cannot be decoded, or that is encrypted.
    """
    from av.stream import Disposition

    streams = container.streams.video
    moving = [s for s in streams if not s.disposition & Disposition.attached_pic]
    if not moving:
        if streams:
            raise NoVideo(f"{path} has no video, only a cover picture.")
        kinds = sorted({s.type for s in container.streams if s.type in ("audio", "subtitle")})
        raise NoVideo(f"{path} has no video" + (f", only {' and '.join(kinds)}." if kinds else "."))
    playable = [s for s in moving if s.codec_context is not None]
    if not playable:
        raise MediaError(f"{path} is in a video format that this FFmpeg cannot decode.")
    chosen = max(
        playable,
        key=lambda s: (bool(s.disposition & Disposition.default), s.width * s.height),
    )
    if "enc_key_id" in chosen.metadata:  # Matroska; an mp4 says it packet by packet
        raise encrypted(path)
    return chosen


def packets(container: InputContainer, stream: _Stream) -> Iterator[Packet[_Stream]]:
    """The packets of ``stream`` that hold anything, in the order of the file.

    Raises:
        av.FFmpegError: damage that the demuxer cannot get past.
    """
    # At the end PyAV goes through all streams, also those that came up meanwhile and that it
    # does not know; MPEG-TS may bring new ones at any time.
    with suppress(IndexError):
        for packet in container.demux(stream):
            if packet.size:
                yield packet


def encrypted(path: Location) -> MediaError:
    """What to raise for pictures that only the holder of a key can see."""
    return MediaError(f"{path} is encrypted (DRM); use a copy without protection.")


def keep_only(container: InputContainer, stream: VideoStream | AudioStream) -> None:
    """Let the demuxer skip the data of every other stream."""
    from av.stream import Discard

    for other in container.streams:
        if other.index != stream.index:
            other.discard = Discard.all


def _head(path: Path) -> bytes:
    try:
        if stat.S_ISFIFO(path.stat().st_mode) or stat.S_ISCHR(path.stat().st_mode):
            raise MediaError(f"{path} is a pipe or a device, not a video file.")
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except FileNotFoundError:
        raise NotFound(f"{path} does not exist.") from None
    except IsADirectoryError:
        raise MediaError(f"{path} is a directory; name a video file.") from None
    except PermissionError:
        raise MediaError(f"{path} cannot be read: permission denied.") from None
    except OSError as error:
        raise MediaError(f"{path} cannot be read: {error.strerror or error}.") from None
    if not head:
        raise MediaError(f"{path} is empty (0 bytes).")
    return head
