"""FOCUS: a bandit over stretches of the video that looks at few frames."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, NamedTuple

import numpy as np

from videopipe.allocate import allocate
from videopipe.select.candidates import Candidates, Floats, Indices
from videopipe.select.method import register
from videopipe.select.selection import Picks


class Arms(NamedTuple):
    """What is known of each stretch: mean and variance of its samples, and the upper bound."""

    mean: Floats
    variance: Floats
    bound: Floats


@register("focus")
@dataclass(frozen=True)
class Focus:
    """FOCUS (ICLR 2026): optimistic search for the stretches worth looking at.

    Every stretch of ``coarse_every_sec`` is looked at in its middle and at
    ``extra_samples_per_region`` random frames; the best by their upper confidence bound are looked
    at every ``fine_every_sec``. A share of the frames are the best seen, the others are drawn from
    the best stretches. Where the candidates have a ``look``, only these frames are scored: less
    than 2 % of a video at 25 frames a second. The fine scores count for the stretches (in the
    released code they never reach them), and every frame belongs to one. ``seed`` decides what is
    drawn.
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    paper: ClassVar[str] = "arXiv 2510.27280"

    coarse_every_sec: float = 16.0
    fine_every_sec: float = 1.0
    zoom_ratio: float = 0.25
    final_min_arms: int = 4
    final_max_arms: int = 32
    min_coarse_segments: int = 8
    min_zoom_segments: int = 4
    extra_samples_per_region: int = 2
    min_variance_threshold: float = 1e-6
    fine_uniform_ratio: float = 0.5
    top_ratio: float = 0.2
    temperature: float = 0.06
    seed: int = 0

    def __call__(self, candidates: Candidates, k: int) -> Picks:
        look = candidates.look or (lambda rows: candidates.scores[rows])
        rng = np.random.default_rng(self.seed)
        edges = self.edges(len(candidates), candidates.step)
        samples = self.coarse(edges, rng)
        scores = look(samples)
        arms = self.arms(edges, samples, scores)
        fine = np.setdiff1d(
            self.fine(edges, self.zoom(arms), candidates.step, rng), samples, assume_unique=True
        )
        if len(fine):
            samples, scores = np.concatenate([samples, fine]), np.concatenate([scores, look(fine)])
        arms = self.arms(edges, samples, scores)
        top = self.top(samples, scores, k)
        # The bound says where to look again; what is shown is where the frames were good.
        counts = self.shares(arms.mean, k - len(top))
        drawn = []
        for arm in np.flatnonzero(counts).tolist():
            rows = np.setdiff1d(np.arange(edges[arm], edges[arm + 1]), top)
            inside = (samples >= edges[arm]) & (samples < edges[arm + 1])
            values = self.estimate(rows, samples[inside], scores[inside])
            drawn.append(self._drawn(rows, values, int(counts[arm]), rng))
        why = f"looked at {len(samples)} of {len(candidates)} frames"
        return Picks(np.concatenate([top, *drawn]), why=(why,))

    def edges(self, count: int, step: float) -> Indices:
        """Where the stretches begin, and the end of the last, ``[A + 1]``."""
        wanted = max(self.min_coarse_segments, int(np.ceil(count * step / self.coarse_every_sec)))
        arms = min(wanted, count)
        return np.arange(arms + 1, dtype=np.int64) * count // arms

    def coarse(self, edges: Indices, rng: np.random.Generator) -> Indices:
        """The middle of each stretch and random frames of it."""
        chosen: list[Indices] = []
        for start, end in pairwise(edges.tolist()):
            middle = (start + end - 1) // 2
            others = np.delete(np.arange(start, end), middle - start)
            number = min(self.extra_samples_per_region, len(others))
            chosen += [np.array([middle]), rng.choice(others, number, replace=False)]
        return np.concatenate(chosen)

    def arms(self, edges: Indices, samples: Indices, scores: Floats) -> Arms:
        """Statistics of the stretches; each has a sample at least.

        ``bound = mean + sqrt(2 ln N v / n) + 3 ln N / n`` with the variance ``v`` at least
        ``min_variance_threshold`` and ``N`` samples in all.
        """
        arm = np.searchsorted(edges, samples, "right") - 1
        number = np.bincount(arm, minlength=len(edges) - 1)
        mean = np.bincount(arm, scores, len(number)) / number
        variance = np.bincount(arm, (scores - mean[arm]) ** 2, len(number)) / number
        known = np.log(len(samples))
        wide = np.maximum(variance, self.min_variance_threshold)
        bound = mean + np.sqrt(2 * known * wide / number) + 3 * known / number
        return Arms(mean, variance, bound)

    def zoom(self, arms: Arms) -> Indices:
        """The stretches to look at closely, the most promising first."""
        count = max(self.min_zoom_segments, int(np.ceil(self.zoom_ratio * len(arms.bound))))
        return np.argsort(-arms.bound, kind="stable")[:count]

    def fine(
        self, edges: Indices, zoomed: Indices, step: float, rng: np.random.Generator
    ) -> Indices:
        """The frames to look at in these stretches: a part even, the others random."""
        chosen: list[Indices] = []
        for arm in np.sort(zoomed):
            rows = np.arange(edges[arm], edges[arm + 1])
            number = min(len(rows), max(1, round(len(rows) * step / self.fine_every_sec)))
            even = max(1, round(number * self.fine_uniform_ratio))
            places = np.arange(even) * len(rows) // even
            chosen.append(rows[places])
            others = np.delete(rows, places)
            chosen.append(rng.choice(others, min(number - even, len(others)), replace=False))
        return np.unique(np.concatenate(chosen))

    def top(self, samples: Indices, scores: Floats, k: int) -> Indices:
        """The frames that are shown because of their own score, the best first."""
        return samples[np.argsort(-scores, kind="stable")[: round(self.top_ratio * k)]]

    def shares(self, value: Floats, frames: int) -> Indices:
        """Further frames of each stretch ``[A]``: even shares for the best by ``value``."""
        arms = int(np.ceil(self.zoom_ratio * len(value)))
        arms = min(max(arms, self.final_min_arms), self.final_max_arms, len(value))
        best = np.argsort(-value, kind="stable")[:arms]
        counts = np.zeros(len(value), np.int64)
        counts[best] = allocate(np.ones(arms), frames)
        return counts

    def estimate(self, rows: Indices, samples: Indices, scores: Floats) -> Floats:
        """The score of the nearest sample for each of ``rows``; of two the one taken first."""
        nearest: Floats = scores[np.abs(rows[:, None] - samples[None]).argmin(1)]
        return nearest

    def _drawn(
        self, rows: Indices, values: Floats, number: int, rng: np.random.Generator
    ) -> Indices:
        """``number`` of ``rows`` by a softmax of their values, without replacement."""
        if not len(rows):
            return rows
        logits = (values - values.min()) / (np.ptp(values) or 1.0) / self.temperature
        return rows[np.argsort(-(logits + rng.gumbel(size=len(rows))), kind="stable")[:number]]
