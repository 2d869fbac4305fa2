"""The pixel path: from a question to what a video MLLM says of the clips it is shown.

Retrieve clips, take frames, plan them into the budget, fetch them at the planned sizes, let the
model look, and turn the marks in its reply into citations.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from videopipe.answer.answer import Answer, Choice, Citation, Evidence
from videopipe.answer.evidence import best_time, illustrate, known_packets
from videopipe.answer.letters import extract_letter
from videopipe.answer.overview import asks_for_overview
from videopipe.answer.prompts import (
    ABSTENTION,
    Block,
    block_text,
    citations_in,
    fit_lines,
    is_abstention,
    question_prompt,
    renumbered,
)
from videopipe.config import Config
from videopipe.errors import MediaError, NotFound, TimeLimit, VideopipeError
from videopipe.library import Embedder, Library, Video, load_embedder
from videopipe.media import fetch, fetch_each
from videopipe.mllm import BudgetPlan, Reply, View, Viewer
from videopipe.mllm.quoting import spoken
from videopipe.mllm.view import DENSEST, GLANCE, even_times
from videopipe.select import Footage
from videopipe.types import Clip, FrameSet, Source, TimedText, stamp

NO_ANSWER = "The model gave no answer."
Tell = Callable[[str], None]
_MARGIN = 0.05  # seconds before the end of a video that still have a frame


def watch(
    question: str,
    library: Library,
    viewer: Viewer,
    *,
    videos: Sequence[str] | None = None,
    choices: Sequence[str] = (),
    frames: Path | None = None,
    config: Config,
    on_text: Tell | None = None,
    tell: Tell | None = None,
) -> Answer:
    """Let ``viewer`` answer ``question`` from clips of ``videos`` (ids; None for all).

    Args:
        frames: folder for a picture of each part that is cited, or that was shown where the model
            cites none.
        on_text: told the reply as it comes.
        tell: told in a sentence what is going on.

    Raises:
        NotFound: none of the videos is where it was when it was indexed.
        MediaError: none of them can be decoded.
        ModelError: the model cannot be reached, or runs out of memory.
        TimeLimit: it said nothing within its time.
    """
    tell = tell or (lambda sentence: None)
    clock = time.perf_counter()
    timings: dict[str, float] = {}

    def lap(stage: str) -> None:
        nonlocal clock
        timings[stage] = time.perf_counter() - clock
        clock = time.perf_counter()

    warnings: list[str] = []
    embedder = load_embedder(config.embed.model)
    lap("load")
    parts = _parts(question, library, videos, choices, embedder, config, warnings)
    lap("retrieve")
    parts, plan, pictures = _shown(viewer, parts, library, config, warnings)
    tell(f"looking at {plan.frames} frames: {plan.kept} of {plan.budget} visual tokens ...")
    lap("fetch")
    blocks = [_block(number, part, parts, library) for number, part in enumerate(parts, 1)]
    blocks = _within(blocks, question, viewer, library, embedder, config.budget.text_tokens)
    prompt = question_prompt(question, blocks, choices)
    (found,) = viewer.look(
        [View(prompt, pictures, plan)],
        max_new_tokens=config.model.max_new_tokens,
        time_limit_seconds=config.model.time_limit_seconds,
        on_text=on_text,
    )
    if isinstance(found, VideopipeError):
        raise found
    lap("generate")
    warnings += _told(found, config)
    text, cited = citations_in(spoken(found.text), [block.number for block in blocks])
    absent = is_abstention(text)
    picked = None if absent or not choices else extract_letter(text, choices)
    cited = [] if absent else cited
    shown = [picture.times.tolist() for picture in pictures]
    citations = [
        _citation(place, parts[number - 1], blocks[number - 1], shown[number - 1], library)
        for place, number in enumerate(cited, 1)
    ]
    evidence = [
        Evidence(part.video.video_id, part.video.path, part.clip.start, part.clip.end, tuple(times))
        for part, times in zip(parts, shown, strict=True)
    ]
    if not text and not absent:
        warnings.append("the model said nothing but what it thought; raise model.max_new_tokens")
    if choices and picked is None and not absent:
        warnings.append("the model named none of the choices")
    if text and not choices and not citations and not absent:
        warnings.append("the model cited no part of the video; check its answer")
    if frames is not None:
        places = [number - 1 for number in cited] or [at for at, times in enumerate(shown) if times]
        written = _illustrated(places, parts, shown, frames, warnings, library, config)
        citations = [
            replace(citation, frame=written.get(number - 1))
            for citation, number in zip(citations, cited, strict=True)
        ]
        evidence = [replace(part, frame=written.get(at)) for at, part in enumerate(evidence)]
        lap("frames")
    return Answer(
        question=question,
        text=ABSTENTION if absent else renumbered(text, cited) or NO_ANSWER,
        found=not absent and (picked is not None if choices else bool(text)),
        citations=tuple(citations),
        choices=tuple(Choice(choice, float(at == picked)) for at, choice in enumerate(choices)),
        choice=picked,
        model=viewer.name,
        config_hash=config.hash(),
        timings=timings,
        warnings=tuple(warnings),
        evidence=tuple(evidence),
        budget=plan.to_dict()
        | {
            "estimated": not viewer.exact,
            "text_tokens": sum(viewer.count(block_text(b)) for b in blocks if b.lines),
        },
        generation=found.to_dict(),
    )


@dataclass(frozen=True, slots=True)
class _Part:
    """A clip that is shown, how well it matched, and the seconds of the frames taken from it."""

    video: Video
    clip: Clip
    score: float
    times: NDArray[np.float64]


def _parts(
    question: str,
    library: Library,
    videos: Sequence[str] | None,
    choices: Sequence[str],
    embedder: Embedder,
    config: Config,
    warnings: list[str],
) -> list[_Part]:
    """The clips to show, in the order of the videos and of time."""
    library.require_embedder(config.embed.model)
    held = {
        video.video_id: video
        for video in library.videos()
        if videos is None or video.video_id in videos
    }
    there = {k: v for k, v in held.items() if stamp(v.path) == (v.size, v.mtime_ns)}
    away = [
        f"{video.path} is not there any more, or has changed since it was indexed"
        for key, video in held.items()
        if key not in there
    ]
    if not there:
        raise NotFound(
            f"{away[0]}; a model needs the file: put it back, or index it again."
            if away
            else "The library holds no video; index one first: videopipe index VIDEO."
        )
    warnings += [f"{reason}; it is left out" for reason in away]
    count = config.retrieve.clips
    scores: dict[tuple[str, int], float] = {}
    clips: dict[tuple[str, int], Clip] = {}
    if not asks_for_overview(question):
        for query in (question, *(f"{question} {choice}" for choice in choices)):
            for hit in library.search(query, count, videos=list(there), embedder=embedder):
                key = (hit.clip.video_id, hit.clip.index)
                scores[key] = max(scores.get(key, 0.0), hit.score)
                clips[key] = hit.clip
    best = sorted(clips, key=lambda key: (-scores[key], key))[:count]
    if not best:  # nothing speaks for any clip: look all over
        everything = [clip for key in there for clip in library.clips(key)]
        steps = min(count, len(everything))
        spread = [everything[(2 * at + 1) * len(everything) // (2 * steps)] for at in range(steps)]
        clips = {(clip.video_id, clip.index): clip for clip in spread}
        best = list(clips)
    order = {key: place for place, key in enumerate(there)}
    best.sort(key=lambda key: (order[key[0]], key[1]))
    shown = [clips[key] for key in best]
    counts = _frame_counts(shown, config.budget.frames)
    return [
        _Part(there[key[0]], clip, scores.get(key, 0.0), _times(clip, there[key[0]], frames))
        for key, clip, frames in zip(best, shown, counts, strict=True)
        if frames
    ]


def _frame_counts(clips: Sequence[Clip], most: int) -> list[int]:
    """Frames of each clip, by its length, ``most`` in all."""
    lengths = [clip.end - clip.start for clip in clips]
    wanted = [max(1, int(length / DENSEST)) for length in lengths]
    if sum(wanted) <= most:
        return wanted
    ends = np.round(np.cumsum(lengths) / max(sum(lengths), 1e-9) * most).astype(int)
    counts = np.diff(ends, prepend=0).tolist()
    # A clip too short for a frame takes one from the longest, as long as there are enough.
    for place, _ in sorted(enumerate(counts), key=lambda entry: entry[1]):
        if not counts[place] and max(counts) > 1:
            counts[counts.index(max(counts))] -= 1
            counts[place] = 1
    return [int(count) for count in counts]


def _times(clip: Clip, video: Video, count: int) -> NDArray[np.float64]:
    """``count`` times in a clip, before the end of the video."""
    end = min(clip.end, max(video.duration - _MARGIN, clip.start))
    return even_times(clip.start, end, count)


def _shown(
    viewer: Viewer,
    parts: list[_Part],
    library: Library,
    config: Config,
    warnings: list[str],
) -> tuple[list[_Part], BudgetPlan, list[FrameSet]]:
    """The parts with their plan and pictures; frames that cannot be decoded are left out.

    Raises:
        MediaError, TimeLimit: none of the videos can be decoded.
    """
    while True:
        plan = viewer.plan(
            [_footage(part) for part in parts],
            config.budget.tokens,
            config.compress.method,
            config.compress.ratio,
        )
        pictures: list[FrameSet] = [FrameSet(np.empty(0), ())] * len(parts)
        for video in dict.fromkeys(part.video.video_id for part in parts):
            mine = [place for place, part in enumerate(parts) if part.video.video_id == video]
            try:
                for place, frames in _fetch(viewer, parts, mine, plan, library, config):
                    pictures[place] = frames
            except (MediaError, TimeLimit) as error:
                parts = _undamaged(parts, video, error, library, config)
                if not parts:
                    raise
                warnings.append(str(error))
                break
        else:
            return parts, plan, pictures


def _undamaged(
    parts: Sequence[_Part], video: str, error: Exception, library: Library, config: Config
) -> list[_Part]:
    """``parts`` with those frames of ``video`` that can be decoded; without it if it hangs."""
    mine = [part for part in parts if part.video.video_id == video]
    there: list[float] = []
    if isinstance(error, MediaError):
        known_packets(mine[0].video, library)
        every = np.unique(np.concatenate([part.times for part in mine]))
        decode = config.decode
        with suppress(VideopipeError):
            for second, _ in fetch_each(
                mine[0].video.path,
                every,
                GLANCE,
                workers=decode.workers or os.cpu_count() or 1,
                backend=decode.backend,
                deadline=decode.deadline_seconds,
            ):
                there.append(second)
        if len(there) == len(every):
            there = []  # at this size only: nothing is won by trying again
    left = []
    for part in parts:
        if part.video.video_id != video:
            left.append(part)
        elif np.isin(part.times, there).any():
            left.append(replace(part, times=part.times[np.isin(part.times, there)]))
    return left


def _footage(part: _Part) -> Footage:
    info = part.video.info
    return Footage(len(part.times), int(info["height"]), int(info["width"]))


def _fetch(
    viewer: Viewer,
    parts: Sequence[_Part],
    mine: Sequence[int],
    plan: BudgetPlan,
    library: Library,
    config: Config,
) -> Iterator[tuple[int, FrameSet]]:
    """The planned frames of ``mine``, the places of one video's parts, decoded together."""
    times: list[float] = []
    sizes: list[int | tuple[int, int]] = []
    for place in mine:
        times += parts[place].times[list(plan.clips[place].frames)].tolist()
        sizes += viewer.sizes(_footage(parts[place]), plan.clips[place])
    if not times:
        return
    video = parts[mine[0]].video
    known_packets(video, library)
    frames = fetch(
        video.path,
        times,
        sizes,
        workers=config.decode.workers or os.cpu_count() or 1,
        backend=config.decode.backend,
        deadline=config.decode.deadline_seconds,
    )
    first = 0
    for place in mine:
        last = first + len(plan.clips[place].frames)
        yield place, FrameSet(frames.times[first:last], frames.frames[first:last])
        first = last


def _block(number: int, part: _Part, parts: Sequence[_Part], library: Library) -> Block:
    videos = {other.video.video_id: other.video for other in parts}
    several = len(videos) > 1
    same = sum(video.name == part.video.name for video in videos.values()) > 1
    lines: dict[tuple[Source, TimedText], None] = {}
    for text in library.texts([part.clip]):
        for line in text.lines:
            lines.setdefault((text.source, line))
    ordered = sorted(lines, key=lambda entry: (entry[1].start, entry[1].end))
    name = (str(part.video.path) if same else part.video.name) if several else None
    return Block(
        number, name, part.clip.start, part.clip.end, tuple(ordered), video_id=part.video.video_id
    )


def _within(
    blocks: Sequence[Block],
    question: str,
    viewer: Viewer,
    library: Library,
    embedder: Embedder,
    budget: int,
) -> list[Block]:
    """``blocks`` with the lines that ``budget`` tokens pay for, those nearest to the question."""
    if sum(viewer.count(block_text(block)) for block in blocks if block.lines) <= budget:
        return fit_lines(blocks, budget, viewer.count)
    lines = [line.text for block in blocks for _, line in block.lines]
    scores = iter(library.relevance(question, lines, embedder).tolist() if budget else [])
    relevance = [[next(scores, 0.0) for _ in block.lines] for block in blocks]
    return fit_lines(blocks, budget, viewer.count, relevance)


def _citation(
    place: int, part: _Part, block: Block, shown: Sequence[float], library: Library
) -> Citation:
    return Citation(
        number=place,
        video_id=part.video.video_id,
        video=part.video.path,
        start=part.clip.start,
        end=part.clip.end,
        source="frames",
        text=block_text(block).strip(),
        score=part.score,
        frame_time=_best_shown(part, shown, library),
    )


def _best_shown(part: _Part, shown: Sequence[float], library: Library) -> float:
    """Of the frames that were shown the one nearest to the sharpest of the clip."""
    best = best_time(library.signals(part.video.video_id), part.clip.start, part.clip.end)
    return min(shown, key=lambda second: abs(second - best), default=best)


def _illustrated(
    places: Sequence[int],
    parts: Sequence[_Part],
    shown: Sequence[Sequence[float]],
    folder: Path,
    warnings: list[str],
    library: Library,
    config: Config,
) -> dict[int, Path]:
    """A picture of each of ``places``, at full size, and its file."""
    files = {}
    for number, place in enumerate(places, 1):
        part = parts[place]
        second = _best_shown(part, shown[place], library)
        if file := illustrate(number, part.video, second, folder, warnings, library, config):
            files[place] = file
    return files


def _told(reply: Reply, config: Config) -> list[str]:
    """What a reader must know of how the reply ended.

    Raises:
        TimeLimit: the time was up before a word was said.
    """
    if reply.stopped_by == "time_limit":
        seconds = config.model.time_limit_seconds
        if not reply.text:
            raise TimeLimit(
                f"The model said nothing within {seconds:g} s; lower --budget, or raise "
                "model.time_limit_seconds."
            )
        return [f"the answer was cut off after {seconds:g} s"]
    if reply.stopped_by == "repetition":
        return ["the model repeated itself and was stopped"]
    if reply.stopped_by == "max_new_tokens":
        return [f"the answer was cut off at {reply.new_tokens} tokens (model.max_new_tokens)"]
    return []
