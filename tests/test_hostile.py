"""Whatever a file is, what comes out are right frames or one clear sentence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from fuzz import outcome, peak
from videos import Picture, draw_number, make_video, read_number

from videopipe.errors import ConfigError, MediaError, VideopipeError
from videopipe.media import fetch, probe, scan

SIZE = (64, 48)
DEADLINE = 20.0  # seconds for a frame, on a machine that is busy
TESTS = Path(__file__).parent


def video(path: Path, **arguments: Any) -> Path:
    return make_video(path, **{"size": SIZE, "seconds": 2, "gop": 10, "bframes": 2} | arguments)


def refusal(path: Path) -> str:
    """The one sentence that probe, scan and fetch all say."""
    sentences = set()
    for look in (probe, lambda path: list(scan(path)), lambda path: fetch(path, [0.0])):
        with pytest.raises(MediaError) as raised:
            look(path)
        sentences.add(str(raised.value))
    (sentence,) = sentences
    assert sentence.startswith(str(path))
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


def numbers(path: Path, rate: float = 25.0) -> dict[int, int]:
    """The frame number shown at each grid place, by scan; fetch must agree."""
    info = probe(path)
    shown = {
        round(time * rate): read_number(frame)
        for batch in scan(info, rate, 48, deadline=DEADLINE)
        for time, frame in zip(batch.times, batch.frames, strict=True)
    }
    some = sorted(shown)[:: max(1, len(shown) // 5)]
    batch = fetch(info, [place / rate for place in some], 48, deadline=DEADLINE)
    assert [read_number(frame) for frame in batch.frames] == [shown[place] for place in some]
    return shown


CONTAINERS: dict[str, tuple[str, dict[str, Any]]] = {
    "mp4": ("a.mp4", {}),
    "mp4-index-in-front": ("a.mp4", {"mux": {"movflags": "+faststart"}}),
    "mp4-fragmented": ("a.mp4", {"mux": {"movflags": "+frag_keyframe+empty_moov"}}),
    "mkv": ("a.mkv", {}),
    "webm": ("a.webm", {"codec": "libvpx-vp9"}),
    "ts": ("a.ts", {}),
    "avi": ("a.avi", {"codec": "mpeg4", "bframes": 0}),
    "flv": ("a.flv", {"bframes": 0}),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_truncated_anywhere(tmp_path: Path, name: str) -> None:
    """What is left is shown as it was; of a frame cut in half nothing is."""
    file, arguments = CONTAINERS[name]
    path = video(tmp_path / file, **arguments)
    data = path.read_bytes()
    assert numbers(path) == {place: place for place in range(50)}
    most = 0
    for length in np.linspace(0, len(data) - 1, 24).astype(int).tolist():
        path.write_bytes(data[:length])
        try:
            seen = numbers(path)
        except VideopipeError:
            continue
        # A decoder that runs out of data cannot tell that of the last frame.
        whole = [place for place in seen if place < max(seen) - 3]
        assert all(seen[place] == place for place in whole)
        most = max(most, len(seen))
    assert most >= 40 or name == "mp4"  # whose index stands at its end


def renamed(*changes: tuple[bytes, bytes]) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        for old, new in changes:
            assert old in data
            data = data.replace(old, new)
        return data

    return change


def claims_size(width: int, height: int) -> Callable[[bytes], bytes]:
    """In the bitmap header of an AVI."""

    def change(data: bytes) -> bytes:
        at = data.index(b"strf") + 12
        size = width.to_bytes(4, "little") + height.to_bytes(4, "little")
        return data[:at] + size + data[at + 8 :]

    return change


def scrambled(data: bytes) -> bytes:
    """The payload of the video in an MPEG-TS, as conditional access leaves it."""
    stream, noise = bytearray(data), np.random.default_rng(0)
    for at in range(0, len(stream), 188):
        if int.from_bytes(stream[at + 1 : at + 3], "big") & 0x1FFF == 0x100:
            field = 1 + stream[at + 4] if stream[at + 3] & 0x20 else 0
            stream[at + 3] |= 0x80
            stream[at + 4 + field : at + 188] = noise.bytes(184 - field)
    return bytes(stream)


def locked(data: bytes) -> bytes:
    """Matroska whose track says that its content is encrypted, in the place of a name."""
    key = b"\x47\xe1\x81\x05\x47\xe2\x90" + bytes(range(16))
    encryption = b"\x50\x33\x81\x01\x50\x35" + bytes([0x80 | len(key)]) + key
    encoding = b"\x62\x40" + bytes([0x80 | len(encryption)]) + encryption
    element = b"\x6d\x80" + bytes([0x80 | len(encoding)]) + encoding
    name = b"\x53\x6e" + bytes([0x80 | len(element) - 3]) + b"n" * (len(element) - 3)
    assert name in data
    return data.replace(name, element)


RAW = {"codec": "rawvideo", "seconds": 0.2}
CENC = {
    "encryption_scheme": "cenc-aes-ctr",
    "encryption_key": "0123456789abcdef" * 2,
    "encryption_kid": "fedcba9876543210" * 2,
}
FALSE_FILES: dict[str, tuple[str, dict[str, Any], Callable[[bytes], bytes], str]] = {
    "encrypted-mp4": ("a.mp4", {"mux": CENC}, bytes, "is encrypted"),
    "encrypted-fragments": (
        "a.mp4",
        {"mux": CENC | {"movflags": "+frag_keyframe+empty_moov"}},
        bytes,
        "is encrypted",
    ),
    "encrypted-mkv": ("a.mkv", {"title": "n" * 33}, locked, "is encrypted"),
    "unknown-protection": ("a.mp4", {}, renamed((b"avc1", b"drmi")), "cannot decode"),
    "scrambled-ts": ("a.ts", {}, scrambled, "without any frame"),
    "no-track": ("a.mp4", {}, renamed((b"trak", b"free")), "has no video"),
    "no-tracks-mkv": ("a.mkv", {}, renamed((b"\x16\x54\xae\x6b", b"\x16\x54\xae\x6c")), "no video"),
    "unknown-codec": ("a.mkv", {}, renamed((b"V_MPEG4/ISO/AVC", b"V_MPEG9/ISO/AVC")), "decode"),
    "too-large": ("a.avi", RAW, claims_size(30000, 30000), "size of its pictures"),
    "largest": ("a.avi", RAW, claims_size(65535, 65535), "size of its pictures"),
    "nothing-wide": ("a.avi", RAW, claims_size(0, 48), "size of its pictures|damaged"),
}


@pytest.mark.parametrize("name", FALSE_FILES)
def test_refused(tmp_path: Path, name: str) -> None:
    file, arguments, change, words = FALSE_FILES[name]
    path = video(tmp_path / file, **arguments)
    path.write_bytes(change(path.read_bytes()))
    assert any(word in refusal(path) for word in words.split("|"))


TEXTS = {
    "empty.mp4": (b"", "is empty"),
    "text.mp4": (b"once upon a time\n" * 99, "not a"),
    "json.mkv": (b'{"video": []}', "not a"),
    "page.webm": (b"<!doctype html><title>404</title>", "not a"),
    "zeros.ts": (bytes(100_000), "not a"),
    "noise.avi": (np.random.default_rng(0).bytes(50_000), "not a"),
    "only-a-head.mp4": (b"\0\0\0\x18ftypisom\0\0\2\0isomiso2", "incomplete"),
    "subtitles.mp4": (b"1\n00:00:01,000 --> 00:00:02,000\nhello\n", "only subtitle"),
    # A live one has no end: libav would wait for the next part for ever.
    "live.m3u8": (b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.0,\na.ts\n", "playlist"),
    "others.mp4": (b"ffconcat version 1.0\nfile a.ts\n", "playlist"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_no_video_at_all(tmp_path: Path, name: str) -> None:
    video(tmp_path / "a.ts")
    content, words = TEXTS[name]
    (tmp_path / name).write_bytes(content)
    assert words in refusal(tmp_path / name)


@pytest.mark.parametrize("kind", ["pipe", "device", "directory"])
def test_nothing_to_wait_for(tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    assert "a pipe or a device" in refusal(path) or "directory" in refusal(path)


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (1, 300), (300, 1), (8192, 2)])
def test_narrow_pictures(tmp_path: Path, size: tuple[int, int]) -> None:
    arguments: dict[str, Any] = {"codec": "png", "pixel_format": "rgb24", "seconds": 0.2}

    def shade(index: int, _: float) -> Picture:
        return np.full((size[1], size[0], 3), 50 * index, np.uint8)

    path = make_video(tmp_path / "a.mov", size=size, draw=shade, **arguments)
    info = probe(path)
    assert (info.width, info.height) == size
    batch = fetch(path, [0.0, 0.1], deadline=DEADLINE)
    assert batch.frames.shape == (2, size[1], size[0], 3)
    assert [int(frame[0, 0, 0]) for frame in batch.frames] == [0, 100]
    (scanned,) = scan(path, 25, 16, deadline=DEADLINE)
    assert scanned.frames[:, 0, 0, 0].tolist() == [0, 50, 100, 150, 200]


def test_wide_pictures(tmp_path: Path) -> None:
    """8192 x 8192, the most that is decoded."""
    path = tmp_path / "a.mov"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mjpeg", rate=25)
        stream.width = stream.height = 8192
        stream.pix_fmt = "yuvj420p"
        for number in (1, 2):
            row = draw_number(number, 8192, 3)[:1, :, 0]
            frame = av.VideoFrame(8192, 8192, "yuvj420p")
            frame.planes[0].update(np.repeat(row, 8192, axis=0))
            for plane in frame.planes[1:]:
                plane.update(bytes([128]) * plane.buffer_size)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    info = probe(path)
    assert (info.width, info.height) == (8192, 8192)
    (batch,) = scan(info, 25, 48, deadline=DEADLINE)
    assert [read_number(frame) for frame in batch.frames] == [1, 2]
    assert read_number(fetch(info, [0.05], deadline=DEADLINE).frames[0]) == 2


def test_memory_is_not_taken_for_what_is_only_claimed(tmp_path: Path) -> None:
    """VP9 key frames of 16000 x 16000, in a few bytes."""
    path = video(tmp_path / "a.webm", codec="libvpx-vp9", gop=1, seconds=0.4)
    data = bytearray(path.read_bytes())
    for at in range(len(data) - 8):
        if data.startswith(b"\x49\x83\x42", at):  # of a key frame: four bits, then the size
            side = (16000 - 1).to_bytes(2, "big")
            bits = int.from_bytes(data[at + 3 : at + 8], "big")
            bits = bits & ~(0xFFFFFFFF << 4) | int.from_bytes(side + side, "big") << 4
            data[at + 3 : at + 8] = bits.to_bytes(5, "big")
    path.write_bytes(data)
    before = peak()
    assert "size of its pictures" in refusal(path)
    assert peak() - before < 100


@pytest.mark.parametrize("size", [(0, 0), (1, 1), (65535, 65535)])
def test_size_in_the_header_is_not_believed(tmp_path: Path, size: tuple[int, int]) -> None:
    path = video(tmp_path / "a.mp4")
    data = bytearray(path.read_bytes())
    at = data.index(b"avc1") + 28
    data[at : at + 4] = b"".join(side.to_bytes(2, "big") for side in size)
    path.write_bytes(data)
    assert (probe(path).width, probe(path).height) == SIZE
    assert numbers(path) == {place: place for place in range(50)}


def test_hundred_streams(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        streams: list[Any] = []
        for index in range(100):
            stream: Any = container.add_stream("mjpeg", rate=25)
            stream.width, stream.height, stream.pix_fmt = 32, 16, "yuvj420p"
            stream.disposition = av.stream.Disposition(int(index == 57))
            streams.append(stream)
        for frame_number in range(5):
            for index, stream in enumerate(streams):
                picture = draw_number(100 * frame_number + index, 32, 16)
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                container.mux(stream.encode(frame.reformat(format="yuvj420p")))
    assert probe(path).stream == 57
    assert numbers(path) == {place: 100 * place + 57 for place in range(5)}


def test_clock_of_thousands_of_years(tmp_path: Path) -> None:
    """No grid of 10^12 times; what is asked for is still found."""
    path = video(tmp_path / "a.mp4", seconds=20, bframes=0)
    data = bytearray(path.read_bytes())
    scale, stay = data.index(b"mdhd") + 16, data.index(b"stts") + 16
    data[scale : scale + 4] = (1).to_bytes(4, "big")  # ticks in a second
    data[stay : stay + 4] = (2**31 - 1).to_bytes(4, "big")  # ticks that a frame stays
    path.write_bytes(data.replace(b"edts", b"free"))
    info = probe(path)
    assert info.duration > 1e12
    with pytest.raises(ConfigError, match="too many") as raised:
        list(scan(info))
    assert str(path) in str(raised.value)
    asked = [0.0, 3.5 * 2**31, 499.5 * 2**31]
    batch = fetch(info, asked, 48, deadline=DEADLINE)
    assert [read_number(frame) for frame in batch.frames] == [0, 3, 499]
    assert numbers(path, 1 / (2**31 - 1)) == {place: place for place in range(500)}


@pytest.mark.parametrize("stamp", [2**63 - 2, 2**62, 2**63 + 5, 2**64 - 2])
def test_clock_at_its_end(tmp_path: Path, stamp: int) -> None:
    """A frame with the largest stamp that 64 bits hold, and others after it."""
    path = video(tmp_path / "a.ivf", codec="libvpx-vp9", gop=5, seconds=0.8)
    data = bytearray(path.read_bytes())
    at = 32  # behind the header of the file
    for _ in range(10):
        at += 12 + int.from_bytes(data[at : at + 4], "little")
    data[at + 4 : at + 12] = stamp.to_bytes(8, "little")
    path.write_bytes(data)
    assert outcome(path) in ("frames", "refused")


def test_fuzz(tmp_path: Path) -> None:
    """2,000 damaged files in one process: frames or a sentence from each, and steady memory."""
    count, limit = 2000, 240
    command = [sys.executable, str(TESTS / "fuzz.py"), str(tmp_path), "0", str(count)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        pytest.fail(f"hangs at seed {(tmp_path / 'seed').read_text()}")
    assert done.returncode == 0, f"died at seed {(tmp_path / 'seed').read_text()}: {done.stderr}"
    result = json.loads((tmp_path / "result.json").read_text())
    outcomes = result["outcomes"]
    assert len(outcomes.pop("frames")) > count / 4
    assert len(outcomes.pop("refused")) > count / 4
    assert outcomes == {}
    assert result["grown_mb"] < 200  # at its peak
