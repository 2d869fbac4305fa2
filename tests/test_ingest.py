"""Index runs: what is skipped, what is done again, and what a broken file does to the others."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import Run
from videos import make_video

import videopipe
from videopipe import Library
from videopipe.config import Config, load
from videopipe.errors import ConfigError, LibraryError, NotFound, NothingProcessed, PartialFailure
from videopipe.ingest import IndexReport
from videopipe.media import PacketTable
from videopipe.media.backends import check
from videopipe.types import TimedText

LOCAL = load(overrides=["run.executor=local", "run.workers=1"]).config
CUES = [
    TimedText(0.5, 2.5, "The fox runs over the frozen lake."),
    TimedText(3.0, 5.5, "A red balloon rises behind the church."),
]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds with two subtitle lines."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    return make_video(path, seconds=6, size=(320, 180), subtitles=CUES)


def index(library: Path, *paths: Path, config: Config = LOCAL) -> IndexReport:
    return videopipe.index(paths, library, config=config)


def outcomes(report: IndexReport) -> dict[str, str]:
    return {outcome.path.name: outcome.status for outcome in report.outcomes}


def test_a_folder_is_indexed_and_then_left_alone(film: Path, tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    (folder / "deep").mkdir(parents=True)
    shutil.copy(film, folder / "deep" / "one.mp4")
    make_video(folder / "two.mkv", seconds=3, rate=10)
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "notes.txt").write_text("no video")
    library = tmp_path / "library"

    first = index(library, folder)
    assert outcomes(first) == {"one.mp4": "indexed", "two.mkv": "indexed", "empty.mp4": "failed"}
    assert isinstance(first.error(), PartialFailure)
    assert "0 bytes" in next(o.reason for o in first.outcomes if o.status == "failed")
    assert first.video_seconds_per_second > 0
    with Library.open(library) as opened:
        before = opened.stats()

    again = index(library, folder)
    assert outcomes(again) == {
        "one.mp4": "unchanged",
        "two.mkv": "unchanged",
        "empty.mp4": "failed",
    }
    with Library.open(library) as opened:
        assert opened.stats().texts == before.texts
        assert opened.verify() == []


def test_records_hold_clips_texts_vectors_and_signals(film: Path, tmp_path: Path) -> None:
    index(tmp_path / "library", film)
    with Library.open(tmp_path / "library") as library:
        (video,) = library.videos()
        clips = library.clips(video.video_id)
        assert [(clip.start, clip.end) for clip in clips] == [(0.0, pytest.approx(6.0))]
        texts = library.texts(clips)
        said = [line for text in texts if text.source == "subtitle" for line in text.lines]
        assert [line.text for line in said] == [cue.text for cue in CUES]
        assert [line.start for line in said] == pytest.approx([0.5, 3.0], abs=0.002)
        assert {text.source for text in texts} >= {"subtitle", "facts"}
        for text in texts:
            assert text.embedding is not None
            assert np.linalg.norm(text.embedding) == pytest.approx(1, abs=1e-4)
        signals = library.signals(video.video_id)
        assert signals["times"].tolist() == [0, 1, 2, 3, 4, 5]
        table = PacketTable.from_arrays(library.packets(video.video_id))
        assert table.duration == video.duration
        assert table.frame_count == 150


def test_the_report_says_how_exact_the_scan_was(film: Path, tmp_path: Path, videopipe: Run) -> None:
    many = make_video(tmp_path / "many.mp4", seconds=4, bframes=3, gop=50)
    keys = make_video(tmp_path / "keys.mp4", seconds=4, gop=1)
    for path, more, exactness, error in (
        (many, [], "nonref", 0.04),
        (keys, [], "keyframe", 0.0),
        (film, ["scan.exactness=exact"], "exact", 0.0),
        (film, ["scan.exactness=keyframe"], "keyframe", 0.2),
    ):
        settings = [word for key in more for word in ("--set", key)]
        ran = videopipe("index", path, "--library", tmp_path / "l", "--json", *settings)
        (outcome,) = ran.json["videos"]
        assert outcome["scan"]["exactness"] == exactness
        assert outcome["scan"]["largest_error_s"] == pytest.approx(error, abs=1e-6)
    again = videopipe("index", many, "--library", tmp_path / "other")
    assert "Frames scanned: 1 video nonref (at most 0.040 s off)" in again.out


def test_a_back_end_that_does_not_work_stops_the_run_at_once(film: Path, tmp_path: Path) -> None:
    if check("torchcodec") is None:
        pytest.skip("torchcodec works here")
    config = load(overrides=["decode.backend=torchcodec"]).config
    with pytest.raises(ConfigError, match="torchcodec"):
        index(tmp_path / "library", film, config=config)


def test_another_back_end_indexes_the_same(film: Path, tmp_path: Path) -> None:
    for name in ("pyav", "opencv"):
        config = load(overrides=["scan.exactness=exact", f"decode.backend={name}"]).config
        assert outcomes(index(tmp_path / name, film, config=config)) == {"film.mp4": "indexed"}
    with Library.open(tmp_path / "pyav") as one, Library.open(tmp_path / "opencv") as other:
        (video,) = one.videos()
        pairs = [library.signals(video.video_id) for library in (one, other)]
        assert pairs[0]["times"].tolist() == pairs[1]["times"].tolist()
        np.testing.assert_allclose(pairs[0]["luma"], pairs[1]["luma"], atol=3)


def test_changed_moved_and_copied_files_are_told_apart(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library, path = tmp_path / "library", tmp_path / "a.mp4"
    shutil.copy(film, path)
    assert outcomes(index(library, path)) == {"a.mp4": "indexed"}

    moved = path.rename(tmp_path / "b.mp4")
    assert outcomes(index(library, moved)) == {"b.mp4": "moved"}
    copy = Path(shutil.copy(moved, tmp_path / "c.mp4"))
    assert outcomes(index(library, moved, copy)) == {"b.mp4": "unchanged", "c.mp4": "duplicate"}
    moved.touch()
    assert outcomes(index(library, moved)) == {"b.mp4": "unchanged"}
    monkeypatch.chdir(tmp_path)
    assert outcomes(index(library, Path("b.mp4"))) == {"b.mp4": "unchanged"}

    make_video(moved, seconds=2, size=(320, 180))
    assert outcomes(index(library, moved)) == {"b.mp4": "indexed"}
    with Library.open(library) as opened:
        (video,) = [v for v in opened.videos() if v.path == moved]
        assert video.duration == pytest.approx(2)
        assert opened.verify() == []


def test_other_settings_index_again(film: Path, tmp_path: Path) -> None:
    library = tmp_path / "library"
    index(library, film)
    finer = load(overrides=["run.executor=local", "scan.rate=2"]).config
    assert outcomes(index(library, film, config=finer)) == {film.name: "indexed"}
    assert outcomes(index(library, film, config=finer)) == {film.name: "unchanged"}
    with Library.open(library) as opened:
        (video,) = opened.videos()
        assert len(opened.signals(video.video_id)["times"]) == 12


def test_goldfish_windows(film: Path, tmp_path: Path) -> None:
    windows = load(overrides=["clips.mode=windows", "clips.window_seconds=4"]).config
    index(tmp_path / "library", film, config=windows)
    with Library.open(tmp_path / "library") as library:
        (video,) = library.videos()
        spans = [(clip.start, clip.end) for clip in library.clips(video.video_id)]
        assert spans == [(0.0, 4.0), (4.0, pytest.approx(6.0))]


@pytest.mark.parametrize("executor", ["local", pytest.param("ray", marks=pytest.mark.ray)])
def test_every_executor_gives_the_same_library(film: Path, tmp_path: Path, executor: str) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    shutil.copy(film, folder / "one.mp4")
    make_video(folder / "two.mp4", seconds=3, size=(200, 120))
    (folder / "broken.mp4").write_bytes(b"\0" * 999)
    alone, together = tmp_path / "alone", tmp_path / "together"
    index(alone, folder)
    config = load(overrides=[f"run.executor={executor}", "run.workers=2"]).config
    report = index(together, folder, config=config)
    assert report.workers == 2
    with Library.open(alone) as first, Library.open(together) as second:
        for video in first.videos():
            clips = first.clips(video.video_id)
            assert clips == second.clips(video.video_id)
            assert first.texts(clips) == second.texts(clips)
        assert len(first.videos()) == len(second.videos()) == 2


def test_nothing_to_index_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.txt").write_text("no video")
    assert isinstance(index(tmp_path / "l", tmp_path / "folder").error(), NothingProcessed)
    assert isinstance(index(tmp_path / "l", tmp_path / "missing").error(), NotFound)


def test_a_full_disk_stops_the_run_and_leaves_the_library_whole(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library, other = tmp_path / "library", tmp_path / "other.mp4"
    index(library, film)
    make_video(other, seconds=3)
    with Library.open(library) as opened:
        # SQLite itself says "database or disk is full" when it may not grow.
        pages = opened._db.execute("PRAGMA page_count").fetchone()[0]
        opened._db.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(LibraryError, match="full"):
            videopipe.index([other], opened, config=LOCAL)
    with Library.open(library) as opened:
        assert [video.path for video in opened.videos()] == [film]
        assert opened.verify() == []
    assert outcomes(index(library, other)) == {"other.mp4": "indexed"}


def test_copies_in_one_run_are_stored_once(film: Path, tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    for name in ("a.mp4", "b.mp4"):
        shutil.copy(film, folder / name)
    assert outcomes(index(tmp_path / "library", folder)) == {
        "a.mp4": "indexed",
        "b.mp4": "duplicate",
    }
    with Library.open(tmp_path / "library") as opened:
        assert [video.name for video in opened.videos()] == ["a.mp4"]


def test_names_that_were_swapped_or_used_again(tmp_path: Path) -> None:
    library, one, two = tmp_path / "library", tmp_path / "one.mp4", tmp_path / "two.mp4"
    make_video(one, seconds=2)
    make_video(two, seconds=3)
    index(library, one, two)

    def durations() -> dict[str, float]:
        with Library.open(library) as opened:
            return {video.name: round(video.duration) for video in opened.videos()}

    one.rename(tmp_path / "x")
    two.rename(one)
    (tmp_path / "x").rename(two)
    assert outcomes(index(library, one, two)) == {"one.mp4": "moved", "two.mp4": "moved"}
    assert durations() == {"one.mp4": 3, "two.mp4": 2}

    yesterday = one.rename(tmp_path / "yesterday.mp4")
    make_video(one, seconds=4)
    assert outcomes(index(library, one, yesterday)) == {
        "one.mp4": "indexed",
        "yesterday.mp4": "moved",
    }
    assert durations() == {"one.mp4": 4, "two.mp4": 2, "yesterday.mp4": 3}
    roundabout = tmp_path / "library" / ".." / "two.mp4"
    assert outcomes(index(library, roundabout)) == {"two.mp4": "unchanged"}


def test_subtitles_beside_a_video_belong_to_it(tmp_path: Path) -> None:
    library, film = tmp_path / "library", make_video(tmp_path / "film.mp4", seconds=4)
    index(library, film)
    (tmp_path / "film.en-US.srt").write_text("1\n00:00:01,000 --> 00:00:09,000\nThe owl waits.\n")
    (tmp_path / "film.de.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nDie Eule wartet.\n")
    assert outcomes(index(library, film)) == {"film.mp4": "indexed"}
    assert outcomes(index(library, film)) == {"film.mp4": "unchanged"}

    def said() -> list[tuple[str | None, float, str]]:
        with Library.open(library) as opened:
            texts = opened.texts(opened.clips(opened.get("film").video_id))
        return [(t.language, t.lines[0].end, t.text) for t in texts if t.source == "subtitle"]

    assert sorted(said(), key=str) == [
        ("de", 2.0, "Die Eule wartet."),
        ("en-US", 4.0, "The owl waits."),
    ]
    english = load(overrides=["run.executor=local", "subtitles.language=eng"]).config
    index(library, film, config=english)
    assert said() == [("en-US", 4.0, "The owl waits.")]
    french = load(overrides=["run.executor=local", "subtitles.language=fr"]).config
    index(library, film, config=french)
    assert len(said()) == 2


def test_sound_files_in_a_folder_are_passed_over(film: Path, tmp_path: Path) -> None:
    import av

    shutil.copy(film, tmp_path / "film.mp4")
    with av.open(str(tmp_path / "song.m4a"), "w") as container:
        stream = container.add_stream("aac", rate=44100, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        sound.sample_rate = 44100
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    report = index(tmp_path / "library", tmp_path)
    assert outcomes(report) == {"film.mp4": "indexed", "song.m4a": "skipped"}
    assert report.error() is None
