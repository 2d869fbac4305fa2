import itertools

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videopipe.media import scan
from videopipe.scan.landmarks import FRAME_LIMIT, LandmarkTracker

WIDTH, HEIGHT = 398, 224


def painting(seed, width=1800, height=700):
    """Overlapping shapes of all sizes: corners everywhere, none like another."""
    rng = np.random.default_rng(seed)
    picture = np.full((height, width, 3), 128, np.uint8)
    for size in np.geomspace(120, 8, 1600):
        middle = rng.uniform((0, 0), (width, height))
        corners = middle + rng.normal(0, size / 2, (rng.integers(3, 6), 2))
        cv2.fillPoly(picture, [corners.astype(np.int32)], rng.integers(0, 256, 3).tolist())
    return cv2.GaussianBlur(picture, (0, 0), 1.2)


PAINTING = painting(0)


def camera(x, y, turn=0.0, zoom=1.0, tilt=0.0):
    """The homography from the painting to a picture that looks at ``(x, y)``."""
    to_middle = np.array([[1, 0, WIDTH / 2], [0, 1, HEIGHT / 2], [0, 0, 1]])
    lens = zoom * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return (
        to_middle
        @ [[*lens[0], 0], [*lens[1], 0], [tilt, 0, 1]]
        @ [[1, 0, -x], [0, 1, -y], [0, 0, 1]]
    )


def shot(pose, seed=0, light=1.0, noise=2.0, picture=PAINTING):
    seen = cv2.warpPerspective(picture, pose, (WIDTH, HEIGHT), flags=cv2.INTER_AREA)
    grain = np.random.default_rng(seed).normal(0, noise, seen.shape)
    return np.clip(seen * light + grain, 0, 255).astype(np.uint8)


def follow(frames, tracker=None):
    tracker = tracker or LandmarkTracker()
    for time, frame in enumerate(frames):
        tracker.add(float(time), frame)
    return tracker


def sets(landmarks):
    return [set(landmarks[i].tolist()) for i in range(len(landmarks))]


def check(landmarks):
    assert np.diff(landmarks.offsets).max(initial=0) <= FRAME_LIMIT
    for i in range(len(landmarks)):
        assert (np.diff(landmarks[i]) > 0).all()
    if len(landmarks.ids):
        assert np.array_equal(np.unique(landmarks.ids), np.arange(landmarks.ids.max() + 1))


def places(frames, poses):
    """Of each track, where its sightings are in the painting; ``[N, 2]`` each."""
    tracker, at, tracks = LandmarkTracker(), [], []
    for time, (frame, pose) in enumerate(zip(frames, poses, strict=True)):
        tracker.add(float(time), frame)
        view = tracker._before
        at.append(cv2.perspectiveTransform(view.at[None], np.linalg.inv(pose))[0])
    ends = np.frombuffer(tracker._ends, np.int64)
    assert len(ends) == len(frames) + 1
    tracks, at = tracker._joined(ends), np.concatenate(at)
    order = np.argsort(tracks, kind="stable")
    groups = np.split(at[order], np.flatnonzero(np.diff(tracks[order])) + 1)
    return [group for group in groups if len(group) > 1]


def walk(steps, start=300.0, stop=1400.0):
    """There and back again, with turns, zooms and tilts."""
    there = np.linspace(start, stop, steps)
    return [
        camera(
            x, 350 + 60 * np.sin(i), 0.1 * np.sin(i / 2), 1 + 0.12 * np.sin(i / 3), 2e-4 * np.cos(i)
        )
        for i, x in enumerate([*there, *there[::-1]])
    ]


def test_a_track_is_one_point_of_the_scene():
    poses = walk(14)
    frames = [shot(pose, i, 1 + 0.1 * np.sin(i / 4)) for i, pose in enumerate(poses)]
    found = places(frames, poses)
    off = np.concatenate([np.hypot(*(group[1:] - group[0]).T) for group in found])
    assert len(off) > 1500
    assert np.mean(off < 5) >= 0.95


def test_points_are_followed_at_two_depths_by_the_epipolar_geometry():
    ground = painting(1)
    tracker, views = LandmarkTracker(), []
    for i in range(8):
        frame = shot(camera(500 + 30 * i, 350), i)
        frame[110:] = shot(camera(500 + 55 * i, 350), i, picture=ground)[110:]
        tracker.add(float(i), frame)
        views.append(tracker._before)
    far, near = [], []
    for view, later in itertools.pairwise(views):
        _, a, b = np.intersect1d(view.tracks, later.tracks, return_indices=True)
        moved = view.at[a] - later.at[b]
        far.extend(moved[view.at[a, 1] < 105])
        near.extend(moved[view.at[a, 1] > 115])
    assert min(len(far), len(near)) > 150
    assert np.mean(np.hypot(*(np.array(far) - [30, 0]).T) < 4) > 0.9
    assert np.mean(np.hypot(*(np.array(near) - [55, 0]).T) < 4) > 0.9


def test_a_camera_that_comes_back_sees_the_landmarks_again():
    away = [camera(x, 350) for x in np.linspace(300, 1500, 14)]
    # back by a jump, so that no frame in between leads there
    poses = [*away, camera(310, 345, 0.06, 1.05), camera(330, 350)]
    seen = sets(follow(shot(pose, i) for i, pose in enumerate(poses)).landmarks([]))
    assert len(seen[0] & seen[-2]) > 0.4 * len(seen[0])
    assert not seen[0] & seen[8]


def test_coverage_of_landmarks_is_coverage_of_the_scene():
    # the camera rests for long, then looks round quickly
    columns = [300 + 3 * (i % 4) for i in range(30)] + list(range(380, 1500, 80))
    seen = sets(follow(shot(camera(x, 350), i) for i, x in enumerate(columns)).landmarks([]))
    chosen, covered = [], set()
    for _ in range(4):
        best = max(range(len(seen)), key=lambda i: len(seen[i] - covered))
        chosen.append(best)
        covered |= seen[best]

    def shown(frames):
        return len({x for i in frames for x in range(columns[i] - 150, columns[i] + 150)})

    assert shown(chosen) > 1.4 * shown([5, 16, 27, 38])
    assert shown(chosen) > 0.8 * 4 * 300


def test_a_still_camera_costs_no_second_look(monkeypatch):
    tracker = LandmarkTracker()
    looked = []
    corners = tracker._corners
    monkeypatch.setattr(tracker, "_corners", lambda grey: looked.append(1) or corners(grey))
    follow((shot(camera(500, 300), i) for i in range(10)), tracker)
    seen = sets(tracker.landmarks([]))
    assert len(looked) == 1
    assert len(seen[0]) > 60
    assert all(points == seen[0] for points in seen)


def test_a_slow_pan_does_not_pass_for_a_still_camera(monkeypatch):
    tracker = LandmarkTracker()
    looked = []
    corners = tracker._corners
    monkeypatch.setattr(tracker, "_corners", lambda grey: looked.append(1) or corners(grey))
    soft = cv2.GaussianBlur(PAINTING, (0, 0), 3)
    poses = [camera(400 + 0.25 * i, 300) for i in range(100)]
    seen = sets(
        follow((shot(pose, noise=0, picture=soft) for pose in poses), tracker).landmarks([])
    )
    assert 10 < len(looked) < 70
    assert seen[0] != seen[-1]


def test_nothing_is_seen_where_nothing_is():
    flat = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    bright = np.full((HEIGHT, WIDTH, 3), 200, np.uint8)
    frames = [flat, bright, shot(camera(500, 300)), shot(camera(520, 300)), flat]
    seen = sets(follow(frames).landmarks([1.5, 3.5]))
    assert [bool(points) for points in seen] == [False, False, True, True, False]


def test_pictures_of_other_things_have_no_landmarks_in_common():
    frames = [shot(camera(450, 350), picture=painting(seed, 900)) for seed in range(2, 7)]
    assert not len(follow(frames).landmarks([]).ids)


def test_a_landmark_ends_at_a_cut():
    frames = [shot(camera(400 + 20 * i, 300), i) for i in range(8)]
    tracker = follow(frames)
    whole, cut = sets(tracker.landmarks([])), sets(tracker.landmarks([3.5]))
    assert whole[3] & whole[4]
    before, after = set().union(*cut[:4]), set().union(*cut[4:])
    assert not before & after
    assert min(map(len, cut)) > 40
    # the order of the cuts, and cuts outside the video, make no difference
    assert sets(tracker.landmarks([99.0, 3.5, -1.0])) == cut


def test_a_frame_alone_in_its_shot_sees_a_few_points():
    frames = [shot(camera(400 + 20 * i, 300), i) for i in range(5)]
    seen = sets(follow(frames).landmarks([2.5, 3.5]))
    assert 0 < len(seen[3]) <= 20 < len(seen[0])
    assert 0 < len(seen[4]) <= 20
    assert not seen[3] & seen[4]


def test_the_same_frames_have_the_same_landmarks_whatever_opencv_did_before():
    frames = [shot(pose, i) for i, pose in enumerate(walk(5))]
    first = follow(frames).landmarks([4.5])
    cv2.setRNGSeed(7)
    points = np.random.default_rng(0).uniform(0, 99, (40, 2))
    cv2.findHomography(points, points[::-1].copy(), cv2.RANSAC)
    cv2.findFundamentalMat(points, points[::-1].copy(), cv2.USAC_PROSAC)
    again = follow(frames).landmarks([4.5])
    assert np.array_equal(first.ids, again.ids)
    assert np.array_equal(first.offsets, again.offsets)


def test_landmarks_may_be_asked_for_in_between():
    frames = [shot(pose, i) for i, pose in enumerate(walk(4))]
    tracker = follow(frames[:4])
    assert len(tracker.landmarks([])) == 4
    for time, frame in enumerate(frames[4:], 4):
        tracker.add(float(time), frame)
    assert np.array_equal(tracker.landmarks([]).ids, follow(frames).landmarks([]).ids)
    assert len(LandmarkTracker().landmarks([1.0])) == 0


def test_earlier_views_are_bounded_and_the_first_and_last_stay():
    tracker = LandmarkTracker()
    for time in range(48):
        picture = np.random.default_rng(time).integers(0, 256, (24, 32, 3), np.uint8)
        tracker.add(float(time), cv2.resize(picture, (128, 96), interpolation=cv2.INTER_CUBIC))
    times = [view.time for view in tracker._views]
    assert len(times) == 32
    assert times[0] == 0
    assert times[-1] == 47
    gaps = np.diff(times)
    assert gaps[: len(gaps) // 2].mean() > gaps[len(gaps) // 2 :].mean()


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from([(1, 1), (8, 60), (39, 39), (50, 50), (64, 120)]),
    st.lists(st.integers(0, 4), max_size=8),
    st.lists(st.floats(-1, 9), max_size=4),
)
def test_any_frames_and_cuts_make_landmarks(size, frames, cuts):
    pictures = [
        cv2.resize(
            np.random.default_rng(seed // 2).integers(0, 256, (9 + seed, 16, 3), np.uint8),
            size[::-1],
        )
        for seed in frames
    ]
    landmarks = follow(pictures).landmarks(cuts)
    assert len(landmarks) == len(frames)
    check(landmarks)


def test_frames_see_at_most_so_many_landmarks_each_once():
    poses = walk(8)
    landmarks = follow(shot(pose, i) for i, pose in enumerate(poses)).landmarks([5.5])
    check(landmarks)
    assert np.diff(landmarks.offsets).max() > 100


@pytest.mark.media
@pytest.mark.parametrize(("name", "rate"), [("dj_video10.mp4", 1.0), ("sam2_bedroom.mp4", 3.0)])
def test_real_walks_have_landmarks_that_last(media, name, rate):
    batches = list(scan(next(media.rglob(name)), rate=rate, short_side=224))
    landmarks = follow(frame for batch in batches for frame in batch.frames).landmarks([])
    check(landmarks)
    assert np.diff(landmarks.offsets).min() >= 25
    assert np.bincount(landmarks.ids).mean() >= 3
