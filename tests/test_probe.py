"""What is in a file is told from its packets, and what is wrong with it in one sentence."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from videos import make_video

from videopipe.errors import MediaError, NotFound, VideopipeError
from videopipe.media import probe, scan
from videopipe.types import TimedText

MEDIA = Path(__file__).parents[2] / "shared" / "media"


def test_facts(tmp_path: Path) -> None:
    path = make_video(
        tmp_path / "a.mp4",
        seconds=4,
        rate=25,
        size=(160, 96),
        gop=25,
        bframes=2,
        audio=True,
        subtitles=[TimedText(0, 1, "x")],
    )
    info = probe(str(path))
    assert (info.path, info.container, info.codec) == (path, "mov", "h264")
    assert (info.width, info.height, info.rotation) == (160, 96, 0)
    assert (info.duration, info.frame_count, info.rate) == (4.0, 100, 25.0)
    assert not info.variable_rate
    assert info.start == 0
    assert info.keyframes.tolist() == [0, 1, 2, 3]
    assert info.audio == ("aac",)
    assert [track.format for track in info.subtitles] == ["mov_text"]
    assert info.pixel_format == "yuv420p"
    assert info.warnings == ()
    assert len(info.video_id) == 32


def test_rates(tmp_path: Path) -> None:
    ntsc = probe(make_video(tmp_path / "ntsc.mkv", rate=Fraction(30000, 1001), seconds=3))
    assert not ntsc.variable_rate
    assert ntsc.rate == pytest.approx(30000 / 1001, rel=1e-3)
    uneven = probe(make_video(tmp_path / "vfr.mp4", times=[0, 0.04, 0.08, 0.5, 0.54, 2.0]))
    assert uneven.variable_rate
    assert uneven.frame_count == 6
    assert uneven.duration > 2.0


def test_first_displayed_frame_is_time_zero(tmp_path: Path) -> None:
    late = probe(make_video(tmp_path / "late.mkv", first_pts=0.3, seconds=2))
    assert late.start == pytest.approx(0.3)
    assert late.duration == pytest.approx(2.0)
    assert late.keyframes[0] == 0


def test_frames_before_an_edit_list_do_not_count(tmp_path: Path) -> None:
    """Cut an mp4 by its edit list alone: the hidden frames are stored but never displayed."""
    path = make_video(tmp_path / "a.mp4", seconds=4, gop=100, bframes=0)
    data = bytearray(path.read_bytes())
    at = data.index(b"elst") + 4
    assert data[at : at + 8] == bytes([0, 0, 0, 0, 0, 0, 0, 1])  # one edit, version 0
    media_time = 25 * 512  # one second at 25 frames of 512 ticks
    data[at + 12 : at + 16] = media_time.to_bytes(4, "big")
    path.write_bytes(data)
    info = probe(path)
    assert info.frame_count == 75
    assert info.duration == pytest.approx(3.0)
    from videos import read_number

    numbers = [read_number(f) for batch in scan(path, 1.0) for f in batch.frames]
    assert numbers == [25, 50, 75]


def test_sample_aspect_ratio(tmp_path: Path) -> None:
    path = make_video(
        tmp_path / "a.mkv", seconds=0.4, size=(160, 96), options={"x264-params": "sar=4/3"}
    )
    info = probe(path)
    assert (info.width, info.height) == (213, 96)
    assert (info.coded_width, info.coded_height) == (160, 96)
    (batch,) = scan(path, short_side=48)
    assert batch.frames.shape[1:3] == (48, 106)


def test_one_frame_has_a_duration(tmp_path: Path) -> None:
    info = probe(make_video(tmp_path / "a.mp4", times=[0.0]))
    assert info.frame_count == 1
    assert 0 < info.duration <= 1


def test_stream_choice_is_default_then_largest(tmp_path: Path) -> None:
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("libx264", rate=25) for _ in range(2)]
        for stream, (width, height) in zip(streams, [(64, 64), (128, 96)], strict=True):
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.disposition = av.stream.Disposition(0)
        for stream in streams:
            frame = av.VideoFrame.from_ndarray(
                np.zeros((stream.height, stream.width, 3), np.uint8), format="rgb24"
            )
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    assert (probe(path).width, probe(path).height) == (128, 96)


def make_audio(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
        )
        frame.sample_rate = 48000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def make_cover(path: Path) -> Path:
    """An audio file with a cover picture, which is a video stream of one frame."""
    with av.open(str(path), "w") as container:
        sound = container.add_stream("mp3", rate=48000, layout="mono")
        cover = container.add_stream("mjpeg", rate=25)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        container.start_encoding()
        silence = av.AudioFrame.from_ndarray(
            np.zeros((1, 1152), np.float32), format="fltp", layout="mono"
        )
        silence.sample_rate = 48000
        picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
        container.mux(cover.encode(picture.reformat(format="yuvj420p")))
        container.mux(cover.encode(None))
        container.mux(sound.encode(silence))
        container.mux(sound.encode(None))
    return path


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"absent\.mp4 does not exist"):
        probe(tmp_path / "absent.mp4")


def test_not_a_video(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    (tmp_path / "notes.txt").write_text("not a video at all\n" * 50)
    whole = make_video(tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
    picture.save(tmp_path / "picture.png")
    expected = {
        "empty.mp4": "is empty",
        "noise.mp4": "is not a media file",
        "notes.txt": "not a",
        "cut.mp4": "is incomplete",
        "picture.png": "is a picture",
        "audio.m4a": "has no video, only audio",
        "cover.mp3": "only a cover picture",
        ".": "is a directory",
    }
    make_audio(tmp_path / "audio.m4a")
    make_cover(tmp_path / "cover.mp3")
    for name, words in expected.items():
        path = tmp_path / name
        with pytest.raises(MediaError, match=words) as raised:
            probe(path)
        assert str(raised.value).startswith(str(path))
        assert str(raised.value).count("\n") == 0


@contextmanager
def ordinary_user() -> Iterator[None]:
    """Root may read anything; be somebody else for a while."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_no_permission(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", seconds=0.2)
    probe(path)  # everything is imported before the change of user
    other = make_video(tmp_path / "b.mp4", seconds=0.2)
    other.chmod(0)
    with ordinary_user(), pytest.raises(MediaError, match="permission denied"):
        probe(other)


def test_names_that_look_like_something_else(tmp_path: Path) -> None:
    for name in ["a%03d.mp4", "concat:b.mp4", "c d'e.mp4", "视频.mp4"]:
        path = tmp_path / name
        path.write_bytes(make_video(tmp_path / "plain.mp4", seconds=0.4).read_bytes())
        assert probe(path).frame_count == 10


def test_header_that_claims_too_much(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mkv", seconds=8, gop=10)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    info = probe(path)
    assert 1 < info.duration < 7
    assert any("The header says" in warning for warning in info.warnings)


def test_a_changed_file_is_read_anew(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", seconds=1)
    assert probe(path).duration == 1
    make_video(path, seconds=2)
    assert probe(path).duration == 2


@pytest.mark.parametrize("seed", range(8))
def test_damage_never_escapes_as_something_else(tmp_path: Path, seed: int) -> None:
    """Bytes overwritten anywhere, headers included: a result or an error of ours."""
    noise = np.random.default_rng(seed)
    path = make_video(tmp_path / ("a.mp4" if seed % 2 else "a.mkv"), seconds=2, bframes=2)
    data = bytearray(path.read_bytes())
    for at in noise.integers(0, len(data) - 40, 6):
        data[at : at + 40] = noise.bytes(40)
    path.write_bytes(data)
    with suppress(VideopipeError):
        info = probe(path)
        assert sum(len(batch) for batch in scan(info, 5.0)) <= np.ceil(info.duration * 5)


EXPECTED = {  # width, height, rotation, variable, frames
    "sam2_dog.mp4": (1280, 720, 0, False, 289),
    "webrtc_mixed.webm": (480, 270, 0, True, 394),
    "mp_fire2.mp4": (1280, 720, 180, True, 25),
    "mp_noduration.webm": (1280, 720, 0, True, 74),
    "decord_rot90.mov": (320, 568, 90, False, 3),
    "decord_rot270.mov": (320, 568, 270, False, 3),
    "tc_nasa13013.mp4": (480, 270, 0, False, 390),
    "simpl_av1_550.webm": (1920, 800, 0, False, 400),
    "imageio_cockatoo.mp4": (1280, 720, 0, False, 280),
    "ian_tos.webm": (798, 332, 0, False, 1691),
}


@pytest.mark.media
@pytest.mark.skipif(not MEDIA.is_dir(), reason="the shared media folder is not there")
@pytest.mark.parametrize("name", EXPECTED)
def test_real_videos(name: str) -> None:
    info = probe(MEDIA / name)
    seen = (info.width, info.height, info.rotation, info.variable_rate, info.frame_count)
    assert seen == EXPECTED[name]


@pytest.mark.media
@pytest.mark.skipif(not MEDIA.is_dir(), reason="the shared media folder is not there")
def test_real_oddities() -> None:
    assert probe(MEDIA / "vllava_demo.mp4").start == pytest.approx(0.3)
    assert "measured" in probe(MEDIA / "mp_noduration.webm").warnings[0]
    with pytest.raises(MediaError, match="only a cover picture"):
        probe(MEDIA / "mp_attachedpic.mp3")
    told: list[str] = []
    times = [
        t for b in scan(MEDIA / "decord_corrupted.mp4", on_damage=told.append) for t in b.times
    ]
    assert times == [0, 1, 2]
    assert len(told) == 1
