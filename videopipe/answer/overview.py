"""Questions about a whole video: its most typical passages, spread over its length."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from videopipe.answer.passages import Passage, passages
from videopipe.types import ClipText

_FILM = r"(this|the|it|that)( (video|film|movie|clip|footage|recording|lecture|talk))?"
_ABOUT = re.compile(
    rf"\W*(what|which topics?)('s| is| was| are)? {_FILM}( all)? about"
    rf"|\W*what (is|was) {_FILM} about"
    rf"|\W*what happens( in {_FILM})?"
    r"|\W*((please|can you|could you|give me|write) )*(a )?(short |brief )?"
    rf"(summary|summari[sz]e|overview|gist)( of)?( {_FILM})?"
    rf"|\W*(what are )?the main (topics?|subjects?|points?|ideas?)( (of|in) {_FILM})?"
    rf"|\W*(please )?describe {_FILM}",
    re.IGNORECASE,
)


def asks_for_overview(question: str) -> bool:
    """Whether the question is about the video as a whole."""
    return _ABOUT.fullmatch(question.strip(" ?!.")) is not None


def overview(
    texts: Sequence[ClipText], encode: Callable[[list[str]], NDArray[np.float32]], count: int
) -> list[tuple[Passage, float]]:
    """The most typical passage of each of ``count`` equal parts of a video, in time order.

    Typical is what lies closest to the mean of all that is said and shown; measured facts count
    only where there is nothing else.

    Args:
        texts: all texts of one video, with their vectors.
        encode: unit vectors ``[N, D]`` of texts ``[N]``.

    Returns:
        At most ``count`` passages with their cosine to the mean.
    """
    told = [text for text in texts if text.source != "facts"] or list(texts)
    if not told:
        return []
    vectors = np.stack([text.embedding for text in told if text.embedding is not None])
    mean = vectors.mean(axis=0)
    mean /= max(float(np.linalg.norm(mean)), 1e-9)
    typical = vectors @ mean
    length = max(text.clip.end for text in told)
    parts = np.array([min(int(count * t.clip.start / length), count - 1) for t in told])
    chosen = []
    for part in np.unique(parts):
        members = np.flatnonzero(parts == part)
        best = told[int(members[np.argmax(typical[members])])]
        found = passages([best])
        scores = encode([passage.text for passage in found]) @ mean
        chosen.append((found[int(scores.argmax())], float(scores.max())))
    return chosen
