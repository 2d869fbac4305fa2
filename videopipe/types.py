"""The values that flow between the rooms.

All times are seconds as float from the first displayed frame. All frames are ``uint8`` RGB
``[T, H, W, 3]``, already rotated as they should be shown.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Literal
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

Source = Literal["caption", "subtitle", "asr", "ocr", "facts"]
Asks = Literal["content", "space", "overview"]  # what a question is about
SOURCES: tuple[Source, ...] = ("caption", "subtitle", "asr", "ocr", "facts")


@dataclass(frozen=True, slots=True)
class TimedText:
    """A line of text and when it is said or shown: ``[start, end)`` in seconds."""

    start: float
    end: float
    text: str


@dataclass(frozen=True, slots=True, repr=False)
class Url:
    """The address of a file elsewhere, ``scheme://...``; ``str`` of it is safe to show.

    It leaves out what may be secret: user, password, and what follows a question mark.
    """

    address: str

    def __str__(self) -> str:
        scheme, _, rest = self.address.partition("://")
        place, asks, _ = rest.partition("?")
        host, slash, path = place.partition("/")
        return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}{'?...' if asks else ''}"

    def __repr__(self) -> str:
        return f"Url({str(self)!r})"

    @property
    def name(self) -> str:
        """The last part of the path, as a file would be named."""
        place = re.split("[?#]", self.address.partition("://")[2])[0]
        return PurePosixPath(unquote(place.rstrip("/"))).name

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        """The suffix of the name, with its dot."""
        return PurePosixPath(self.name).suffix


Location = Path | Url  # where a video is


@dataclass(frozen=True, slots=True)
class SubtitleTrack:
    """Where subtitles were found: ``stream`` is set for a track inside the video file."""

    path: Location
    stream: int | None
    format: str
    language: str | None = None
    title: str | None = None


def normalised(path: Path) -> Path:
    """``path`` absolute and without ``..``; links are kept, for they have names of their own."""
    return Path(os.path.normpath(path.absolute()))


def stamp(path: Location) -> tuple[int, int]:
    """Size in bytes and modification time of a local file; zeros if it is not there."""
    if isinstance(path, Url):
        return 0, 0
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


def content_id(path: Path) -> str:
    """Digest of the whole file: a renamed file is known again, two of one name are told apart."""
    from hashlib import file_digest  # brings OpenSSL along, three megabytes

    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()[:32]


@dataclass(frozen=True)
class VideoInfo:
    """What is in a video file.

    ``width`` and ``height`` are the display size: after rotation and sample aspect ratio.
    ``start`` is the presentation time of the first displayed frame on the file's own clock; all
    times elsewhere are relative to it. ``keyframes`` are seconds, ascending. ``rate`` is the mean
    frame rate in frames per second. ``remote_id`` tells a remote file from others without reading
    it.
    """

    path: Location
    container: str
    duration: float
    width: int
    height: int
    coded_width: int
    coded_height: int
    rotation: int
    codec: str
    pixel_format: str
    rate: float
    variable_rate: bool
    frame_count: int
    start: float
    stream: int
    keyframes: NDArray[np.float64] = field(repr=False)
    audio: tuple[str, ...] = ()
    subtitles: tuple[SubtitleTrack, ...] = ()
    warnings: tuple[str, ...] = ()
    remote_id: str = ""

    @cached_property
    def video_id(self) -> str:
        """:func:`content_id` of the file, read on first use; of a remote one its ``remote_id``."""
        return content_id(self.path) if isinstance(self.path, Path) else self.remote_id

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: ``duration_s``, ``rate_fps`` and so on; key frames as count and spacing."""
        spacing = np.diff(self.keyframes, append=self.duration) if len(self.keyframes) else None
        return {
            "path": str(self.path),
            "container": self.container,
            "duration_s": round(self.duration, 6),
            "width": self.width,
            "height": self.height,
            "coded_width": self.coded_width,
            "coded_height": self.coded_height,
            "rotation_deg": self.rotation,
            "codec": self.codec,
            "pixel_format": self.pixel_format,
            "rate_fps": round(self.rate, 6),
            "variable_rate": self.variable_rate,
            "frame_count": self.frame_count,
            "start_s": round(self.start, 6),
            "stream": self.stream,
            "keyframe_count": len(self.keyframes),
            "keyframe_spacing_mean_s": _rounded(spacing, np.mean),
            "keyframe_spacing_max_s": _rounded(spacing, np.max),
            "audio": list(self.audio),
            "subtitles": [
                {
                    "path": str(track.path),
                    "stream": track.stream,
                    "format": track.format,
                    "language": track.language,
                    "title": track.title,
                }
                for track in self.subtitles
            ],
            "warnings": list(self.warnings),
        }


def _rounded(
    values: NDArray[np.float64] | None, reduce: Callable[[NDArray[np.float64]], np.float64]
) -> float | None:
    return None if values is None else round(float(reduce(values)), 6)


@dataclass(frozen=True, slots=True)
class FrameBatch:
    """``times`` float64 ``[T]`` in seconds, ``frames`` uint8 RGB ``[T, H, W, 3]``."""

    times: NDArray[np.float64]
    frames: NDArray[np.uint8]

    def __post_init__(self) -> None:
        if (
            self.frames.ndim != 4
            or self.frames.shape[3] != 3
            or len(self.times) != len(self.frames)
        ):
            raise ValueError(f"times {self.times.shape} and frames {self.frames.shape} do not fit")

    def __len__(self) -> int:
        return len(self.times)

    def __repr__(self) -> str:
        span = f"{self.times[0]:.3f}-{self.times[-1]:.3f} s" if len(self) else "empty"
        return f"FrameBatch({span}, frames={self.frames.shape})"


@dataclass(frozen=True, slots=True)
class FrameSet:
    """Frames of several sizes: ``times`` float64 ``[T]`` in seconds, ``frames`` of them.

    Each is uint8 RGB ``[H, W, 3]``.
    """

    times: NDArray[np.float64]
    frames: tuple[NDArray[np.uint8], ...]

    def __len__(self) -> int:
        return len(self.times)


@dataclass(frozen=True, slots=True)
class Clip:
    """The ``index``-th clip of a video, ``[start, end)`` in seconds."""

    video_id: str
    index: int
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class ClipText:
    """A document about a clip.

    ``lines`` are the timed lines that ``text`` was made of, so that an answer can cite the second
    and not only the clip. ``embedding`` is a unit vector, float32 ``[D]``, once the text has been
    embedded. ``model`` names the model that wrote a caption or heard speech.
    """

    clip: Clip
    source: Source
    text: str
    lines: tuple[TimedText, ...]
    language: str | None = None
    embedding: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)
    model: str | None = None


@dataclass(frozen=True, slots=True)
class VideoRecord:
    """All that indexing one video produced: what a worker returns and the library stores.

    ``size`` (bytes) and ``mtime_ns`` are the file's from before it was read, so that a file that
    changes meanwhile is seen to have changed. ``signals`` are per-frame arrays by name (``times
    [T]`` among them), ``packets`` those of the file's packet table. ``config_hash`` names the
    settings they were made with.
    """

    video_id: str
    path: Path
    size: int
    mtime_ns: int
    info: dict[str, Any]
    config_hash: str
    clips: tuple[Clip, ...]
    texts: tuple[ClipText, ...]
    signals: dict[str, NDArray[Any]] = field(repr=False)
    packets: dict[str, NDArray[Any]] = field(default_factory=dict, repr=False)
    stage_seconds: dict[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
