"""What bench_decode.py compares: the sides of each case, and what is demanded of them."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _bench_films import FILMS, SMALL, TEN_MINUTES, CannotMake, Film, make, make_tiny

Row = dict[str, Any]  # the figures of one side: medians, or the reason why there are none
Rows = dict[str, Row]
Command = Callable[[], list[str]]  # made when its process is started
PARTS = ("scan", "codecs", "sparse", "workers", "memory")
_HOURS = ("360p", "720p-gop30", "720p-gop250", "1080p-gop250")
_FILES = {
    "scan": (*_HOURS, "no-b"),
    "codecs": ("hevc", "vp9", "av1"),
    "sparse": _HOURS,
    "workers": ("720p-gop30", "720p-gop250"),
}
_COUNTS = (64, 256)
_CHECKED = 16  # frames from all over a film that are looked at in its check
_TINY_FILES = 500
_PROGRAM = Path(__file__).with_name("_bench_sides.py")


@dataclass(frozen=True, slots=True)
class Claim:
    """What is demanded of ``side``: ``measured`` at most, or ``at_least``, ``bound``.

    Without a bound it is only shown.
    """

    side: str
    what: str
    measured: float | None
    bound: float | None = None
    at_least: bool = False
    unit: str = ""

    @property
    def met(self) -> bool | None:
        """Whether it is so; ``None`` where nothing is demanded or measured."""
        if self.measured is None or self.bound is None:
            return None
        return self.measured >= self.bound if self.at_least else self.measured <= self.bound

    def __str__(self) -> str:
        measured = "–" if self.measured is None else f"{self.measured:.2f}{self.unit}"
        if self.bound is None:
            return f"{self.what}: {measured}"
        verdict = {True: "met", False: "NOT MET", None: "not measured"}[self.met]
        sign = "≥" if self.at_least else "≤"
        return f"{self.what}: {measured} vs {sign} {self.bound:g}{self.unit}, {verdict}"


@dataclass(frozen=True, slots=True)
class Case:
    """Sides to compare on one thing, and what is demanded of them.

    ``check`` tells whether ours are the right frames; cases of the same film share one.
    """

    part: str
    name: str
    note: str
    sides: dict[str, Command]
    claims: Callable[[Rows], list[Claim]]
    paths: Sequence[Path] = ()
    film: str = ""
    check: Command | None = None


def cases(parts: Sequence[str], files: Sequence[str], work: Path, minutes: float) -> Iterator[Case]:
    """All that is asked for; the films are made in the folder ``work`` as they come up."""
    for part in parts:
        if part == "memory":
            yield from _memory(work, minutes)
        for name in _FILES.get(part, ()):
            if name not in files:
                continue
            try:
                path = make(FILMS[name], work, minutes)
            except CannotMake as error:
                print(f"\n{part} · {name}: – {error}", file=sys.stderr)
                continue
            yield from _of_film(part, FILMS[name], path, minutes)


def _of_film(part: str, film: Film, path: Path, minutes: float) -> Iterator[Case]:
    def side(name: str, **more: Any) -> Command:
        return _python(name, path, film, minutes, **more)

    def case(
        name: str, note: str, sides: dict[str, Command], claims: Callable[[Rows], list[Claim]]
    ) -> Case:
        check = side("check", count=_CHECKED, piece=film.piece_frames(minutes))
        note = f"{note} of {_described(film, minutes)}"
        return Case(part, name, note, sides, claims, (path,), film.name, check)

    if part == "workers":
        sides = _worker_sides(side) | {_FLOOR_2: _ffmpeg(path, 2)}
        yield case(film.name, "one worker and two", sides, _worker_claims)
    elif part == "sparse":
        for count in _COUNTS:
            yield case(
                f"{film.name} x {count}",
                f"{count} frames at 448",
                _sparse_sides(side, count),
                lambda rows: _sparse_claims(rows, film),
            )
    else:
        hour = part == "scan" and film.hours == 1
        yield case(
            film.name,
            "one frame a second at 224",
            _scan_sides(side, film, path),
            lambda rows: _scan_claims(rows, film, hour),
        )


_FLOOR, _FLOOR_2 = "floor: full decode", "floor: full decode, 2 threads"
_KEYS = "floor: key frames"
_DECORD = "decord get_batch"
_SEEK = "pyav seek and decode"


def _scan_sides(side: Callable[..., Command], film: Film, path: Path) -> dict[str, Command]:
    # The decoders of VP9 and AV1 skip nothing, so that the packets have to be kept from them.
    keys = "-skip_frame nokey" if film.skips else "-discard nokey"
    return {
        "ours exact": side("ours"),
        "ours nonref": side("ours", exactness="nonref"),
        "ours keyframe": side("ours", exactness="keyframe"),
        "pyav sequential": side("pyav"),
        "torchcodec": side("torchcodec"),
        "opencv grab/retrieve": side("opencv"),
        _DECORD: side("decord"),
        "ffmpeg fps=1,scale": _ffmpeg(path, 1, after="-vf fps=1,scale=-2:224:flags=area"),
        _FLOOR: _ffmpeg(path, 1),
        _KEYS: _ffmpeg(path, 1, before=keys),
        "floor: demux": _ffmpeg(path, 1, after="-c copy"),
    }


def _scan_claims(rows: Rows, film: Film, hour: bool) -> list[Claim]:
    def against_floor(side: str, floor: str, bound: float | None) -> Claim:
        what = "CPU / full decode" if floor == _FLOOR else "CPU / decode of key frames"
        return Claim(side, what, _ratio(rows, side, floor, "cpu_s"), bound)

    def against_decord(side: str, bound: float) -> Claim:
        times = _ratio(rows, _DECORD, side, "net_cpu_s")
        return Claim(side, "net CPU of decord / ours", times, bound if hour else None, True)

    return [
        against_floor("ours exact", _FLOOR, 0.75 if film.b_frames else 1.05),
        against_floor("ours nonref", _FLOOR, 0.65 if film.b_frames else None),
        against_floor("ours keyframe", _KEYS, 1.5),
        against_decord("ours exact", 2.7),
        against_decord("ours nonref", 3.3),
    ]


def _sparse_sides(side: Callable[..., Command], count: int) -> dict[str, Command]:
    return {
        "ours exact": side("ours", count=count),
        _SEEK: side("pyav", count=count),
        "torchcodec": side("torchcodec", count=count),
        "opencv seek": side("opencv", count=count),
        _DECORD: side("decord", count=count),
        "ffmpeg -ss, one by one": side("ffmpeg_each", count=count),
    }


def _sparse_claims(rows: Rows, film: Film) -> list[Claim]:
    ours = "ours exact"
    others = {side: _ratio(rows, ours, side, "net_cpu_s") for side in rows if side != ours}
    found = [
        Claim(
            ours,
            "net CPU / the best other's",
            max((each for each in others.values() if each is not None), default=None),
            1.0,
        ),
        Claim(ours, "net CPU / decord's", others[_DECORD], 0.30),
        Claim(ours, "net CPU / PyAV's", others[_SEEK], 0.75 if film.gop == 250 else None),
    ]
    row = rows[ours]
    beyond = row["rss_mb"] - row["result_mb"] if "rss_mb" in row else None
    found.append(Claim(ours, "peak RSS beyond the result", beyond, 80, unit=" MB"))
    if beyond is not None:
        above = beyond - row["start_mb"]
        found.append(Claim(ours, "of it above start and imports", above, unit=" MB"))
    return found


_KINDS: dict[str, dict[str, Any]] = {
    "exact": {},
    "nonref": {"exactness": "nonref"},
    "keyframe": {"exactness": "keyframe"},
    "64 frames": {"count": 64},
    "256 frames": {"count": 256},
}


def _worker_sides(side: Callable[..., Command]) -> dict[str, Command]:
    return {
        f"ours {kind}, {workers}": side("ours", workers=workers, **more)
        for kind, more in _KINDS.items()
        for workers in (1, 2)
    }


def _worker_claims(rows: Rows) -> list[Claim]:
    wall = _ratio(rows, "ours exact, 2", _FLOOR_2, "wall_s")
    found = [Claim("ours exact, 2", "wall / full decode with 2 threads", wall, 0.60)]
    for kind in _KINDS:
        times = _ratio(rows, f"ours {kind}, 1", f"ours {kind}, 2", "net_wall_s")
        # Of key frames there is little to share: most of the time goes into reading the file.
        bound = None if kind == "keyframe" else 1.75
        found.append(Claim(f"ours {kind}, 2", "net wall of one / of two", times, bound, True))
    return found


def _memory(work: Path, minutes: float) -> Iterator[Case]:
    film, kept = TEN_MINUTES, "ours exact, all kept"
    path = make(film, work, minutes)
    yield Case(
        "memory",
        "single get_batch",
        f"one frame a second of {_described(film, minutes)}",
        {
            "ours exact": _python("ours", path, film, minutes),
            kept: _python("ours_kept", path, film, minutes),
            "decord, one get_batch": _python("decord_native", path, film, minutes),
        },
        lambda rows: [
            Claim(
                kept,
                "peak RSS of decord / ours",
                _ratio(rows, "decord, one get_batch", kept, "rss_mb"),
                10,
                True,
            )
        ],
        (path,),
    )
    for suffix in (".mkv", ".mp4"):
        yield _ten_hours(suffix, work, minutes)
    folder = make_tiny(work, _TINY_FILES)
    yield Case(
        "memory",
        f"{_TINY_FILES} files",
        f"probe, scan and fetch of {_TINY_FILES} files in one process",
        {"ours": _python("many", folder)},
        lambda rows: [
            Claim(
                "ours",
                "RSS grows after 50 files by",
                rows["ours"].get("grown_mb"),
                20,
                False,
                " MB",
            )
        ],
    )


def _ten_hours(suffix: str, work: Path, minutes: float) -> Case:
    films = {hours: SMALL[suffix, hours] for hours in (1, 10)}
    paths = {hours: make(film, work, minutes) for hours, film in films.items()}
    kinds = {"ours exact": "ours", "av.open alone": "av_open"}

    def claims(rows: Rows) -> list[Claim]:
        # Of an mp4 FFmpeg itself keeps the table of all samples, whoever opens it.
        bounds = {"ours exact": 1.05 if suffix == ".mkv" else None, "av.open alone": None}
        return [
            Claim(
                f"{kind}, 10 h",
                "peak RSS / that of 1 h",
                _ratio(rows, f"{kind}, 10 h", f"{kind}, 1 h", "rss_mb"),
                bound,
            )
            for kind, bound in bounds.items()
        ]

    return Case(
        "memory",
        f"ten hours of {suffix[1:]}",
        f"one frame a second of {_described(films[10], minutes)}, and of a tenth of it",
        {
            f"{kind}, {hours} h": _python(side, paths[hours], films[hours], minutes)
            for kind, side in kinds.items()
            for hours in films
        },
        claims,
        tuple(paths.values()),
    )


def _python(
    side: str, path: Path, film: Film | None = None, minutes: float = 0, **more: Any
) -> Command:
    """A side of _bench_sides.py."""
    task = {"side": side, "path": str(path), **more}
    if film is not None:
        task |= {"width": film.width, "height": film.height, "rate": film.rate}
        task |= {"frames": film.frames(minutes)}

    def command() -> list[str]:
        task["began"] = time.monotonic()
        return [sys.executable, str(_PROGRAM), json.dumps(task)]

    return command


def _ffmpeg(path: Path, threads: int, before: str = "", after: str = "") -> Command:
    """ffmpeg on the video stream alone, with options before and after the input; keeps nothing."""
    command = ["ffmpeg", "-nostdin", "-v", "error", "-nostats", "-progress", "pipe:1"]
    command += ["-threads", str(threads), *before.split(), "-i", str(path)]
    command += ["-map", "0:v:0", *after.split(), "-f", "null", "-"]
    return lambda: command


def _described(film: Film, minutes: float) -> str:
    return (
        f"{film.frames(minutes) / film.rate / 60:.3g} min {film.width}x{film.height}, "
        f"{film.rate} fps, {film.encoder[0]}, key frame every {film.gop} at most"
    )


def _ratio(rows: Rows, side: str, other: str, figure: str) -> float | None:
    above, below = rows[side].get(figure), rows[other].get(figure)
    return above / below if above is not None and below else None
