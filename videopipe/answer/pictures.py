"""The planned frames of parts, decoded; what cannot be decoded is left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from videopipe.answer.evidence import decoding, known_packets
from videopipe.answer.parts import Box, Part, Run, footage_of, frame_size, without
from videopipe.config import Config
from videopipe.errors import MediaError, TimeLimit, VideopipeError
from videopipe.library import Library
from videopipe.media import fetch, fetch_each
from videopipe.mllm import BudgetPlan, Viewer
from videopipe.mllm.view import GLANCE
from videopipe.select import Footage
from videopipe.types import FrameSet


def pictures_of(
    viewer: Viewer,
    parts: list[Part],
    budget: int,
    library: Library,
    config: Config,
    warnings: list[str],
) -> tuple[list[Part], BudgetPlan, list[FrameSet]]:
    """The parts with their plan within ``budget``, and the frames of each of their runs.

    Frames that cannot be decoded are left out.

    Raises:
        MediaError, TimeLimit: none of the videos can be decoded.
    """
    while True:
        footage = footage_of(parts)
        how = config.compress
        plan = viewer.plan(footage, budget, how.method, how.ratio)
        pictures = [FrameSet(np.empty(0), ())] * len(footage)
        runs = [(part, run) for part in parts for run in part.runs]
        for video in dict.fromkeys(part.video.video_id for part, _ in runs):
            mine = [at for at, (part, _) in enumerate(runs) if part.video.video_id == video]
            try:
                for place, frames in _fetched(viewer, runs, footage, mine, plan, library, config):
                    pictures[place] = frames
            except (MediaError, TimeLimit) as error:
                parts = _undamaged(parts, video, error, library, config)
                if not parts:
                    raise
                warnings.append(str(error))
                break
        else:
            return parts, plan, pictures


def _fetched(
    viewer: Viewer,
    runs: Sequence[tuple[Part, Run]],
    footage: Sequence[Footage],
    mine: Sequence[int],
    plan: BudgetPlan,
    library: Library,
    config: Config,
) -> Iterator[tuple[int, FrameSet]]:
    """The planned frames of ``mine``, the places of one video's runs, decoded together."""
    times: list[float] = []
    sizes: list[tuple[int, int]] = []
    video = runs[mine[0]][0].video
    whole = frame_size(video)
    for place in mine:
        run, clip = runs[place][1], plan.clips[place]
        times += run.times[list(clip.frames)].tolist()
        # A part of the picture is cut out of all of it.
        small = viewer.sizes(footage[place], clip)
        sizes += small if run.box is None else [whole] * len(small)
    if not times:
        return
    known_packets(video, library)
    frames = fetch(
        video.path,
        times,
        list(sizes),
        **decoding(config),
    )
    first = 0
    for place in mine:
        last = first + len(plan.clips[place].frames)
        pictures = frames.frames[first:last]
        if (box := runs[place][1].box) is not None:
            wanted = viewer.sizes(footage[place], plan.clips[place])
            pictures = tuple(_cut(*pair, box) for pair in zip(pictures, wanted, strict=True))
        yield place, FrameSet(frames.times[first:last], pictures)
        first = last


def _cut(frame: NDArray[np.uint8], size: tuple[int, int], box: Box) -> NDArray[np.uint8]:
    """The part of a frame within ``box``, at the height and width ``size``."""
    import cv2

    height, width = frame.shape[:2]
    left, right = round(box[0] * width), round(box[2] * width)
    top, bottom = round(box[1] * height), round(box[3] * height)
    part = np.ascontiguousarray(frame[top : max(bottom, top + 1), left : max(right, left + 1)])
    shrinks = size[0] * size[1] < part.shape[0] * part.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    found: NDArray[np.uint8] = cv2.resize(part, (size[1], size[0]), interpolation=how)
    return found


def _undamaged(
    parts: Sequence[Part], video: str, error: Exception, library: Library, config: Config
) -> list[Part]:
    """``parts`` with those frames of ``video`` that can be decoded; without it if it hangs."""
    mine = [part for part in parts if part.video.video_id == video]
    there: list[float] = []
    if isinstance(error, MediaError):
        known_packets(mine[0].video, library)
        every = np.unique(np.concatenate([part.times for part in mine]))
        with suppress(VideopipeError):
            for second, _ in fetch_each(
                mine[0].video.path,
                every,
                GLANCE,
                **decoding(config),
            ):
                there.append(second)
        if len(there) == len(every):
            there = []  # at this size only: nothing is won by trying again
    return without(parts, video, there)
