"""Bad input: one clear sentence, the right exit code, the library intact."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest
from conftest import Run
from videos import make_video

from videopipe import Library
from videopipe.config import load
from videopipe.errors import MediaError
from videopipe.ingest import Job, index_video
from videopipe.types import TimedText

QUICK = ["--set", "run.executor=local", "--set", "run.workers=1"]


def sentence(text: str) -> str:
    """The error: the last line of stderr."""
    line = text.strip().splitlines()[-1]
    assert line.startswith("videopipe: ")
    return line


# --- files that cannot be used -------------------------------------------------------------------


def missing(folder: Path) -> Path:
    return folder / "missing.mp4"


def empty_folder(folder: Path) -> Path:
    (folder / "notes").mkdir()
    (folder / "notes" / "a.txt").write_text("words")
    return folder / "notes"


def zero_bytes(folder: Path) -> Path:
    (folder / "zero.mp4").touch()
    return folder / "zero.mp4"


def truncated(folder: Path) -> Path:
    # The index of an mp4 stands at its end: without it nothing can be read.
    path = make_video(folder / "truncated.mp4", seconds=4)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def text_named_mp4(folder: Path) -> Path:
    (folder / "text.mp4").write_text("this is not a video\n" * 50)
    return folder / "text.mp4"


def audio_only(folder: Path, cover: bool = False) -> Path:
    path = folder / ("cover.mp3" if cover else "sound.m4a")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mp3" if cover else "aac", rate=44100, layout="mono")
        if cover:
            picture = container.add_stream("mjpeg", rate=1)
            picture.width = picture.height = 64
            picture.pix_fmt = "yuvj420p"
            picture.disposition = av.stream.Disposition.attached_pic
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            container.mux(picture.encode(frame.reformat(format="yuvj420p")))
            container.mux(picture.encode(None))
        for index in range(40):
            samples = np.zeros((1, 1152), np.float32)
            sound = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
            sound.sample_rate, sound.pts = 44100, index * 1152
            container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    return path


def cover_picture(folder: Path) -> Path:
    return audio_only(folder, cover=True)


UNUSABLE: list[tuple[Callable[[Path], Path], int, str]] = [
    (missing, 4, "does not exist"),
    (empty_folder, 3, "No video"),
    (zero_bytes, 3, "empty"),
    (truncated, 3, "incomplete"),
    (text_named_mp4, 3, "not a"),
    (audio_only, 3, "only audio"),
    (cover_picture, 3, "cover picture"),
]


@pytest.mark.parametrize(("make", "code", "words"), UNUSABLE)
def test_unusable_files(
    videopipe: Run, tmp_path: Path, make: Callable[[Path], Path], code: int, words: str
) -> None:
    path, library = make(tmp_path), tmp_path / "library"
    ran = videopipe("index", path, "--library", library, *QUICK)
    assert ran.code == code, ran.err
    assert words in sentence(ran.err)
    with Library.open(library) as opened:
        assert opened.videos() == []
        assert opened.verify() == []
    if path.is_dir():
        return
    for command in (["info", path], ["frames", path, "--at", "0"], ["ask", path, "What is it?"]):
        ran = videopipe(*command)
        assert ran.code == code, ran.err
        assert words in sentence(ran.err)
        assert ran.out == ""


def test_an_unreadable_file(videopipe: Run) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o777)
        good = make_video(folder / "good.mp4", seconds=1)
        secret = make_video(folder / "secret.mp4", seconds=1)
        # Imports everything, which somebody else may not be able to read either.
        assert videopipe("index", good, "--library", folder / "first").code == 0
        secret.chmod(0)
        user = os.geteuid()
        try:
            if user == 0:  # root may read everything, so the check runs as somebody else
                os.seteuid(65534)
            for command in (["info"], ["index", "--library", folder / "library"]):
                ran = videopipe(*command, secret)
                assert ran.code == 3
                assert "permission denied" in sentence(ran.err)
        finally:
            os.seteuid(user)


def test_a_pipe_is_no_video(videopipe: Run, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    for command in (["info"], ["index", "--library", tmp_path / "library"]):
        ran = videopipe(*command, tmp_path / "pipe.mp4")
        assert ran.code == 3
        assert "a pipe or a device" in sentence(ran.err)


def test_a_file_that_changes_while_it_is_indexed(tmp_path: Path) -> None:
    film = make_video(tmp_path / "film.mp4", seconds=2)
    job = Job(film, load(overrides=["ocr.enabled=false"]).config)

    def interfere(stage: str, done: float, total: float) -> None:
        if stage == "subtitles":
            make_video(film, seconds=3)

    with pytest.raises(MediaError, match="changed while it was indexed"):
        index_video(job, interfere)


def test_names_are_shown_whole_and_on_one_line(videopipe: Run, tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    for name in ("Talk [dQw4w9WgXcQ].mp4", "p [bold]b.mp4", "new\nline \x1b[31m.mp4"):
        make_video(tmp_path / "videos" / name, seconds=1 + len(name) / 25)
    ran = videopipe("index", tmp_path / "videos", "--library", tmp_path / "lib [x]", *QUICK)
    assert ran.code == 0, ran.err
    assert "Talk [dQw4w9WgXcQ].mp4" in ran.out
    assert "p [bold]b.mp4" in ran.out
    assert "lib [x]" in ran.out
    assert "\x1b[31m" not in ran.out + ran.err


# --- files that are odd, and must work -----------------------------------------------------------


def damaged_in_the_middle(folder: Path) -> Path:
    path = make_video(folder / "damaged.mkv", seconds=8, gop=10)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + len(data) // 10] = os.urandom(len(data) // 10)
    path.write_bytes(data)
    return path


def no_duration(folder: Path) -> Path:
    """As browsers record: no duration, no index."""
    source = make_video(folder / "source.mkv", seconds=3)
    path = folder / "live.mkv"
    with av.open(str(source)) as given, av.open(str(path), "w", options={"live": "1"}) as made:
        stream = given.streams.video[0]
        copy = made.add_stream_from_template(stream)
        for packet in given.demux(stream):
            if packet.size:
                packet.stream = copy
                made.mux(packet)
    source.unlink()
    return path


ODD: dict[str, Callable[[Path], Path]] = {
    "damaged": damaged_in_the_middle,
    "no duration": no_duration,
    "one frame": lambda f: make_video(f / "one.mp4", seconds=0.04),
    "odd size": lambda f: make_video(f / "odd.mkv", size=(161, 97), pixel_format="yuv444p"),
    "rotated 90": lambda f: make_video(f / "r90.mp4", rotation=90),
    "rotated 180": lambda f: make_video(f / "r180.mp4", rotation=180),
    "rotated 270": lambda f: make_video(f / "r270.mp4", rotation=270),
    "variable": lambda f: make_video(f / "vfr.mkv", times=[0, 0.1, 0.5, 0.55, 2.0, 3.7]),
    "late start": lambda f: make_video(f / "late.ts", first_pts=7.0),
    "10 bit": lambda f: make_video(f / "ten.mp4", pixel_format="yuv420p10le"),
    "4:4:4": lambda f: make_video(f / "444.mp4", pixel_format="yuv444p"),
    "AV1": lambda f: make_video(f / "av1.mkv", codec="libsvtav1"),
    "23.976": lambda f: make_video(f / "ntsc.mp4", rate=Fraction(24000, 1001)),
}


@pytest.mark.parametrize("make", ODD.values(), ids=ODD.keys())
def test_odd_files_are_indexed(
    videopipe: Run, tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    path, library = make(tmp_path), tmp_path / "library"
    ran = videopipe("index", path, "--library", library, "--json", *QUICK)
    assert ran.code == 0, ran.err
    (video,) = ran.json["videos"]
    assert video["status"] == "indexed"
    assert video["duration_s"] > 0
    ran = videopipe("frames", path, "--at", "0", "--out", tmp_path / "stills")
    assert ran.code == 0, ran.err
    assert Path(ran.out.strip()).is_file()
    assert videopipe("info", path).code == 0


# --- libraries -----------------------------------------------------------------------------------


@pytest.fixture
def library(tmp_path: Path, videopipe: Run) -> Path:
    """A library with one film in it."""
    cues = [TimedText(0, 2, "A heron waits by the river.")]
    film = make_video(tmp_path / "film.mp4", seconds=3, subtitles=cues)
    assert videopipe("index", film, "--library", tmp_path / "library", *QUICK).code == 0
    return tmp_path / "library"


def test_not_a_library(videopipe: Run, tmp_path: Path) -> None:
    film = make_video(tmp_path / "film.mp4", seconds=1)
    folder = tmp_path / "holiday"
    folder.mkdir()
    (folder / "letter.txt").write_text("dear diary")
    for command in (
        ["search", "fox", "--library", folder],
        ["ask", "--library", folder, "Where is the fox?"],
        ["library", "list", "--library", folder],
        ["index", film, "--library", folder],
    ):
        ran = videopipe(*command)
        assert ran.code == 4
        assert "not a videopipe library" in sentence(ran.err)
    assert [entry.name for entry in folder.iterdir()] == ["letter.txt"]
    ran = videopipe("search", "fox", "--library", tmp_path / "nowhere")
    assert ran.code == 4
    assert "no library at" in sentence(ran.err)
    ran = videopipe("search", "fox", "--library", film)
    assert ran.code == 4


def test_a_library_of_a_newer_version(videopipe: Run, library: Path) -> None:
    with closing(sqlite3.connect(library / "library.db")) as db:
        db.execute("PRAGMA user_version = 999")
    before = {path.name: path.read_bytes() for path in library.iterdir()}
    for command in (["search", "heron"], ["library", "stats"], ["index", library.parent]):
        ran = videopipe(*command, "--library", library)
        assert ran.code == 2
        assert "newer" in sentence(ran.err)
    assert {path.name: path.read_bytes() for path in library.iterdir()} == before


def test_a_damaged_library(videopipe: Run, library: Path) -> None:
    for path in library.iterdir():
        data = bytearray(path.read_bytes())
        data[: len(data) // 2] = b"\xff" * (len(data) // 2)
        path.write_bytes(data)
    ran = videopipe("search", "heron", "--library", library)
    assert ran.code in (1, 4)
    sentence(ran.err)


def test_a_library_in_another_text_model(videopipe: Run, library: Path) -> None:
    ran = videopipe("search", "heron", "--library", library, "--set", "embed.model=nowhere/none")
    assert ran.code in (2, 5)
    assert "nowhere/none" in sentence(ran.err)


# --- questions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("question", ["", "   ", "\n"])
def test_an_empty_question(videopipe: Run, library: Path, question: str) -> None:
    for command in (
        ["ask", "--library", library, question],
        ["ask", library.parent / "film.mp4", question],
        ["search", question, "-l", library],
    ):
        ran = videopipe(*command)
        assert ran.code == 2
        assert "empty" in sentence(ran.err)


@pytest.mark.parametrize("question", ["苍鹭在哪里等候？", "أين ينتظر مالك الحزين؟", "?!", "🦆"])
def test_a_question_in_another_script(videopipe: Run, library: Path, question: str) -> None:
    ran = videopipe("ask", "--library", library, question, "--json")
    assert ran.code == 0, ran.err
    assert not ran.json["found"]
    assert ran.json["citations"] == []


def test_wrong_use(videopipe: Run, library: Path, tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    for command, words in (
        (["ask", "only a question"], "VIDEO"),
        (["ask", film, "two", "three"], "VIDEO"),
        (["ask", film, "What?", "--set", "retrieve.clip=3"], "did you mean 'retrieve.clips'"),
        (["ask", film, "What?", "--choices", "one"], "two"),
        (["ask", film, "What?", "--choices", "a|a"], "each once"),
        (["ask", film, "What?", "--choices", "|".join(map(str, range(27)))], "at most 26"),
        (["ask", tmp_path, "What?"], "folder"),
        (["frames", film, "--at", "soon"], "not a time"),
        (["frames", film, "--at", "99"], "outside"),
        (["frames", film, "--at", "-1"], "outside"),
        (["search", "heron", "-l", library, "--config", tmp_path / "no.yaml"], "cannot be read"),
    ):
        ran = videopipe(*command)
        assert ran.code == 2, (command, ran.err)
        assert words in sentence(ran.err)
    ran = videopipe("search", "heron", "-l", library, "--video", "unknown.mp4")
    assert ran.code == 4
    assert videopipe("no-such-command").code == 2


# --- interruption --------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_run_goes_on_where_it_was(
    videopipe: Run, tmp_path: Path, number: signal.Signals
) -> None:
    folder, library = tmp_path / "videos", tmp_path / "library"
    folder.mkdir()
    for name in range(3):
        make_video(folder / f"{name}.mp4", seconds=2 + name, size=(320, 180))
    command = [sys.executable, "-m", "videopipe", "index", str(folder), "--library", str(library)]
    with subprocess.Popen(
        [*command, *QUICK, "--workers", "1"],
        stderr=subprocess.PIPE,
        text=True,
        # A shell that runs the tests in the background has its children ignore interrupts.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stderr is not None
        while "0.mp4: indexed" not in (line := process.stderr.readline()):
            assert line, "the run ended too early"
        process.send_signal(number)
        rest = process.stderr.read()
    if number is signal.SIGKILL:
        assert process.returncode == -number
    else:
        assert process.returncode == 130
        assert "run the same command again" in sentence(rest)
    with Library.open(library) as opened:
        done = len(opened.videos())
        assert 1 <= done < 3
        assert opened.verify() == []
    time.sleep(0.1)
    ran = videopipe("index", folder, "--library", library, "--json", *QUICK)
    assert ran.code == 0
    statuses = [video["status"] for video in ran.json["videos"]]
    assert (statuses.count("unchanged"), statuses.count("indexed")) == (done, 3 - done)
