"""The parts of videos that a model is shown: clips, and the frames selected of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from videopipe.answer.pool import Pool
from videopipe.library import Video
from videopipe.select import Footage, Selection
from videopipe.types import Clip

Box = tuple[float, float, float, float]  # left, top, right, bottom, in shares of the picture


@dataclass(frozen=True, eq=False)
class Run:
    """Frames of one part that are shown in one size: their seconds, and what they are worth.

    ``box`` is the part of the picture that is shown, None for all of it. The short side is not to
    fall below ``least`` pixels as long as the budget pays for it. ``relevance`` is how well each
    frame fits the question, 0-1.
    """

    times: NDArray[np.float64]
    relevance: NDArray[np.float64]
    weight: float = 1.0
    least: int = 0
    box: Box | None = None

    def take(self, frames: NDArray[np.bool_]) -> Run:
        """Some of its frames."""
        return replace(self, times=self.times[frames], relevance=self.relevance[frames])


@dataclass(frozen=True, eq=False)
class Part:
    """A clip, how well it fits the question, and the runs of frames that are shown of it.

    ``quoted`` says whether its text stands in the prompt. Without runs it is text alone.
    """

    video: Video
    clip: Clip
    score: float
    runs: tuple[Run, ...]
    quoted: bool = True

    @property
    def times(self) -> NDArray[np.float64]:
        """The seconds of all its frames, ascending."""
        return np.concatenate([np.empty(0), *(run.times for run in self.runs)])


def parts_of(
    selection: Selection, pool: Pool, scores: dict[tuple[str, int], float], weights: Sequence[float]
) -> list[Part]:
    """The clips of which frames were selected, and those that fit by their text.

    In the order of the videos and of time.

    Args:
        selection: of ``pool``, no clip of it across two clips of the library.
        scores: how well the clips that were retrieved fit, by video and number; their text is
            quoted, and where none were that of all.
        weights: what a frame of each clip of the selection is worth.
    """
    runs: dict[int, list[Run]] = {}
    best: dict[int, float] = {}
    for clip, weight in zip(selection.clips, weights, strict=True):
        place = int(pool.clip[clip.indices[0]])
        runs.setdefault(place, []).append(
            Run(pool.times[clip.indices], pool.candidates.scores[clip.indices], weight)
        )
        best[place] = max(best.get(place, 0.0), clip.relevance)
    videos = {video.video_id: video for video in pool.videos}
    numbers = {(clip.video_id, clip.index): place for place, clip in enumerate(pool.clips)}
    shown = runs.keys() | {numbers[key] for key in scores if key in numbers}
    return [
        Part(
            videos[clip.video_id],
            clip,
            scores.get((clip.video_id, clip.index), best.get(place, 0.0)),
            tuple(runs.get(place, ())),
            quoted=not scores or (clip.video_id, clip.index) in scores,
        )
        for place in sorted(shown)
        for clip in [pool.clips[place]]
    ]


def footage_of(parts: Sequence[Part]) -> list[Footage]:
    """What the planner of a budget is given: every run of every part, in order."""
    return [_footage(part, run) for part in parts for run in part.runs]


def _footage(part: Part, run: Run) -> Footage:
    height, width = frame_size(part.video)
    if run.box is not None:
        left, top, right, bottom = run.box
        height, width = (
            max(1, round(height * (bottom - top))),
            max(1, round(width * (right - left))),
        )
    return Footage(len(run.times), height, width, run.weight, run.least)


def frame_size(video: Video) -> tuple[int, int]:
    """Height and width of the frames of a video."""
    return int(video.info["height"]), int(video.info["width"])


def without(parts: Sequence[Part], video_id: str, kept: Sequence[float]) -> list[Part]:
    """``parts`` with those frames of a video alone that are among ``kept``, in seconds."""
    left = []
    for part in parts:
        if part.video.video_id == video_id:
            runs = tuple(run.take(np.isin(run.times, kept)) for run in part.runs)
            part = replace(part, runs=tuple(run for run in runs if len(run.times)))
            if not part.runs:
                continue
        left.append(part)
    return left
