"""How well frames fit a question: several signals on one scale, 0-1."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from videopipe.select.candidates import Floats

_SIGMA = 1.4826  # of the median absolute deviation, to a standard deviation
_HALF = 5.0  # deviations above the usual at which a frame counts as half certain


def spread(times: Floats, spans: Iterable[tuple[float, float, float]], margin: float) -> Floats:
    """The scores of timed texts as a curve over frames, ``[N]``: the best that covers each.

    Args:
        times: ``[N]`` seconds, ascending.
        spans: start and end in seconds and the score of each text.
        margin: seconds that a text reaches beyond its span: what is said of something is said a
            little before or after it is seen.
    """
    curve = np.zeros(len(times))
    for start, end, score in spans:
        low, high = np.searchsorted(times, (start - margin, end + margin))
        np.maximum(curve[low:high], score, out=curve[low:high])
    return curve


def standardised(cosines: Floats) -> Floats:
    """Similarities of a dual encoder on the common scale, ``[N]`` in 0-1, in the same order.

    Their level and spread differ by model and question (about 0.1 for SigLIP, 0.25 for CLIP), so
    what counts is by how many deviations a frame is above what is usual in its video.
    """
    usual = np.median(cosines)
    deviation = _SIGMA * np.median(np.abs(cosines - usual))
    scaled = (cosines - usual) / max(float(deviation), 1e-6)
    certain: Floats = 1 / (1 + np.exp(np.clip(_HALF - scaled, -60, 60)))
    return certain


def fuse(signals: Mapping[str, Floats]) -> Floats:
    """One relevance of several, ``[N]`` in 0-1: any of them alone can carry a frame.

    ``1 - prod(1 - s)``, the rule by which the library joins meaning and words.
    """
    missing = np.prod([1 - np.clip(signal, 0, 1) for signal in signals.values()], axis=0)
    joined: Floats = 1 - missing
    return joined
