"""A walk through textured rooms, drawn with true perspective, and what each picture shows.

Metres, radians, seconds. A pose is ``(x, y, yaw)``: the place on the floor and the direction of
view, 0 along x, growing towards y. The camera is held level at the height of the eyes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Pose = NDArray[np.float64]
Picture = NDArray[np.uint8]

WALL_HEIGHT, EYES = 2.5, 1.5
CELL = 0.5  # a landmark is a square of a wall with this edge
_LEVELS = int(WALL_HEIGHT / CELL)
_DOOR = 1.1
_TEXELS = 48  # a metre, on walls, floor and ceiling
_GAP = 2  # texels between two walls, so that none bleeds into the other
_VIEW = np.deg2rad(80.0)  # across
_SEEN = 1 / 1000  # of the picture: less of a landmark is not seen
_PACE, _TURN = 0.7, np.deg2rad(18.0)  # a second
_SLACK = 1e-9  # by rounding, a ray would slip through a corner
_MARGIN = 1.0  # from the walls, where somebody stands


class _Wall(NamedTuple):
    """A stretch of wall along one axis, seen from one side.

    ``axis`` 0: it runs along x at ``y = at``; 1: along y at ``x = at``; ``facing`` the sign of its
    normal. ``texel`` is where its texture begins in the atlas, ``cell`` its first landmark.
    """

    axis: int
    at: float
    start: float
    end: float
    facing: int
    texel: float
    cell: int


class House:
    """``columns`` x ``rows`` rooms of random sizes, doors between them, no two walls alike.

    Rooms are numbered row by row from 0. Every room can be reached.
    """

    def __init__(self, seed: int, columns: int = 3, rows: int = 2) -> None:
        rng = np.random.default_rng([seed, 1])
        self.columns, self.rows = columns, rows
        self.xs = np.concatenate([[0.0], np.cumsum(rng.uniform(4.0, 6.5, columns))])
        self.ys = np.concatenate([[0.0], np.cumsum(rng.uniform(3.5, 5.5, rows))])
        self.doors = self._open(rng)
        walls, strips = self._build(rng)
        texels = sum(strip.shape[1] for strip in strips)
        floor = np.ceil([self.ys[-1] * _TEXELS, self.xs[-1] * _TEXELS]).astype(int)
        width = max(texels, int(floor[1]))
        height = strips[0].shape[0]
        atlas = np.zeros((height + 2 * int(floor[0]), width, 3), np.uint8)
        atlas[:height, :texels] = np.concatenate(strips, 1)
        for part in range(2):  # the floor, and the ceiling below it
            top = height + part * int(floor[0])
            atlas[top : top + floor[0], : floor[1]] = self._ground(rng, floor, bright=part == 1)
        self._atlas = atlas
        self._tops = (height, height + int(floor[0]))
        self._walls = walls

    @property
    def landmarks(self) -> int:
        """How many landmarks there are; they are numbered from 0."""
        last = self._walls[-1]
        return last.cell + _LEVELS * _cells(last.end - last.start)

    def room(self, pose: Pose) -> int:
        """The room that somebody stands in."""
        column = np.searchsorted(self.xs[1:-1], pose[0], "right")
        row = np.searchsorted(self.ys[1:-1], pose[1], "right")
        return int(row * self.columns + column)

    def spot(self, room: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Any place in a room, not too near to its walls, ``[2]``."""
        row, column = divmod(room, self.columns)
        return np.array(
            [
                rng.uniform(self.xs[column] + _MARGIN, self.xs[column + 1] - _MARGIN),
                rng.uniform(self.ys[row] + _MARGIN, self.ys[row + 1] - _MARGIN),
            ]
        )

    def _open(self, rng: np.random.Generator) -> dict[tuple[int, int], NDArray[np.float64]]:
        """The middle of the door between two rooms, the lower number first: a tree and some."""
        count = self.columns * self.rows
        pairs = [(r, r + 1) for r in range(count) if (r + 1) % self.columns]
        pairs += [(r, r + self.columns) for r in range(count - self.columns)]
        joined = list(range(count))
        doors = {}
        for at in rng.permutation(len(pairs)):
            one, other = pairs[at]
            if joined[one] == joined[other] and rng.random() > 0.3:
                continue
            joined = [joined[one] if j == joined[other] else j for j in joined]
            row, column = divmod(other, self.columns)
            share = rng.uniform(0.3, 0.7)
            if other == one + 1:
                low, high = self.ys[row : row + 2]
                doors[one, other] = np.array([self.xs[column], low + share * (high - low)])
            else:
                low, high = self.xs[column : column + 2]
                doors[one, other] = np.array([low + share * (high - low), self.ys[row]])
        return doors

    def _build(self, rng: np.random.Generator) -> tuple[list[_Wall], list[Picture]]:
        walls: list[_Wall] = []
        strips: list[Picture] = []
        texel = cell = 0
        tone = rng.uniform(110, 170, 3)
        for axis, at, start, end, facing in self._stretches():
            long = round((end - start) * _TEXELS)
            strip = _wallpaper(rng, long, round(WALL_HEIGHT * _TEXELS), tone)
            strips.append(cv2.copyMakeBorder(strip, 0, 0, _GAP, _GAP, cv2.BORDER_REPLICATE))
            walls.append(_Wall(axis, at, start, end, facing, texel + _GAP, cell))
            texel += long + 2 * _GAP
            cell += _LEVELS * _cells(end - start)
        return walls, strips

    def _stretches(self) -> Iterator[tuple[int, float, float, float, int]]:
        """Axis, place, start, end and side of the walls of all rooms, left and right of doors."""
        for room in range(self.columns * self.rows):
            row, column = divmod(room, self.columns)
            (west, east), (south, north) = self.xs[column : column + 2], self.ys[row : row + 2]
            for axis, at, low, high, facing, other in (
                (0, south, west, east, 1, room - self.columns),
                (0, north, west, east, -1, room + self.columns),
                (1, west, south, north, 1, room - 1),
                (1, east, south, north, -1, room + 1),
            ):
                door = self.doors.get((min(room, other), max(room, other)))
                if door is None:
                    yield axis, at, low, high, facing
                else:
                    yield axis, at, low, door[axis] - _DOOR / 2, facing
                    yield axis, at, door[axis] + _DOOR / 2, high, facing

    def _ground(self, rng: np.random.Generator, size: NDArray[np.int_], bright: bool) -> Picture:
        ground = np.zeros((*size, 3), np.uint8)
        for row in range(self.rows):
            for column in range(self.columns):
                top, bottom = np.ceil(self.ys[row : row + 2] * _TEXELS).astype(int)
                left, right = np.ceil(self.xs[column : column + 2] * _TEXELS).astype(int)
                part = _planks(rng, right - left, bottom - top, bright)
                ground[top:bottom, left:right] = part
        return ground

    @cached_property
    def _table(self) -> dict[str, NDArray[np.float64]]:
        """The walls as columns."""
        return {
            name: np.array([getattr(wall, name) for wall in self._walls], np.float64)
            for name in _Wall._fields
        }


@dataclass(frozen=True, slots=True)
class _Hits:
    """For each column of a picture: ray, distance of the wall, texel, and landmark column."""

    rays: NDArray[np.float64]
    distance: Floats
    texel: Floats
    cell: NDArray[np.int64]


class Camera:
    """Looks around in a house; pictures are uint8 RGB ``[height, width, 3]``."""

    def __init__(self, house: House, width: int = 320, height: int = 180) -> None:
        self.house = house
        focal = width / 2 / np.tan(_VIEW / 2)
        self._across = (np.arange(width) + 0.5 - width / 2) / focal
        self._up = ((height / 2 - 0.5 - np.arange(height)) / focal).astype(np.float32)
        up = self._up
        # Where the ray of a row meets the floor or the ceiling, if no wall is before it.
        self._far = np.where(up < 0, EYES / -up, (WALL_HEIGHT - EYES) / np.maximum(up, 1e-9))
        self._base = np.where(up < 0, *house._tops).astype(np.float32)

    def picture(self, pose: Pose) -> Picture:
        """What is to be seen from a pose."""
        hits = self._hits(pose)
        height = EYES + self._up[:, None] * hits.distance
        wall = (height > 0) & (height < WALL_HEIGHT)
        x, y = (pose[a] + self._far[:, None] * hits.rays[a].astype(np.float32) for a in (0, 1))
        columns = np.where(wall, hits.texel, x * _TEXELS - 0.5)
        rows = np.where(
            wall, (WALL_HEIGHT - height) * _TEXELS - 0.5, y * _TEXELS - 0.5 + self._base[:, None]
        )
        drawn: Picture = cv2.remap(
            self.house._atlas,
            columns.astype(np.float32),
            rows.astype(np.float32),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return drawn

    def landmarks(self, pose: Pose) -> NDArray[np.int64]:
        """The landmarks with a thousandth of the picture at least, ascending."""
        hits = self._hits(pose)
        height = EYES + self._up[:, None] * hits.distance
        level = np.minimum(height / CELL, _LEVELS - 1).astype(np.int64)
        cells = (hits.cell + level)[(height > 0) & (height < WALL_HEIGHT)]
        counts = np.bincount(cells, minlength=self.house.landmarks)
        return np.flatnonzero(counts >= _SEEN * height.size)

    def _hits(self, pose: Pose) -> _Hits:
        x, y, yaw = pose
        forward, side = (np.cos(yaw), np.sin(yaw)), (-np.sin(yaw), np.cos(yaw))
        rays = np.array([f + self._across * s for f, s in zip(forward, side, strict=True)])
        table = {name: column[:, None] for name, column in self.house._table.items()}
        along_x = table["axis"] == 0
        towards = np.where(along_x, rays[1], rays[0])
        ahead = table["at"] - np.where(along_x, y, x)
        with np.errstate(divide="ignore", invalid="ignore"):
            distance = ahead / towards
            place = np.where(along_x, x, y) + distance * np.where(along_x, rays[0], rays[1])
        hit = (towards * table["facing"] < 0) & (distance > 0)
        hit &= (place >= table["start"] - _SLACK) & (place <= table["end"] + _SLACK)
        distance = np.where(hit, distance, np.inf)
        nearest = distance.argmin(0)
        columns = np.arange(len(self._across))
        into = np.maximum(place[nearest, columns] - self.house._table["start"][nearest], 0.0)
        return _Hits(
            rays,
            distance[nearest, columns].astype(np.float32),
            (self.house._table["texel"][nearest] + into * _TEXELS - 0.5).astype(np.float32),
            self.house._table["cell"][nearest].astype(np.int64)
            + _LEVELS * np.floor(into / CELL).astype(np.int64),
        )


def walk(house: House, seed: int, seconds: float, rate: float) -> NDArray[np.float64]:
    """Poses of somebody who looks at a house, ``[seconds * rate, 3]``, ``rate`` a second.

    From room to room, those seen least first but also back again; in some they stand for long, in
    some they turn about, some they only cross.
    """
    rng = np.random.default_rng([seed, 2])
    total = round(seconds * rate)
    visits = np.zeros(house.columns * house.rows)
    room = int(rng.integers(len(visits)))
    walker = _Walker(np.array([*house.spot(room, rng), rng.uniform(-np.pi, np.pi)]), rate)
    while len(walker.path) < total:
        visits[room] += 1
        if rng.random() < 0.8:
            walker.go(house.spot(room, rng))
            walker.look_around(rng)
        doors = [pair for pair in house.doors if room in pair]
        weights = np.array([0.25 ** visits[one + other - room] for one, other in doors])
        one, other = doors[rng.choice(len(doors), p=weights / weights.sum())]
        walker.go(house.doors[one, other])
        room = one + other - room
    poses = np.array(walker.path[:total])
    at = np.arange(total) / rate
    poses[:, 2] += 0.006 * np.sin(1.1 * at + 1) + 0.004 * np.sin(2.3 * at)  # hands are not still
    return poses


class _Walker:
    """Somebody at a pose, and the path of poses up to there."""

    def __init__(self, here: Pose, rate: float) -> None:
        self.path = [here]
        self._rate = rate

    def go(self, place: NDArray[np.float64]) -> None:
        """Turn towards a place, then walk there."""
        x, y, yaw = self.path[-1]
        way = place - (x, y)
        self.turn((np.arctan2(way[1], way[0]) - yaw + np.pi) % (2 * np.pi) - np.pi)
        self._move(np.array([*way, 0.0]), float(np.linalg.norm(way)) / _PACE)

    def turn(self, angle: float) -> None:
        self._move(np.array([0.0, 0.0, angle]), abs(angle) / _TURN)

    def look_around(self, rng: np.random.Generator) -> None:
        """Turn about or not, and stand, once to three times."""
        for _ in range(int(rng.integers(1, 4))):
            if rng.random() < 0.6:
                self.turn(float(rng.choice([-1, 1]) * np.deg2rad(rng.uniform(60, 330))))
            stand = float(np.clip(rng.lognormal(np.log(7.0), 1.1), 1.0, 90.0))
            self._move(np.zeros(3), stand)

    def _move(self, by: NDArray[np.float64], seconds: float) -> None:
        here = self.path[-1]
        steps = max(1, round(seconds * self._rate))
        self.path.extend(here + by * (np.arange(1, steps + 1) / steps)[:, None])


def _cells(metres: float) -> int:
    return int(np.ceil(metres / CELL)) + 1  # one to spare for rounding at the end


def _wallpaper(
    rng: np.random.Generator, width: int, height: int, tone: NDArray[np.float64]
) -> Picture:
    """A shade of the colour of the house, a grain, and many small unlike things on it."""
    base = tone + rng.uniform(-25, 25) + rng.uniform(-12, 12, 3)
    grain = 14 * _grain(rng, width, height, 12) + 9 * _grain(rng, width, height, 4)
    wall: Picture = np.clip(base + grain, 0, 255).astype(np.uint8)
    for _ in range(width * height // 700):
        x, y = int(rng.integers(width)), int(rng.integers(height))
        long, high = rng.integers(3, 14, 2).tolist()
        colour = rng.integers(0, 256, 3).tolist()
        if rng.random() < 0.7:
            cv2.rectangle(wall, (x, y), (x + long, y + high), colour, -1)
        else:
            cv2.circle(wall, (x, y), long // 2 + 1, colour, -1)
    return wall


def _planks(rng: np.random.Generator, width: int, height: int, bright: bool) -> Picture:
    base = (195 if bright else 95) + rng.uniform(-15, 15, 3)
    grain = 12 * _grain(rng, width, height, 16) + 7 * _grain(rng, width, height, 5)
    tiles = (np.arange(width)[None] // 24 + np.arange(height)[:, None] // 24) % 2
    planks: Picture = np.clip(base + grain + 12 * tiles[..., None], 0, 255).astype(np.uint8)
    return planks


def _grain(rng: np.random.Generator, width: int, height: int, cell: int) -> Floats:
    """Smooth noise about 0, ``[height, width, 1]``."""
    coarse = rng.standard_normal((height // cell + 2, width // cell + 2)).astype(np.float32)
    fine: Floats = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return fine[..., None]
