"""The most landmarks that so many frames can see, to measure chosen frames by."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from videopipe.select import Landmarks


class BestCoverage(NamedTuple):
    """``points`` that the best ``k`` frames see; where not ``exact``, they see at most as many."""

    points: float
    exact: bool


def best_coverage(landmarks: Landmarks, k: int, seconds: float = 20.0) -> BestCoverage:
    """Maximum coverage by integer programming (HiGHS).

    Frames that see nothing that another does not see are left out, and landmarks that the same
    frames see are one with a weight: then some hundreds of frames take seconds.

    Args:
        k: frames, 1 at least.
        seconds: after which the bound that is proven so far is taken, or that of the relaxed
            problem, whichever is lower.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_matrix, eye_array, hstack

    ids = np.unique(landmarks.ids, return_inverse=True)[1]
    shape = (len(landmarks), int(ids.max(initial=-1)) + 1)
    sees = csr_matrix((np.ones(len(ids)), ids, landmarks.offsets), shape)
    sees = sees[_undominated(sees)]
    seers = sees.T.tocsr()
    kinds: dict[bytes, tuple[int, int]] = {}
    for point in range(shape[1]):
        own = np.sort(seers.indices[seers.indptr[point] : seers.indptr[point + 1]])
        first, weight = kinds.get(own.tobytes(), (point, 0))
        kinds[own.tobytes()] = (first, weight + 1)
    if k >= sees.shape[0] or not kinds:
        return BestCoverage(float(shape[1]), True)
    points, weights = np.array([*kinds.values()]).T
    frames, count = sees.shape[0], len(points)
    # A landmark counts as seen, up to 1, by the chosen frames that see it.
    seen = hstack([-seers[points], eye_array(count)]).tocsr()
    chosen = np.concatenate([np.ones(frames), np.zeros(count)])[None]
    problem: dict[str, Any] = {
        "c": -np.concatenate([np.zeros(frames), weights]),
        "bounds": Bounds(0, 1),
        "constraints": [LinearConstraint(seen, ub=0), LinearConstraint(chosen, ub=k)],
    }
    whole = np.repeat([1, 0], [frames, count])
    found = milp(**problem, integrality=whole, options={"time_limit": seconds})
    if found.status == 0:
        return BestCoverage(float(round(-found.fun)), True)
    relaxed = milp(**problem)  # parts of frames may be chosen: never less
    bounds = (found.mip_dual_bound, relaxed.fun)
    return BestCoverage(min(shape[1], *(-b for b in bounds if b is not None)), False)


def _undominated(sees: Any) -> NDArray[np.int64]:
    """The rows that see something that no other row sees all of; of equal rows the first."""
    shared = (sees @ sees.T).toarray()
    sizes = shared.diagonal()
    within = shared == sizes[:, None]  # row a is a part of row b
    equal = within & within.T
    order = np.arange(len(sizes))
    worse = (within & ~equal) | (equal & (order[:, None] > order[None]))
    return np.flatnonzero(~worse.any(1) & (sizes > 0))
