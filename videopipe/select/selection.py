"""What selectors return: frames, and the share of the budget that each is worth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from videopipe.select.candidates import Floats, Indices


@dataclass(frozen=True, eq=False)
class Picks:
    """Frames chosen of ``N`` candidates.

    Attributes:
        indices: positions among the candidates, each once, in any order.
        weights: ``[K]``, above 0: how many visual tokens a frame is worth in relation to the
            others. A frame at half the height and width of another has a quarter of its weight.
        clips: ``[K]`` or None: frames of one number belong together and are shown as one clip.
        why: what was decided and for what reason, in short sentences, for the report.
    """

    indices: Indices
    weights: Floats | None = None
    clips: Indices | None = None
    why: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class SelectedClip:
    """Frames that are shown together: a stretch ``[start, end]`` of a video, in seconds.

    ``indices`` are their positions among the candidates, ``times`` their seconds, ``weight`` what
    each is worth in tokens in relation to those of other clips. ``sizes`` are height and width in
    pixels of each frame that is shown once the resolution is planned, ``shown`` the positions of
    these frames in ``times``.
    """

    indices: Indices
    times: Floats
    weight: float = 1.0
    relevance: float = 0.0
    shown: tuple[int, ...] = ()
    sizes: tuple[tuple[int, int], ...] = ()
    tokens: int = 0

    @property
    def start(self) -> float:
        return float(self.times[0])

    @property
    def end(self) -> float:
        return float(self.times[-1])

    def __len__(self) -> int:
        return len(self.times)


@dataclass(frozen=True, eq=False)
class Selection:
    """The clips that a method selected, in order of time, and what they cost.

    ``tokens`` is the number of visual tokens they will be once the resolution is planned, 0 before.
    ``why`` says what was decided and for what reason.
    """

    method: str
    clips: tuple[SelectedClip, ...]
    why: tuple[str, ...] = ()
    tokens: int = 0

    @property
    def indices(self) -> Indices:
        """The chosen positions among the candidates, ascending."""
        return np.concatenate([np.empty(0, np.int64), *(clip.indices for clip in self.clips)])

    @property
    def times(self) -> NDArray[np.float64]:
        """The seconds of the chosen frames, ascending."""
        return np.concatenate([np.empty(0), *(clip.times for clip in self.clips)])
