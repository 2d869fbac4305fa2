"""The test films of bench_decode.py, made by the ffmpeg program and kept in a folder."""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path

# Moving test patterns under noise that changes with every frame, and a cut after every 17 and 29 s:
# about 4 Mbit/s at 720p, most pictures B, a key frame after 140 pictures on average where 250 are
# allowed.
_PICTURE = (
    "testsrc2=size={width}x{height}:rate={rate},noise=alls=12:allf=t,"
    "negate=enable='mod(floor(t/17)+floor(t/29),2)',format=yuv420p"
)
_X264 = ("libx264", "-preset", "veryfast", "-crf", "26", "-sc_threshold", "20")
_SMALL = (*_X264, "-crf", "40")
_X265 = ("libx265", "-preset", "superfast", "-crf", "28", "-x265-params", "log-level=error")
_VP9 = (
    *("libvpx-vp9", "-deadline", "realtime", "-cpu-used", "6", "-row-mt", "1", "-crf", "44"),
    *("-b:v", "0", "-lag-in-frames", "16", "-auto-alt-ref", "1"),
)
_AV1 = ("libsvtav1", "-preset", "10", "-crf", "38")
_COLOURS = ("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709")
TINY_SECONDS = (1.0, 1.5, 2.0, 2.5, 3.0)


class CannotMake(Exception):
    """ffmpeg refuses to make a film, for the reason in the message."""


@dataclass(frozen=True, slots=True)
class Film:
    """One kind of film: an encoded piece of at most ``piece`` seconds, repeated to its length."""

    name: str
    width: int
    height: int
    rate: int
    gop: int
    encoder: tuple[str, ...]
    hours: float
    piece: int = 120
    b_frames: bool = True
    skips: bool = True  # ffmpeg's decoder can skip what is no key frame
    suffix: str = ".mp4"

    def frames(self, minutes: float) -> int:
        """How many pictures it has where an hour lasts ``minutes``."""
        piece, repeats = self._parts(minutes)
        return piece * repeats

    def piece_frames(self, minutes: float) -> int:
        """After how many pictures it repeats itself."""
        return self._parts(minutes)[0]

    def _parts(self, minutes: float) -> tuple[int, int]:
        wanted = round(self.hours * minutes * 60 * self.rate)
        repeats = max(1, -(-wanted // (self.piece * self.rate)))
        return max(2, wanted // repeats), repeats


_TENTH = 1 / 6  # ten minutes of an hour
FILMS = {
    film.name: film
    for film in (
        Film("360p", 640, 360, 25, 50, _X264, 1),
        Film("720p-gop30", 1280, 720, 30, 30, _X264, 1),
        Film("720p-gop250", 1280, 720, 30, 250, _X264, 1),
        Film("1080p-gop250", 1920, 1080, 30, 250, _X264, 1, 90),
        Film("no-b", 1280, 720, 30, 250, (*_X264, "-bf", "0"), _TENTH, 60, False),
        Film("hevc", 1280, 720, 30, 250, _X265, _TENTH, 60),
        Film("vp9", 1280, 720, 30, 250, _VP9, _TENTH, 60, False, False),
        Film("av1", 1280, 720, 30, 250, _AV1, _TENTH, 60, False, False),
    )
}
TEN_MINUTES = Film("720p-10min", 1280, 720, 30, 250, _X264, _TENTH)
SMALL = {
    (suffix, hours): Film(f"small-{hours}h", 320, 180, 30, 250, _SMALL, hours, 300, suffix=suffix)
    for suffix in (".mkv", ".mp4")
    for hours in (1, 10)
}


def make(film: Film, work: Path, minutes: float) -> Path:
    """The file of ``film`` in the folder ``work``, made if it is not there yet.

    Raises:
        CannotMake: ffmpeg has no encoder for it, or no room.
    """
    piece = _piece(film, work, film.piece_frames(minutes))
    repeats = film.frames(minutes) // film.piece_frames(minutes)
    path = piece.with_name(f"{film.name}-{piece.stem}-x{repeats}{film.suffix}")
    if not path.exists():
        _ffmpeg("-stream_loop", str(repeats - 1), "-i", str(piece), "-c", "copy", out=path)
    return path


def make_tiny(work: Path, count: int) -> Path:
    """A folder of ``count`` small mp4 files of five lengths, no two of them alike."""
    folder = work / f"tiny-{count}"
    if folder.exists():
        return folder
    film = Film("tiny", 160, 90, 25, 250, _SMALL, 0)
    pieces = [
        _piece(film, work, round(seconds * film.rate)).read_bytes() for seconds in TINY_SECONDS
    ]
    unfinished = work / f"tiny-{count}.part"
    unfinished.mkdir(exist_ok=True)
    for number in range(count):
        note = (16).to_bytes(4, "big") + b"free" + number.to_bytes(8, "big")
        (unfinished / f"{number:04}.mp4").write_bytes(pieces[number % len(pieces)] + note)
    return unfinished.rename(folder)


def _piece(film: Film, work: Path, frames: int) -> Path:
    """The piece of which ``film`` is made; films that are encoded alike share one."""
    codec = ("-c:v", *film.encoder, "-g", str(film.gop), *_COLOURS)
    recipe = f"{_PICTURE} {film.width} {film.height} {film.rate} {' '.join(codec)} {frames}"
    path = work / f"{hashlib.sha256(recipe.encode()).hexdigest()[:12]}.mp4"
    if not path.exists():
        source = _PICTURE.format(width=film.width, height=film.height, rate=film.rate)
        length = ("-frames:v", str(frames))
        _ffmpeg("-f", "lavfi", "-i", source, *length, *codec, out=path)
    return path


def _ffmpeg(*arguments: str, out: Path) -> None:
    """Run ffmpeg so that ``out`` is there in full or not at all."""
    unfinished = out.with_stem(f"{out.stem}.part")
    command = ["ffmpeg", "-nostdin", "-v", "error", "-y", *arguments, str(unfinished)]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise CannotMake(f"ffmpeg cannot make {out.name}: {last[0]}")
    unfinished.rename(out)
