import numpy as np
import pytest
from pictures import batches, grass, scene, small, written

from videopipe.describe import facts_texts
from videopipe.describe.colours import dominant_colours
from videopipe.describe.faces import FaceFinder, Faces
from videopipe.describe.facts import frames_to_look_at
from videopipe.media import scan
from videopipe.scan import find_cuts, measure
from videopipe.types import Clip

NONE = np.array([])


def facts(frames, faces=(), clip=None, **options):
    frames = list(frames)
    signals = measure(batches(frames, **options))
    clip = clip or Clip("v", 0, 0.0, float(len(frames)))
    (document,) = facts_texts([clip], signals, find_cuts(signals, NONE), faces)
    assert document.text == " ".join(line.text for line in document.lines)
    assert all(clip.start <= line.start < line.end <= clip.end for line in document.lines)
    return {line.text: (line.start, line.end) for line in document.lines}


def plain(red, green, blue):
    return np.full((224, 398, 3), (red, green, blue), np.uint8)


@pytest.mark.parametrize(
    ("rgb", "name"),
    [
        ((230, 20, 20), "red"),
        ((240, 140, 20), "orange"),
        ((230, 220, 30), "yellow"),
        ((40, 180, 50), "green"),
        ((20, 60, 30), "black"),
        ((20, 110, 30), "dark green"),
        ((30, 200, 210), "turquoise"),
        ((40, 80, 220), "blue"),
        ((20, 30, 110), "dark blue"),
        ((160, 190, 240), "light blue"),
        ((150, 50, 230), "purple"),
        ((240, 60, 170), "pink"),
        ((120, 70, 30), "brown"),
        ((225, 195, 165), "beige"),
        ((0, 0, 0), "black"),
        ((90, 90, 90), "dark grey"),
        ((150, 150, 150), "grey"),
        ((250, 250, 250), "white"),
    ],
)
def test_colours_have_the_names_people_use(rgb, name):
    signals = measure(batches([plain(*rgb)], noise=0))
    assert dominant_colours(signals.histogram[0].astype(float)).main == [name]


def test_a_small_red_thing_is_an_accent():
    frame = plain(150, 150, 150)
    frame[80:140, 100:180] = (220, 20, 20)
    assert "A mostly grey picture with some red." in facts([frame] * 3)


def test_brightness_and_black():
    assert "A dark scene." in facts([scene(1) // 6] * 4)
    assert "A bright picture." in facts([np.full((224, 398, 3), 240, np.uint8)] * 4)
    frames = [scene(1)] * 4 + [plain(0, 0, 0)] * 3 + [scene(2)] * 4
    told = facts(frames, noise=0.5)
    assert told["The screen is black."] == (4.0, 7.0)
    assert set(facts([plain(0, 0, 0)] * 4, noise=0.5)) == {"The screen is black."}


def test_black_and_white_film_and_nothing_else():
    grey = np.repeat(scene(1).mean(2, keepdims=True), 3, 2).astype(np.uint8)
    assert "Black and white footage." in facts([grey] * 4)
    for picture in (scene(1), plain(250, 250, 250), plain(128, 128, 128), plain(5, 5, 5)):
        assert "Black and white footage." not in facts([picture] * 4)


def test_shots_are_counted():
    assert "One continuous shot." in facts([scene(1)] * 10)
    assert "Three shots." in facts([scene(i // 5) for i in range(15)])
    assert "Fast cutting, five shots." in facts([scene(i // 2) for i in range(10)])


def test_a_slide_is_told_from_film():
    slide = small(written(["Results of the survey", "forty people answered"]))
    told = facts([slide] * 10)
    assert "A slide or screen with text." in told
    assert not any("camera" in text for text in told)
    for frames in ([scene(1, detail=40)] * 10, [grass(1)] * 10, [plain(250, 250, 250)] * 10):
        assert "A slide or screen with text." not in facts(frames)


def test_the_camera_is_still_or_pans_or_shakes():
    wide = scene(3, (1200, 224), detail=90)
    right = [wide[:, x : x + 398] for x in range(0, 400, 30)]
    tall = scene(4, (398, 900), detail=30)
    down = [tall[y : y + 224] for y in range(0, 300, 20)]
    assert "The camera is still." in facts([right[0]] * 8)
    assert "The camera pans right." in facts(right)
    assert "The camera pans left." in facts(right[::-1])
    assert "The camera tilts down." in facts(down)
    assert "The camera tilts up." in facts(down[::-1])
    random = np.random.default_rng(1)
    shaken = [
        np.roll(scene(5, detail=50), tuple(random.integers(-40, 40, 2)), (0, 1)) for _ in range(12)
    ]
    assert "The camera moves." in facts(shaken)


def test_someone_who_walks_by_does_not_move_the_camera():
    frames = []
    for x in range(0, 340, 30):
        frame = scene(6, detail=50)
        frame[60:220, x : x + 50] = 20
        frames.append(frame)
    told = facts(frames)
    assert "The camera is still." in told
    assert "Almost nothing moves." not in told
    assert "Almost nothing moves." in facts([scene(6, detail=50)] * 8)


def test_faces_are_told_for_their_shot():
    frames = [scene(1)] * 10 + [scene(2)] * 10
    told = facts(frames, [Faces(3.0, 1, 0.5), Faces(6.0, 0, 0.0), Faces(15.0, 2, 0.2)])
    assert told["A person's face, close up."] == (0.0, 10.0)
    assert told["Two people's faces."] == (10.0, 20.0)


def test_a_clip_in_which_nothing_was_sampled_has_no_facts():
    signals = measure(batches([scene(1)] * 5))
    assert facts_texts([Clip("v", 0, 50.0, 60.0)], signals, []) == []


def test_frames_to_look_at_are_key_frames_where_there_are_any():
    signals = measure(batches([scene(1)] * 60))
    clips = [Clip("v", 0, 0.0, 30.0), Clip("v", 1, 30.0, 60.0)]
    assert frames_to_look_at(clips, signals, np.array([0.0, 4.4, 16.2, 29.0])) == [
        4.4, 16.2, 29.0, 45.0,
    ]  # fmt: skip
    black = measure(batches([plain(0, 0, 0)] * 60, noise=0))
    assert frames_to_look_at(clips, black, np.array([0.0, 5.0])) == []


@pytest.fixture(scope="module")
def finder():
    return FaceFinder()


def looks(finder, path, every=3):
    return [
        finder.find(float(time), frame).count
        for batch in scan(path, 1 / every, 480)
        for time, frame in zip(batch.times, batch.frames, strict=True)
    ]


@pytest.mark.media
@pytest.mark.parametrize(("name", "people"), [("simpl_vp9_3.webm", 2), ("muse_yongen.mp4", 1)])
def test_faces_that_look_at_the_camera_are_found(media, finder, name, people):
    counts = looks(finder, media / name)
    assert max(counts) == people
    assert np.mean(np.array(counts) > 0) >= 0.7


@pytest.mark.media
@pytest.mark.parametrize(
    "name",
    ["dj_video10.mp4", "imageio_cockatoo.mp4", "intel_car.mp4", "mcpm_demo.mp4", "skv_bikes.mp4",
     "tc_nasa13013.mp4", "udacity_lane.mp4", "sam2_coffee.mp4"],
)  # fmt: skip
def test_no_face_is_seen_where_there_is_none(media, finder, name):
    assert max(looks(finder, media / name)) == 0
