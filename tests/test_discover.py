"""Which files of a folder are taken for videos."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from test_probe import make_audio, make_cover
from videos import make_video

from videopipe.media import find_videos

MEDIA = Path(__file__).parents[2] / "shared" / "media"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    clip = make_video(tmp_path / "clip.mp4", seconds=0.2)
    data = clip.read_bytes()
    (tmp_path / "sub" / "deep").mkdir(parents=True)
    (tmp_path / "sub" / "deep" / "no_suffix").write_bytes(data)
    make_video(tmp_path / "sub" / "stream.ts", seconds=0.4)
    make_video(tmp_path / "sub" / "b.webm", seconds=0.2, codec="libvpx")
    (tmp_path / "sub" / "empty.mp4").touch()
    (tmp_path / "sub" / "broken.mkv").write_bytes(b"\x1a\x45\xdf\xa3 and then nothing")
    (tmp_path / "sub" / "code.ts").write_text("export const x: number = 1;\n")
    (tmp_path / "notes.txt").write_text("text")
    (tmp_path / "clip.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nHi\n")
    (tmp_path / "picture.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(100))
    (tmp_path / ".hidden.mp4").write_bytes(data)
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "x.mp4").write_bytes(data)
    make_audio(tmp_path / "song.m4a")
    make_cover(tmp_path / "song_with_cover.mp3")
    (tmp_path / "sub" / "loop").symlink_to(tmp_path)
    (tmp_path / "same.mp4").symlink_to(clip)
    return tmp_path


def test_a_folder_is_walked_by_content(folder: Path) -> None:
    found = find_videos([folder])
    names = [str(path.relative_to(folder)) for path in found.videos]
    assert names == [
        "clip.mp4",
        "song.m4a",
        "song_with_cover.mp3",
        "sub/b.webm",
        "sub/broken.mkv",
        "sub/deep/no_suffix",
        "sub/empty.mp4",
        "sub/stream.ts",
    ]
    assert found.walked == set(found.videos)
    assert found.skipped == found.missing == []


def test_a_named_file_is_taken_as_it_is_and_once(folder: Path) -> None:
    text = folder / "notes.txt"
    found = find_videos([text, folder / "clip.mp4", folder, folder / "same.mp4", text])
    assert found.videos.count(folder / "clip.mp4") == 1
    assert found.videos[:2] == [text, folder / "clip.mp4"]
    assert found.walked == set(found.videos[2:])
    assert folder / "same.mp4" not in found.videos


def test_missing_paths_are_told(tmp_path: Path) -> None:
    found = find_videos([tmp_path / "absent", tmp_path])
    assert found.videos == []
    assert found.missing == [(tmp_path / "absent", f"{tmp_path / 'absent'} does not exist.")]


def test_unreadable_video_is_still_a_video(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", seconds=0.2)
    path.chmod(0)
    assert find_videos([tmp_path]).videos == [path]


def test_pipes_and_sockets_are_left_alone(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    assert find_videos([tmp_path]).videos == []


@pytest.mark.media
@pytest.mark.skipif(not MEDIA.is_dir(), reason="the shared media folder is not there")
def test_real_folder() -> None:
    found = find_videos([MEDIA])
    assert len(found.videos) == 39  # with the sound file that holds a cover picture
