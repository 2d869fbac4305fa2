"""The paper under the picture of chosen frames, and its pens: matplotlib without its defaults.

Lengths are in hundredths of an inch.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from videopipe.answer._explain_layout import WIDTH, Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DPI = 150
INK, SOFT, FAINT = "#1f2933", "#5f6b7a", "#d5dae1"

_FONTS = (
    "DejaVu Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC",
    "WenQuanYi Micro Hei", "Microsoft YaHei", "Yu Gothic", "Malgun Gothic", "PingFang SC",
    "Hiragino Sans", "Apple SD Gothic Neo", "Arial Unicode MS", "Noto Sans", "Noto Sans Arabic",
    "Noto Sans Devanagari", "Noto Emoji",
)  # fmt: skip


@contextmanager
def style() -> Iterator[None]:
    """Settings of our own whatever the user's are, and no word on stderr about fonts."""
    logger = logging.getLogger("matplotlib")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        import matplotlib.style
        from matplotlib.font_manager import fontManager

        held = {font.name for font in fontManager.ttflist}
        ours = {
            "font.family": [name for name in _FONTS if name in held],
            "text.parse_math": False,
            "svg.hashsalt": "videopipe",
        }
        with warnings.catch_warnings(), matplotlib.style.context(["default", ours]):
            warnings.filterwarnings("ignore", message="Glyph .* missing")
            yield
    finally:
        logger.setLevel(level)


class Page:
    """A figure measured from its upper left corner."""

    def __init__(self, height: float) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self.height = height
        self.figure = Figure(figsize=(WIDTH / 100, height / 100), dpi=DPI, facecolor="white")
        FigureCanvasAgg(self.figure)

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Axes without a frame or ticks."""
        box = (
            left / WIDTH,
            1 - (top + height) / self.height,
            width / WIDTH,
            height / self.height,
        )
        axes = self.figure.add_axes(box)
        axes.set(xticks=[], yticks=[])
        axes.patch.set_visible(False)
        for spine in axes.spines.values():
            spine.set_visible(False)
        return axes

    def text(self, left: float, top: float, words: str, **look: Any) -> None:
        """A line of text below ``top``."""
        place = (left / WIDTH, 1 - top / self.height)
        self.figure.text(*place, words, **{"va": "top", "ha": "left", **look})


class Ruler:
    """Tells how wide text will be."""

    def __init__(self) -> None:
        page = Page(100)
        self._text = page.figure.text(0, 0, "")

    def width(self, words: str, size: float, weight: str = "normal") -> float:
        self._text.set(text=words, fontsize=size, fontweight=weight)
        return float(self._text.get_window_extent().width) * 100 / DPI

    def fits(self, width: float, size: float, weight: str = "normal") -> Callable[[str], bool]:
        return lambda words: self.width(words, size, weight) <= width


def boxes(
    axes: Axes, left: Floats, right: Floats, top: Any, colors: Any, low: Any = 0, alpha: float = 1
) -> None:
    """Filled boxes: many are one artist."""
    from matplotlib.collections import PolyCollection

    low, top, _ = np.broadcast_arrays(low, top, left)
    x = np.stack([left, right, right, left], axis=1)
    y = np.stack([low, low, top, top], axis=1)
    corners = np.stack([x, y], axis=2)
    axes.add_collection(
        PolyCollection(list(corners), facecolors=colors, linewidths=0, alpha=alpha), autolim=False
    )
