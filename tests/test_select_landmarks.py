from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from videopipe.select.landmarks import Landmarks

ORACLE = np.load(Path(__file__).parent / "oracles" / "spatial_mllm.npz")
CASES = sorted({name.split("/")[0] for name in ORACLE})

sightings = st.lists(st.lists(st.integers(0, 30), max_size=12), max_size=9)


def sets(landmarks):
    return [set(landmarks[i].tolist()) for i in range(len(landmarks))]


def cubes(points, confidence, percentile, floor, parts):
    """The sheet's steps 4 to 6, point by point."""
    least = np.percentile(confidence, percentile)
    held = [
        (t, p)
        for t in range(len(points))
        for p, c in zip(points[t].reshape(-1, 3), confidence[t].ravel(), strict=True)
        if c >= least and c > floor
    ]
    low = np.min([p for _, p in held], axis=0)
    edge = np.float32(np.min(np.max([p for _, p in held], axis=0) - low)) / np.float32(parts)
    found = [set() for _ in points]
    for t, p in held:
        found[t].add(tuple(np.floor((p - low) / edge).astype(int)))
    return found


@pytest.mark.parametrize("case", CASES)
def test_frames_see_as_many_voxels_as_published(case):
    landmarks = Landmarks.from_point_maps(
        ORACLE[f"{case}/in/world_points"], ORACLE[f"{case}/in/confidence"]
    )
    np.testing.assert_allclose(
        np.diff(landmarks.offsets), ORACLE[f"{case}/out/voxel_count"], rtol=0.005
    )


@given(st.integers(0, 999), st.integers(1, 6), st.sampled_from([0.0, 30.0, 50.0, 90.0]))
def test_voxels_are_those_of_the_definition(seed, frames, percentile):
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(frames, 3, 5, 3)).astype(np.float32) * [1, 4, 2]
    points = points.astype(np.float32)
    confidence = rng.uniform(0, 2, (frames, 3, 5)).astype(np.float32)
    landmarks = Landmarks.from_point_maps(
        points, confidence, percentile=percentile, voxels_along_shortest_axis=4
    )
    expected = cubes(points, confidence, percentile, 0.1, 4)
    ours = sets(landmarks)
    assert [len(s) for s in ours] == [len(s) for s in expected]
    for a in range(frames):
        for b in range(frames):
            assert len(ours[a] & ours[b]) == len(expected[a] & expected[b])


def test_a_flat_scene_is_put_into_squares():
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 10, (2, 20, 20, 3)).astype(np.float32)
    points[..., 2] = rng.uniform(0, 1e-5, points.shape[:3])
    landmarks = Landmarks.from_point_maps(
        points, np.ones(points.shape[:3]), voxels_along_shortest_axis=5
    )
    assert landmarks.seen(np.array([0, 1])) <= 36


def test_a_single_point_is_one_voxel():
    landmarks = Landmarks.from_point_maps(np.ones((3, 2, 2, 3)), np.ones((3, 2, 2)))
    assert sets(landmarks) == [{0}, {0}, {0}]


def test_what_is_no_number_has_no_part():
    rng = np.random.default_rng(1)
    points, confidence = rng.normal(size=(4, 6, 6, 3)), rng.uniform(1, 2, (4, 6, 6))
    points[0, 0, 0], confidence[1, 0, 0], confidence[3] = np.nan, np.nan, np.nan
    points[2, 0, 0, 1] = np.inf
    landmarks = Landmarks.from_point_maps(points, confidence, percentile=0)
    counts = np.diff(landmarks.offsets)
    assert (counts[:3] > 0).all()
    assert counts[3] == 0


def test_points_that_nobody_is_sure_of_are_not_seen():
    points = np.random.default_rng(2).normal(size=(3, 4, 4, 3))
    assert sets(Landmarks.from_point_maps(points, np.full((3, 4, 4), 0.05))) == [set()] * 3
    assert len(Landmarks.from_point_maps(np.empty((0, 4, 4, 3)), np.empty((0, 4, 4)))) == 0


@given(sightings)
def test_each_frame_has_its_points_once(frames):
    landmarks = Landmarks.of(frames)
    assert len(landmarks) == len(frames)
    assert sets(landmarks) == [set(points) for points in frames]
    assert len(landmarks.ids) == sum(len(set(points)) for points in frames)


@given(sightings.filter(bool), st.data())
def test_frames_taken_keep_their_points(frames, data):
    rows = data.draw(st.lists(st.integers(0, len(frames) - 1), max_size=9))
    landmarks = Landmarks.of(frames)
    taken = landmarks.take(np.array(rows, np.int64))
    assert sets(taken) == [set(frames[row]) for row in rows]
    assert landmarks.seen(np.array(rows, np.int64)) == len(set().union(*sets(taken), set()))


@given(st.lists(sightings, max_size=4))
def test_videos_that_are_joined_share_no_points(videos):
    parts = [Landmarks.of(frames) for frames in videos]
    joined = Landmarks.join(parts)
    assert len(joined) == sum(map(len, parts))
    everything = np.arange(len(joined))
    assert joined.seen(everything) == sum(part.seen(np.arange(len(part))) for part in parts)
    start = 0
    for part in parts:
        mine = joined.take(np.arange(start, start + len(part)))
        assert np.array_equal(mine.offsets, part.offsets)
        assert len(np.unique(mine.ids - part.ids)) <= 1
        start += len(part)


@pytest.mark.parametrize(
    ("offsets", "ids"),
    [([], []), ([1, 2], [0, 0]), ([0, 1], [0, 0]), ([0, 2, 1, 3], [0, 1, 2]), ([0, 1], [-1])],
)
def test_offsets_that_do_not_fit_are_refused(offsets, ids):
    with pytest.raises(ValueError, match="offsets of landmarks"):
        Landmarks(np.array(offsets, np.int64), np.array(ids, np.int64))


def test_widened_frames_know_what_near_neighbours_see() -> None:
    frames = [{0, 1, 2, 3}, {1, 2, 3, 4}, {3, 4, 9, 10}, set(), {20, 21}, {20, 21, 22, 23}, {40}]
    wide = Landmarks.of(frames).widened()
    known = [set(wide[at].tolist()) for at in range(len(frames))]
    assert known[0] == known[1] == {0, 1, 2, 3, 4}  # three of four are shared
    assert known[2] == frames[2]  # two of four are not enough
    assert known[3] == set()
    assert known[4] == known[5] == {20, 21, 22, 23}  # all of the frame with fewer
    assert known[6] == {40}
    assert len(Landmarks.of([]).widened()) == 0
    assert Landmarks.of(frames).total == 12
