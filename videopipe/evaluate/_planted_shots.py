"""Brushes for the films with planted events: things, and the moving pictures behind them.

A picture is uint8 RGB ``[HEIGHT, WIDTH, 3]``; seconds count from the beginning of the film.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Floats = NDArray[np.float64]
Colour = Literal["red", "yellow", "green", "blue", "purple"]
Shape = Literal["circle", "square", "triangle", "star", "cross"]

WIDTH, HEIGHT = 320, 180
COLOURS: dict[Colour, tuple[int, int, int]] = {
    "red": (215, 30, 35),
    "yellow": (235, 205, 30),
    "green": (35, 180, 60),
    "blue": (35, 75, 225),
    "purple": (165, 45, 205),
}
SHAPES: tuple[Shape, ...] = ("circle", "square", "triangle", "star", "cross")
_ROOM = (120, 80)  # pixels that a background is larger than the picture
_NOISES = 16
_ARM = 0.36  # half the width of a cross's arm


class Thing(NamedTuple):
    colour: Colour
    shape: Shape

    def __str__(self) -> str:
        return f"{self.colour} {self.shape}"


@dataclass(frozen=True, slots=True)
class Event:
    """A thing in the picture in ``[start, end)``; place and speed in pixels and pixels a second."""

    start: float
    end: float
    thing: Thing
    radius: float
    place: tuple[float, float]
    speed: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Shot:
    """``[start, end)`` before one background; ``still``: a camera on a tripod, steady light."""

    start: float
    end: float
    background: int
    still: bool = False


def outline(shape: Shape) -> Floats:
    """The corners of a shape of radius 1 about 0, y downwards, ``[N, 2]``."""
    if shape == "circle":
        return _around(np.ones(40))
    if shape == "square":
        return np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * 0.85
    if shape == "triangle":
        return _around(np.ones(3)) * 1.1 + (0, 0.2)
    if shape == "star":
        return _around(np.tile([1.1, 0.45], 5))
    corner = np.array([[-_ARM, -1], [_ARM, -1], [_ARM, -_ARM]])
    turns = [np.array([[c, -s], [s, c]]) for c, s in ((1, 0), (0, 1), (-1, 0), (0, -1))]
    return np.concatenate([corner @ turn.T for turn in turns])


def _around(radii: Floats) -> Floats:
    angles = 2 * np.pi * np.arange(len(radii)) / len(radii) - np.pi / 2
    return np.stack([np.cos(angles), np.sin(angles)], 1) * radii[:, None]


class Scenery:
    """What is filmed in one shot: a texture that moves or stands, under changing light."""

    def __init__(self, shot: Shot, film: int) -> None:
        # The place depends on the background alone, so that a film can come back to it.
        place = np.random.default_rng([film, 3, shot.background])
        self._texture = _texture(place)
        rng = np.random.default_rng([film, 4, shot.background, round(shot.start * 100)])
        self._shot = shot
        self._swing = rng.uniform(0.03, 0.25, 2)  # radians a second
        self._phase = rng.uniform(0, 2 * np.pi, 2)
        self._light = rng.uniform(0.75, 1.1)
        self._flicker = 0.0 if shot.still else rng.uniform(0.0, 0.12)
        step = rng.uniform(0.4, 1.0) if rng.random() < 0.25 and not shot.still else 1.0
        self._step = (rng.uniform(shot.start, shot.end), step)  # a lamp goes out

    def draw(self, time: float, events: Sequence[Event]) -> Picture:
        """The picture at a time, with the things that are in it then."""
        since = 0.0 if self._shot.still else time - self._shot.start
        shift = 0.5 + 0.5 * np.sin(self._swing * since + self._phase)
        left, top = np.round(shift * _ROOM).astype(int)
        light = self._light * (1 + self._flicker * np.sin(1.3 * since))
        if time >= self._step[0]:
            light *= self._step[1]
        picture: Picture = self._texture[top : top + HEIGHT, left : left + WIDTH].copy()
        for event in events:
            if event.start <= time < event.end:
                put(picture, event, time - event.start)
        lit: Picture = cv2.convertScaleAbs(picture, alpha=light)
        return lit


def put(picture: Picture, event: Event, since: float) -> None:
    """Draw a thing in place, ``since`` seconds after it came."""
    centre = np.array(event.place) + since * np.array(event.speed)
    corners = np.round((outline(event.thing.shape) * event.radius + centre) * 16).astype(np.int32)
    cv2.fillPoly(picture, [corners], COLOURS[event.thing.colour], cv2.LINE_AA, shift=4)


def grain(rng: np.random.Generator) -> list[Picture]:
    """Sensor noise to be added to pictures in turn."""
    return [rng.integers(0, 9, (HEIGHT, WIDTH, 3), dtype=np.uint8) for _ in range(_NOISES)]


def _texture(rng: np.random.Generator) -> Picture:
    """Pale colours in patches of several sizes, and dull boxes before them."""
    width, height = WIDTH + _ROOM[0] + 1, HEIGHT + _ROOM[1] + 1
    grey = rng.uniform(80, 170)
    base = np.full((height, width, 3), grey + rng.uniform(-25, 25, 3), np.float32)
    for cell, strength in ((90, 30), (25, 18), (6, 10)):
        coarse = rng.standard_normal((height // cell + 2, width // cell + 2, 3))
        tint = coarse.mean(2, keepdims=True) + 0.35 * coarse
        base += strength * cv2.resize(
            tint.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC
        )
    texture: Picture = np.clip(base, 0, 235).astype(np.uint8)
    for _ in range(int(rng.integers(4, 30))):
        x, y = rng.integers(width), rng.integers(height)
        long, high = rng.integers(8, 70, 2)
        dull = np.clip(rng.uniform(30, 210) + rng.uniform(-28, 28, 3), 0, 235)
        cv2.rectangle(texture, (x, y), (x + long, y + high), dull.tolist(), -1)
    return texture
