import numpy as np
import pytest
from pictures import SIZE, batches, scene, small, written

from videopipe.scan import Signals, find_cuts, measure

NONE = np.array([])


def signals(frames, **options):
    return measure(batches(frames, **options))


def test_signals_are_one_row_a_frame_and_survive_storage():
    reached = []
    measured = measure(batches(scene(i // 3) for i in range(9)), reached.append)
    arrays = measured.to_arrays()
    assert all(len(array) == 9 for array in arrays.values())
    assert reached[-1] == 8.0
    again = Signals.from_arrays({**arrays, "embedding": np.zeros(9)})
    assert all(np.array_equal(getattr(again, name), array) for name, array in arrays.items())


def test_an_hour_leaves_little_behind():
    measured = signals([scene(0)] * 20)
    per_frame = sum(array.nbytes for array in measured.to_arrays().values()) / 20
    assert per_frame * 3600 < 2**21


def test_a_scan_without_frames_and_one_with_a_single_frame():
    assert len(measure([])) == 0
    assert find_cuts(measure([]), NONE) == []
    one = signals([scene(1)])
    assert len(one) == 1
    assert one.motion[0] == 0
    assert find_cuts(one, np.array([0.0])) == []


@pytest.mark.parametrize("size", [(398, 224), (224, 398), (300, 224), (16, 16), (2, 2)])
def test_any_shape_of_picture_is_measured(size):
    measured = signals([scene(i, size) for i in range(3)])
    assert all(np.isfinite(array.astype(float)).all() for array in measured.to_arrays().values())


def test_brightness_colour_and_backdrop_measure_what_they_say():
    page, film, grey = written(["Some words"]), scene(3), np.full((224, 398, 3), 100, np.uint8)
    measured = signals([np.zeros_like(grey), page[:224, :398], film, grey], noise=0)
    assert measured.luma[0] == 0
    assert measured.luma[3] == pytest.approx(100, abs=1)
    assert measured.backdrop[1] > 0.8 > 0.5 > measured.backdrop[2]
    assert measured.colourfulness[3] == 0
    assert measured.colourfulness[2] > 20
    assert np.abs(measured.histogram.sum(1).astype(int) - 255).max() < 40


def test_a_shift_of_the_picture_is_measured_in_pictures():
    wide = scene(5, (800, 224), detail=60)
    measured = signals([wide[:, x : x + 398] for x in (0, 20, 40, 60)])
    assert measured.shift[1:, 0] == pytest.approx(-20 / 398, abs=0.01)
    assert np.abs(measured.shift[1:, 1]).max() < 0.01
    assert measured.shift_trust[1:].min() > 0.3


def test_something_that_walks_by_leaves_the_edges_in_place():
    frames = []
    for x in range(0, 300, 40):
        frame = scene(6, detail=50)
        frame[60:200, x : x + 50] = 20
        frames.append(frame)
    assert signals(frames).anchored[1:].min() > 0.65
    handheld = [np.roll(scene(6, detail=50), 9 * i, (0, 1)) for i in range(6)]
    assert signals(handheld).anchored[1:].max() < 0.5


def test_a_cut_is_placed_at_the_one_key_frame_of_its_interval():
    measured = signals([scene(1)] * 5 + [scene(2)] * 5 + [scene(3)] * 5)
    assert find_cuts(measured, np.array([0.0, 4.36, 9.2])) == [4.36, 9.2]


def test_without_one_key_frame_a_cut_is_at_the_later_sample():
    measured = signals([scene(1)] * 5 + [scene(2)] * 5)
    for keyframes in (NONE, np.array([0.0]), np.array([0.0, 4.2, 4.7])):
        assert find_cuts(measured, keyframes) == [5.0]


def test_many_cuts_in_a_row_are_all_found():
    measured = signals([scene(i // 2) for i in range(20)])
    assert find_cuts(measured, NONE) == [float(t) for t in range(2, 20, 2)]


def test_motion_pans_exposure_and_flashes_are_no_cuts():
    wide = scene(7, (1000, 224), detail=40)
    pan = [wide[:, x : x + 398] for x in range(0, 600, 30)]
    exposure = [(scene(8) * gain).astype(np.uint8) for gain in np.linspace(0.5, 1.0, 10)]
    flash = [scene(9) // 2] * 5 + [np.full((224, 398, 3), 250, np.uint8)] + [scene(9) // 2] * 5
    passing = []
    for x in range(0, 380, 40):
        frame = np.full((224, 398, 3), 90, np.uint8)
        frame[80:180, x : x + 60] = 230
        passing.append(frame)
    for frames in (pan, exposure, flash, passing):
        assert find_cuts(signals(frames), NONE) == []


def test_a_fade_through_black_is_one_cut_where_the_picture_returns():
    levels = [1, 1, 1, 0.5, 0, 0, 0, 0.5, 1, 1, 1]
    frames = [
        (scene(10 if i < 6 else 11) * level).astype(np.uint8) for i, level in enumerate(levels)
    ]
    assert find_cuts(signals(frames, noise=0.5), NONE) == [7.0]


def test_regular_key_frames_do_not_suggest_cuts():
    wide = scene(12, (1200, 224), detail=40)
    pan = [wide[:, x : x + SIZE[0]] for x in range(0, 800, 40)]
    assert find_cuts(signals(pan), np.arange(0, 20, 2.0)) == []


def slide(*lines):
    return small(written(["A course in optics", *lines], points=40))


def test_a_new_slide_is_a_cut_and_one_more_line_on_it_is_not():
    grows = [("Light bends", "at the surface", "of water and glass")[:n] for n in (1, 2, 3)]
    frames = [slide(*lines) for lines in grows for _ in range(5)]
    frames += [slide("Lenses gather it", "mirrors turn it back", "and prisms part it")] * 5
    assert find_cuts(signals(frames), NONE) == [15.0]
