"""WFS-SB: segments between the peaks of a wavelet's detail, a budget for each, MMR inside."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np

from videopipe.allocate import allocate
from videopipe.select.candidates import Candidates, Floats, Indices
from videopipe.select.lazy import Similarity, mmr, similarity_of
from videopipe.select.method import register
from videopipe.select.selection import Picks

_NEAR = 10.0  # candidates over which likeness fades where there are no features


@register("wfs-sb")
@dataclass(frozen=True)
class WfsSb:
    """Wavelet-based frame selection with semantic boundaries (CVPR 2026).

    Relevance is read in 0 to 1; other scales are min-max normalised. Features are used for
    likeness where there are any, else the distance in time.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"relevance"})
    paper: ClassVar[str] = "arXiv 2603.00512"

    lambda_param: float = 0.5
    wavelet: str = "db4"
    mode: str = "symmetric"
    prominence_factor: float = 0.05
    height_factor: float = 0.5
    min_importance: float = 0.05
    w_duration: float = 0.4
    w_mean: float = 0.2
    w_max: float = 0.3
    w_var: float = 0.1
    strictness_factor: float = 1.2
    temperature: float = 1.0

    def __call__(self, candidates: Candidates, k: int) -> Picks:
        scores = candidates.scores
        if scores.min() < 0 or scores.max() > 1:
            scores = (scores - scores.min()) / (scores.max() - scores.min())
        peaks = self.peaks(scores)
        if not len(peaks):
            return Picks(_half_and_half(scores, k))
        segments = self.kept(scores, self.segments(scores, peaks))
        budget = self.allocation(self.importance(scores, segments), k)
        similarity = similarity_of(candidates.features, _NEAR)
        chosen = [
            self._within(scores, similarity, start, end, frames)
            for (start, end), frames in zip(segments, budget.tolist(), strict=True)
        ]
        # Segments shorter than their share are made good from all of the video.
        held = np.concatenate(chosen)
        return Picks(mmr(2 * scores - 1, similarity, k, self.lambda_param, held))

    def level(self, count: int) -> int:
        """How often the wavelet halves a curve of ``count`` values."""
        import pywt

        most = pywt.dwt_max_level(count, pywt.Wavelet(self.wavelet).dec_len)
        return int(max(1, min(np.floor(np.log2(count) - 3), most)))

    def detail(self, scores: Floats) -> Floats:
        """The coarsest detail band of the curve, as a curve of the same length, signed."""
        import pywt

        with warnings.catch_warnings():  # a short curve is all boundary, as in the published code
            warnings.filterwarnings("ignore", message="Level value of 1 is too high")
            bands = pywt.wavedec(
                scores, self.wavelet, mode=self.mode, level=self.level(len(scores))
            )
        bands = [band if place == 1 else np.zeros_like(band) for place, band in enumerate(bands)]
        curve: Floats = pywt.waverec(bands, self.wavelet, mode=self.mode)[: len(scores)]
        return curve

    def peaks(self, scores: Floats) -> Indices:
        """Where the meaning changes: the peaks of the detail, ascending."""
        from scipy.signal import find_peaks

        curve = np.abs(self.detail(scores))
        found, _ = find_peaks(
            curve,
            height=curve.mean() + self.height_factor * curve.std(),
            prominence=self.prominence_factor * (curve.max() - curve.min()),
            distance=max(5, int(0.02 * len(curve))),
        )
        return np.asarray(found, dtype=np.int64)

    def segments(self, scores: Floats, peaks: Indices) -> list[tuple[int, int]]:
        """``[start, end)`` between the peaks."""
        edges = np.unique([0, *peaks.tolist(), len(scores)]).tolist()
        return list(pairwise(edges))

    def importance(self, scores: Floats, segments: list[tuple[int, int]]) -> Floats:
        """``w_d length + w_m mean + w_x max + w_v variance``, of the whole the first and last."""
        parts = [scores[start:end] for start, end in segments]
        whole = scores.var() or 1.0
        return np.array(
            [
                self.w_duration * len(part) / len(scores)
                + self.w_mean * part.mean()
                + self.w_max * part.max()
                + self.w_var * part.var() / whole
                for part in parts
            ]
        )

    def kept(self, scores: Floats, segments: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """The segments without those of too little importance, where there are more than three."""
        if len(segments) <= 3:
            return segments
        worth = self.importance(scores, segments)
        least = max(self.min_importance, worth.mean() - self.strictness_factor * worth.std())
        return [segment for segment, value in zip(segments, worth, strict=True) if value >= least]

    def allocation(self, importance: Floats, k: int) -> Indices:
        """Frames of each segment: softmax of the importance, largest remainders."""
        powers = np.exp((importance - importance.max()) / self.temperature)
        return allocate(powers, k)

    def _within(
        self, scores: Floats, similarity: Similarity, start: int, end: int, frames: int
    ) -> Indices:
        if not frames:
            return np.empty(0, np.int64)
        rows = np.arange(start, end)

        def alike(some: Indices, others: Indices) -> Floats:
            return similarity(rows[some], rows[others])

        part = 2 * scores[start:end] - 1
        best = np.array([part.argmax()])
        return rows[mmr(part, alike, min(frames, end - start), self.lambda_param, best)]


def _half_and_half(scores: Floats, k: int) -> Indices:
    """Where nothing stands out: half of the frames even, half the best of the others."""
    even = np.linspace(0, len(scores) - 1, k // 2).astype(np.int64)
    best = np.argsort(-scores, kind="stable")
    return np.concatenate([even, best[~np.isin(best, even)][: k - len(even)]])
