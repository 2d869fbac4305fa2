"""How well chosen frames show what a question is about, told by their times alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

Interval = tuple[float, float]
Scene = Sequence[Interval]

_POWERS = np.arange(11) / 10
UKSS_FLOOR = 0.01


@dataclass(frozen=True, slots=True)
class FrameMetrics:
    """What KFS-Bench (arXiv 2512.14017) measures of the frames for one question, each 0-1.

    Attributes:
        kfr: key frame rate, the share of the frames that are inside any scene.
        shr: scene hit rate, the share of the scenes with a frame.
        bsr: balanced scene recall, the share of the scenes with as many frames as they are due:
            of all frames in scenes their part of the total length, an even share at most, rounded
            down, and one at least.
        bds: balanced distribution similarity, the cosine between the frames of each scene and its
            length to a power, the best of the powers 0, 0.1 to 1.
        ukss: the geometric mean of kfr, bsr and bds.
    """

    kfr: float
    shr: float
    bsr: float
    bds: float
    ukss: float


def frame_metrics(times: ArrayLike, scenes: Sequence[Scene]) -> FrameMetrics:
    """Compare the times of frames with the scenes that are evidence for a question.

    Args:
        times: ``[K]`` seconds, in any order, one at least.
        scenes: the intervals of each scene in seconds, both ends inside; the length of a scene is
            the sum of theirs. KFS-Bench adds a second to every end before this.

    Raises:
        ValueError: no frames, no scenes, or a scene without length.
    """
    frames = np.asarray(times, dtype=np.float64)
    if not frames.size or not len(scenes):
        raise ValueError("frames are measured by one frame and one scene at least")
    lengths = np.array([sum(end - start for start, end in scene) for scene in scenes], np.float64)
    if not (lengths > 0).all():
        raise ValueError("a scene lasts longer than 0 s")
    inside = np.array(
        [
            np.any([(frames >= start) & (frames <= end) for start, end in scene], axis=0)
            for scene in scenes
        ]
    )
    counts = inside.sum(1)
    within = int(inside.any(0).sum())
    due = np.floor(np.minimum(lengths / lengths.sum(), 1 / len(scenes)) * within)
    kfr = within / frames.size
    bsr = float((counts >= np.maximum(due, 1)).mean())
    bds = max(_cosine(counts, lengths**power) for power in _POWERS)
    return FrameMetrics(kfr, float((counts > 0).mean()), bsr, bds, float(np.cbrt(kfr * bsr * bds)))


def mean_ukss(values: Iterable[float]) -> float:
    """The UKSS of several questions in one: their geometric mean, none below 0.01.

    Raises:
        ValueError: no values.
    """
    held = np.array([*values], dtype=np.float64)
    if not held.size:
        raise ValueError("there is no mean of no questions")
    return float(np.exp(np.log(np.maximum(held, UKSS_FLOOR)).mean()))


def _cosine(a: ArrayLike, b: ArrayLike) -> float:
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    norms = float(np.linalg.norm(x) * np.linalg.norm(y))
    return float(x @ y) / norms if norms else 0.0
