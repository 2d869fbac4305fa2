"""The frame handed out is the one on display, whatever the codec, the container and the clock."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from time import sleep
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from videos import draw_number, make_video, read_number

from videopipe.errors import ConfigError, MediaError, NotFound, TimeLimit
from videopipe.media import fetch, fetch_each, probe, scan, spans
from videopipe.media.exactness import aim
from videopipe.media.packets import BLOCK, PacketTable, Run, Stamps, packed, plan
from videopipe.media.reader import PyAvDecoder
from videopipe.media.tables import packet_table
from videopipe.types import FrameBatch, FrameSet

RATE = 25
COUNT = 100
FORMATS = {
    "h264": ("a.mp4", {"bframes": 3}),
    "h264-pyramid": ("a.mkv", {"bframes": 8, "gop": 40}),
    "h264-open-gop": ("a.mp4", {"bframes": 3, "options": {"x264-params": "open-gop=1"}}),
    "h264-open-gop-ts": ("a.ts", {"bframes": 3, "options": {"x264-params": "open-gop=1"}}),
    "h264-one-key-frame": ("a.mp4", {"bframes": 2, "gop": 1000}),
    "h264-all-key-frames": ("a.mp4", {"gop": 1}),
    "h264-gradual-refresh": ("a.mkv", {"gop": 25, "options": {"x264-params": "intra-refresh=1"}}),
    "h264-gradual-refresh-ts": (
        "a.ts",
        {"gop": 25, "size": (320, 96), "options": {"x264-params": "intra-refresh=1"}},
    ),
    "h264-10-bit": ("a.mp4", {"pixel_format": "yuv420p10le", "bframes": 2}),
    "h264-444": ("a.mp4", {"pixel_format": "yuv444p", "size": (161, 97)}),
    "h264-late-start": ("a.mp4", {"first_pts": 0.3, "bframes": 2}),
    "h264-ntsc": ("a.mkv", {"rate": Fraction(30000, 1001), "seconds": COUNT * 1001 / 30000}),
    "flv": ("a.flv", {}),
    "hevc": ("a.mp4", {"codec": "libx265", "bframes": 4}),
    "hevc-open-gop": (
        "a.mkv",
        {"codec": "libx265", "bframes": 4, "options": {"x265-params": "log-level=none:open-gop=1"}},
    ),
    "hevc-layers": (
        "a.mkv",
        {
            "codec": "libx265",
            "bframes": 3,
            "gop": 40,
            "options": {"x265-params": "log-level=none:temporal-layers=3"},
        },
    ),
    "vp8": ("a.webm", {"codec": "libvpx"}),
    "vp9": ("a.webm", {"codec": "libvpx-vp9"}),
    "av1": ("a.mp4", {"codec": "libsvtav1"}),
    "mpeg4": ("a.avi", {"codec": "mpeg4", "bframes": 2}),
    "mpeg2": ("a.mpg", {"codec": "mpeg2video", "bframes": 2}),
    "vfr": (
        "a.mp4",
        {"bframes": 2, "times": np.cumsum(np.r_[0, np.tile([0.02, 0.05, 0.3], 33)]).tolist()},
    ),
}


@pytest.fixture(scope="module", params=FORMATS)
def video(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    name, arguments = FORMATS[request.param]
    path = tmp_path_factory.mktemp("decode") / name
    return make_video(path, **{"seconds": COUNT / RATE, "rate": RATE, "gop": 12} | arguments)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plain") / "plain.mp4"
    return make_video(path, seconds=COUNT / RATE, rate=RATE, bframes=3)


def all_of(batches: Iterator[FrameBatch]) -> tuple[list[float], list[int]]:
    times: list[float] = []
    numbers: list[int] = []
    for batch in batches:
        times += batch.times.tolist()
        numbers += map(read_number, batch.frames)
    return times, numbers


def displayed(path: Path, times: list[float]) -> list[int]:
    """Which frame number is on display, from the times the frames were written with."""
    table = packet_table(path)
    stamps = np.concatenate(list(table.displayed())) - table.start
    stamps = stamps * float(table.tick)
    assert len(stamps) == COUNT
    return [int(np.searchsorted(stamps, time + 1e-6, side="right")) - 1 for time in times]


@pytest.mark.parametrize("rate", [1.0, 7.3, 30.0, 0.4])
def test_scan_shows_what_is_on_display(video: Path, rate: float) -> None:
    times, numbers = all_of(scan(video, rate, 64, batch_size=7))
    duration = probe(video).duration
    assert times == [k / rate for k in range(1000) if k / rate < duration - 1e-9]
    assert numbers == displayed(video, times)


def test_fetch_shows_what_is_on_display(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a seek before every group that is not the next one."""
    monkeypatch.setattr("videopipe.media.reader._FAR", 0)
    info = probe(video)
    asked = np.random.default_rng(0).uniform(0, info.duration, 20).tolist()
    assert [read_number(f) for f in fetch(info, asked).frames] == displayed(video, asked)
    for time in asked[:8]:
        assert read_number(fetch(info, [time]).frames[0]) == displayed(video, [time])[0]


@pytest.mark.parametrize("exactness", ["nonref", "keyframe", "auto"])
@pytest.mark.parametrize("rate", [1.0, 7.3, 30.0])
def test_every_exactness_shows_what_is_on_display_at_its_own_times(
    video: Path, exactness: Any, rate: float
) -> None:
    batches = scan(video, rate, 64, exactness=exactness)
    times, numbers = all_of(batches)
    assert numbers == displayed(video, times)
    assert times == sorted(set(times))
    table = packet_table(video)
    shown = (np.concatenate(list(table.displayed())) - table.start) * float(table.tick)
    asked = [k / rate for k in range(1000) if k / rate < table.duration - 1e-9]
    off = [np.abs(shown[numbers] - shown[number]).min() for number in displayed(video, asked)]
    assert max(off) == pytest.approx(batches.largest_error, abs=1e-6)
    if exactness == "auto":
        assert max(off) <= 0.1 / rate + 1e-9


@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg2video"])
def test_cost_falls_with_exactness(tmp_path: Path, codec: str) -> None:
    path = make_video(tmp_path / "a.mkv", seconds=8, codec=codec, bframes=3, gop=48)
    costs = {
        exactness: sum(span.cost for span in spans(path, 1, 3.0, exactness=exactness))
        for exactness in ("exact", "nonref", "keyframe")
    }
    assert costs["keyframe"] == len(probe(path).keyframes)
    assert costs["keyframe"] < costs["nonref"] < costs["exact"] < 0.75 * probe(path).frame_count


@settings(max_examples=8, deadline=None)
@given(
    count=st.integers(1, 12),
    rate=st.sampled_from([0.4, 1.0, 3.7, 25.0]),
    exactness=st.sampled_from(["exact", "nonref", "keyframe"]),
)
def test_spans_joined_are_the_whole(video: Path, count: int, rate: float, exactness: Any) -> None:
    info = probe(video)
    parts = spans(info, count, rate, exactness=exactness)
    assert 1 <= len(parts) <= count
    assert (parts[0].start, parts[-1].end) == (0, info.duration)
    assert all(a.end == b.start for a, b in pairwise(parts))

    whole = list(scan(info, rate, 48, exactness=exactness))
    joined = [
        batch
        for part in parts
        for batch in scan(
            info, rate, 48, exactness=exactness, start=part.start, end=part.end, workers=count
        )
    ]
    for name in ("times", "frames"):
        np.testing.assert_array_equal(
            np.concatenate([getattr(batch, name) for batch in joined]),
            np.concatenate([getattr(batch, name) for batch in whole]),
        )
    # No packet twice, and no part that could have left a whole run to another.
    (one,) = spans(info, 1, rate, exactness=exactness)
    assert sum(part.cost for part in parts) == one.cost
    table = packet_table(video)
    grid = np.arange(int(np.ceil(info.duration * rate - 1e-9))) / rate
    wanted = np.unique(aim(table, grid, exactness).packets).tolist()
    dearest = max(run.cost(table) for run in plan(table, wanted))
    assert max(part.cost for part in parts) <= one.cost / count + dearest


def test_frames_asked_for_by_their_own_rounded_time(plain: Path) -> None:
    """k / rate as a float can lie a hair before the frame that begins there."""
    info = probe(plain)
    times = [k / RATE for k in range(COUNT)]
    assert [read_number(f) for f in fetch(info, times).frames] == list(range(COUNT))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, COUNT - 1), min_size=1, max_size=8))
def test_fetch_keeps_order_and_repeats(plain: Path, wanted: list[int]) -> None:
    batch = fetch(plain, [(k + 0.5) / RATE for k in wanted], size=64)
    assert [read_number(f) for f in batch.frames] == wanted
    assert batch.times.tolist() == [(k + 0.5) / RATE for k in wanted]


@settings(max_examples=50, deadline=None)
@given(st.sets(st.integers(0, COUNT - 1), min_size=1))
def test_plan_decodes_each_packet_once_and_no_group_without_need(
    plain: Path, wanted: set[int]
) -> None:
    table = packet_table(plain)
    runs = list(plan(table, sorted(wanted)))
    assert set().union(*(run.wanted for run in runs)) == wanted
    for run in runs:
        assert run.first in table.keys
        assert run.last == run.wanted[-1]
    assert all(a.last < b.first for a, b in pairwise(runs))


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, COUNT - 1),
            st.one_of(st.integers(16, 96), st.tuples(st.integers(16, 200), st.integers(48, 200))),
        ),
        max_size=8,
    ),
    st.integers(1, 3),
)
def test_fetch_gives_each_frame_its_size(plain: Path, wanted: list[Any], workers: int) -> None:
    times = [(k + 0.5) / RATE for k, _ in wanted]
    got = fetch(plain, times, [size for _, size in wanted], workers=workers)
    assert isinstance(got, FrameSet)
    assert got.times.tolist() == times
    for (number, size), frame in zip(wanted, got.frames, strict=True):
        assert read_number(frame) == number
        if isinstance(size, int):
            assert frame.shape[0] == 2 * round(size / 2)
        else:
            assert frame.shape[:2] == size


def test_fetch_wants_a_size_for_each_time(plain: Path) -> None:
    assert fetch(plain, [0.0, 1.0, 2.0], (48, 200)).frames.shape == (3, 48, 200, 3)
    with pytest.raises(ConfigError, match="size for each time; got 1 for 2"):
        fetch(plain, [0.0, 1.0], [64])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"exactness": "keyframes"}, "exactness must be one of exact, nonref, keyframe"),
        ({"backend": "nvdec"}, "backend must be one of pyav"),
        ({"workers": 0}, "workers must be at least 1"),
        ({"workers": 0.5}, "workers must be at least 1"),
        ({"rate": float("inf")}, "rate must be above 0 and finite"),
        ({"rate": 1e300}, "4e\\+300 frames"),
    ],
)
def test_arguments_that_make_no_sense(plain: Path, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        scan(plain, **wrong)


def test_a_grid_wider_than_the_video(plain: Path) -> None:
    assert [s.end for s in spans(plain, 3, 1e-9)] == [4.0]
    assert len(list(scan(plain, 1e-9))) == 1


def test_several_decoders_keep_the_order(video: Path) -> None:
    times, numbers = all_of(scan(video, 25, 64, workers=3))
    assert (times, numbers) == all_of(scan(video, 25, 64))
    backwards = times[::-1]
    assert [read_number(f) for f in fetch(video, backwards, 64, workers=3).frames] == numbers[::-1]


def test_a_scan_that_is_left_alone_lets_its_decoders_go(plain: Path) -> None:
    batches = scan(plain, 25, 64, batch_size=2, workers=2)
    next(batches)
    assert any(thread.name == "decoder" for thread in threading.enumerate())
    del batches
    assert not any(thread.name == "decoder" for thread in threading.enumerate())
    with scan(plain, 25, 64, batch_size=2, workers=2) as batches:
        next(batches)
    assert not any(thread.name == "decoder" for thread in threading.enumerate())


def test_a_decoder_that_hangs_meets_the_deadline(
    plain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading that never returns, as from a disk that is gone."""
    released = threading.Event()
    monkeypatch.setattr(PyAvDecoder, "_read", lambda *_: iter(released.wait, True))
    try:
        with pytest.raises(TimeLimit, match=r"no frame for 0\.2 s.*decode\.deadline_seconds"):
            fetch(plain, [1.0], deadline=0.2)
    finally:
        released.set()


def test_a_decoder_that_works_long_for_a_frame_is_not_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One key frame and then none: the last frame takes all others, each a sign of life."""
    path = make_video(tmp_path / "a.mp4", seconds=4, gop=1000)
    read = PyAvDecoder._read

    def slowly(decoder: PyAvDecoder, run: Run) -> Iterator[Any]:
        for each in read(decoder, run):
            sleep(0.02)
            yield each

    monkeypatch.setattr(PyAvDecoder, "_read", slowly)
    assert read_number(fetch(path, [3.98], deadline=1.0).frames[0]) == COUNT - 1


def test_the_packet_table_is_small_and_comes_back_whole(video: Path) -> None:
    table = packet_table(video)
    assert table.pts.steps.itemsize + table.flags.itemsize <= 5
    again = PacketTable.from_arrays(table.to_arrays())
    times = np.linspace(0, table.duration, 37, endpoint=False)
    assert again.on_display(times).tolist() == table.on_display(times).tolist()
    assert again.duration == table.duration
    assert again.ranks(again.on_display(times)).tolist() == displayed(video, times.tolist())


@given(
    st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=50),
    st.integers(1, 3 * BLOCK),
    st.data(),
)
def test_stamps_are_what_was_put_in(some: list[int], length: int, data: st.DataObject) -> None:
    stamps = np.resize(np.array(some, np.int64), length)
    kept = Stamps.of([packed(stamps[at : at + BLOCK]) for at in range(0, length, BLOCK)])
    first = data.draw(st.integers(0, length))
    after = data.draw(st.integers(first, length))
    assert kept.between(first, after).tolist() == stamps[first:after].tolist()
    places = np.array(data.draw(st.lists(st.integers(0, length - 1))), np.intp)
    assert kept.at(places).tolist() == stamps[places].tolist()


def test_fetch_each_is_ascending_and_one_at_a_time(plain: Path) -> None:
    frames = fetch_each(plain, [0.1, 1.0, 3.9], size=64)
    time, picture = next(frames)
    assert (time, read_number(picture)) == (0.1, 2)
    assert [read_number(p) for _, p in frames] == [25, 97]
    with pytest.raises(ConfigError, match="ascend"):
        next(fetch_each(plain, [1.0, 0.5]))


def test_scan_of_a_span(plain: Path) -> None:
    times, numbers = all_of(scan(plain, 2.0, start=0.7, end=2.5))
    assert times == [1.0, 1.5, 2.0]
    assert numbers == [25, 37, 50]


@pytest.mark.parametrize("seconds", [-0.1, 4.0, 1e9, float("nan")])
def test_time_outside_the_video(plain: Path, seconds: float) -> None:
    with pytest.raises(ConfigError, match="outside"):
        fetch(plain, [1.0, seconds])


@pytest.mark.parametrize("arguments", [{"rate": 0}, {"short_side": -1}, {"start": 9.0}])
def test_senseless_scan(plain: Path, arguments: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        next(scan(plain, **arguments))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="absent"):
        next(scan(tmp_path / "absent.mp4"))


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_rotated_frames_stand_upright(tmp_path: Path, rotation: int) -> None:
    path = make_video(tmp_path / "a.mp4", seconds=0.4, size=(160, 96), rotation=rotation)
    info = probe(path)
    assert (info.width, info.height, info.rotation) == (160, 96, rotation)
    frame = fetch(path, [0.2]).frames[0]
    assert frame.shape == (96, 160, 3)
    expected = draw_number(5, 160, 96)
    assert np.abs(frame.astype(int) - expected).mean() < 6


def test_one_frame(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", times=[0.0])
    times, numbers = all_of(scan(path))
    assert (times, numbers) == ([0.0], [0])
    assert read_number(fetch(path, [0.0]).frames[0]) == 0


@pytest.mark.parametrize(
    ("size", "short_side", "expected"),
    [((160, 96), 48, (48, 80)), ((160, 96), 224, (96, 160)), ((161, 97), None, (97, 161))],
)
def test_sizes(
    tmp_path: Path, size: tuple[int, int], short_side: int | None, expected: tuple[int, int]
) -> None:
    path = make_video(tmp_path / "a.mp4", seconds=0.2, size=size, pixel_format="yuv444p")
    assert fetch(path, [0.1], short_side).frames.shape[1:3] == expected


@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", ["bt709", "smpte170m"])
def test_colours(tmp_path: Path, matrix: str, full: bool) -> None:
    """Tagged matrix and range are honoured: pure colours come back as they were."""
    import av

    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [0, 0, 0]])
    kr, kb = (0.2126, 0.0722) if matrix == "bt709" else (0.299, 0.114)
    r, g, b = colours.T / 255
    y = kr * r + (1 - kr - kb) * g + kb * b
    planes = np.stack([y, (b - y) / (2 - 2 * kb), (r - y) / (2 - 2 * kr)])
    scale = np.array([255, 255, 255] if full else [219, 224, 224])[:, None]
    planes = planes * scale + np.array([[0 if full else 16], [128], [128]])
    pixels = np.repeat(planes.round().clip(0, 255), 32, axis=1).astype(np.uint8)
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"qp": "1"})
        stream.width, stream.height, stream.pix_fmt = pixels.shape[1], 64, "yuv444p"
        context = stream.codec_context
        context.colorspace = {"bt709": 1, "smpte170m": 6}[matrix]
        context.color_range = 2 if full else 1
        frame = av.VideoFrame.from_ndarray(
            np.repeat(pixels[:, None], 64, axis=1), format="yuv444p", channel_last=False
        )
        frame.colorspace, frame.color_range = context.colorspace, context.color_range
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    seen = fetch(path, [0.0]).frames[0][32, 16::32]
    assert np.abs(seen.astype(int) - colours).max() <= 6


def test_damage_in_the_middle_is_left_out_and_told(tmp_path: Path) -> None:
    noise = np.random.default_rng(0)

    def noisy(index: int, _: float) -> np.ndarray:
        grain = noise.integers(-20, 20, (192, 320, 3))
        return np.clip(draw_number(index, 320, 192) + grain, 0, 255).astype(np.uint8)

    path = make_video(tmp_path / "a.mp4", seconds=8, size=(320, 192), gop=25, bframes=3, draw=noisy)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 300] = noise.bytes(300)
    path.write_bytes(data)

    told: list[str] = []
    times, numbers = all_of(scan(path, RATE, 96, on_damage=told.append))
    assert numbers == [round(time * RATE) for time in times]
    assert 200 - 25 <= len(times) < 200
    assert told
    assert all(str(path) in sentence for sentence in told)
    assert {0, 199} <= set(numbers)

    missing = sorted(set(range(200)) - set(numbers))[0] / RATE
    with pytest.raises(MediaError, match="damaged"):
        fetch(path, [0.0, missing])
    assert [time for time, _ in fetch_each(path, [0.0, missing])] == [0.0]


def test_nothing_decodes(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", seconds=1, gop=1)
    data = bytearray(path.read_bytes())
    begin = data.index(b"mdat") + 4
    end = data.index(b"moov") - 4
    data[begin:end] = bytes(end - begin)
    path.write_bytes(data)
    with pytest.raises(MediaError, match="cannot be decoded"):
        list(scan(path, 25))


def test_truncated_stream_shows_what_is_there(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.ts", seconds=4, bframes=2)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    _, numbers = all_of(scan(path, RATE))
    assert 20 < len(numbers) < COUNT
    assert numbers[:20] == list(range(20))


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_do_not_change_the_result(plain: Path, threads: int) -> None:
    assert all_of(scan(plain, 5.0, workers=threads))[1] == list(range(0, COUNT, 5))
