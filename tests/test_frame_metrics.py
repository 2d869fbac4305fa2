"""The measures of chosen frames, against KFS-Bench and by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from videopipe.evaluate.frame_metrics import Scene, frame_metrics, mean_ukss

ORACLE = np.load(Path(__file__).parent / "oracles" / "kfs_bench.npz")
CASES = sorted({name.split("/")[0] for name in ORACLE})
NAMES = ("kfr", "shr", "bsr", "bds", "ukss")
PADDING = 1.0  # seconds that KFS-Bench adds to every end

spans = st.tuples(st.integers(0, 500), st.integers(1, 50)).map(lambda s: (s[0], s[0] + s[1]))
films = st.lists(st.lists(spans, min_size=1, max_size=3), min_size=1, max_size=5)
frames = st.lists(st.floats(0, 600), min_size=1, max_size=40)


def questions(case: str) -> Iterator[tuple[np.ndarray, list[Scene]]]:
    given = {key.split("/")[2]: ORACLE[key] for key in ORACLE if key.startswith(f"{case}/in/")}
    rows = np.stack([given[f"scene_{name}"] for name in ("question", "id", "start", "end")], 1)
    for question in range(len(ORACLE[f"{case}/out/kfr"])):
        mine = rows[rows[:, 0] == question]
        scenes = [
            [(float(start), end + PADDING) for _, number, start, end in mine if number == scene]
            for scene in np.unique(mine[:, 1])
        ]
        yield given["frame_time"][given["frame_question"] == question], scenes


@pytest.mark.parametrize("case", CASES)
def test_the_official_evaluation_gives_the_same(case: str) -> None:
    measured = [frame_metrics(times, scenes) for times, scenes in questions(case)]
    for name in NAMES:
        expected = ORACLE[f"{case}/out/{name}"]
        np.testing.assert_allclose([getattr(m, name) for m in measured], expected, atol=1e-5)
    mean = mean_ukss(m.ukss for m in measured)
    np.testing.assert_allclose(mean, ORACLE[f"{case}/out/mean_ukss"], atol=1e-5)


def test_frames_are_due_to_a_scene_by_its_length_up_to_an_even_share() -> None:
    scenes = [[(0.0, 90.0)], [(100.0, 110.0)]]
    ten = [*range(0, 60, 10), 100, 102, 104, 106]  # 6 and 4; due are 5 of 10, and 1
    assert frame_metrics(ten, scenes).bsr == 1.0
    ten = [*range(0, 40, 10), *range(100, 106)]  # 4 and 6
    assert frame_metrics(ten, scenes).bsr == 0.5


def test_frames_in_two_scenes_count_for_both_but_once_as_hits() -> None:
    measured = frame_metrics([1.0, 50.0], [[(0.0, 2.0)], [(1.0, 3.0)]])
    assert (measured.kfr, measured.shr, measured.bds) == (0.5, 1.0, pytest.approx(1.0))


def test_what_cannot_be_measured_is_refused() -> None:
    for times, scenes in (([], [[(0, 1)]]), ([1.0], []), ([1.0], [[(2, 2)]])):
        with pytest.raises(ValueError, match="scene"):
            frame_metrics(times, scenes)
    with pytest.raises(ValueError, match="no questions"):
        mean_ukss([])


def test_a_missed_question_does_not_bring_the_mean_to_nothing() -> None:
    assert mean_ukss([0.0, 1.0]) == pytest.approx(0.1)


@given(frames, films)
def test_every_measure_lies_between_none_and_all(times: list[float], film: list[Scene]) -> None:
    measured = frame_metrics(times, film)
    assert all(0 <= getattr(measured, name) <= 1 + 1e-9 for name in NAMES)
    assert measured.bsr <= measured.shr
    assert (measured.kfr > 0) == (measured.shr > 0)


@given(frames, films)
def test_order_and_copies_of_all_frames_change_no_share(
    times: list[float], film: list[Scene]
) -> None:
    once, twice = frame_metrics(times, film), frame_metrics([*times[::-1], *times], film)
    assert (once.kfr, once.shr) == (twice.kfr, twice.shr)
    assert once.bds == pytest.approx(twice.bds)
