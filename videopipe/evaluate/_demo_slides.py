"""The slides of the demonstration video, set with Pillow's built-in scalable font."""

from __future__ import annotations

from math import cos, pi, sin

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from videopipe.evaluate._demo_canvas import HEIGHT, WIDTH
from videopipe.evaluate._demo_script import Part

_MARGIN = 96
_PAPER, _INK, _QUIET, _LINE = "#1A2233", "#F5F3EE", "#97A0B3", "#3A465E"
# Curves are drawn this much larger and reduced, because ImageDraw does not smooth them.
_SMOOTH = 4


def draw_slide(part: Part, number: int, count: int, minute: float) -> NDArray[np.uint8]:
    """One slide, uint8 RGB ``[HEIGHT, WIDTH, 3]``; ``minute`` of the hour is shown by a small dial.

    Args:
        part: title with bullet points or a table.
        number: of this slide, from 1.
        count: of all slides.
        minute: when the slide appears.
    """
    image = Image.new("RGB", (WIDTH, HEIGHT), _PAPER)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 14, HEIGHT), fill=part.accent)
    draw.text(
        (_MARGIN, 66),
        f"Chapter {part.chapter}: {part.chapter_title}",
        fill=part.accent,
        font=_font(26),
    )
    draw.text((_MARGIN - 3, 106), part.title, fill=_INK, font=_font(62))
    draw.line((_MARGIN, 206, _MARGIN + 120, 206), fill=part.accent, width=5)
    if part.table:
        _draw_table(draw, part)
    else:
        _draw_bullets(draw, part)
    page = f"{number} / {count}"
    draw.text((WIDTH - _MARGIN, HEIGHT - 42), page, fill=_QUIET, font=_font(22), anchor="rm")
    _draw_dial(image, part.accent, minute)
    return np.asarray(image)


def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


def _draw_bullets(draw: ImageDraw.ImageDraw, part: Part) -> None:
    font = _font(40)
    step = min(92, 400 // len(part.bullets))
    for row, text in enumerate(part.bullets):
        y = 268 + step * row
        draw.ellipse((_MARGIN, y - 6, _MARGIN + 12, y + 6), fill=part.accent)
        draw.text((_MARGIN + 38, y), text, fill=_INK, font=font, anchor="lm")


def _draw_table(draw: ImageDraw.ImageDraw, part: Part) -> None:
    head, body = _font(30), _font(38)
    widths = [max(map(body.getlength, column)) for column in zip(*part.table, strict=True)]
    gap = (WIDTH - 2 * _MARGIN - sum(widths)) / len(widths)
    step = min(74, 410 // len(part.table))
    for row, cells in enumerate(part.table):
        x, y = float(_MARGIN), 258 + step * row
        font, ink = (body, _INK) if row else (head, part.accent)
        for text, width in zip(cells, widths, strict=True):
            draw.text((x, y), text, fill=ink, font=font, anchor="lm")
            x += width + gap
        line = y + step // 2
        draw.line((_MARGIN, line, WIDTH - _MARGIN, line), fill=_LINE, width=2)


def _draw_dial(image: Image.Image, accent: str, minute: float) -> None:
    size = 108 * _SMOOTH
    dial = Image.new("RGB", (size, size), _PAPER)
    draw = ImageDraw.Draw(dial)
    middle = size / 2

    def at(angle: float, reach: float) -> tuple[float, float]:
        return middle + reach * middle * sin(angle), middle - reach * middle * cos(angle)

    for tick in range(12):
        angle = tick * pi / 6
        passed = tick * 5 <= minute
        ends = (at(angle, 0.78), at(angle, 0.94))
        draw.line(ends, fill=accent if passed else _LINE, width=4 * _SMOOTH)
    draw.line(((middle, middle), at(minute * pi / 30, 0.62)), fill=_INK, width=4 * _SMOOTH)
    draw.circle((middle, middle), 6 * _SMOOTH, fill=_INK)
    small = dial.resize((size // _SMOOTH, size // _SMOOTH), Image.Resampling.LANCZOS)
    image.paste(small, (WIDTH - _MARGIN - small.width, 60))
