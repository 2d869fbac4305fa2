"""Brushes for the scenes of the demonstration video: skies, skylines, light, shapes.

A picture is uint8 RGB ``[HEIGHT, WIDTH, 3]``; coordinates are pixels, x to the right, y down.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Floats = NDArray[np.float32]
Colour = tuple[int, int, int]
Draw = Callable[[float], Picture]

WIDTH, HEIGHT = 1280, 720
ROWS = np.arange(HEIGHT, dtype=np.float32)[:, None]
COLUMNS = np.arange(WIDTH, dtype=np.float32)[None, :]


def sky_gradient(*colours: Colour) -> Picture:
    """A vertical gradient through the colours."""
    at = np.linspace(0, len(colours) - 1, HEIGHT)
    stops = np.arange(len(colours))
    column = np.stack([np.interp(at, stops, channel) for channel in np.array(colours).T], axis=-1)
    return np.repeat(column[:, None].round().astype(np.uint8), WIDTH, axis=1)


def ridge(rng: np.random.Generator, base: float, height: float, width: int = WIDTH) -> Floats:
    """The row of a skyline for each column; its ends meet, so that it can be tiled."""
    x = np.linspace(0, 2 * np.pi, width, endpoint=False)
    waves = np.arange(1, 40)
    phases = rng.uniform(0, 2 * np.pi, (len(waves), 1))
    octaves = np.sin(waves[:, None] * x + phases) / waves[:, None] ** 1.2
    rows: Floats = (base - height * octaves.sum(axis=0) / 2).astype(np.float32)
    return rows


def noise(rng: np.random.Generator, shape: tuple[int, int], cell: int) -> Floats:
    """Smooth noise in 0..1 with features of about ``cell`` pixels."""
    height, width = shape
    coarse = rng.random((height // cell + 2, width // cell + 2), dtype=np.float32)
    fine: Floats = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return fine.clip(0, 1)


def grain(rng: np.random.Generator) -> Picture:
    """A faint texture to be added, so that flat paint looks less drawn."""
    levels = (20 * noise(rng, (HEIGHT, WIDTH), 5)).astype(np.uint8)
    return np.repeat(levels[..., None], 3, axis=2)


def paint(image: Picture, alpha: Floats, colour: Colour | Floats) -> None:
    """Blend a colour into the image in place by ``alpha`` (clipped to 0..1), ``[H, W]``."""
    blended = image + np.clip(alpha, 0, 1)[..., None] * (np.asarray(colour) - image)
    image[:] = blended.round().astype(np.uint8)


def below(skyline: Floats) -> Floats:
    """Alpha of the ground below a skyline."""
    return (ROWS - skyline[None] + 0.5).clip(0, 1)


def glow(radius: int, colour: Colour) -> Picture:
    """A round patch of light that fades outwards, to be added."""
    y, x = np.ogrid[-radius:radius, -radius:radius]
    fall = np.clip(1 - np.hypot(x, y) / radius, 0, 1) ** 2.5
    light: Picture = (fall[..., None] * colour).astype(np.uint8)
    return light


def add(image: Picture, sprite: Picture, x: float, y: float) -> None:
    """Add light in place, centred at (x, y); what falls outside is cut off."""
    height, width = sprite.shape[:2]
    left, top = round(x) - width // 2, round(y) - height // 2
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + width, WIDTH), min(top + height, HEIGHT)
    if x0 < x1 and y0 < y1:
        target = image[y0:y1, x0:x1]
        cv2.add(target, sprite[y0 - top : y1 - top, x0 - left : x1 - left], dst=target)


def polygon(image: Picture, points: Any, colour: Colour) -> None:
    """Filled and antialiased; points in pixels, ``[N, 2]``."""
    fixed = np.round(np.asarray(points) * 16).astype(np.int32)
    cv2.fillPoly(image, [fixed], colour, cv2.LINE_AA, shift=4)


def disc(image: Picture, x: float, y: float, radius: float, colour: Colour) -> None:
    """Filled and antialiased, placed to a sixteenth of a pixel."""
    centre = (round(x * 16), round(y * 16))
    cv2.circle(image, centre, round(radius * 16), colour, -1, cv2.LINE_AA, shift=4)


def window(layer: Picture, mask: Picture, image: Picture, offset: float) -> None:
    """Lay a tiled strip over the image in place, moved to the left by ``offset`` pixels."""
    start = round(offset) % layer.shape[1]
    first = min(WIDTH, layer.shape[1] - start)
    for source, target in ((start, 0), (0, first)):
        count = first if target == 0 else WIDTH - first
        if count > 0:
            part = slice(source, source + count)
            cv2.copyTo(layer[:, part], mask[:, part], image[:, target : target + count])


def strip(skyline: Floats, top: Colour, bottom: Colour) -> tuple[Picture, Picture]:
    """Ground below a skyline as a layer and its mask, shaded from the edge downwards."""
    depth = np.clip((ROWS - skyline[None]) / 260, 0, 1)[..., None]
    layer = (np.array(top) * (1 - depth) + np.array(bottom) * depth).astype(np.uint8)
    return layer, (skyline[None] <= ROWS).astype(np.uint8)
