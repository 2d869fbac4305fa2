"""Selectors as a reader of their papers would write them: what bench_select.py compares with.

Short and obvious, with the N x N matrices and the Python loops that the procedures are written
with. Each takes a ``Film`` and a number of frames and gives the positions of frames. Where a paper
leaves something open, it is what videopipe takes (the deviations are named), so that picks can be
compared; nothing here makes a selection exact or repairs it.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor, log, log2, sqrt
from typing import Any

import numpy as np
import pywt
from scipy.signal import find_peaks


@dataclass(frozen=True)
class Film:
    """Frames at one a second: ``scores [N]`` in 0-1, ``features [N, D]``, the points each sees."""

    scores: Any
    features: Any
    points: list[set[int]]

    def __len__(self) -> int:
        return len(self.scores)

    def vectors(self) -> Any:
        """The features as float32 of unit length."""
        rows = self.features.astype(np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def uniform(film: Film, k: int) -> list[int]:
    """The middles of ``k`` equal stretches."""
    return [int((i + 0.5) * len(film) / k) for i in range(k)]


def top_k(film: Film, k: int) -> Any:
    """The best by score."""
    return np.argsort(-film.scores, kind="stable")[:k]


def aks(film: Film, k: int) -> list[int]:
    """Split and judge, with as many best frames as the segment is to give (the paper's intent)."""
    t1, t2, deepest = 0.8, -100.0, 5
    scores = (film.scores - film.scores.min()) / (film.scores.max() - film.scores.min())
    queue = [(list(range(len(film))), 0)]
    chosen: list[int] = []
    while queue:
        segment, depth = queue.pop(0)
        part = scores[segment]
        wanted = max(1, int(k / 2**depth))
        stands_out = np.mean(heapq.nlargest(wanted, part)) - part.mean() > t1 and part.std() > t2
        if depth == deepest or stands_out:
            chosen += heapq.nlargest(int(k / 2**depth), segment, key=lambda i: scores[i])
        else:
            middle = len(segment) // 2
            queue += [(segment[:middle], depth + 1), (segment[middle:], depth + 1)]
    return chosen


def bolt(film: Film, k: int) -> Any:
    """Inverse transform sampling; a frame may come several times."""
    scores = film.scores - film.scores.min()
    scores = (scores / scores.max()) ** 3
    cdf = np.cumsum(scores / scores.sum())
    return np.searchsorted(cdf, np.linspace(1 / k, 1 - 1 / k, k))


def wfs_sb(film: Film, k: int) -> list[int]:
    """Wavelet boundaries, importance, budgets, and MMR over the matrix of all cosines."""
    scores, count = film.scores, len(film)
    deepest = pywt.dwt_max_level(count, pywt.Wavelet("db4").dec_len)
    level = max(1, min(floor(log2(count) - 3), deepest))
    bands = pywt.wavedec(scores, "db4", mode="symmetric", level=level)
    bands = [band if n == 1 else np.zeros_like(band) for n, band in enumerate(bands)]
    curve = np.abs(pywt.waverec(bands, "db4", mode="symmetric")[:count])
    peaks, _ = find_peaks(
        curve,
        height=curve.mean() + 0.5 * curve.std(),
        prominence=0.05 * (curve.max() - curve.min()),
        distance=max(5, int(0.02 * count)),
    )
    if len(peaks) == 0:
        even = np.linspace(0, count - 1, k // 2).astype(int).tolist()
        best = [i for i in np.argsort(-scores, kind="stable").tolist() if i not in even]
        return even + best[: k - len(even)]
    segments = [range(a, b) for a, b in pairwise([0, *peaks.tolist(), count]) if b > a]

    def importance(segment: range) -> float:
        part = scores[segment.start : segment.stop]
        spread = part.var() / scores.var()
        return 0.4 * len(part) / count + 0.2 * part.mean() + 0.3 * part.max() + 0.1 * spread

    worth = np.array([importance(segment) for segment in segments])
    if len(segments) > 3:
        least = max(0.05, worth.mean() - 1.2 * worth.std())
        segments = [s for s, w in zip(segments, worth, strict=True) if w >= least]
        worth = worth[worth >= least]
    exact = np.exp(worth) / np.exp(worth).sum() * k
    budget = np.floor(exact).astype(int)
    for n in np.argsort(-(exact - budget), kind="stable")[: k - budget.sum()]:
        budget[n] += 1

    vectors = film.vectors()
    cosines = vectors @ vectors.T
    chosen: list[int] = []
    for segment, frames in zip(segments, budget, strict=True):
        if frames:
            best = max(segment, key=lambda i: scores[i])
            chosen += _mmr(scores, cosines, segment, [best], min(frames, len(segment)))
    return _mmr(scores, cosines, range(count), chosen, k)


def _mmr(scores: Any, cosines: Any, rows: range, chosen: list[int], k: int) -> list[int]:
    chosen = list(chosen)
    while len(chosen) < k:
        best, most = -1, -np.inf
        for i in rows:
            if i not in chosen:
                value = 0.5 * (2 * scores[i] - 1) - 0.5 * max(cosines[i, j] for j in chosen)
                if value > most:
                    best, most = i, value
        chosen.append(best)
    return chosen


def mdp3(film: Film, k: int) -> list[int]:
    """The kernel of all pairs, and the greedy DPP over it; relevance is taken as a cosine."""
    vectors = film.vectors()
    kernel = _gaussians(2 - 2 * (vectors @ vectors.T))
    worth = 2 / 0.2 * np.log(_gaussians(2 - 2 * film.scores))
    left = np.diag(kernel).astype(np.float64)
    factor = np.zeros((k, len(film)))
    chosen: list[int] = []
    for n in range(k):
        gains = worth + np.log(np.maximum(left, 1e-10))
        gains[chosen] = -np.inf
        best = int(gains.argmax())
        factor[n] = (kernel[best] - factor[:n, best] @ factor[:n]) / sqrt(left[best])
        left -= factor[n] ** 2
        chosen.append(best)
    return chosen


def _gaussians(squares: Any) -> Any:
    return sum(np.exp(-squares / (2 * a)) for a in (1 / 8, 1 / 4, 1 / 2, 1, 2))


def q_frame(film: Film, k: int) -> Any:
    """Gumbel top-k of a softmax; logits are standardised, cosines having another scale."""
    logits = (film.scores - film.scores.mean()) / film.scores.std() / 0.8
    chances = np.exp(logits - logits.max())
    chances /= chances.sum()
    noise = np.random.default_rng(0).gumbel(size=len(film))
    return np.argsort(-(np.log(chances) + noise), kind="stable")[:k]


def focus(film: Film, k: int) -> list[int]:
    """The bandit over stretches of 16 s; fine scores count for the arms, as the paper means."""
    rng = np.random.default_rng(0)
    count = max(8, ceil(len(film) / 16))
    arms = [range(n * len(film) // count, (n + 1) * len(film) // count) for n in range(count)]
    seen: list[dict[int, float]] = [{} for _ in arms]
    for arm, known in zip(arms, seen, strict=True):
        for i in [arm[len(arm) // 2], *rng.choice(arm, 2, replace=False).tolist()]:
            known[i] = film.scores[i]

    def ranked() -> list[int]:
        total = log(sum(len(known) for known in seen))

        def bound(n: int) -> float:
            values = list(seen[n].values())
            wide = max(float(np.var(values)), 1e-6)
            return (
                float(np.mean(values))
                + sqrt(2 * total * wide / len(values))
                + 3 * total / len(values)
            )

        return sorted(range(count), key=lambda n: -bound(n))

    for n in ranked()[: max(4, ceil(0.25 * count))]:
        half = len(arms[n]) // 2
        even = np.linspace(arms[n].start, arms[n].stop - 1, half).astype(int).tolist()
        others = [i for i in arms[n] if i not in even]
        for i in even + rng.choice(others, len(arms[n]) - half, replace=False).tolist():
            seen[n][i] = film.scores[i]
    scored = {i: score for known in seen for i, score in known.items()}
    chosen = heapq.nlargest(round(0.2 * k), scored, key=lambda i: scored[i])
    best = ranked()[: min(max(ceil(0.25 * count), 4), 32)]
    share, more = divmod(k - len(chosen), len(best))
    for rank, n in enumerate(best):
        rows = [i for i in arms[n] if i not in chosen]
        filled = np.array([seen[n][min(seen[n], key=lambda j: abs(i - j))] for i in rows])
        chances = np.exp((filled - filled.min()) / ((np.ptp(filled) or 1) * 0.06) - 1 / 0.06)
        frames = min(share + (rank < more), len(rows))
        chosen += rng.choice(rows, frames, replace=False, p=chances / chances.sum()).tolist()
    return chosen


def vilamp(film: Film, k: int) -> list[int]:
    """The most relevant that nothing taken suppresses; then the gaps are filled."""
    vectors = film.vectors()
    suppressed = np.zeros(len(film), bool)
    chosen: list[int] = []
    for i in np.argsort(-film.scores, kind="stable").tolist():
        if len(chosen) < k and not suppressed[i]:
            chosen.append(i)
            suppressed |= vectors @ vectors[i] > 0.85
    return chosen + _filled(sorted(chosen), len(film), k - len(chosen))


def _filled(chosen: list[int], count: int, missing: int) -> list[int]:
    gaps = [(a, b) for a, b in pairwise([-1, *chosen, count]) if b - a > 1]
    low, high = 1, count
    while low < high:
        middle = (low + high) // 2
        if sum((b - a - 2) // middle for a, b in gaps) <= missing:
            high = middle
        else:
            low = middle + 1
    added: list[int] = []
    for a, b in gaps:
        frames = (b - a - 2) // low
        added += [a + (b - a) * n // (frames + 1) for n in range(1, frames + 1)]
    rest = [i for i in range(count - 1, -1, -1) if i not in chosen and i not in added]
    return added + rest[: missing - len(added)]


def space_aware(film: Film, k: int) -> list[int]:
    """Greedy maximum coverage: what every frame adds is counted again for each pick."""
    covered: set[int] = set()
    chosen: list[int] = []
    while len(chosen) < k:
        best, most = -1, 0
        for i in range(len(film)):
            if i not in chosen:
                adds = len(film.points[i] - covered)
                if adds > most:
                    best, most = i, adds
        if best < 0:
            break
        chosen.append(best)
        covered |= film.points[best]
    return chosen


def f2c(film: Film, budget: int) -> list[int]:
    """Key clips that cost ``budget`` frames of full size, however many frames that is.

    The redundancy of one frame is 1, and relevance is min-max normalised.
    """
    count = len(film)
    r = (film.scores - film.scores.min()) / (film.scores.max() - film.scores.min())
    valleys = [0]
    valleys += [i for i in range(1, count - 1) if r[i] <= r[i - 1] and r[i] <= r[i + 1]]
    valleys.append(count - 1)
    peaks = sorted({max(range(a, b + 1), key=lambda i: r[i]) for a, b in pairwise(valleys)})
    anchors = peaks if len(peaks) <= budget else _clustered(r, peaks, budget)
    longest = min(int(4 * budget / len(anchors)), count)
    vectors = film.vectors()
    frames: set[int] = set()
    for anchor in anchors:
        best, clip = -np.inf, range(0)
        for length in range(1, longest + 1):
            start = min(max(anchor - (length - 1) // 2, 0), count - length)
            rows = range(start, start + length)
            pairs = [vectors[i] @ vectors[j] for i in rows for j in rows if i != j]
            redundancy = np.mean(pairs) if pairs else 1.0
            value = np.mean([r[i] for i in rows]) - 0.5 * redundancy + 0.05 * length / longest
            if value > best:
                best, clip = value, rows
        frames |= set(clip)
    return sorted(frames)


def _clustered(r: Any, peaks: list[int], count: int) -> list[int]:
    at = np.array(peaks, dtype=float)
    centres = np.quantile(at, [(n + 0.5) / count for n in range(count)])
    for _ in range(25):
        labels = np.abs(at[:, None] - centres[None]).argmin(1)
        moved = [
            at[labels == n].mean() if (labels == n).any() else centres[n] for n in range(count)
        ]
        if np.array_equal(moved, centres):
            break
        centres = np.array(moved)
    groups = [
        [p for p, label in zip(peaks, labels, strict=True) if label == n] for n in range(count)
    ]
    anchors = [max(group, key=lambda i: r[i]) for group in groups if group]
    rest = sorted(set(peaks) - set(anchors), key=lambda i: -r[i])
    return sorted(anchors + rest[: count - len(anchors)])


def f2c_within(film: Film, k: int) -> list[int]:
    """The clips of the largest budget whose clips have ``k`` frames at most."""
    found = (f2c(film, budget) for budget in range(k, 0, -1))
    return next(frames for frames in found if len(frames) <= k)


def b_vllm(film: Film, k: int) -> Any:
    """Merge each row into its best earlier one where that is a copy; rows by falling relevance."""
    order = np.argsort(-film.scores, kind="stable")
    vectors = film.vectors()[order]
    alike = np.tril((vectors @ vectors.T + 1) / 2, -1)
    return order[alike.max(1) <= 0.95][:k]


def quota(film: Film, k: int) -> Any:
    """96 frames and 64 an hour, weights by the square of the relevance; the heaviest ``k``."""
    frames = uniform(film, max(k, 96 + int((len(film) - 1) / 3600 * 64)))
    weights = (100 * film.scores[frames]) ** 2
    weights /= weights.sum()
    return np.array(frames)[np.argsort(-weights, kind="stable")[:k]]


Procedure = Callable[[Film, int], Any]

PLAIN: dict[str, Procedure] = {
    "aks": aks,
    "b-vllm": b_vllm,
    "bolt": bolt,
    "f2c": f2c,
    "focus": focus,
    "mdp3": mdp3,
    "q-frame": q_frame,
    "quota": quota,
    "space-aware": space_aware,
    "top-k": top_k,
    "uniform": uniform,
    "vilamp": vilamp,
    "wfs-sb": wfs_sb,
}
MATRIX = ("b-vllm", "mdp3", "wfs-sb")  # of all pairs of frames
