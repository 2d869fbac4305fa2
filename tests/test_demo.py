"""The demonstration video: its screenplay, its pictures, and the rendered file."""

from __future__ import annotations

import re
import resource
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from videopipe.errors import ConfigError, NotFound, VideopipeError
from videopipe.evaluate import demo
from videopipe.evaluate._demo_canvas import HEIGHT, WIDTH
from videopipe.evaluate._demo_scenes import SCENES
from videopipe.evaluate._demo_script import MORE_QUESTIONS, PUBLIC_QUESTIONS, parts
from videopipe.evaluate._demo_slides import draw_slide
from videopipe.evaluate.demo import DemoVideo, ensure_demo, render
from videopipe.types import TimedText

HOUR = demo._describe(Path("hour.mp4"), 60)
SHOTS = demo._shots()


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> DemoVideo:
    return render(tmp_path_factory.mktemp("demo") / "two-minutes.mp4", minutes=2)


def frames(path: Path) -> Iterator[tuple[float, np.ndarray]]:
    with av.open(path) as container:
        for frame in container.decode(video=0):
            yield float(frame.pts * frame.time_base), frame.to_ndarray(format="rgb24")


def slide_text(title: str) -> str:
    part = next(part for part in parts() if part.title == title)
    return " ".join([*part.bullets, *(cell for row in part.table for cell in row)])


# The screenplay.


def test_the_pictures_fill_the_hour_without_gap_or_overlap() -> None:
    assert SHOTS[0].start == 0
    assert SHOTS[-1].end == HOUR.duration == 3600
    assert all(a.end == b.start for a, b in pairwise(SHOTS))
    assert all(20 <= shot.end - shot.start <= 70 for shot in SHOTS)


def test_the_narration_can_be_read_and_never_repeats_itself() -> None:
    cues = HOUR.narration
    assert 250 <= len(cues) <= 400
    assert len({cue.text for cue in cues}) == len(cues)
    assert all(4 <= round(cue.end - cue.start, 3) <= 8 for cue in cues)
    assert all(a.end < b.start for a, b in pairwise(cues))


def test_each_sentence_is_spoken_during_its_own_picture() -> None:
    for shot in SHOTS:
        assert [cue.text for cue in shot.cues] == shot.part.narration
        assert all(shot.start <= cue.start < cue.end <= shot.end for cue in shot.cues)


def test_each_public_question_needs_another_channel() -> None:
    assert [question.channel for question in HOUR.questions] == ["narration", "slide", "scene"]


def test_every_piece_of_evidence_is_found_in_the_film() -> None:
    asked = PUBLIC_QUESTIONS + MORE_QUESTIONS
    placed = HOUR.questions + HOUR.more_questions
    assert [q.question for q in asked] == [q.question for q in placed]
    for question, located in zip(asked, placed, strict=True):
        at_least = 2 if question.channel == "scene" else len(question.evidence)
        assert len(located.intervals) == at_least, question.question
        assert all(0 <= start < end <= 3600 for start, end in located.intervals)


def test_five_questions_have_no_answer() -> None:
    unanswered = [q for q in HOUR.more_questions if not q.intervals]
    assert len(unanswered) == 5
    assert all(q.channel is None and q.answer == "" for q in unanswered)


@pytest.mark.parametrize(
    "question",
    [q for q in PUBLIC_QUESTIONS + MORE_QUESTIONS if q.channel in ("narration", "slide")],
    ids=lambda q: q.answer,
)
def test_the_answer_is_in_its_channel_and_in_no_other(question: demo.Question) -> None:
    spoken = [line for part in parts() for line in part.narration]
    shown = [slide_text(part.title) for part in parts() if part.title]
    if question.channel == "narration":
        evidence = [line for line in spoken if any(q in line for q in question.evidence)]
        elsewhere = shown
    else:
        evidence = [slide_text(title) for title in question.evidence]
        elsewhere = spoken
    answer = re.compile(rf"\b{re.escape(question.answer)}\b")
    assert answer.search(" ".join(evidence))
    assert not any(map(answer.search, elsewhere))


def test_only_the_picture_tells_of_orange() -> None:
    words = " ".join(
        [cue.text for cue in HOUR.narration] + [slide_text(p.title) for p in parts() if p.title]
    ).lower()
    assert "orange" not in words
    assert "sunset" not in words


# The pictures.


def test_every_text_stays_inside_the_margins() -> None:
    for shot in SHOTS:
        if shot.slide:
            picture = draw_slide(shot.part, shot.slide, 48, shot.start / 60)
            paper = picture[HEIGHT - 5, WIDTH - 5]
            edges = (picture[:, WIDTH - 90 :], picture[:40, 20:], picture[HEIGHT - 25 :, 20:])
            assert all((edge == paper).all() for edge in edges), shot.part.title
            assert (picture != paper).any(axis=2).mean() > 0.02, shot.part.title


def test_table_cells_are_set_apart() -> None:
    for part in filter(lambda part: part.table, parts()):
        picture = draw_slide(part, 1, 48, 0)
        rows = picture[230:640, 96:-96]
        # Rules cross the whole width; a column of pixels without anything else is a gap.
        ink = (rows != picture[HEIGHT - 5, WIDTH - 5]).any(axis=2)
        ink[ink.mean(axis=1) > 0.95] = False
        blank = "".join("#" if used else " " for used in ink.any(axis=0)).rstrip()
        assert len(re.split(r" {30,}", blank)) == len(part.table[0]), part.title


@pytest.mark.parametrize("name", SCENES)
def test_a_scene_moves_and_is_the_same_every_time(name: str) -> None:
    draw, again = (SCENES[name](np.random.default_rng(7)) for _ in range(2))
    first = draw(1.0)
    assert first.shape == (HEIGHT, WIDTH, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, again(1.0))
    assert not np.array_equal(first, draw(2.0))
    assert np.array_equal(first, draw(1.0))


def test_scenes_differ_in_colour() -> None:
    def histogram(name: str) -> np.ndarray:
        pixels = SCENES[name](np.random.default_rng(7))(5.0)[::8, ::8].reshape(-1, 3)
        counts, _ = np.histogramdd(pixels, bins=6, range=[(0, 256)] * 3)
        return counts / counts.sum()

    seen = {name: histogram(name) for name in SCENES}
    overlap = {(a, b): np.minimum(seen[a], seen[b]).sum() for a in seen for b in seen if a < b}
    assert max(overlap.values()) < 0.85, max(overlap, key=lambda pair: overlap[pair])


def test_only_the_sunset_is_mostly_orange() -> None:
    import cv2

    def orange(picture: np.ndarray) -> float:
        hue, saturation, value = np.moveaxis(cv2.cvtColor(picture, cv2.COLOR_RGB2HSV), 2, 0)
        return float(((hue >= 6) & (hue <= 22) & (saturation > 130) & (value > 120)).mean())

    share = {name: orange(SCENES[name](np.random.default_rng(7))(10.0)) for name in SCENES}
    assert share.pop("sunset") > 0.8
    assert max(share.values()) < 0.2


# The file.


def test_the_file_has_the_promised_streams_and_timeline(film: DemoVideo) -> None:
    with av.open(film.path) as container:
        video, captions = container.streams.video[0], container.streams.subtitles[0]
        assert (video.codec_context.name, video.width, video.height) == ("h264", WIDTH, HEIGHT)
        assert video.duration * video.time_base == film.duration == 120
        assert (captions.codec_context.name, captions.language) == ("mov_text", "eng")
        packets = [packet for packet in container.demux(video) if packet.pts is not None]
    times = [packet.pts * packet.time_base for packet in packets]
    assert times == [Fraction(index, demo._RATE) for index in range(len(packets))]
    keys = [float(t) for t, packet in zip(times, packets, strict=True) if packet.is_keyframe]
    assert {0.0, *film.cuts} <= set(keys)
    assert max(np.diff([*keys, 120])) <= 30


def test_the_embedded_track_is_the_narration(film: DemoVideo) -> None:
    with av.open(film.path) as container:
        found = [
            TimedText(
                float(packet.pts * packet.time_base),
                float((packet.pts + packet.duration) * packet.time_base),
                bytes(packet)[2 : 2 + int.from_bytes(bytes(packet)[:2], "big")].decode(),
            )
            for packet in container.demux(subtitles=0)
            if packet.size > 2
        ]
    assert len(found) == len(film.narration) > 10
    for cue, expected in zip(found, film.narration, strict=True):
        assert cue.text == expected.text
        assert (cue.start, cue.end) == pytest.approx((expected.start, expected.end), abs=1e-6)


def test_the_picture_changes_at_the_cuts_and_nowhere_else_as_much(film: DemoVideo) -> None:
    small = [(time, picture[::8, ::8].astype(int)) for time, picture in frames(film.path)]
    change = {
        time: float(np.abs(picture - before).mean())
        for (_, before), (time, picture) in pairwise(small)
    }
    inside = max(value for time, value in change.items() if time not in film.cuts)
    assert min(change[cut] for cut in film.cuts) > 2 * inside


def test_a_slide_is_decoded_as_it_was_drawn(film: DemoVideo) -> None:
    shot = next(shot for shot in SHOTS if shot.slide)
    drawn = draw_slide(shot.part, shot.slide, 48, shot.start / 60).astype(int)
    decoded = next(picture for time, picture in frames(film.path) if time == shot.start + 10)
    assert np.abs(decoded.astype(int) - drawn).mean() < 3


def test_rendering_twice_gives_the_same_pictures(tmp_path: Path) -> None:
    one, two = (render(tmp_path / f"{i}.mp4", minutes=0.6).path for i in range(2))
    for (time_one, picture_one), (time_two, picture_two) in zip(
        frames(one), frames(two), strict=True
    ):
        assert time_one == time_two
        assert np.array_equal(picture_one, picture_two)


def test_a_short_film_keeps_only_what_it_can_answer(film: DemoVideo) -> None:
    assert film.narration == HOUR.narration[: len(film.narration)]
    kept = film.questions + film.more_questions
    assert all(end <= 120 for q in kept for _, end in q.intervals)
    assert sum(q.channel is None for q in kept) == 5


def test_progress_reaches_the_end(tmp_path: Path) -> None:
    calls: list[tuple[float, float]] = []
    render(tmp_path / "a.mp4", minutes=1, progress=lambda *call: calls.append(call))
    assert calls == sorted(calls)
    assert calls[-1] == (60, 60)


def test_an_interrupted_rendering_leaves_the_old_film_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "demo.mp4"
    path.write_bytes(b"what was there before")

    def interrupt(done: float, total: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render(path, minutes=1, progress=interrupt)
    assert path.read_bytes() == b"what was there before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_finished_film_is_reused_and_any_other_file_replaced(tmp_path: Path) -> None:
    path = tmp_path / "demo.mp4"
    path.write_bytes(b"not a film")
    first = ensure_demo(path, minutes=0.2)
    written = path.stat().st_ino
    assert ensure_demo(path, minutes=0.2) == first
    assert path.stat().st_ino == written
    assert ensure_demo(path, minutes=0.3).duration == 18
    with av.open(path) as container:
        assert container.duration == 18_000_000


@pytest.mark.parametrize("minutes", [0, -1, 60.1, float("nan")])
def test_a_wrong_length_is_refused(tmp_path: Path, minutes: float) -> None:
    with pytest.raises(ConfigError, match="minutes must be between"):
        render(tmp_path / "demo.mp4", minutes=minutes)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="missing does not exist"):
        render(tmp_path / "missing" / "demo.mp4", minutes=0.2)


def test_a_folder_is_no_film(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a folder"):
        ensure_demo(tmp_path, minutes=0.2)


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(VideopipeError, match=r"cannot be written to .*demo\.mp4"):
            render(tmp_path / "demo.mp4", minutes=0.5)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []
