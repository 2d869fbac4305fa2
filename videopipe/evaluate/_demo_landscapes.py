"""The scenes of the demonstration video that show a sky and the land or sea below it.

Each prepares what stands still and returns ``draw(t)``; see ``_demo_scenes``.
"""

from __future__ import annotations

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
    ridge,
    sky_gradient,
    strip,
    window,
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
        turned = cv2.warpAffine(field, turn, (WIDTH, HEIGHT))
        image: Picture = cv2.add(background, turned * open_sky)
        return image

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
    cv2.add(land, grain(rng), dst=land)
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
        image: Picture = cv2.add(night, curtains * ground)
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
