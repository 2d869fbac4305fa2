"""Which points of two pictures are the same, by their descriptors and by the geometry."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_RATIO = 0.8  # Lowe's test: how much nearer the best match is than the next
_PLANE_ERROR, _EPIPOLAR_ERROR = 3.0, 1.5  # pixels
PLANE_LEAST, _EPIPOLAR_LEAST = 10, 18  # inliers; chance finds fewer
_PARALLAX = 1.15  # how many times more an epipolar geometry must explain than a plane
SUPPORT, _SUPPORT_REACH = 8, 48.0  # verified matches, pixels: what foretells where a point went


def matches(
    words: NDArray[np.uint8], earlier: NDArray[np.uint8]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs whose descriptors are nearest by far, surest first, each point in one pair at most.

    Args:
        words: uint8 ``[N, 32]`` binary descriptors.
        earlier: ``[M, 32]``, those of the other picture.

    Returns:
        The rows of both, ``[K]`` each.
    """
    import cv2

    if not len(words) or len(earlier) < 2:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    far, nearest = cv2.batchDistance(words, earlier, cv2.CV_32S, normType=cv2.NORM_HAMMING, K=2)
    mine = np.flatnonzero(far[:, 0] < _RATIO * far[:, 1])
    mine = mine[np.argsort(far[mine, 0], kind="stable")]
    order = np.sort(np.unique(nearest[mine, 0], return_index=True)[1])
    return mine[order], nearest[mine[order], 0].astype(np.int64)


def verified(at: NDArray[np.float32], earlier: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which pairs one camera motion explains; none if too few of them agree.

    A homography (a plane, or a camera that turns) or, if it explains clearly more, a fundamental
    matrix. The samples are drawn by PROSAC with OpenCV's own fixed seed.

    Args:
        at: ``[K, 2]`` pixels, the surest pair first.
        earlier: ``[K, 2]``, in the other picture.

    Returns:
        ``[K]``.
    """
    import cv2

    none = np.zeros(len(at), np.bool_)
    if len(at) < PLANE_LEAST:
        return none
    plane = _inliers(
        cv2.findHomography, at, earlier, cv2.USAC_PROSAC, _PLANE_ERROR, None, 500, 0.99
    )
    agreed = np.count_nonzero(plane)
    if agreed < 0.8 * len(at) and len(at) >= _EPIPOLAR_LEAST:
        lines = _inliers(
            cv2.findFundamentalMat, at, earlier, cv2.USAC_PROSAC, _EPIPOLAR_ERROR, 0.99, 500
        )
        explained = np.count_nonzero(lines)
        if explained >= max(_EPIPOLAR_LEAST, _PARALLAX * agreed):
            return lines
    return plane if agreed >= PLANE_LEAST else none


def foretold(
    at: NDArray[np.float32], known: NDArray[np.float32], now: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Where points go if they move as the known points around them, and whether there are any.

    Args:
        at: ``[N, 2]`` pixels.
        known: ``[K, 2]``, at least ``SUPPORT`` points of the same picture.
        now: ``[K, 2]``, where these are in the other picture.

    Returns:
        ``[N, 2]`` pixels, and ``[N]`` whether enough known points are near.
    """
    apart = squares(at, known)
    nearest = np.argpartition(apart, SUPPORT - 1, axis=1)[:, :SUPPORT]
    reach = np.take_along_axis(apart, nearest, 1)
    weight = 1 / (reach + 64)
    weight /= weight.sum(1, keepdims=True)
    # A similarity in the complex plane: now = turn * was + shift, least squares.
    was, new = _complex(known)[nearest], _complex(now)[nearest]
    middle, new_middle = (weight * was).sum(1), (weight * new).sum(1)
    was, new = was - middle[:, None], new - new_middle[:, None]
    turn = (weight * was.conj() * new).sum(1) + 16
    turn /= (weight * np.square(np.abs(was))).sum(1) + 16
    hoped = new_middle + turn * (_complex(at) - middle)
    backed = (reach < _SUPPORT_REACH**2).sum(1) >= SUPPORT // 2
    return np.stack([hoped.real, hoped.imag], 1), backed


def squares(at: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """Squared distances ``[N, M]``."""
    across = np.subtract.outer(at[:, 0], others[:, 0])
    down = np.subtract.outer(at[:, 1], others[:, 1])
    squares: NDArray[np.float32] = across * across + down * down
    return squares


def _inliers(fit: Any, at: NDArray[np.float32], *others: Any) -> NDArray[np.bool_]:
    import cv2

    try:
        model, inliers = fit(at, *others)
    except cv2.error:  # USAC asserts where every sample is degenerate
        model = None
    if model is None:
        return np.zeros(len(at), np.bool_)
    found: NDArray[np.bool_] = inliers.ravel() > 0
    return found


def _complex(at: NDArray[np.float32]) -> NDArray[np.complex64]:
    return np.ascontiguousarray(at).view(np.complex64)[:, 0]
