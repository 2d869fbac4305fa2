"""Which files of a list of paths are videos."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from videopipe.types import Url

_SUFFIXES = tuple(
    f".{name}"
    for name in (
        *("3g2", "3gp", "asf", "avi", "divx", "dv", "f4v", "flv", "h264", "h265", "hevc", "ivf"),
        *("m2ts", "m2v", "m4v", "mkv", "mov", "mp4", "mpe", "mpeg", "mpg", "mts", "mxf", "ogm"),
        *("ogv", "rm", "rmvb", "ts", "vob", "webm", "wmv", "y4m"),
    )
)
_AMBIGUOUS = (".ts", ".mts")  # TypeScript as well: only by content
_SIGNATURES = (
    (4, b"ftyp"),  # MP4, MOV, 3GP
    (4, b"moov"),
    (4, b"mdat"),
    (0, b"\x1a\x45\xdf\xa3"),  # Matroska, WebM
    (8, b"AVI "),
    (0, b"FLV\x01"),
    (0, b"\x00\x00\x01\xba"),  # MPEG program stream
    (0, b"\x00\x00\x01\xb3"),  # MPEG video
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),  # ASF, WMV
    (0, b"OggS"),
    (0, b"ID3"),  # an MP3 may hold a cover picture: say so rather than ignore it
    (0, b".RMF"),
    (0, b"DKIF"),  # IVF
    (0, b"YUV4MPEG2"),
    (0, b"\x06\x0e\x2b\x34\x02\x05\x01\x01"),  # MXF
)
_TS_PACKET = 188  # bytes; each MPEG transport stream packet begins with 0x47
_REMOTE = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/(.+)")  # what a Path makes of a URL
_STILL_BRANDS = (b"avif", b"heic", b"heix", b"mif1", b"msf1")  # pictures in the clothes of MP4


@dataclass(frozen=True, slots=True)
class Found:
    """The videos among some paths; what was left out or is not there, each with the reason.

    ``walked`` are those of ``videos`` that nobody named: one without a picture is no failure.
    """

    videos: list[Path] = field(default_factory=list)
    walked: set[Path] = field(default_factory=set)
    skipped: list[tuple[Path, str]] = field(default_factory=list)
    missing: list[tuple[Path, str]] = field(default_factory=list)


def find_videos(paths: Sequence[Path]) -> Found:
    """Collect the videos that ``paths`` name, no file twice.

    A file that is named is taken as it is. A directory is walked in sorted order, hidden entries
    left out; there a file is chosen by its content or a video suffix, so that an empty or damaged
    video is tried and reported while texts and pictures are passed over.
    """
    found = Found()
    seen: set[Path] = set()

    def add(file: Path) -> bool:
        real = file.resolve()
        new = real not in seen
        seen.add(real)
        if new:
            found.videos.append(file)
        return new

    def closed(folder: Path, error: OSError) -> None:
        reason = error.strerror or str(error)
        found.skipped.append((folder, f"{folder} cannot be read: {reason.lower()}."))

    for path in paths:
        try:
            path.stat()
        except PermissionError:
            found.videos.append(path)  # opening it will say so
            continue
        except OSError:
            found.missing.append(_missing(path))
            continue
        if not path.is_dir():
            add(path)
            continue
        for file in _walk(path, set(), closed):
            if _is_candidate(file) and add(file):
                found.walked.add(file)
    return found


def _missing(path: Path) -> tuple[Path, str]:
    remote = _REMOTE.match(str(path))
    if not remote:
        return path, f"{path} does not exist."
    url = Url("://".join(remote.groups()))
    return Path(str(url)), f"{url} is not a local file; download it to index it."


def _walk(
    directory: Path, above: set[Path], closed: Callable[[Path, OSError], None]
) -> Iterator[Path]:
    """The files below; ``closed`` is told of folders that may not be entered."""
    real = directory.resolve()
    if real in above:
        return  # a link that leads back up
    try:
        entries = sorted(directory.iterdir())
    except OSError as error:
        closed(directory, error)
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _walk(entry, above | {real}, closed)
        elif entry.is_file():
            yield entry


def _is_candidate(file: Path) -> bool:
    head = _head(file)
    if any(head[at : at + len(mark)] == mark for at, mark in _SIGNATURES):
        return head[8:12] not in _STILL_BRANDS
    # Plain packets, or each after a four-byte time stamp (M2TS).
    stream = any(
        len(head) > at + 2 * step and all(head[at + n * step] == 0x47 for n in range(3))
        for at, step in ((0, _TS_PACKET), (4, _TS_PACKET + 4))
    )
    suffix = file.suffix.lower()
    if suffix in _AMBIGUOUS:
        return stream or not head
    return stream or suffix in _SUFFIXES


def _head(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(4 + 3 * (_TS_PACKET + 4))
    except OSError:
        return b""
