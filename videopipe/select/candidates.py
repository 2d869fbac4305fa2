"""What is selected from: the frames of a video, and what is known of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videopipe.select.landmarks import Landmarks

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Look = Callable[[Indices], Floats]


@dataclass(frozen=True, eq=False)
class Candidates:
    """``N`` frames that may be shown, in order of time, and their signals.

    What a selector asks for must be there, the rest may be None.

    Attributes:
        times: ``[N]`` seconds, ascending.
        relevance: ``[N]`` how well each fits the question, higher is better; a cosine, a
            probability or the fused scale of ``videopipe.select.relevance``. NaN is no relevance.
        features: ``[N, D]`` embeddings of the frames, of any float type and length.
        landmarks: which scene points each sees.
        complexity: ``[N]`` bytes of the compressed frame, for the planner of resolutions.
        cuts: seconds at which a new shot begins.
        duration: seconds of the video; None for one step behind the last frame.
        look: scores frames on demand, ``[M]`` positions to ``[M]`` relevances; what FOCUS asks
            where there is no ``relevance``.

    Raises:
        ValueError: signals that do not fit the times.
    """

    times: Floats
    relevance: Floats | None = None
    features: NDArray[Any] | None = field(default=None, repr=False)
    landmarks: Landmarks | None = None
    complexity: Floats | None = field(default=None, repr=False)
    cuts: Floats = field(default_factory=lambda: np.empty(0), repr=False)
    duration: float | None = None
    look: Look | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        times = np.asarray(self.times, dtype=np.float64)
        object.__setattr__(self, "times", times)
        if times.ndim != 1 or not np.isfinite(times).all() or (np.diff(times) < 0).any():
            raise ValueError("the times of candidates are finite seconds in ascending order")
        for name in ("relevance", "features", "landmarks", "complexity"):
            signal = getattr(self, name)
            if signal is not None and len(signal) != len(times):
                raise ValueError(f"{len(times)} candidates were given {len(signal)} of {name}")
        if self.relevance is not None:
            object.__setattr__(self, "relevance", _clean(self.relevance))
        object.__setattr__(self, "cuts", np.sort(np.asarray(self.cuts, dtype=np.float64)))

    def __len__(self) -> int:
        return len(self.times)

    @property
    def step(self) -> float:
        """Seconds from a candidate to the next, as a rule."""
        return float(np.median(np.diff(self.times))) if len(self) > 1 else 1.0

    @property
    def signals(self) -> frozenset[str]:
        """The names of the signals that are there."""
        return frozenset(f.name for f in fields(self) if getattr(self, f.name) is not None)

    @property
    def scores(self) -> Floats:
        """The relevance, which must be there."""
        if self.relevance is None:
            raise ValueError("these candidates have no relevance")
        return self.relevance

    def take(self, rows: Indices) -> Candidates:
        """Some of them, ascending, with their signals; nobody looks at frames of these."""
        return replace(
            self,
            times=self.times[rows],
            relevance=None if self.relevance is None else self.relevance[rows],
            features=None if self.features is None else self.features[rows],
            landmarks=None if self.landmarks is None else self.landmarks.take(rows),
            complexity=None if self.complexity is None else self.complexity[rows],
            look=None,
        )

    def shots(self) -> NDArray[np.int64]:
        """The number of the shot that each candidate is in, ``[N]`` from 0, ascending."""
        return np.unique(np.searchsorted(self.cuts, self.times, "right"), return_inverse=True)[1]


def _clean(relevance: NDArray[Any]) -> Floats:
    """As float64, with the least finite value for what is no number."""
    values = np.asarray(relevance, dtype=np.float64)
    finite = np.isfinite(values)
    if finite.all():
        return values
    least, most = (values[finite].min(), values[finite].max()) if finite.any() else (0.0, 0.0)
    return np.where(finite, values, np.where(values == np.inf, most, least))
