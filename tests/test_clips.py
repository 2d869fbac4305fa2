import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videopipe.errors import ConfigError
from videopipe.scan import cut_clips

seconds = st.floats(0.04, 3000, allow_nan=False)
cut_lists = st.lists(st.floats(-5, 3100, allow_nan=False), max_size=60)


def edges(clips):
    return [clip.start for clip in clips] + [clips[-1].end]


def tiles(clips, duration):
    assert clips[0].start == 0.0
    assert clips[-1].end == duration
    assert all(a.end == b.start for a, b in itertools.pairwise(clips))
    assert all(clip.end > clip.start for clip in clips)
    assert [clip.index for clip in clips] == list(range(len(clips)))


@given(seconds, cut_lists, st.floats(0.5, 30), st.floats(2, 8))
def test_clips_tile_the_video_and_keep_their_lengths(duration, cuts, low, ratio):
    high = low * ratio
    clips = cut_clips("v", duration, cuts, min_seconds=low, max_seconds=high)
    tiles(clips, duration)
    lengths = [clip.end - clip.start for clip in clips]
    assert max(lengths) <= high * (1 + 1e-6)
    if duration >= low:
        assert min(lengths) >= low * (1 - 1e-6)
    else:
        assert len(clips) == 1
    assert clips == cut_clips(
        "v", duration, list(reversed(cuts)), min_seconds=low, max_seconds=high
    )


@given(st.lists(st.floats(10, 80), min_size=1, max_size=12))
def test_shots_of_the_right_length_are_the_clips(lengths):
    cuts = [math.fsum(lengths[: i + 1]) for i in range(len(lengths))]
    clips = cut_clips("v", cuts[-1], cuts[:-1], min_seconds=9.999, max_seconds=81)
    assert edges(clips) == [0.0, *cuts]


@given(st.lists(st.floats(0.5, 60), min_size=2, max_size=9))
def test_no_division_crosses_fewer_cuts(lengths):
    cuts = [math.fsum(lengths[: i + 1]) for i in range(len(lengths) - 1)]
    duration = math.fsum(lengths)
    kept = set(edges(cut_clips("v", duration, cuts)))
    crossed = sum(cut not in kept for cut in cuts)
    for mask in range(2 ** len(cuts)):
        chosen = [0.0, *(cut for i, cut in enumerate(cuts) if mask >> i & 1), duration]
        if all(b - a >= 10 for a, b in itertools.pairwise(chosen)):
            assert crossed <= len(cuts) - mask.bit_count()


def test_short_shots_are_joined_evenly_and_long_ones_split_evenly():
    assert edges(cut_clips("v", 40, [5, 10, 15, 20, 25, 30, 35])) == [0, 10, 20, 30, 40]
    assert edges(cut_clips("v", 200, [])) == [
        0,
        pytest.approx(200 / 3),
        pytest.approx(400 / 3),
        200,
    ]
    assert edges(cut_clips("v", 63, [3])) == [0, 63]


@given(seconds, st.floats(0.5, 200))
def test_windows_are_those_of_goldfish(duration, window):
    clips = cut_clips("v", duration, [1.0], mode="windows", window_seconds=window)
    tiles(clips, duration)
    for i, clip in enumerate(clips):
        assert clip.start == window * i
        assert clip.end == pytest.approx(min(window * (i + 1), duration))


def test_the_last_window_is_kept_and_a_full_one_is_not_doubled():
    assert edges(cut_clips("v", 161, [], mode="windows")) == [0, 80, 160, 161]
    assert edges(cut_clips("v", 160, [], mode="windows")) == [0, 80, 160]


def test_ten_hours_of_fast_cutting():
    clips = cut_clips("v", 36000, [1.7 * i for i in range(1, 21176)])
    tiles(clips, 36000)
    assert all(10 <= clip.end - clip.start <= 14 for clip in clips)


@pytest.mark.parametrize(
    ("duration", "options"),
    [
        (0, {}),
        (float("nan"), {}),
        (60, {"min_seconds": 10, "max_seconds": 15}),
        (60, {"min_seconds": 0}),
        (60, {"mode": "windows", "window_seconds": 0}),
    ],
)
def test_lengths_that_make_no_sense_are_refused(duration, options):
    with pytest.raises(ConfigError, match="must"):
        cut_clips("v", duration, [], **options)
