import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pictures import scene, written
from videos import make_video

from videopipe.describe import describe, subtitle_texts
from videopipe.media import probe, scan
from videopipe.scan import cut_clips, find_cuts, measure
from videopipe.types import Clip, TimedText

CLIPS = [Clip("v", 0, 0.0, 10.0), Clip("v", 1, 10.0, 20.0), Clip("v", 2, 20.0, 30.0)]


def test_a_cue_goes_to_the_clips_it_is_said_in():
    lines = [
        TimedText(1.0, 3.0, "Hello."),
        TimedText(9.0, 11.0, "Across the border."),
        TimedText(18.0, 20.0, "Up to the border."),
    ]
    first, second = subtitle_texts(CLIPS, lines, "en")
    assert (first.text, first.lines) == ("Hello. Across the border.", tuple(lines[:2]))
    assert (second.text, second.lines) == ("Across the border. Up to the border.", tuple(lines[1:]))
    assert {first.source, second.source} == {"subtitle"}
    assert first.language == "en"


@given(st.lists(st.tuples(st.floats(0, 29), st.floats(0.01, 30)), max_size=20))
def test_no_cue_inside_the_video_is_lost(spans):
    lines = [TimedText(start, start + length, str(i)) for i, (start, length) in enumerate(spans)]
    told = {line for text in subtitle_texts(CLIPS, lines) for line in text.lines}
    assert told == set(lines)


@pytest.fixture(scope="module")
def lecture(tmp_path_factory):
    """Two slides, then a scene: 30 s with cuts at 10 and 20 s."""
    pictures = [
        written(["The copper harbour", "seven lanterns"], size=(640, 360), points=36),
        written(["Marble and violet", "an orchard window"], size=(640, 360), points=36),
        scene(3, (640, 360)),
    ]
    path = tmp_path_factory.mktemp("video") / "lecture.mp4"
    return make_video(
        path,
        seconds=30,
        rate=5,
        size=(640, 360),
        gop=40,
        draw=lambda _, time: pictures[min(int(time // 10), 2)],
    )


def prepare(path):
    info = probe(path)
    signals = measure(scan(info))
    cuts = find_cuts(signals, info.keyframes)
    return info, signals, cuts, cut_clips("v", info.duration, cuts)


def test_a_video_is_described_by_all_it_has(lecture):
    info, signals, cuts, clips = prepare(lecture)
    assert [(clip.start, clip.end) for clip in clips] == [(0, 10), (10, 20), (20, 30)]
    reached = []
    texts = describe(
        info,
        signals,
        cuts,
        clips,
        [("en", [TimedText(12.0, 14.0, "Look at the orchard.")])],
        progress=lambda *step: reached.append(step),
    )
    told = {(text.clip.index, text.source): text for text in texts}
    assert set(told) == {
        (0, "ocr"), (0, "facts"), (1, "subtitle"), (1, "ocr"), (1, "facts"), (2, "facts"),
    }  # fmt: skip
    assert told[0, "ocr"].text == "The copper harbour seven lanterns"
    (shown,) = told[1, "ocr"].lines
    assert shown == TimedText(10.0, 20.0, "Marble and violet an orchard window")
    assert "A slide or screen with text." in told[0, "facts"].text
    assert "A slide or screen with text." not in told[2, "facts"].text
    assert [text.clip.index for text in texts] == sorted(text.clip.index for text in texts)
    done = [time for stage, time, total in reached if (stage, total) == ("describe", info.duration)]
    assert len(done) == len(reached) > 0
    assert done == sorted(done)


def test_describing_twice_gives_the_same(lecture):
    prepared = prepare(lecture)
    assert describe(*prepared) == describe(*prepared)


def test_what_is_switched_off_is_left_out(lecture):
    prepared = prepare(lecture)
    assert {text.source for text in describe(*prepared, ocr=False)} == {"facts"}
    assert {text.source for text in describe(*prepared, facts=False)} == {"ocr"}
    assert describe(*prepared, ocr=False, facts=False) == []


def test_the_shortest_videos_are_described(tmp_path):
    one = make_video(tmp_path / "one.mp4", seconds=0.04, rate=25)
    tiny = make_video(tmp_path / "tiny.mp4", seconds=1, size=(16, 16))
    for path in (one, tiny):
        texts = describe(*prepare(path))
        assert [text.source for text in texts if text.source == "facts"] == ["facts"]
        assert all(np.isfinite([line.start, line.end]).all() for t in texts for line in t.lines)


@pytest.mark.media
def test_a_damaged_video_is_described_as_far_as_it_goes(media):
    info, signals, cuts, clips = prepare(media / "decord_corrupted.mp4")
    assert {text.source for text in describe(info, signals, cuts, clips)} >= {"facts"}
