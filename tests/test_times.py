"""The right frame at the right time, whatever a file does to its clock, its order and its header.

What is on display is known from how each file was written, never from how it is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from fields import make_fields
from videos import draw_number, make_video, read_number

from videopipe.media import fetch, fetch_each, probe, scan

SIZE = (64, 48)
PERIOD = Fraction(1, 25)
OPEN_GOP = {"x264-params": "open-gop=1"}


@dataclass(frozen=True)
class Shown:
    """When each numbered frame of ``path`` appears, in seconds from the first."""

    path: Path
    times: Sequence[Fraction]
    numbers: Sequence[int]
    lasting: Fraction = PERIOD  # how long the last one stays
    lost: frozenset[int] = frozenset()  # frames that a reader may give up as damaged

    @classmethod
    def steady(cls, path: Path, numbers: Sequence[int], period: Fraction = PERIOD) -> Shown:
        return cls(path, [place * period for place in range(len(numbers))], numbers, period)

    def at(self, time: float) -> int:
        stamps = np.array([float(t) for t in self.times])
        return self.numbers[int(np.searchsorted(stamps, time + 1e-6, side="right")) - 1]


Maker = Callable[[Path], Shown]


def video(path: Path, **arguments: Any) -> Path:
    return make_video(path, **{"size": SIZE, "gop": 25, "bframes": 2} | arguments)


# --- boxes of mp4, elements of Matroska


def boxes(data: bytes, begin: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """The name, place and size of each box."""
    while begin + 8 <= end:
        size = int.from_bytes(data[begin : begin + 4], "big")
        yield data[begin + 4 : begin + 8], begin, size
        begin += size


def find(data: bytes, path: str) -> list[tuple[int, int]]:
    """Place and size of the first box of that path and of all around it."""
    begin, end = 0, len(data)
    found = []
    for name in path.split("/"):
        begin, size = next((b, s) for n, b, s in boxes(data, begin, end) if n == name.encode())
        found.append((begin, size))
        begin, end = begin + 8, begin + size
    return found


def with_box(data: bytes, path: str, body: bytes) -> bytes:
    """``data`` (its index at the end) with another body in the box of that path."""
    *around, (place, size) = find(data, path)
    grown = bytearray(data)
    grown[place + 8 : place + size] = body
    for begin, old in [*around, (place, size)]:
        grown[begin : begin + 4] = (old + len(body) + 8 - size).to_bytes(4, "big")
    return bytes(grown)


def body(data: bytes, path: str) -> bytes:
    place, size = find(data, path)[-1]
    return data[place + 8 : place + size]


def number(value: int) -> bytes:
    return (value % 2**32).to_bytes(4, "big")


STBL = "moov/trak/mdia/minf/stbl"
MEDIA_SCALE, MOVIE_SCALE = 12800, 1000  # of the mp4 muxer at 25 frames a second


def edited(*edits: tuple[int | None, int], bframes: int = 2) -> Maker:
    """An mp4 that shows stretches ``(first frame or None for nothing, count)`` of 200 frames."""

    def make(folder: Path) -> Shown:
        path = video(folder / "a.mp4", seconds=8, bframes=bframes)
        data = path.read_bytes()
        delay = int.from_bytes(body(data, "moov/trak/edts/elst")[12:16], "big")
        entries = b"".join(
            number(count * MOVIE_SCALE // 25)
            + number(-1 if first is None else delay + first * MEDIA_SCALE // 25)
            + bytes([0, 1, 0, 0])
            for first, count in edits
        )
        path.write_bytes(
            with_box(data, "moov/trak/edts/elst", number(0) + number(len(edits)) + entries)
        )
        times: list[Fraction] = []
        numbers: list[int] = []
        now = Fraction(0)
        for first, count in edits:
            if first is not None:
                times += [now + place * PERIOD for place in range(count)]
                numbers += range(first, first + count)
            now += count * PERIOD
        return Shown(path, [time - times[0] for time in times], numbers)

    return make


def patched(
    change: Callable[[bytes], bytes], shown: Sequence[int] = range(100), **arguments: Any
) -> Maker:
    """An mp4 of 100 frames after ``change`` of its bytes, which shows the frames ``shown``."""

    def make(folder: Path) -> Shown:
        path = video(folder / "a.mp4", **{"seconds": 4, "bframes": 0} | arguments)
        path.write_bytes(change(path.read_bytes()))
        return Shown.steady(path, shown)

    return make


def no_edits(data: bytes) -> bytes:
    return data.replace(b"edts", b"free")


def negative(data: bytes) -> bytes:
    """Let display begin half a second before the clock's zero."""
    old = body(data, f"{STBL}/ctts")
    pairs = np.frombuffer(old[8:], ">i4").reshape(-1, 2).copy()
    pairs[:, 1] -= MEDIA_SCALE // 2
    return no_edits(
        with_box(data, f"{STBL}/ctts", bytes([1, 0, 0, 0]) + old[4:8] + pairs.tobytes())
    )


def claims_frames(count: int) -> Callable[[bytes], bytes]:
    """Of the times only: the table of sizes stays as it is."""
    return lambda data: with_box(
        data, f"{STBL}/stts", number(0) + number(1) + number(count) + number(MEDIA_SCALE // 25)
    )


def claims_sizes(count: int) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        sizes = np.resize(np.frombuffer(body(data, f"{STBL}/stsz")[12:], np.uint32), count)
        return with_box(
            data, f"{STBL}/stsz", number(0) + number(0) + number(count) + sizes.tobytes()
        )

    return change


def claims_seconds(factor: float) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        for path, at in [("moov/mvhd", 16), ("moov/trak/tkhd", 20), ("moov/trak/mdia/mdhd", 16)]:
            old = body(data, path)
            value = round(int.from_bytes(old[at : at + 4], "big") * factor)
            data = with_box(data, path, old[:at] + number(value) + old[at + 4 :])
        return no_edits(data)

    return change


def cut_data(folder: Path) -> Shown:
    """An mp4 with its index in front, whose data ends after 60 frames."""
    path = video(folder / "a.mp4", seconds=4, bframes=0, mux={"movflags": "+faststart"})
    data = path.read_bytes()
    sizes = np.frombuffer(body(data, f"{STBL}/stsz")[12:], ">u4")
    begin = find(data, "mdat")[-1][0] + 8
    path.write_bytes(data[: begin + int(sizes[:60].sum())])
    return Shown.steady(path, range(60))


def fragments(missing: int) -> Maker:
    """A fragmented mp4 of four fragments of a second, without the last ``missing`` ones."""

    def make(folder: Path) -> Shown:
        path = video(folder / "a.mp4", seconds=4, mux={"movflags": "+frag_keyframe+empty_moov"})
        data = path.read_bytes()
        begins = [place for name, place, _ in boxes(data, 0, len(data)) if name == b"moof"]
        assert len(begins) == 4
        path.write_bytes(data[: begins[-missing]] if missing else data)
        return Shown.steady(path, range(100 - 25 * missing))

    return make


def matroska_claims(seconds: float) -> Maker:
    def make(folder: Path) -> Shown:
        path = video(folder / "a.mkv", seconds=4)
        data = bytearray(path.read_bytes())
        place = data.index(b"\x44\x89\x88") + 3  # Duration, a double of milliseconds
        data[place : place + 8] = np.array(seconds * 1000, ">f8").tobytes()
        path.write_bytes(data)
        return Shown.steady(path, range(100))

    return make


def avi_claims(count: int) -> Maker:
    def make(folder: Path) -> Shown:
        path = video(folder / "a.avi", seconds=4, codec="mpeg4", bframes=0)
        data = bytearray(path.read_bytes())
        for place in (data.index(b"avih") + 8 + 16, data.index(b"strh") + 8 + 32):
            data[place : place + 4] = count.to_bytes(4, "little")
        path.write_bytes(data)
        return Shown.steady(path, range(100))

    return make


# --- whole files


def steady(name: str, count: int = 100, **arguments: Any) -> Maker:
    """``count`` frames at a constant rate."""

    def make(folder: Path) -> Shown:
        rate = Fraction(arguments.get("rate", 25))
        path = video(folder / name, **{"seconds": Fraction(count) / rate} | arguments)
        return Shown(path, stored(path, [k / rate for k in range(count)]), range(count), 1 / rate)

    return make


def uneven(name: str, gaps: Sequence[float], **arguments: Any) -> Maker:
    """Frames that follow each other after ``gaps`` (whole milliseconds)."""

    def make(folder: Path) -> Shown:
        millis = np.cumsum([0, *(round(gap * 1000) for gap in gaps)]).tolist()
        times = [Fraction(milli, 1000) for milli in millis]
        path = video(folder / name, times=times, **arguments)
        return Shown(path, stored(path, times), range(len(times)), lasting=Fraction(0))

    return make


def stored(path: Path, times: Sequence[Fraction]) -> list[Fraction]:
    """The times as the container writes them."""
    scale = {".mkv": 1000, ".webm": 1000, ".ts": 90000}.get(path.suffix)
    if scale is None:
        return list(times)
    return [Fraction(int(time * scale + Fraction(1, 2)), scale) for time in times]


def fields(name: str, split: bool) -> Maker:
    return lambda folder: Shown.steady(
        make_fields(folder / name, count=60, gop=20, split=split), range(60)
    )


def joined(name: str, second_start: float = 0.0, sound: bool = False) -> Maker:
    """Two streams one after the other, each of 50 frames, the second with a clock of its own.

    With ``sound`` only the second has any: a stream that comes up midway.
    """

    def make(folder: Path) -> Shown:
        parts = [
            video(
                folder / f"{place}-{name}",
                seconds=2,
                first_pts=second_start * place,
                audio=sound and place == 1,
                draw=lambda index, _, place=place: draw_number(50 * place + index, *SIZE),
            ).read_bytes()
            for place in range(2)
        ]
        path = folder / name
        path.write_bytes(b"".join(parts))
        # A break in the count of its packets is all that the demuxer sees of the join: it takes
        # what stands before for cut short.
        return Shown(
            path, Shown.steady(path, range(100)).times, range(100), lost=frozenset({47, 48, 49})
        )

    return make


def several_streams(folder: Path) -> Shown:
    """Three video streams: one larger, one of default, one smaller."""
    path = folder / "a.mkv"
    with av.open(str(path), "w") as container:
        streams: list[Any] = []
        for width, height in [(128, 96), SIZE, (32, 16)]:
            stream: Any = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.disposition = av.stream.Disposition(int((width, height) == SIZE))
            streams.append(stream)
        for index in range(50):
            for offset, stream in zip((200, 100, 300), streams, strict=True):
                picture = draw_number(index + offset, stream.width, stream.height)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        for stream in streams:
            container.mux(stream.encode(None))
    return Shown.steady(path, range(100, 150))


NTSC = {"23.976": (24000, 1001), "29.97": (30000, 1001), "59.94": (60000, 1001)}
GAPS = [*[0.04] * 30, 20.0, *[0.04] * 30, 20.0, 0.04]
VFR = np.random.default_rng(0).choice([0.011, 0.02, 0.033, 0.05, 0.3, 1.1], 80).tolist()
INTERLACED = {"x264-params": "tff=1"}
MPEG2_INTERLACED = {"codec": "mpeg2video", "options": {"flags": "+ildct+ilme"}, "size": (160, 96)}

CASES: dict[str, Maker] = {
    "edits-nothing-first": edited((None, 12), (0, 200)),
    "edits-within-a-group": edited((60, 100)),
    "edits-nothing-then-within-a-group": edited((None, 20), (37, 90)),
    "edits-two": edited((0, 25), (65, 50), bframes=0),
    "edits-backwards": edited((110, 30), (20, 40), bframes=0),
    "edits-the-same-twice": edited((30, 30), (30, 30), bframes=0),
    "edits-many": edited(*((first, 10) for first in range(5, 185, 20)), bframes=0),
    "no-edit-list": patched(no_edits, bframes=3),
    "negative-mp4": patched(negative, bframes=3),
    "negative-ts": steady("a.ts", first_pts=2**33 / 90000 - 1.4),  # the clock wraps to zero
    "late-mkv": steady("a.mkv", first_pts=7.35),
    "late-ts": steady("a.ts", first_pts=3600.5),
    "wrap-late-ts": steady("a.ts", count=300, first_pts=2**33 / 90000 - 8.5),
    "open-gop-mkv": steady("a.mkv", bframes=3, options=OPEN_GOP),
    "open-gop-pyramid-ts": steady("a.ts", bframes=8, options=OPEN_GOP, gop=30),
    "open-gop-hevc-ts": steady(
        "a.ts",
        codec="libx265",
        bframes=3,
        options={"x265-params": "log-level=none:open-gop=1"},
    ),
    "open-gop-hevc-mp4": steady(
        "a.mp4",
        codec="libx265",
        bframes=3,
        options={"x265-params": "log-level=none:open-gop=1"},
    ),
    "open-gop-mpeg2-ts": steady("a.ts", codec="mpeg2video", size=(160, 96), gop=12),
    "interlaced-mkv": steady("a.mkv", size=(64, 64), options=INTERLACED),
    "interlaced-ts": steady("a.ts", size=(64, 64), options=INTERLACED | OPEN_GOP),
    "interlaced-mpeg2-mpg": steady("a.mpg", **MPEG2_INTERLACED),
    "interlaced-mpeg2-ts": steady("a.ts", **MPEG2_INTERLACED),
    "fields-ts": fields("a.ts", split=False),
    "fields-apart-ts": fields("a.ts", split=True),
    "fields-mp4": fields("a.mp4", split=True),
    "fields-mkv": fields("a.mkv", split=True),
    "slow-mp4": steady("a.mp4", count=40, rate=1, gop=10),
    "slow-mkv": steady("a.mkv", count=40, rate=1, gop=10),
    "slow-ts": steady("a.ts", count=40, rate=1, gop=10),
    "slower-mkv": steady("a.mkv", count=20, rate=Fraction(1, 7), gop=5),
    "single-mkv": steady("a.mkv", count=1),
    "single-ts": steady("a.ts", count=1),
    "single-webm": steady("a.webm", count=1, codec="libvpx-vp9"),
    "gaps-mp4": uneven("a.mp4", GAPS),
    "gaps-mkv": uneven("a.mkv", GAPS),
    "gaps-ts": uneven("a.ts", GAPS),
    "uneven-mkv": uneven("a.mkv", VFR),
    "uneven-ts": uneven("a.ts", VFR, options=OPEN_GOP),
    "uneven-webm": uneven("a.webm", VFR, codec="libvpx-vp9"),
    "fewer-times-than-sizes": patched(claims_frames(60)),
    "more-times-than-sizes": patched(claims_frames(100_000)),
    "fewer-sizes": patched(claims_sizes(70), shown=range(70)),
    "more-sizes": patched(claims_sizes(5000)),
    "longer-claimed": patched(claims_seconds(50)),
    "shorter-claimed": patched(claims_seconds(0.2)),
    "longer-claimed-mkv": matroska_claims(4e5),
    "shorter-claimed-mkv": matroska_claims(0.3),
    "more-claimed-avi": avi_claims(100_000),
    "fewer-claimed-avi": avi_claims(10),
    "data-cut": cut_data,
    "fragments": fragments(missing=0),
    "fragment-missing": fragments(missing=1),
    "several-streams": several_streams,
    "joined-ts": joined("a.ts"),
    "joined-later-ts": joined("a.ts", second_start=2.08),
    "joined-with-sound-ts": joined("a.ts", sound=True),
} | {
    f"{name}-{suffix}": steady(
        f"a.{suffix}",
        count=1100,  # enough to be a frame off at 30 for 29.97
        rate=Fraction(*rate),
        gop=60,
        options={"preset": "ultrafast"},
    )
    for name, rate in NTSC.items()
    for suffix in ("mp4", "mkv", "ts")
}


@pytest.fixture(scope="module", params=CASES)
def shown(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Shown:
    return CASES[request.param](tmp_path_factory.mktemp("times"))


def test_facts(shown: Shown) -> None:
    info = probe(shown.path)
    assert info.frame_count == len(shown.times)
    end = shown.times[-1] + shown.lasting
    if shown.lasting:
        assert info.duration == pytest.approx(float(end), abs=0.0021)
    assert shown.times[-1] < info.duration < end + 2


@pytest.mark.parametrize("rate", [0.7, 24.7])
def test_scan(shown: Shown, rate: float) -> None:
    duration = probe(shown.path).duration
    seen = {
        float(time): read_number(frame)
        for batch in scan(shown.path, rate, 48)
        for time, frame in zip(batch.times, batch.frames, strict=True)
    }
    asked = [k / rate for k in range(int(duration * rate) + 2) if k / rate < duration - 1e-9]
    expected = {time: shown.at(time) for time in asked}
    lost = {time for time in asked if expected[time] in shown.lost and time not in seen}
    assert seen == {time: expected[time] for time in asked if time not in lost}


def test_fetch_at_random_times(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a seek before every group that is not the next one."""
    monkeypatch.setattr("videopipe.media.reader._FAR", 0)
    info = probe(shown.path)
    asked = np.random.default_rng(1).uniform(0, info.duration, 24).tolist()
    asked = [time for time in asked if shown.at(time) not in shown.lost]
    expected = [shown.at(time) for time in asked]
    assert [read_number(frame) for frame in fetch(info, asked).frames] == expected
    for time in asked[:6]:
        assert read_number(fetch(info, [time]).frames[0]) == shown.at(time)


def test_fetch_where_frames_begin_and_end(shown: Shown) -> None:
    places = np.unique(np.linspace(0, len(shown.times) - 1, 30).astype(int)).tolist()
    # MPEG-TS rounds to a tick of its own clock, of which zero is none that is asked for here.
    unsure = 2 / 90000 if shown.path.suffix == ".ts" else 0
    begins = [float(shown.times[place]) + unsure for place in places]
    ends = [float(shown.times[place]) - 5e-4 for place in places if place]
    asked = sorted({*begins, *ends})
    asked = [time for time in asked if shown.at(time) not in shown.lost]
    seen = {time: read_number(frame) for time, frame in fetch_each(shown.path, asked)}
    assert seen == {time: shown.at(time) for time in asked}


def test_several_edits_with_frames_out_of_order(tmp_path: Path) -> None:
    """What follows a cut gets times of frames before it by FFmpeg: at each of two, one is lost.

    All others come, in order.
    """
    shown = edited((0, 25), (65, 50), (10, 20))(tmp_path)
    seen = [read_number(frame) for batch in scan(shown.path, 100, 48) for frame in batch.frames]
    numbers = [number for number, _ in groupby(seen)]
    remaining = iter(shown.numbers)
    assert all(number in remaining for number in numbers)
    assert len(numbers) >= len(shown.numbers) - 2
    assert probe(shown.path).frame_count == len(shown.numbers)
