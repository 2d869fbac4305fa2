"""Videos elsewhere: the same frames as of a local file, from a small part of its bytes."""

from __future__ import annotations

import importlib.util
import io
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import av
import fsspec
import numpy as np
import pytest
from conftest import Run
from http_server import WebServer, web_server
from hypothesis import given, settings
from hypothesis import strategies as st
from test_times import edited
from videos import draw_number, make_video, read_number

from videopipe.errors import MediaError, NotFound
from videopipe.media import (
    fetch,
    fetch_each,
    find_subtitles,
    location,
    probe,
    read_subtitles,
    scan,
)
from videopipe.media import remote as remote_files
from videopipe.media.partial import table_around
from videopipe.media.tables import packet_table
from videopipe.types import TimedText, Url

COUNT, RATE = 200, 25
OPEN_GOP = {"bframes": 3, "options": {"x264-params": "open-gop=1"}}
VFR = {
    "bframes": 2,
    "times": np.cumsum(np.r_[0, np.tile([0.02, 0.05, 0.3], COUNT // 3 + 1)])[:COUNT].tolist(),
}
FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    "mp4": ("a.mp4", {"bframes": 3, "audio": True}),
    "mp4-index-first": ("a.mp4", {"mux": {"movflags": "faststart"}}),
    "mp4-fragments": ("a.mp4", {"mux": {"movflags": "frag_keyframe+empty_moov"}}),
    "mp4-one-key-frame": ("a.mp4", {"gop": 1000}),
    "mp4-late-start": ("a.mp4", {"first_pts": 0.3, "bframes": 2}),
    "mp4-open-gop": ("a.mp4", OPEN_GOP),
    "mp4-vfr": ("a.mp4", VFR),
    "mkv": ("a.mkv", {"bframes": 8, "gop": 40}),
    "mkv-vfr": ("a.mkv", VFR),
    "mkv-hevc": ("a.mkv", {"codec": "libx265", "bframes": 4}),
    "webm": ("a.webm", {"codec": "libvpx"}),
    # These have no index and are read as a whole.
    "ts": ("a.ts", {"bframes": 3, "first_pts": 0.3}),
    "ts-open-gop": ("a.ts", OPEN_GOP),
    "avi": ("a.avi", {"codec": "mpeg4", "bframes": 2}),
}


def small(path: Path, **arguments: Any) -> Path:
    options = {"seconds": COUNT / RATE, "rate": RATE, "gop": 12, "size": (64, 48)} | arguments
    return make_video(path, **options)


@pytest.fixture(autouse=True)
def _from_the_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is held from another test, and nothing waits for better times."""
    monkeypatch.setattr(remote_files, "_blocks", remote_files._Recent(1024))
    monkeypatch.setattr(remote_files, "_PAUSES", (0.0, 0.0))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WebServer]:
    with web_server(tmp_path) as served:
        yield served


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of ten minutes in two containers, 20 MB each because of noise."""
    folder = tmp_path_factory.mktemp("long")
    noise = np.random.default_rng(0).integers(0, 256, (96, 1000, 3), np.uint8)

    def draw(index: int, _: float) -> np.ndarray:
        picture = draw_number(index, 160, 96)
        moved = noise[:, index * 37 % 800 :][:, :160]
        picture[:12], picture[52:] = moved[:12], moved[52:]
        return picture

    options = {"qp": "9", "preset": "ultrafast"}
    mp4 = make_video(
        folder / "a.mp4", seconds=600, rate=4, gop=20, bframes=2, draw=draw, options=options
    )
    with av.open(str(mp4)) as given_, av.open(str(folder / "a.mkv"), "w") as copy:
        stream = copy.add_stream_from_template(given_.streams.video[0])
        for packet in given_.demux(video=0):
            if packet.size:
                packet.stream = stream
                copy.mux(packet)
    return folder


@pytest.fixture(scope="module", params=FORMATS)
def video(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    name, arguments = FORMATS[request.param]
    return small(tmp_path_factory.mktemp("remote") / name, **arguments)


# --- the right frames


def test_frames_are_those_of_the_local_file(video: Path) -> None:
    local = probe(video)
    times = [*np.random.default_rng(0).uniform(0, local.duration, 12), 0.0, local.duration - 1e-3]
    expected = fetch(local, times)
    with web_server(video.parent) as server:
        found = probe(server.url(video.name))
        assert found.duration == pytest.approx(local.duration, abs=1e-3)
        assert (found.start, found.stream) == (local.start, local.stream)
        assert (fetch(found, times).frames == expected.frames).all()
        for time, frame in zip(times[:4], expected.frames, strict=False):
            assert (fetch(found, [time], workers=2).frames[0] == frame).all()
    numbers = [read_number(frame) for frame in expected.frames]
    assert numbers[-2:] == [0, COUNT - 1]


def test_a_scan_is_that_of_the_local_file(server: WebServer, tmp_path: Path) -> None:
    path = small(tmp_path / "a.mp4", bframes=2)
    batches = scan(server.url("a.mp4"), 3.0)
    numbers = [read_number(frame) for batch in batches for frame in batch.frames]
    assert numbers == [read_number(frame) for batch in scan(path, 3.0) for frame in batch.frames]


def test_the_files_of_any_driver(tmp_path: Path) -> None:
    data = small(tmp_path / "a.mp4").read_bytes()
    fsspec.filesystem("memory").pipe("/talks/a.mp4", data)
    assert [read_number(f) for f in fetch("memory://talks/a.mp4", [1.0, 7.9]).frames] == [25, 197]


@pytest.fixture(scope="module", params=["mp4-open-gop", "mp4-vfr", "mkv", "mkv-hevc"])
def part_of(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    name, arguments = FORMATS[request.param]
    return small(tmp_path_factory.mktemp("parts") / name, **{"seconds": 24.0} | arguments)


@settings(max_examples=40, deadline=None)
@given(shares=st.lists(st.floats(0, 0.999), max_size=6))
def test_a_part_of_the_table_shows_what_the_whole_shows(part_of: Path, shares: list[float]) -> None:
    whole = packet_table(part_of)
    times = np.array(shares) * whole.duration
    part = table_around(part_of, times)
    assert not part.whole
    assert len(part) < len(whole)
    assert part.start == whole.start
    assert part.pts.at(part.on_display(times)).tolist() == (
        whole.pts.at(whole.on_display(times)).tolist()
    )


@pytest.mark.parametrize("edits", [((110, 30), (20, 40)), ((0, 25), (65, 50))], ids=["back", "on"])
def test_edits_that_join_stretches(
    server: WebServer, tmp_path: Path, edits: tuple[tuple[int, int], ...]
) -> None:
    shown = edited(*edits, bframes=0)(tmp_path)
    info = probe(server.url(shown.path.name))
    for time in np.arange(0.02, info.duration, 0.2).tolist():
        assert read_number(fetch(info, [time]).frames[0]) == shown.at(time)


# --- few bytes


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_sparse_frames_take_a_small_part_of_the_file(long: Path, name: str) -> None:
    size = (long / name).stat().st_size
    assert size > 20_000_000
    with web_server(long) as server:
        info = probe(server.url(name))
        assert server.sent < 0.02 * size
        assert (info.duration, info.frame_count, len(info.keyframes)) == (600.0, 2400, 120)
        assert any("header" in warning for warning in info.warnings)
        frames = fetch(info, [400.7, 100.1, 253.3, 599.0]).frames
        assert [read_number(frame) for frame in frames] == [1602, 400, 1013, 2396]
        assert server.sent < 0.06 * size
        server.forget()
        frames = [frame for _, frame in fetch_each(info, [100.3, 253.5])]
        assert [read_number(frame) for frame in frames] == [401, 1014]
        assert server.sent == 0


def test_a_scan_asks_for_everything_once(long: Path) -> None:
    size = (long / "a.mkv").stat().st_size
    with web_server(long) as server:
        assert sum(len(batch) for batch in scan(server.url("a.mkv"), 0.1)) == 60
        assert server.sent <= size
        assert server.asked < 40


# --- what a video is called


@pytest.mark.parametrize(
    ("address", "shown", "name"),
    [
        ("https://example.org/a/talk.mp4", "https://example.org/a/talk.mp4", "talk.mp4"),
        ("https://me:pw@example.org/a%20b.mp4", "https://example.org/a%20b.mp4", "a b.mp4"),
        ("https://example.org/get?key=secret", "https://example.org/get?...", "get"),
        ("s3://bucket/talks/x@2.mkv", "s3://bucket/talks/x@2.mkv", "x@2.mkv"),
    ],
)
def test_urls_show_no_secrets(address: str, shown: str, name: str) -> None:
    url = location(address)
    assert isinstance(url, Url)
    assert (str(url), url.name, url.address) == (shown, name, address)
    assert "pw" not in repr(url) + str(url)
    assert "secret" not in repr(url) + str(url)


def test_what_is_a_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert location("memory://x/a.mp4") == Url("memory://x/a.mp4")
    (tmp_path / "memory:" / "x").mkdir(parents=True)
    (tmp_path / "memory:" / "x" / "a.mp4").touch()
    assert location("memory://x/a.mp4") == Path("memory://x/a.mp4")
    assert location("file:///tmp/a%20b.mp4") == Path("/tmp/a b.mp4")
    assert location("c://films/a.mp4") == Path("c://films/a.mp4")
    assert location(f"{'x' * 5000}.mp4") == Path(f"{'x' * 5000}.mp4")


def test_the_id_follows_the_version(server: WebServer, tmp_path: Path) -> None:
    small(tmp_path / "a.mp4")
    first = probe(server.url("a.mp4")).video_id
    assert probe(server.url("a.mp4")).video_id == first
    server.etag = '"2"'
    assert probe(server.url("a.mp4")).video_id != first


@pytest.mark.parametrize(
    ("etag", "count"), [("", 50_000), ("", 30_000), ("", 900), ('"1"', 50_000), ('"1"', 900)]
)
def test_what_was_replaced_is_read_anew(
    server: WebServer, tmp_path: Path, etag: str, count: int
) -> None:
    server.etag = etag
    url = Url(server.url("a"))
    for data in (b"old" * 30_000, b"NEW" * count):
        (tmp_path / "a").write_bytes(data)
        assert remote_files.stamp(url)[0] == len(data)
        with remote_files.reading(url) as file:
            assert b"".join(iter(lambda: file.read(10**6), b"")) == data


def test_without_a_version_only_the_id_stays(server: WebServer, tmp_path: Path) -> None:
    small(tmp_path / "a.mp4")
    server.etag = ""
    url = server.url("a.mp4")
    assert probe(url).video_id == probe(url).video_id
    assert remote_files.stamp(Url(url)) != remote_files.stamp(Url(url))


def test_subtitles_inside_are_read_and_none_are_looked_for_beside(
    server: WebServer, tmp_path: Path
) -> None:
    line = TimedText(1.0, 2.0, "Hello")
    small(tmp_path / "a.mkv", subtitles=[line])
    (tmp_path / "a.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nBeside\n")
    info = probe(server.url("a.mkv"))
    (track,) = info.subtitles
    assert read_subtitles(track, info) == [line]
    assert find_subtitles(server.url("a.mkv")) == ()


# --- the command line


def test_info_and_frames_of_a_url(server: WebServer, tmp_path: Path, videopipe: Run) -> None:
    small(tmp_path / "a talk.mp4", bframes=2)
    url = server.url("a%20talk.mp4?token=abc123", user="me:pass@")
    found = videopipe("info", url, "--json")
    assert found.code == 0
    assert found.json["duration_s"] == COUNT / RATE
    assert found.json["path"] == server.url("a%20talk.mp4?...")
    written = videopipe("frames", url, "--at", "1,7.96", "--out", tmp_path / "stills")
    names = [Path(line).name for line in written.out.split("\n") if line]
    assert names == ["a talk_0-00-01.000.png", "a talk_0-00-07.960.png"]
    shown = videopipe("info", url)
    for ran in (found, written, shown):
        assert "abc123" not in ran.out + ran.err
        assert "pass" not in ran.out + ran.err


@pytest.mark.parametrize("words", [["index"], ["ask"]])
def test_indexing_needs_a_local_file(videopipe: Run, tmp_path: Path, words: list[str]) -> None:
    question = ["What?"] if words == ["ask"] else []
    url = "https://me:pass@example.org/a.mp4"
    ran = videopipe(*words, url, *question, "--library", tmp_path / "library")
    assert ran.code != 0
    assert "https://example.org/a.mp4 is not a local file; download it" in ran.err
    assert "pass" not in ran.err


# --- what goes wrong


def test_a_file_that_is_not_there(server: WebServer) -> None:
    with pytest.raises(NotFound, match=r"absent\.mp4 does not exist\."):
        probe(server.url("absent.mp4"))


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"status": 403}, "may not be read: the server refuses it without permission"),
        ({"status": 503}, "the server answers 503; try again later"),
        ({"ranges": False}, "does not support range requests; download the file first"),
        ({"faults": 10**6}, "check the address and the connection"),
    ],
)
def test_a_server_that_will_not(long: Path, wrong: dict[str, Any], sentence: str) -> None:
    with web_server(long) as server:
        vars(server).update(wrong)
        with pytest.raises(MediaError, match=sentence):
            probe(server.url("a.mp4"))


def test_a_server_that_falls_silent(
    server: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_files, "_SILENCE", 0.3)
    small(tmp_path / "a.mp4")
    server.faults, server.silent = 1, True
    with pytest.raises(MediaError, match=r"did not answer for 0\.3 s; try again later"):
        probe(server.url("a.mp4"))


def test_a_connection_that_breaks_off_is_tried_again(server: WebServer, tmp_path: Path) -> None:
    small(tmp_path / "a.mp4")
    server.faults = 2
    assert read_number(fetch(server.url("a.mp4"), [3.0]).frames[0]) == 75


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_server_that_gives_up_is_no_damaged_file(long: Path, name: str) -> None:
    with web_server(long) as server:
        info = probe(server.url(name))
        server.status = 500
        with pytest.raises(MediaError, match="answers 500"):
            fetch(info, [300.0])
        with pytest.raises(MediaError, match="answers 500"):
            list(fetch_each(info, [300.0]))


def test_a_file_that_changes_after_it_was_probed(long: Path) -> None:
    with web_server(long) as server:
        info = probe(server.url("a.mp4"))
        server.etag = '"2"'
        with pytest.raises(MediaError, match=r"a\.mp4 has changed on the server; probe it again\."):
            fetch(info, [300.0])
        assert read_number(fetch(probe(info.path), [300.0]).frames[0]) == 1200


def test_a_fault_of_a_driver_is_not_taken_for_one_of_http() -> None:
    files = fsspec.filesystem("memory")
    files.pipe("/faulty", b"some")
    with remote_files.reading(Url("memory://faulty")) as file:
        io.BytesIO.close(files.store["/faulty"])
        with pytest.raises(OSError, match="this read failed"):
            file.read(4)
        fault, file.fault = file.fault, None
    del files.store["/faulty"]
    assert "cannot be read (ValueError)" in str(fault)


def test_what_was_used_last_is_kept_by_threads() -> None:
    recent: remote_files._Recent[Url, int] = remote_files._Recent(2)

    def use(seed: int) -> None:
        for key in np.random.default_rng(seed).integers(0, 6, 3000).tolist():
            recent.put(Url(str(key)), key)
            assert recent.get(Url(str(key))) in (key, None)

    often, usual = 1e-6, sys.getswitchinterval()
    sys.setswitchinterval(often)
    try:
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(use, range(4)))
    finally:
        sys.setswitchinterval(usual)
    for key in (6, 7, 6, 8):
        recent.put(Url(str(key)), key)
    assert [recent.get(Url(str(key))) for key in (6, 7, 8)] == [6, None, 8]


def test_an_address_where_nobody_listens(tmp_path: Path) -> None:
    with web_server(tmp_path) as closed:
        pass
    with pytest.raises(MediaError, match="check the address and the connection"):
        probe(closed.url("a.mp4"))


def test_kinds_of_addresses_that_cannot_be_read() -> None:
    with pytest.raises(MediaError, match="check the address"):
        probe("http://")
    with pytest.raises(MediaError, match="what stands before :// is not known"):
        probe("nonsense://a/b.mp4")
    if importlib.util.find_spec("s3fs") is None:
        with pytest.raises(MediaError, match=r"pip install 'videopipe\[s3\]'"):
            probe("s3://bucket/b.mp4")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "is empty"),
        (b"<html>not found</html>" * 99, "is not a media file"),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/passwd\n", "is a playlist"),
        (b"ffconcat version 1.0\nfile 'file:///etc/hostname'\n", "is a playlist"),
    ],
)
def test_what_is_no_video(server: WebServer, tmp_path: Path, data: bytes, sentence: str) -> None:
    (tmp_path / "a.mp4").write_bytes(data)
    with pytest.raises(MediaError, match=sentence):
        probe(server.url("a.mp4"))


def test_back_ends_that_read_only_local_files(server: WebServer, tmp_path: Path) -> None:
    small(tmp_path / "a.mp4")
    with pytest.raises(MediaError, match=r"opencv reads local files only"):
        fetch(server.url("a.mp4"), [1.0], backend="opencv")
