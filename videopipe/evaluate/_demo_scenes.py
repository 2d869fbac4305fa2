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
    Picture,
    add,
    below,
    disc,
    glow,
    noise,
    paint,
    polygon,
    ridge,
    sky_gradient,
    strip,
    window,
)

Draw = Callable[[float], Picture]

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


def stars(rng: np.random.Generator) -> Draw:
    """Dark blue night, the sky turning about the pole."""
    size = 1900
    field = np.zeros((size, size, 3), np.uint8)
    band = np.exp(-(((np.arange(size)[:, None] - np.arange(size)[None]) / 230.0) ** 2))
    cloud = 0.6 * noise(rng, (size, size), 110) + 0.4 * noise(rng, (size, size), 36)
    milky = (band * cloud**2)[..., None]
    field += (milky * (70, 78, 105)).astype(np.uint8)
    for x, y, light in zip(*rng.uniform(0, size, (2, 2400)), rng.random(2400) ** 5, strict=True):
        tint = int(120 + 135 * light)
        disc(field, x, y, 0.8 + 1.8 * light, (tint, tint, min(255, tint + 25)))
    background = sky_gradient((6, 10, 34), (12, 22, 62), (38, 58, 110))
    ground = below(ridge(rng, 640, 60))
    paint(background, ground, (4, 6, 12))
    open_sky = (ground < 0.5).astype(np.uint8)[..., None]

    def draw(t: float) -> Picture:
        turn = cv2.getRotationMatrix2D((size / 2, size / 2), 0.5 * t, 1)
        turn[:, 2] += (WIDTH / 2 - size / 2, HEIGHT * 0.4 - size / 2)
        image = cv2.warpAffine(field, turn, (WIDTH, HEIGHT))
        return cv2.add(background, image * open_sky)  # type: ignore[no-any-return]

    return draw


def desert(rng: np.random.Generator) -> Draw:
    """Bright pale blue over yellow sand; the sun crosses, the shadow of a stick turns."""
    sky = sky_gradient((118, 182, 232), (170, 214, 240), (226, 236, 226), (226, 236, 226))
    sand = sky.copy()
    for base, height, colour in (
        (455, 40, (222, 205, 140)),
        (500, 34, (236, 218, 146)),
        (548, 16, (246, 229, 160)),
    ):
        paint(sand, below(ridge(rng, base, height)), colour)
    mask = (np.abs(sand.astype(np.int16) - sky).sum(axis=2) > 0).astype(np.uint8)
    sun = glow(190, (160, 90, 10))

    def draw(t: float) -> Picture:
        image = sky.copy()
        x, y = 140 + 32 * t, 250 - 150 * np.sin(np.pi * (140 + 32 * t) / WIDTH)
        add(image, sun, x, y)
        disc(image, x, y, 46, (255, 253, 228))
        cv2.copyTo(sand, mask, image)
        tip = (640 + (640 - x) * 0.75, 642 + 0.1 * abs(640 - x))
        polygon(image, [(640, 625), (640, 635), tip], (176, 158, 104))
        polygon(image, [(634, 630), (646, 630), (644, 380), (636, 380)], (92, 66, 42))
        return image

    return draw


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


def snow(rng: np.random.Generator) -> Draw:
    """Bright white: flakes before grey-white mountains."""
    land = sky_gradient((196, 208, 220), (218, 226, 234), (240, 243, 246))
    for base, height, colour in (
        (330, 150, (176, 190, 206)),
        (430, 110, (206, 215, 225)),
        (560, 60, (236, 240, 244)),
    ):
        paint(land, below(ridge(rng, base, height)), colour)
    for x in rng.uniform(0, WIDTH, 26):
        foot, tall = rng.uniform(600, 690), rng.uniform(60, 120)
        for step in range(3):
            top, half = foot - tall * (0.4 + step * 0.3), tall * (0.28 - step * 0.07)
            low = top + tall * 0.45
            polygon(land, [(x, top), (x - half, low), (x + half, low)], (92, 112, 118))
    across, down = rng.uniform(0, 1, (2, 420)) * [[WIDTH], [HEIGHT]]
    near = rng.uniform(0.3, 1, 420)

    def draw(t: float) -> Picture:
        image = land.copy()
        columns = (across + 26 * t * near + 14 * np.sin(t + across)) % WIDTH
        rows = (down + 130 * t * near) % HEIGHT
        for x, y, size in zip(columns, rows, near, strict=True):
            disc(image, x, y, 1 + 4.5 * size**2, (255, 255, 255))
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


def sunset(rng: np.random.Generator) -> Draw:
    """Orange from edge to edge: the sun sinks into a moving sea."""
    horizon = 400
    sky = sky_gradient(
        (206, 84, 22), (240, 124, 24), (255, 176, 52), (255, 176, 52), (255, 176, 52)
    )
    cloud = cv2.resize(noise(rng, (HEIGHT, WIDTH // 6), 26), (WIDTH, HEIGHT))
    paint(sky, np.clip(cloud - 0.45, 0, 0.5), (150, 52, 24))
    halo = glow(420, (60, 60, 60))
    rows = np.arange(HEIGHT - horizon, dtype=np.float32)[:, None]
    near = rows / rows[-1]
    wave_x = np.repeat(COLUMNS, len(rows), axis=0)
    dim = np.array((0.94, 0.78, 0.52), np.float32) * (1 - 0.3 * near[..., None])

    def draw(t: float) -> Picture:
        image = sky.copy()
        x, y = 640, 262 + 4.2 * t
        add(image, halo, x, y)
        disc(image, x, y, 78, (255, 236, 150))
        roll = np.sin(rows * (0.5 - 0.36 * near) - 2.2 * t) + np.sin(rows * 0.11 + 1.3 * t)
        shift = (3 + 26 * near) * (roll + 0.4 * np.sin(COLUMNS / 90 + 0.9 * t + rows / 23))
        mirror = np.broadcast_to(horizon - 1 - rows * 0.9 + 5 * near * roll, wave_x.shape)
        sea = cv2.remap(
            image,
            (wave_x + shift).astype(np.float32),
            np.ascontiguousarray(mirror, np.float32),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT,
        )
        image[horizon:] = sea * dim
        return image

    return draw


def hills(rng: np.random.Generator) -> Draw:
    """Blue day, straw-coloured fields sliding past a train window."""
    sky = sky_gradient((64, 140, 224), (128, 188, 240), (206, 230, 246), (220, 236, 246))
    layers = [
        strip(ridge(rng, 400, 70, 1600), (120, 158, 170), (140, 170, 160)),
        strip(ridge(rng, 470, 50, 1900), (158, 178, 96), (206, 204, 120)),
        strip(ridge(rng, 560, 26, 2300), (220, 212, 120), (168, 172, 70)),
    ]
    speeds = (12, 45, 130)

    def draw(t: float) -> Picture:
        image = sky.copy()
        for (layer, mask), speed in zip(layers, speeds, strict=True):
            window(layer, mask, image, speed * t)
        for pole in range(3):
            x = round(WIDTH - (310 * t + pole * 640) % 1920 + 200)
            cv2.rectangle(image, (x, 300), (x + 12, 700), (70, 58, 48), -1)
            cv2.rectangle(image, (x - 40, 322), (x + 52, 332), (70, 58, 48), -1)
        cv2.rectangle(image, (0, 690), (WIDTH, HEIGHT), (96, 90, 84), -1)
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


def aurora(rng: np.random.Generator) -> Draw:
    """Green curtains waving in a black sky."""
    night = sky_gradient((4, 8, 20), (6, 16, 28), (10, 30, 38))
    for x, y in rng.uniform(0, 1, (500, 2)) * (WIDTH, 560):
        disc(night, x, y, rng.uniform(0.5, 1.3), (190, 200, 210))
    ground = (below(ridge(rng, 620, 90)) < 0.5).astype(np.uint8)[..., None]
    night *= ground
    x = np.linspace(0, 4 * np.pi, 160)[None]
    y = np.linspace(0, 1, 90)[:, None]
    phases = rng.uniform(0, 6, (3, 2))

    def draw(t: float) -> Picture:
        light = np.zeros((90, 160, 3))
        for index, (a, b) in enumerate(phases):
            foot = 0.52 + 0.12 * index - 0.08 * np.sin(0.7 * x + a + 0.15 * t)
            foot = foot + 0.03 * np.sin(2.3 * x + b - 0.3 * t)
            rays = 0.45 + 0.55 * np.sin(3.1 * x + b + 0.6 * t) * np.sin(1.3 * x - a + 0.2 * t)
            above = foot - y
            veil = np.where(above > 0, np.exp(-above * 6), np.exp(above * 45)) * np.abs(rays)
            hue = np.clip(above * 2.4, 0, 1)[..., None]
            light += veil[..., None] * ((1 - hue) * (40, 235, 110) + hue * (110, 40, 130))
        small = np.clip(light, 0, 255).astype(np.uint8)
        curtains = cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
        return cv2.add(night, curtains * ground)  # type: ignore[no-any-return]

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


def forest(rng: np.random.Generator) -> Draw:
    """Green everywhere: a slow walk among trunks."""
    light = sky_gradient((146, 206, 96), (112, 182, 74), (62, 132, 48), (34, 92, 34))
    paint(light, 0.35 * noise(rng, (HEIGHT, WIDTH), 70), (196, 232, 140))
    tile = 1900
    layers = []
    for count, width, tone in (
        (20, 14, (92, 148, 70)),
        (10, 26, (52, 104, 46)),
        (4, 44, (24, 60, 30)),
    ):
        trunks = np.zeros((HEIGHT, tile), np.uint8)
        for x in (np.arange(count) + rng.uniform(0.2, 0.8, count)) * tile / count:
            trunk = ((x, -5), (x + width, -5), (x + 1.2 * width, 725), (x - 0.2 * width, 725))
            cv2.fillPoly(trunks, [np.array(trunk, np.int32)], 1)
        leaves = 0.5 * noise(rng, (HEIGHT, tile), 44) + 0.5 * noise(rng, (HEIGHT, tile), 13)
        green = (leaves < 1.05 - ROWS / 330) | (ridge(rng, 590 + 1.4 * width, 14, tile) < ROWS)
        shade = (0.7 + 0.6 * leaves) * np.where(green, 1, 0.72)
        layer = (shade[..., None] * tone).astype(np.uint8)
        layers.append((layer, trunks | green.astype(np.uint8)))

    def draw(t: float) -> Picture:
        image = light.copy()
        for (layer, mask), speed in zip(layers, (8, 20, 42), strict=True):
            window(layer, mask, image, speed * t)
        return image

    return draw


def canyon(rng: np.random.Generator) -> Draw:
    """A pan along red-brown layers of rock under a turquoise strip of sky."""
    wide = 2600
    rows = np.arange(HEIGHT)[:, None] + 34 * noise(rng, (HEIGHT, wide), 160)
    bands = rng.uniform(0.62, 1.0, 64).astype(np.float32)[(rows / 22).astype(int) % 64]
    cracks = 1 - 0.2 * (noise(rng, (8, wide), 9)[:1] ** 4)
    buttress = 0.82 + 0.18 * np.sin(ridge(rng, 0, 5, wide))[None]
    shade = bands * cracks * buttress * (0.9 + 0.1 * rng.random((HEIGHT, wide), dtype=np.float32))
    rock = (shade[..., None] * (176, 76, 58)).astype(np.uint8)
    sky = sky_gradient((96, 200, 206), (150, 222, 216), (190, 232, 222))
    mask = (ridge(rng, 150, 60, wide)[None] < ROWS).astype(np.uint8)

    def draw(t: float) -> Picture:
        image = sky.copy()
        window(rock, mask, image, 38 * t)
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
