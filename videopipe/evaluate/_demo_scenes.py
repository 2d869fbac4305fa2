"""The moving scenes of the demonstration video: no text, each with its own colours and motion.

A scene is a function of a random generator that prepares what stands still and returns
``draw(t)``: the picture ``t`` seconds into the scene, uint8 RGB ``[HEIGHT, WIDTH, 3]``.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from videopipe.evaluate._demo_canvas import (
    COLUMNS,
    HEIGHT,
    ROWS,
    WIDTH,
    Draw,
    Picture,
    add,
    below,
    disc,
    glow,
    grain,
    noise,
    paint,
    polygon,
    sky_gradient,
)
from videopipe.evaluate._demo_landscapes import (
    aurora,
    canyon,
    desert,
    forest,
    hills,
    snow,
    stars,
    sunset,
)

# Enough of the continents (longitude, latitude) to be recognised from orbit.
_CONTINENTS = (
    "-17 15 -16 28 -6 36 10 37 20 32 32 31 43 12 51 11 40 -5 40 -16 32 -28 20 -35 12 -17 9 4 -8 5",
    "-9 37 -9 44 -1 47 8 54 11 58 5 61 15 69 28 71 60 69 75 73 105 78 140 73 180 69 178 62 162 58 "
    "156 52 140 54 140 46 128 42 129 35 121 39 122 30 110 20 108 10 104 1 99 8 92 22 80 8 77 8 "
    "70 22 57 26 52 24 59 22 45 13 35 30 36 36 27 37 23 37 16 40 12 45 3 43",
    "-168 66 -156 71 -125 70 -95 69 -81 73 -80 62 -95 60 -82 52 -78 62 -64 60 -55 52 -66 45 "
    "-76 35 -81 26 -84 30 -97 27 -97 19 -87 21 -83 9 -95 15 -105 20 -117 32 -124 42 -124 48 "
    "-135 58 -152 60 -165 55",
    "-80 8 -72 12 -60 9 -50 0 -35 -7 -40 -22 -48 -27 -58 -38 -65 -45 -68 -55 -75 -50 -71 -30 "
    "-70 -18 -81 -5",
    "114 -22 122 -18 130 -12 137 -12 142 -11 146 -19 153 -27 150 -37 140 -38 131 -32 116 -35",
    "-55 60 -45 60 -22 70 -18 80 -35 83 -60 82 -70 77 -55 70",
    "-180 -90 -180 -78 -60 -74 -20 -73 30 -69 90 -66 150 -69 180 -78 180 -90",
    "96 5 104 -5 115 -8 119 2 131 -1 141 -3 150 -10 138 -8 110 -4",
)


def candle(rng: np.random.Generator) -> Draw:
    """A dark room and one flickering flame."""
    y, x = ROWS - 300, COLUMNS - 640
    fall = np.exp(-np.hypot(x, y * 1.1) / 230)
    wall = 0.75 + 0.25 * noise(rng, (HEIGHT, WIDTH), 90)
    room = ((fall * wall)[..., None] * (150, 74, 44) + (14, 9, 12)).astype(np.uint8)
    paint(room, below(np.full(WIDTH, 640, np.float32)), (26, 15, 13))
    wax = np.clip(1.15 - np.abs(COLUMNS - 640) / 62, 0, 1)
    body = (np.abs(COLUMNS - 640) < 46) & (ROWS > 392) & (ROWS < 668)
    shade = wax * np.clip(1.25 - (ROWS - 392) / 420, 0.3, 1)
    room[body] = (shade[..., None] * (226, 206, 172)).astype(np.uint8)[body]
    halo = glow(300, (110, 66, 26))
    phases = rng.uniform(0, 2 * np.pi, 3)
    edge = np.linspace(0, 1, 24)

    def draw(t: float) -> Picture:
        flicker = float(np.sin(np.array((7.3, 4.1, 1.7)) * t + phases) @ (0.3, 0.4, 0.3))
        image: Picture = cv2.convertScaleAbs(room, alpha=1 + 0.16 * flicker)
        add(image, halo, 640 + 6 * flicker, 310)
        for scale, colour in ((1.0, (255, 170, 60)), (0.66, (255, 228, 150))):
            half = 27 * scale * np.sin(np.pi * edge**0.7) * (1.15 - edge)
            rows = 386 - (150 + 26 * flicker) * scale * edge
            sway = 640 + 16 * flicker * edge**2
            sides = np.stack([np.r_[sway - half, (sway + half)[::-1]], np.r_[rows, rows[::-1]]], 1)
            polygon(image, sides, colour)
        cv2.line(image, (640, 392), (640, 372), (40, 24, 20), 4, cv2.LINE_AA)
        return image

    return draw


def gears(rng: np.random.Generator) -> Draw:
    """Brass wheels turning against dark teal."""
    background = sky_gradient((10, 34, 40), (16, 52, 58), (8, 26, 30))
    # x, y, radius, teeth and first angle of each, so that the teeth mesh.
    wheels = (
        (400, 390, 260, 24, 0.0),
        (790, 390, 130, 12, np.pi / 12),
        (790 + 260 * np.cos(np.pi / 12), 390 - 260 * np.sin(np.pi / 12), 130, 12, 0.0),
    )
    tint = int(rng.integers(0, 20))
    surface = grain(rng)

    def draw(t: float) -> Picture:
        image = background.copy()
        for index, (x, y, radius, teeth, phase) in enumerate(wheels):
            turn = phase + (-1) ** index * 0.22 * t * 24 / teeth
            slots = np.arange(teeth * 4)
            reach = np.where(slots % 4 < 2, radius + 13, radius - 15)
            bevel = np.array((0.18, -0.18, -0.1, 0.1))[slots % 4]
            angle = turn + (slots - 0.5 + bevel) * 2 * np.pi / len(slots)
            rim = np.stack([x + reach * np.cos(angle), y + reach * np.sin(angle)], axis=1)
            polygon(image, rim + 7, (5, 16, 19))
            polygon(image, rim, (186 + tint, 164 + tint, 84))
            disc(image, x, y, radius * 0.78, (148 + tint, 128 + tint, 62))
            for spoke in range(5):
                a = turn + spoke * 2 * np.pi / 5 + np.array((-0.38, -0.2, 0, 0.2, 0.38))
                hole = np.r_[np.full(5, 0.7), np.full(5, 0.3)] * radius
                b = np.r_[a, a[::-1]]
                edge = np.stack([x + hole * np.cos(b), y + hole * np.sin(b)], axis=1)
                polygon(image, edge, (12, 40, 46))
            disc(image, x, y, radius * 0.12, (216, 200, 130))
        cv2.add(image, surface, dst=image)
        return image

    return draw


def pendulum(rng: np.random.Generator) -> Draw:
    """A gold bob before a deep red wall, one second each way."""
    stripes = ((np.arange(WIDTH) // 40) % 2)[None, :, None]
    wall = (sky_gradient((112, 22, 34), (84, 14, 26)) * (0.92 + 0.08 * stripes)).astype(np.uint8)
    cv2.rectangle(wall, (330, 0), (950, 700), (52, 22, 16), -1)
    cv2.rectangle(wall, (362, 0), (918, 668), (24, 10, 10), -1)
    shine = glow(90, (70, 62, 34))
    phase = rng.uniform(0, 0.4)
    cv2.add(wall, grain(rng), dst=wall)

    def draw(t: float) -> Picture:
        image = wall.copy()
        angle = 0.42 * np.sin(np.pi * t + phase)
        x, y = 640 + 610 * np.sin(angle), -90 + 610 * np.cos(angle)
        tip = (round(x * 16), round(y * 16))
        cv2.line(image, (640 * 16, -90 * 16), tip, (190, 160, 96), 7, cv2.LINE_AA, 4)
        disc(image, x, y, 84, (150, 112, 40))
        disc(image, x, y, 76, (206, 166, 72))
        add(image, shine, x - 22, y - 24)
        return image

    return draw


def city(rng: np.random.Generator) -> Draw:
    """Violet night, lit windows that come and go, traffic."""
    night = sky_gradient((18, 10, 48), (44, 20, 92), (104, 44, 128))
    disc(night, 1050, 130, 44, (236, 230, 214))
    lights: list[tuple[int, int, float]] = []
    for tone, low in (((34, 20, 66), 260), ((20, 12, 42), 360)):
        x = -20
        while x < WIDTH:
            width, top = int(rng.integers(70, 130)), int(rng.integers(low - 90, low + 190))
            cv2.rectangle(night, (x, top), (x + width, HEIGHT), tone, -1)
            if low == 360:
                cells = [
                    (u, v)
                    for u in range(x + 12, x + width - 14, 20)
                    for v in range(top + 14, 620, 26)
                ]
                lights += [(u, v, float(rng.random())) for u, v in cells]
            x += width + int(rng.integers(2, 14))
    cv2.rectangle(night, (0, 640), (WIDTH, HEIGHT), (12, 8, 24), -1)
    cv2.add(night, grain(rng), dst=night)
    speeds = rng.uniform(90, 210, 14) * rng.choice([-1, 1], 14)
    starts = rng.uniform(0, WIDTH, 14)

    def draw(t: float) -> Picture:
        image = night.copy()
        for u, v, chance in lights:
            if (chance + 0.012 * t * (chance > 0.5)) % 1 < 0.45:
                image[v : v + 13, u : u + 9] = (250, 216, 128) if chance > 0.1 else (150, 220, 240)
        for speed, start in zip(speeds, starts, strict=True):
            x = round((start + speed * t) % (WIDTH + 60)) - 30
            y, colour = (664, (255, 244, 214)) if speed > 0 else (692, (230, 40, 48))
            cv2.rectangle(image, (x, y), (x + 22, y + 6), colour, -1)
        return image

    return draw


def earth(rng: np.random.Generator) -> Draw:
    """The blue planet turning in black space, half of it in the dark."""
    wide, radius = 1024, 320
    world = np.empty((wide // 2, wide, 3), np.uint8)
    world[:] = (18, 72, 152)
    for outline in _CONTINENTS:
        points = np.array(outline.split(), float).reshape(-1, 2)
        polygon(world, (points * (1, -1) + (180, 90)) * wide / 360, (86, 122, 62))
    polar = np.abs(np.linspace(90, -90, wide // 2)) > 66
    land = (world[..., 0] > 60)[..., None]
    world = np.where(land & polar[:, None, None], 232, world).astype(np.uint8)
    world = cv2.GaussianBlur(world, (3, 3), 0)
    clouds = np.clip(noise(rng, world.shape[:2], 34) * noise(rng, world.shape[:2], 11) - 0.3, 0, 1)
    paint(world, np.clip(clouds * 2.6, 0, 0.9), (246, 248, 250))
    y, x = np.mgrid[-radius:radius, -radius:radius].astype(np.float32) / radius
    z = np.sqrt(np.clip(1 - x * x - y * y, 0, 1))
    tilt = 0.41
    up, depth = -y * np.cos(tilt) + z * np.sin(tilt), z * np.cos(tilt) + y * np.sin(tilt)
    rows = ((0.5 - np.arcsin(np.clip(up, -1, 1)) / np.pi) * (wide // 2 - 1)).astype(np.float32)
    columns = (np.arctan2(x, depth) / (2 * np.pi) * wide).astype(np.float32)
    sunlight = np.clip(0.95 * x - 0.25 * y + 0.35 * z + 0.15, 0.03, 1) * np.sqrt(z)
    rim = np.clip((1 - np.hypot(x, y)) * radius, 0, 1)
    shade = np.repeat((np.clip(sunlight * 1.15, 0, 1) * rim)[..., None], 3, 2).astype(np.float32)
    space = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for u, v in rng.uniform(0, 1, (260, 2)) * (WIDTH, HEIGHT):
        disc(space, u, v, rng.uniform(0.4, 1.1), (170, 174, 182))
    disc(space, WIDTH / 2, HEIGHT / 2, radius + 5, (22, 44, 70))

    def draw(t: float) -> Picture:
        image = space.copy()
        turned = np.mod(columns + wide * (0.55 - 0.012 * t), wide)
        globe = cv2.remap(world, turned, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        top, left = HEIGHT // 2 - radius, WIDTH // 2 - radius
        disc = image[top : top + 2 * radius, left : left + 2 * radius]
        disc[:] = cv2.multiply(globe, shade, dtype=cv2.CV_8U) + disc * (rim[..., None] == 0)
        return image

    return draw


SCENES: dict[str, Callable[[np.random.Generator], Draw]] = {
    scene.__name__: scene
    for scene in (
        stars,
        desert,
        candle,
        snow,
        gears,
        pendulum,
        sunset,
        hills,
        city,
        aurora,
        earth,
        forest,
        canyon,
    )
}
