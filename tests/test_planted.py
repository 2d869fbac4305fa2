"""Films with planted events: the truth about them is true, and signals come from their pixels."""

from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest

from videopipe.errors import ConfigError
from videopipe.evaluate._planted_shots import COLOURS, HEIGHT, SHAPES, WIDTH, Event, Thing, put
from videopipe.evaluate.coverage import best_coverage
from videopipe.evaluate.planted import KINDS, Kind, Planted, plan, render
from videopipe.evaluate.planted_case import planted_case, relevance, resemblance
from videopipe.evaluate.rooms import _TEXELS as TEXELS
from videopipe.evaluate.rooms import CELL, EYES, WALL_HEIGHT, Camera, House, walk
from videopipe.media import scan
from videopipe.select import Landmarks

SECONDS = 60.0
EVENTS: tuple[Kind, ...] = ("single", "several", "distractors", "near-duplicates")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("planted")


def frames(film: Planted, folder: Path) -> np.ndarray:
    path = folder / f"{film.kind}.mp4"
    render(film, path)
    return np.concatenate([batch.frames for batch in scan(path)])


def shown(film: Planted, time: float) -> list[Event]:
    return [event for event in film.events if event.start <= time < event.end]


def picture(*things: Thing) -> np.ndarray:
    drawn = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
    for place, thing in enumerate(things):
        put(drawn, Event(0, 1, thing, 25, (80 + 120 * place, 90)), 0)
    return drawn


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_says_all_about_a_film(kind: Kind) -> None:
    assert plan(kind, 3) == plan(kind, 3)
    assert plan(kind, 3) != plan(kind, 4)
    for seed in range(8):
        film = plan(kind, seed)
        assert 8 * 60 <= film.seconds <= 20 * 60
        spans = [span for scene in film.scenes for span in scene]
        assert all(0 <= start < end <= film.seconds for start, end in spans)
        assert film.thing is None or str(film.thing) in film.question


@pytest.mark.parametrize("seed", range(6))
def test_kinds_of_films_are_what_they_are_called(seed: int) -> None:
    films = {kind: plan(kind, seed) for kind in KINDS}
    lengths = {kind: [b - a for ((a, b),) in films[kind].scenes] for kind in EVENTS}
    assert [2.5 < length < 6.5 for length in lengths["single"]] == [True]
    assert 3 <= len(lengths["several"]) <= 6
    *short, long = sorted(lengths["near-duplicates"])
    assert long > 80 > 9 > max(short)
    asked = films["distractors"].thing
    others = [e.thing for e in films["distractors"].events if e.thing != asked]
    assert asked
    assert any(t.colour == asked.colour for t in others)
    assert any(t.shape == asked.shape for t in others)
    overview = films["overview"]
    ends = [end for ((_, end),) in overview.scenes]
    starts = [start for ((start, _),) in overview.scenes]
    assert starts[1:] == pytest.approx(ends[:-1], abs=0.02)
    assert ends[-1] < overview.seconds
    stays = sorted(span for scene in films["space"].scenes for span in scene)
    assert sum(end - start for start, end in stays) == pytest.approx(
        films["space"].seconds, rel=0.01
    )
    assert len(stays) > len(films["space"].scenes) > 2  # it comes back to a room


@pytest.mark.parametrize("kind", EVENTS)
def test_decoded_pixels_show_the_thing_in_its_scenes_and_nowhere_else(
    kind: Kind, folder: Path
) -> None:
    film = plan(kind, 1, SECONDS)
    assert film.thing
    seen = np.array([resemblance(frame, film.thing) for frame in frames(film, folder)])
    times = np.arange(len(seen), dtype=float)
    inside = np.array([any(a <= t <= b for scene in film.scenes for a, b in scene) for t in times])
    assert (inside == [any(e.thing == film.thing for e in shown(film, t)) for t in times]).all()
    assert np.median(seen[inside]) > 0.6
    if kind != "distractors":
        assert np.median(seen[inside]) > seen[~inside].max() + 0.1
    assert np.median(seen[~inside]) < 0.3


def test_look_alikes_resemble_the_thing_in_part() -> None:
    asked = Thing("red", "star")
    whole = resemblance(picture(asked), asked)
    colour = resemblance(picture(Thing("red", "square")), asked)
    shape = resemblance(picture(Thing("blue", "star")), asked)
    both = resemblance(picture(Thing("red", "square"), Thing("blue", "star")), asked)
    nothing = resemblance(picture(Thing("green", "cross")), asked)
    assert whole > 0.9 > 0.7 > max(colour, shape, both) > min(colour, shape) > 0.2 > nothing


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("colour", COLOURS)
def test_every_thing_resembles_itself_most(colour: str, shape: str) -> None:
    asked = Thing(colour, shape)
    scores = {
        other: resemblance(picture(other), asked)
        for other in (Thing(c, s) for c in COLOURS for s in SHAPES)
    }
    assert max(scores, key=scores.__getitem__) == asked
    assert scores.pop(asked) > max(scores.values()) + 0.2


def test_the_signal_has_a_level_and_noise_and_knows_only_the_resemblance() -> None:
    answers = np.zeros(600)
    answers[100:104] = 1.0
    signal = relevance(answers, 0)
    flat = relevance(np.zeros(600), 0)
    assert signal[100:104].min() > flat.max()
    assert 0.15 < flat.mean() < 0.3
    assert 0.03 < flat.std() < 0.08
    np.testing.assert_array_equal(
        np.delete(signal, range(100, 104)), np.delete(flat, range(100, 104))
    )


def test_a_case_is_measured_once_and_read_again(folder: Path) -> None:
    case = planted_case("near-duplicates", 0, folder / "cases", SECONDS)
    assert len(case.candidates) == SECONDS == case.candidates.duration
    np.testing.assert_allclose(np.linalg.norm(case.candidates.features, axis=1), 1, atol=1e-5)
    assert case.candidates.landmarks
    assert len(case.candidates.landmarks.ids)
    shots = [shot.start for shot in plan("near-duplicates", 0, SECONDS).shots[1:]]
    near = [np.abs(case.candidates.cuts - start).min() <= 1.0 for start in shots]
    assert np.mean(near) >= 0.8
    files = sorted((folder / "cases").iterdir())
    stamps = [file.stat().st_mtime_ns for file in files]
    again = planted_case("near-duplicates", 0, folder / "cases", SECONDS)
    assert [file.stat().st_mtime_ns for file in sorted((folder / "cases").iterdir())] == stamps
    np.testing.assert_array_equal(again.candidates.scores, case.candidates.scores)
    assert again.scenes == case.scenes


def test_films_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError, match="no kind of film 'comedy'"):
        plan("comedy", 0)
    with pytest.raises(ConfigError, match="60 s or longer"):
        plan("single", 0, 5.0)


def test_a_camera_sees_a_wall_where_a_pinhole_puts_it() -> None:
    house = House(0)
    camera = Camera(house, WIDTH, HEIGHT)
    focal = WIDTH / 2 / np.tan(np.deg2rad(40))
    aside, away = np.deg2rad(20), 2.0  # the point is to the right, the wall 2 m before the camera
    levels = int(WALL_HEIGHT / CELL)
    same = []
    for wall in house._walls[:8]:
        for column, level in itertools.product(
            range(int((wall.end - wall.start) / CELL)), (1, 2, 3)
        ):
            along, high = (column + 0.5) * CELL, (level + 0.5) * CELL
            at = [wall.start + along, wall.at]
            point = np.array(at if wall.axis == 0 else at[::-1])
            stand = point.copy()
            stand[1 - wall.axis] += away * wall.facing
            yaw = np.arctan2(*(point - stand)[::-1]) - aside
            pose = np.array([*stand, yaw])
            assert wall.cell + levels * column + level in camera.landmarks(pose)
            pixel = (
                WIDTH / 2 + focal * np.tan(aside),
                HEIGHT / 2 - focal * (high - EYES) / (away * np.cos(aside)),
            )
            texel = (wall.texel + along * TEXELS, (WALL_HEIGHT - high) * TEXELS)
            drawn, paint = (
                cv2.getRectSubPix(image, (1, 1), (x - 0.5, y - 0.5)).ravel().astype(int)
                for image, (x, y) in ((camera.picture(pose), pixel), (house._atlas, texel))
            )
            same.append(np.abs(drawn - paint).max() < 12)
    assert len(same) > 150
    assert np.mean(same) > 0.95  # the others are edges


def test_a_walk_goes_through_doors_and_comes_to_every_room() -> None:
    for seed in range(3):
        house = House(seed)
        poses = walk(house, seed, 900, 2.0)
        rooms = [house.room(pose) for pose in poses]
        changes = [pair for pair in itertools.pairwise(rooms) if pair[0] != pair[1]]
        assert all((min(pair), max(pair)) in house.doors for pair in changes)
        assert set(rooms) == set(range(6))
        steps = np.abs(np.diff(poses, axis=0))
        assert np.hypot(steps[:, 0], steps[:, 1]).max() < 0.8
        stays = np.bincount(rooms)
        assert stays.max() > 2 * stays.min()  # uneven, as people are
        assert (steps[:, :2].sum(1) == 0).mean() > 0.3


def test_true_landmarks_are_those_of_the_moment() -> None:
    film = plan("space", 2, SECONDS)
    times = np.arange(0, SECONDS, 7)
    house = House(2)
    camera = Camera(house, WIDTH, HEIGHT)
    poses = walk(house, 2, SECONDS, film.rate)
    seen = film.landmarks(times)
    for row, time in enumerate(times):
        np.testing.assert_array_equal(seen[row], camera.landmarks(poses[int(time * film.rate)]))


def test_the_best_coverage_is_that_of_all_sets_of_frames() -> None:
    rng = np.random.default_rng(0)
    for _ in range(8):
        landmarks = Landmarks.of([rng.choice(20, rng.integers(0, 7), False) for _ in range(8)])
        for k in (1, 2, 4, 8):
            sets = itertools.combinations(range(8), k)
            most = max(landmarks.seen(np.array(some)) for some in sets)
            assert best_coverage(landmarks, k) == (most, True)
    assert best_coverage(Landmarks.of([[], []]), 1) == (0, True)
