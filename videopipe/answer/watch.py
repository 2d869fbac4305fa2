"""The pixel path: from a question to what a video MLLM says of the frames it is shown.

Gather the frames that may be shown, select some, plan them into the budget, fetch them at the
planned sizes, let the model look, and turn the marks in its reply into citations.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from videopipe.answer.answer import Answer, Choice, Citation, Evidence
from videopipe.answer.evidence import best_time, illustrate
from videopipe.answer.explain import check_target, draw
from videopipe.answer.explained import explanations
from videopipe.answer.legibility import legible, small_print
from videopipe.answer.look import Asked, Look, Tell, look
from videopipe.answer.model_relevance import with_model_relevance
from videopipe.answer.overview import asks_for_overview
from videopipe.answer.parts import Part, frame_size, parts_of
from videopipe.answer.pool import Pool, gather
from videopipe.answer.prompts import ABSTENTION, block_text, renumbered
from videopipe.answer.second_look import (
    REQUEST,
    better,
    closer,
    first_share,
    reason_to_look_again,
)
from videopipe.answer.vectors import best_by_vectors, with_look, with_vectors
from videopipe.config import Config
from videopipe.errors import ConfigError, NotFound, TimeLimit, VideopipeError
from videopipe.library import Library, Video, load_embedder
from videopipe.mllm import Reply, Viewer
from videopipe.select import Footage, Selection, choose, group, method
from videopipe.select.fill import evenly
from videopipe.select.question import asks_about
from videopipe.select.resolution import demands
from videopipe.types import Asks, stamp

NO_ANSWER = "The model gave no answer."


def watch(
    question: str,
    library: Library,
    viewer: Viewer,
    *,
    videos: Sequence[str] | None = None,
    choices: Sequence[str] = (),
    frames: Path | None = None,
    explain: Path | None = None,
    config: Config,
    on_text: Tell | None = None,
    tell: Tell | None = None,
) -> Answer:
    """Let ``viewer`` answer ``question`` from frames of ``videos`` (ids; None for all).

    Args:
        frames: folder for a picture of each part that is cited, or that was shown where the model
            cites none.
        explain: file for a picture of how the frames were chosen.
        on_text: told the reply as it comes.
        tell: told in a sentence what is going on.

    Raises:
        NotFound: none of the videos is where it was when it was indexed, or the encoder is not
            there.
        MediaError: none of them can be decoded.
        ModelError: the model cannot be reached, or runs out of memory.
        TimeLimit: it said nothing within its time.
        ConfigError: an unknown selector, or one that needs what these videos lack.
    """
    method(config.select.method)
    if explain is not None:
        check_target(explain)
    clock = time.perf_counter()
    timings: dict[str, float] = {}

    def lap(stage: str) -> None:
        nonlocal clock
        timings[stage] = timings.get(stage, 0.0) + time.perf_counter() - clock
        clock = time.perf_counter()

    embedder = load_embedder(config.embed.model)
    library.require_embedder(embedder.name)
    tell = tell or (lambda sentence: None)
    told = config.hash()
    if config.compress.method == "auto":
        kind = f"auto(asks={_asks(question)})"
        config = replace(config, compress=replace(config.compress, method=kind))
    asked = Asked(
        question, tuple(choices), library, viewer, embedder, config, tell, on_text, warnings=[]
    )
    lap("load")
    pool, scores = _gathered(asked, videos)
    lap("retrieve")
    twice = config.select.second_look and _shows_a_frame(asked, pool)
    budget = first_share(config.budget.tokens) if twice else config.budget.tokens
    selection = _selected(asked, pool, budget)
    if config.select.resolution == "distortion" and pool.candidates.complexity is None:
        raise ConfigError(
            "select.resolution=distortion needs what indexing measures now; index the videos again."
        )
    weights = demands(selection, config.select.resolution, pool.candidates.complexity)
    parts = parts_of(selection, pool, scores, weights)
    if config.select.legible:
        parts = legible(parts, asked, budget)
    lap("select")
    seen = look(asked, parts, budget, REQUEST if twice and not choices else "")
    lap("generate")
    looks = [seen]
    small = small_print(seen.parts, seen.sizes)
    again = reason_to_look_again(seen, asked, bool(small)) if twice else None
    left = config.budget.tokens - seen.plan.kept
    if again is not None and (close := closer(seen, asked, pool, left)):
        tell(f"looking again: {again} ...")
        try:
            looks.append(look(asked, close, left))
            seen = looks[-1] if better(*looks) else seen
        except VideopipeError as error:  # there is an answer of the first
            asked.warnings.append(f"there was no second look: {error}")
        lap("second look")
    elif small:
        marks = ", ".join(f"[E{at + 1}]" for at in small)
        asked.warnings.append(
            f"text on screen may be too small for the model to read ({marks} of its prompt); "
            "raise --budget, or add --second-look"
        )
    answer = _answer(asked, seen, looks, frames)
    if frames is not None:
        lap("frames")
    report = {
        "method": selection.method,
        "why": list(selection.why),
        "signals": sorted(pool.signals),
        "candidates": len(pool.candidates),
        "looks": [
            {"used": one.plan.kept, "frames": one.plan.frames, "why": why}
            for one, why in zip(looks, (None, again), strict=False)
        ],
    }
    answer = replace(answer, timings=timings, selection=report, config_hash=told)
    if explain is not None:
        draw(explain, explanations(question, pool, looks, answer, selection))
    return answer


def _gathered(
    asked: Asked, videos: Sequence[str] | None
) -> tuple[Pool, dict[tuple[str, int], float]]:
    """The frames that may be shown, and how well the clips that were retrieved fit."""
    library, config = asked.library, asked.config
    there = _there(library, videos, asked.warnings)
    scores: dict[tuple[str, int], float] = {}
    if _asks(asked.question) != "overview":
        for query in asked.queries:
            for hit in library.search(
                query, config.retrieve.clips, videos=list(there), embedder=asked.embedder
            ):
                key = (hit.clip.video_id, hit.clip.index)
                scores[key] = max(scores.get(key, 0.0), hit.score)
    best = sorted(scores, key=lambda key: (-scores[key], key))[: config.retrieve.clips]
    scores = {key: scores[key] for key in best}
    wanted = _narrowed(asked, list(there.values()), {video_id for video_id, _ in scores})
    wanted = with_vectors(library, wanted, config, asked.tell)
    pool = gather(asked.queries, library, wanted, asked.embedder, config)
    pool = with_look(pool, asked.queries, library, config)
    if config.select.model_frames:
        pool = with_model_relevance(pool, asked)
    return pool, scores


def _narrowed(asked: Asked, videos: list[Video], found: set[str]) -> list[Video]:
    """Of many videos those in which something was found, by text or by frames; else even ones."""
    most = asked.config.retrieve.clips
    if len(videos) <= most:
        return videos
    best = best_by_vectors(asked.library, videos, asked.queries, asked.config, most)
    held = found | {video.video_id for video in best}
    if held:
        return [video for video in videos if video.video_id in held]
    asked.warnings.append(
        f"nothing said or shown matches; {most} of {len(videos)} videos were looked at, evenly "
        "chosen: name one, or index them with --encoder"
    )
    return [videos[at] for at in evenly(len(videos), most)]


def _asks(question: str) -> Asks:
    """Whether a question is about space, the whole video, or a content."""
    return "overview" if asks_for_overview(question) else asks_about(question)


def _shows_a_frame(asked: Asked, pool: Pool) -> bool:
    """Whether the first of two looks shows anything: a frame may cost more than its share."""
    how = asked.config.compress
    frame = Footage(1, *_largest(pool))
    try:
        asked.viewer.plan([frame], first_share(asked.config.budget.tokens), how.method, how.ratio)
    except ConfigError:
        return False
    return True


def _largest(pool: Pool) -> tuple[int, int]:
    """The size of the largest frames."""
    sizes = [frame_size(video) for video in pool.videos]
    return max(sizes, key=lambda size: size[0] * size[1])


def _there(library: Library, videos: Sequence[str] | None, warnings: list[str]) -> dict[str, Video]:
    """The videos in question whose files are as they were indexed, by id."""
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
    return there


def _selected(asked: Asked, pool: Pool, budget: int) -> Selection:
    """As many frames as are asked for, or as the budget can show."""
    config = asked.config
    how = config.compress
    most = asked.viewer.most_frames(Footage(1, *_largest(pool)), budget, how.method, how.ratio)
    name = config.select.method
    params = {"asks": _asks(asked.question)} if name == "auto" else {}
    try:
        picks = choose(name, pool.candidates, min(config.budget.frames, most), **params)
    except ValueError as error:
        raise ConfigError(f"{error}; index the videos again with scan.landmarks=true.") from None
    if name == "auto":
        picks = pool.without_copies(picks)
    return group(name, pool.candidates, picks, pool.clip)


def _answer(asked: Asked, seen: Look, looks: Sequence[Look], frames: Path | None) -> Answer:
    choices, config, library = asked.choices, asked.config, asked.library
    warnings = asked.warnings
    warnings += _told(seen.reply, config)
    citations = [
        _citation(place, seen, number - 1, library) for place, number in enumerate(seen.cited, 1)
    ]
    evidence = [
        Evidence(part.video.video_id, part.video.path, part.clip.start, part.clip.end, tuple(times))
        for part, times in zip(seen.parts, seen.shown, strict=True)
    ]
    if not seen.text and not seen.absent:
        warnings.append("the model said nothing but what it thought; raise model.max_new_tokens")
    if choices and seen.picked is None and not seen.absent:
        warnings.append("the model named none of the choices")
    if seen.text and not choices and not citations and not seen.absent:
        warnings.append("the model cited no part of the video; check its answer")
    if frames is not None:
        shown = [at for at, times in enumerate(seen.shown) if times]
        places = [number - 1 for number in seen.cited] or shown
        written = _illustrated(places, seen, frames, asked)
        citations = [
            replace(citation, frame=written.get(number - 1))
            for citation, number in zip(citations, seen.cited, strict=True)
        ]
        evidence = [replace(part, frame=written.get(at)) for at, part in enumerate(evidence)]
    return Answer(
        question=asked.question,
        text=ABSTENTION if seen.absent else renumbered(seen.text, seen.cited) or NO_ANSWER,
        found=not seen.absent and (seen.picked is not None if choices else bool(seen.text)),
        citations=tuple(citations),
        choices=tuple(Choice(text, float(at == seen.picked)) for at, text in enumerate(choices)),
        choice=seen.picked,
        model=asked.viewer.name,
        config_hash=config.hash(),
        warnings=tuple(warnings),
        evidence=tuple(evidence),
        budget=_budget(asked, seen, looks),
        generation=seen.reply.to_dict(),
    )


def _budget(asked: Asked, seen: Look, looks: Sequence[Look]) -> dict[str, Any]:
    """The budget report: what all looks together came to, of the budget of them all."""
    viewer = asked.viewer
    return seen.plan.to_dict() | {
        "budget": asked.config.budget.tokens,
        "used": sum(one.plan.kept for one in looks),
        "encoded": sum(one.plan.encoded for one in looks),
        "estimated": not viewer.exact,
        "text_tokens": sum(viewer.count(block_text(b)) for b in seen.blocks if b.lines),
    }


def _citation(place: int, seen: Look, at: int, library: Library) -> Citation:
    part = seen.parts[at]
    return Citation(
        number=place,
        video_id=part.video.video_id,
        video=part.video.path,
        start=part.clip.start,
        end=part.clip.end,
        source="frames",
        text=block_text(seen.blocks[at]).strip(),
        score=part.score,
        frame_time=_best_shown(part, seen.shown[at], library),
    )


def _best_shown(part: Part, shown: Sequence[float], library: Library) -> float:
    """Of the frames that were shown the one nearest to the sharpest of the clip."""
    signals = library.signals(part.video.video_id, ("times", "sharpness"))
    best = best_time(signals, part.clip.start, part.clip.end)
    return min(shown, key=lambda second: abs(second - best), default=best)


def _illustrated(places: Sequence[int], seen: Look, folder: Path, asked: Asked) -> dict[int, Path]:
    """A picture of each of ``places``, at full size, and its file."""
    files = {}
    for number, place in enumerate(places, 1):
        part = seen.parts[place]
        second = _best_shown(part, seen.shown[place], asked.library)
        if file := illustrate(
            number, part.video, second, folder, asked.warnings, asked.library, asked.config
        ):
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
