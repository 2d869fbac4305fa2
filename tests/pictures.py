"""Drawn pictures for the tests of scan and describe."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from videopipe.types import FrameBatch

Picture = NDArray[np.uint8]
SIZE = (398, 224)


def scene(seed: int, size: tuple[int, int] = SIZE, detail: int = 12) -> Picture:
    """A smooth random picture, as different from other seeds as one shot from another."""
    random = np.random.default_rng(seed)
    small = random.integers(0, 256, (detail * 9 // 16 + 1, detail, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_CUBIC), np.uint8)


def grass(seed: int, size: tuple[int, int] = SIZE) -> Picture:
    """Fine texture with the contrast of print."""
    random = np.random.default_rng(seed)
    noise = random.normal(128, 90, (size[1], size[0])).clip(0, 255).astype(np.float32)
    return np.repeat(cv2.GaussianBlur(noise, (3, 3), 0)[..., None], 3, 2).astype(np.uint8)


def written(
    lines: Sequence[str],
    background: Picture | int = 245,
    *,
    size: tuple[int, int] = (1280, 720),
    points: int = 48,
    at: tuple[int, int] = (80, 80),
    ink: tuple[int, int, int] = (20, 20, 40),
    outline: int = 0,
) -> Picture:
    """A picture of ``size`` with ``lines`` of text in it."""
    if isinstance(background, int):
        image = Image.new("RGB", size, (background,) * 3)
    else:
        image = Image.fromarray(background).resize(size)
    pen = ImageDraw.Draw(image)
    font = ImageFont.load_default(points)
    for row, line in enumerate(lines):
        pen.text(
            (at[0], at[1] + int(row * points * 1.5)),
            line,
            ink,
            font,
            stroke_width=outline,
            stroke_fill=(0, 0, 0),
        )
    return np.asarray(image, np.uint8)


def small(picture: Picture) -> Picture:
    """As the scan sees it."""
    return np.asarray(cv2.resize(picture, SIZE, interpolation=cv2.INTER_AREA), np.uint8)


def batches(
    frames: Iterable[Picture], rate: float = 1.0, noise: float = 2.0
) -> Iterable[FrameBatch]:
    """The frames as a scan gives them, with a little camera noise."""
    random = np.random.default_rng(0)
    for index, frame in enumerate(frames):
        grain = random.normal(0, noise, frame.shape[:2])[..., None]
        seen = (frame + grain).clip(0, 255).astype(np.uint8)
        yield FrameBatch(np.array([index / rate]), seen[None])
