"""MDP3: relevance and diversity as one determinant, over segments in order of time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from videopipe.select.candidates import Candidates, Floats, Indices
from videopipe.select.lazy import lazy_greedy, unit
from videopipe.select.method import register
from videopipe.select.selection import Picks

_LEAST = 1e-10  # of a pivot: a copy of what is chosen adds next to nothing
_BLOCK = 32  # frames looked at together
Kernel = Callable[[Floats], Floats]


@register("mdp3")
@dataclass(frozen=True)
class Mdp3:
    """Markov decision determinantal point process (ICCV 2025).

    Greedy for ``(2 / lambda) sum log r_i + log det K`` with a sum of Gaussian kernels
    ``k(x, y) = sum_a exp(-|x - y|^2 / 2a)`` over unit features, and ``r_i = k(question, x_i)`` from
    the relevance taken as a cosine. With ``segment_size`` (the paper: 32 of 128 candidates) a
    dynamic program over segments and counts takes the best split. As in a sequential DPP a segment
    counts with the objective of its frames together with the last ``condition_size`` chosen before
    it. -1 is one segment, as released.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"relevance", "features"})
    paper: ClassVar[str] = "arXiv 2501.02885"

    lambda_: float = 0.2
    segment_size: int = -1
    condition_size: int = 1
    alphas: tuple[float, ...] = (0.125, 0.25, 0.5, 1.0, 2.0)

    def __post_init__(self) -> None:
        if self.lambda_ <= 0 or self.condition_size < 0 or min(self.alphas, default=0) <= 0:
            raise ValueError("lambda_ and alphas are above 0, condition_size is 0 or more")

    def __call__(self, candidates: Candidates, k: int) -> Picks:
        features = candidates.features
        assert features is not None
        worth = 2 / self.lambda_ * np.log(self._kernel(np.clip(candidates.scores, -1, 1)))
        if self.segment_size < 1:
            return Picks(self._greedy(features, worth, k, np.empty(0, np.int64))[0])
        return Picks(self._segmented(features, worth, k))

    def _kernel(self, cosine: Floats) -> Floats:
        """Of unit vectors, for which ``|x - y|^2 / 2 = 1 - cos``."""
        distance = 1 - cosine
        kernel: Floats = np.sum([np.exp(-distance / a) for a in self.alphas], axis=0)
        return kernel

    def _greedy(
        self, features: NDArray[Any], worth: Floats, k: int, given: Indices
    ) -> tuple[Indices, Floats]:
        """``k`` frames beside those ``given``, and what each added to the objective."""
        whole = float(len(self.alphas))  # the kernel of a vector with itself
        factor = _Factor(features, self._kernel, whole, len(given) + k)

        def gains(rows: Indices, chosen: Indices) -> Floats:
            return worth[rows] + np.log(np.maximum(factor.pivots(rows, chosen), _LEAST))

        chosen = lazy_greedy(worth + np.log(whole), len(given) + k, gains, given, block=_BLOCK)
        added = [worth[at] + np.log(factor.diagonal(n, chosen)) for n, at in enumerate(chosen)]
        return chosen[len(given) :], np.array(added[len(given) :])

    def _segmented(self, features: NDArray[Any], worth: Floats, k: int) -> Indices:
        # For each count: the value of the best choice so far, and its frames.
        best: dict[int, tuple[float, Indices]] = {0: (0.0, np.empty(0, np.int64))}
        for start in range(0, len(features), self.segment_size):
            end = min(start + self.segment_size, len(features))
            after = dict(best)
            made: dict[tuple[int, ...], tuple[Indices, Floats]] = {}
            for count, (value, frames) in best.items():
                given = frames[len(frames) - min(self.condition_size, len(frames)) :]
                key = tuple(given.tolist())
                if key not in made:
                    made[key] = self._in_segment(features, worth, start, end, k, given)
                chosen, added = made[key]
                values = value + np.cumsum(added)
                for more in range(1, min(k - count, len(chosen)) + 1):
                    held = after.get(count + more)
                    if held is None or values[more - 1] > held[0]:
                        after[count + more] = (
                            float(values[more - 1]),
                            np.concatenate([frames, np.sort(chosen[:more])]),
                        )
            best = after
        return best[k][1]

    def _in_segment(
        self,
        features: NDArray[Any],
        worth: Floats,
        start: int,
        end: int,
        k: int,
        given: Indices,
    ) -> tuple[Indices, Floats]:
        """The frames of a segment by the greedy rule, and the objective's steps, given included."""
        rows = np.concatenate([given, np.arange(start, end)])
        chosen, added = self._greedy(
            features[rows], worth[rows], min(k, end - start), np.arange(len(given))
        )
        added[0] += self._objective(features[given], worth[given])
        return rows[chosen], added

    def _objective(self, features: NDArray[Any], worth: Floats) -> float:
        rows = unit(features)
        return float(worth.sum() + np.linalg.slogdet(self._kernel(rows @ rows.T))[1])


class _Factor:
    """The Cholesky factor of the kernel of what is chosen, and its rows for other frames.

    A row is brought up to date only when it is asked for, from where it was left. The inverse of
    the factor is kept as well: many small triangular systems are slower than one product.
    """

    def __init__(self, features: NDArray[Any], kernel: Kernel, whole: float, most: int) -> None:
        self._features, self._kernel = features, kernel
        self._rows = np.zeros((len(features), most))
        self._left = np.full(len(features), whole)
        self._done = np.zeros(len(features), np.int64)
        self._factor, self._inverse = np.zeros((most, most)), np.zeros((most, most))
        self._vectors = np.empty((most, features.shape[1]))
        self._known = 0

    def pivots(self, rows: Indices, chosen: Indices) -> Floats:
        """What of each of ``rows`` is not explained by ``chosen``, ``[R]``."""
        for n in range(self._known, len(chosen)):
            self._learn(chosen[n : n + 1], n)
        self._update(rows, len(chosen))
        return self._left[rows]

    def diagonal(self, n: int, chosen: Indices) -> float:
        """The square of the diagonal of the ``n``-th frame chosen."""
        if n < self._known:
            return float(self._factor[n, n] ** 2)
        return float(max(self.pivots(chosen[n : n + 1], chosen[:n])[0], _LEAST))

    def _learn(self, frame: Indices, n: int) -> None:
        """The ``n``-th row of the factor and of its inverse."""
        self._update(frame, n)
        row, pivot = self._rows[frame[0], :n], np.sqrt(max(self._left[frame[0]], _LEAST))
        self._factor[n, :n], self._factor[n, n] = row, pivot
        self._inverse[n, :n] = -(row @ self._inverse[:n, :n]) / pivot
        self._inverse[n, n] = 1 / pivot
        self._vectors[n] = unit(self._features[frame])[0]
        self._known = n + 1

    def _update(self, rows: Indices, end: int) -> None:
        """Bring ``rows`` up to date with the first ``end`` frames chosen."""
        done = self._done[rows]
        for start in np.unique(done[done < end]).tolist():
            some = rows[done == start]
            block = self._kernel(unit(self._features[some]) @ self._vectors[start:end].T)
            block -= self._rows[some, :start] @ self._factor[start:end, :start].T
            block = block @ self._inverse[start:end, start:end].T
            self._rows[some, start:end] = block
            self._left[some] -= (block**2).sum(1)
            self._done[some] = end
