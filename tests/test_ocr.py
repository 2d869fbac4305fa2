import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pictures import batches, grass, scene, small, written

from videopipe.describe import Reader, Reading, frames_to_read, ocr_texts
from videopipe.describe.ocr import Line, reading_order
from videopipe.describe.screen_text import similarity
from videopipe.media import fetch_each, probe, scan
from videopipe.scan import find_cuts, measure
from videopipe.types import Clip

WORDS = ("harbour", "window", "copper", "seven", "lantern", "orchard", "violet", "thunder")
NONE = np.array([])


def sentence(seed, words=4):
    return " ".join(np.random.default_rng(seed).choice(WORDS, words))


def slide(seed):
    return small(written([sentence(100 * seed + row) for row in range(4)]))


def holds(frames, **options):
    signals = measure(batches(frames, **options))
    return frames_to_read(signals, find_cuts(signals, NONE))


def times(frames, **options):
    return [hold.time for hold in holds(frames, **options)]


@pytest.fixture(scope="module")
def reader():
    return Reader()


# Which frames are read


@pytest.mark.parametrize("noise", [0.0, 3.0])
def test_a_lecture_is_read_once_a_slide(noise):
    found = holds([slide(i // 20) for i in range(120)], noise=noise)
    assert len(found) == 6
    assert [int(hold.time) // 20 for hold in found] == list(range(6))
    assert [(hold.start, hold.end) for hold in found] == [
        (20.0 * i, 20.0 * i + 20) for i in range(6)
    ]


def test_pictures_without_text_are_not_read():
    bare = [written([], size=(398, 224)), scene(1), np.zeros((224, 398, 3), np.uint8)]
    for picture in bare:
        assert times([picture] * 30) == []


def test_still_texture_is_read_once_and_moving_texture_at_most_once():
    assert len(times([grass(1)] * 40)) == 1
    assert len(times([grass(i) for i in range(40)])) <= 1


@pytest.mark.parametrize(("word", "points"), [("NOTICE", 60), ("Stop", 44)])
def test_a_word_that_shows_for_three_seconds_is_read(word, points):
    room = cv2.resize(scene(3, detail=30), (1280, 720))
    ink = (255, 255, 255)
    shown = small(written([word], room, points=points, at=(500, 300), ink=ink, outline=3))
    (hold,) = holds([small(room)] * 20 + [shown] * 3 + [small(room)] * 20)
    assert hold.time in (20.0, 21.0, 22.0)
    assert (hold.start, hold.end) == (20.0, 23.0)


def test_subtitles_that_change_every_two_seconds_are_all_read():
    def frame(k):
        room = cv2.resize(scene(4, detail=30), (1280, 720))
        left = 500 + 20 * (k % 5)
        room[200:500, left : left + 200] = scene(50 + k % 7, (200, 300), detail=5)
        text, ink = sentence(k // 2), (255, 255, 255)
        return small(written([text], room, points=44, at=(200, 630), ink=ink, outline=3))

    found = times([frame(k) for k in range(60)])
    assert {int(time) // 2 for time in found} == set(range(30))
    assert len(found) <= 34


def test_typing_is_read_every_few_seconds_and_when_it_is_done():
    words = sentence(9, 16).split()
    typed = [
        small(written([" ".join(words[:k][row : row + 4]) for row in (0, 4, 8, 12)]))
        for k in range(1, 17)
    ]
    found = times([small(written([]))] * 3 + typed + [typed[-1]] * 20)
    assert 1 <= len(found) <= 6
    assert found[-1] >= 18


def test_scrolling_is_read_every_few_seconds():
    page = written([sentence(row, 5) for row in range(60)], size=(1280, 4600))
    frames = [small(np.ascontiguousarray(page[y : y + 720])) for y in range(0, 3800, 95)]
    found = times(frames)
    assert len(frames) / 6 <= len(found) <= len(frames) / 2
    assert max(np.diff([0.0, *found, float(len(frames))])) <= 5


def test_a_slide_that_comes_back_is_read_again_so_that_its_time_is_known():
    frames = [slide(0)] * 8 + [scene(5)] * 8 + [slide(0)] * 8
    found = holds(frames)
    assert [hold.time < 8 for hold in found] == [True, False]
    assert found[0].end == 8.0
    assert found[1].start == 16.0


def test_a_title_between_cuts_is_read_though_it_never_settles():
    title = small(written(["Chapter one"], scene(8), points=90, at=(300, 250), outline=4))
    found = holds([scene(1)] * 6 + [title] + [scene(2)] * 6)
    assert [(hold.time, hold.start, hold.end) for hold in found] == [(6.0, 6.0, 7.0)]


# What is read


def test_drawn_text_is_read_in_order_with_its_spaces(reader):
    lines = ["Open a new window", "of the old lighthouse", "by the harbour."]
    read = reader.read(written(lines, size=(640, 360), points=28, at=(40, 60)))
    assert [line.text for line in read] == lines
    assert all(0.6 <= line.confidence <= 1 for line in read)
    assert read[0].top < read[1].top < read[2].top


def test_nothing_is_read_where_nothing_is_written(reader):
    assert reader.read(scene(2, (640, 360))) == ()
    assert reader.read(np.zeros((2, 2, 3), np.uint8)) == ()


def test_unsure_lines_are_dropped():
    picture = written(["Plainly written"], size=(640, 360), points=28)
    assert Reader(min_confidence=1.0).read(picture) == ()


def line(text, top, left=0.0, height=20.0, confidence=0.9):
    return Line(text, confidence, left, top, left + 10 * len(text), top + height)


def test_rows_are_read_from_left_to_right():
    rows = [line("b", 2, 50), line("d", 41, 50), line("a", 0), line("c", 40)]
    assert [row.text for row in reading_order(rows)] == ["a", "b", "c", "d"]


# What becomes of the readings

CLIPS = [Clip("v", 0, 0.0, 20.0), Clip("v", 1, 20.0, 40.0)]


def shown(*readings):
    return [
        [(text.start, text.end, text.text) for text in document.lines]
        for document in ocr_texts(CLIPS, [Reading(*reading) for reading in readings])
    ]


def test_the_same_text_read_again_is_one_line_in_the_best_words():
    read = [
        (0.0, 4.0, (line("The copper lantem", 0, confidence=0.7),)),
        (4.0, 9.0, (line("The copper lantern", 0, confidence=0.95),)),
        (9.0, 12.0, (line("Thecopper lantern", 0, confidence=0.8),)),
    ]
    assert shown(*read) == [[(0.0, 12.0, "The copper lantern")]]


def test_a_text_that_was_away_is_two_lines():
    read = [(0.0, 4.0, (line("Marble", 0),)), (10.0, 12.0, (line("Marble", 0),))]
    assert shown(*read) == [[(0.0, 4.0, "Marble"), (10.0, 12.0, "Marble")]]


def test_a_paragraph_is_joined_and_a_title_stands_alone():
    page = (
        line("Weather", 0, height=50),
        line("Rain comes from the", 80),
        line("west before noon.", 104),
        line("A footnote far below", 300),
    )
    assert [text for _, _, text in shown((0.0, 9.0, page))[0]] == [
        "Weather",
        "Rain comes from the west before noon.",
        "A footnote far below",
    ]


def test_lines_that_come_later_keep_their_own_time():
    first = line("First point", 0)
    read = [(0.0, 5.0, (first,)), (5.0, 9.0, (first, line("Second point", 24)))]
    assert shown(*read) == [[(0.0, 9.0, "First point"), (5.0, 9.0, "Second point")]]


def test_a_text_across_a_border_is_in_both_clips_within_their_times():
    assert shown((15.0, 30.0, (line("Orchard", 0),))) == [
        [(15.0, 20.0, "Orchard")],
        [(20.0, 30.0, "Orchard")],
    ]


def test_chinese_lines_are_joined_without_a_space():
    page = (line("你知道您的房子", 0), line("需要安装吊顶吗", 24))
    assert shown((0.0, 2.0, page)) == [[(0.0, 2.0, "你知道您的房子需要安装吊顶吗")]]


@given(st.text("ab c", max_size=12), st.text("ab c", max_size=12))
def test_similarity_is_symmetric_bounded_and_one_only_for_equal_text(a, b):
    bare_a, bare_b = "".join(a.split()), "".join(b.split())
    assert 0 <= similarity(a, b) <= 1
    assert similarity(a, b) == similarity(b, a)
    assert (similarity(a, b) == 1) == (bare_a == bare_b)


# Real videos


def read_video(path, reader):
    info = probe(path)
    signals = measure(scan(info))
    found = {
        hold.time: hold for hold in frames_to_read(signals, find_cuts(signals, info.keyframes))
    }
    readings = [
        Reading(found[time].start, found[time].end, reader.read(frame))
        for time, frame in fetch_each(info, list(found), 720)
    ]
    (document,) = ocr_texts([Clip("v", 0, 0.0, info.duration)], readings)
    return len(found), document


@pytest.mark.media
def test_burned_in_subtitles_are_nearly_all_read(media, reader):
    count, document = read_video(media / "dj_video3.mp4", reader)
    # every subtitle that stands for two samples or more, as read from each frame by eye
    expected = {
        "告诉我吊顶有什么用": 2,
        "功能性遮挡设备便于安装管道": 5,
        "协调一个空间比例": 8,
        "在低于2米4的情况下": 15,
        "经常活动的区域会有种压抑感": 17,
        "你知道您的房子需要安装吊顶吗": 20,
        "屋内外面有很多的管道怎么办呢": 24,
        "如果您不介意把管道裸露在外面": 27,
        "石膏板吊顶": 34,
        "可以在评论区": 38,
        "那不吊顶的天花板该怎么设计呢": 41,
        "利用灯具的一个优化": 44,
        "来关注我带你装新家": 47,
    }
    for text, time in expected.items():
        (found,) = [shown for shown in document.lines if text in shown.text]
        assert found.start <= time + 1
        assert found.end > time
    assert count <= 20


@pytest.mark.media
@pytest.mark.parametrize(
    ("name", "text", "start", "end"),
    [
        ("simpl_chrome.mp4", "Open a new browser", 22.4, 27),
        ("webrtc_mixed.webm", "hear the Rabbit say to itself", 5, 10.1),
        ("mp_bbb30.webm", "THE PEACH OPEN MOVIE PROJECT", 20, 23),
        ("vllava_demo.mp4", "Clear history", 0, 32),
    ],
)
def test_text_on_screen_is_found_at_its_time(media, reader, name, text, start, end):
    _, document = read_video(media / name, reader)
    found = [shown for shown in document.lines if text in shown.text]
    assert found
    assert all(start <= shown.start < shown.end <= end for shown in found)


def test_small_print_is_read_in_the_larger_picture():
    lines = ["When visiting this location, be cautious about", "the presence of the red glove."]
    page = written(lines, size=(1920, 1440), points=22)
    for short_side in (1440, 540):
        read = Reader(short_side=short_side).read(page)
        assert [line.text for line in read] == lines


def test_thousands_are_not_torn_apart(reader):
    (line,) = reader.read(written(["The quartz vibrates 32,768 times a second"]))
    assert "32,768" in line.text
