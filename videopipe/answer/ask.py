"""From a question to an answer: retrieve clips, read their passages, cite, show the frames."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from videopipe.answer.answer import Answer, Choice, Citation
from videopipe.answer.evidence import best_time, illustrate
from videopipe.answer.explain import check_target, draw
from videopipe.answer.explained import citations_explained
from videopipe.answer.overview import asks_for_overview, overview
from videopipe.answer.passages import Passage, passages
from videopipe.answer.pool import gather
from videopipe.answer.reader import choose, read
from videopipe.config import Config, EncoderConfig
from videopipe.errors import ConfigError
from videopipe.library import ClipHit, Embedder, Library, Video, load_embedder

NOTHING = "Nothing that is said, shown or measured here matches the question."
_LEADS: dict[str, str] = {
    "subtitle": "Said",
    "asr": "Said",
    "ocr": "On screen",
    "facts": "Measured",
    "caption": "Caption",
}


def ask(
    question: str,
    library: Library,
    *,
    videos: Sequence[str] | None = None,
    choices: Sequence[str] = (),
    frames: Path | None = None,
    explain: Path | None = None,
    config: Config | None = None,
) -> Answer:
    """Answer ``question`` from what ``library`` holds about ``videos`` (ids; None for all).

    Args:
        frames: folder for a picture of each citation.
        explain: file for a picture of where in the videos they are, and how well what is there
            fits the question.

    Raises:
        ConfigError: an empty question, choices that are no choice, or a file that is no picture.
    """
    if explain is not None:
        check_target(explain)
    config = config or Config()
    check(question, choices)
    clock = time.perf_counter()
    timings: dict[str, float] = {}

    def lap(stage: str) -> None:
        nonlocal clock
        timings[stage] = time.perf_counter() - clock
        clock = time.perf_counter()

    library.require_embedder(config.embed.model)
    embedder = load_embedder(config.embed.model)
    lap("load")

    whole = None if choices or not asks_for_overview(question) else _only_video(library, videos)
    if whole is not None:
        texts = library.texts(library.clips(whole.video_id))
        found = _Found(
            overview(texts, embedder.encode, config.answer.sentences), {whole.video_id: whole}
        )
    else:
        found = _find(question, library, videos, choices, embedder, config)
    lap("read")
    citations = [
        _cite(number, passage, value, found.videos[passage.video_id], library)
        for number, (passage, value) in enumerate(found.evidence, 1)
    ]
    warnings: list[str] = []
    if config.select.second_look:
        warnings.append("a second look needs a model: name it with --model")
    if frames is not None:
        citations = [
            replace(
                citation,
                frame=illustrate(
                    citation.number,
                    found.videos[citation.video_id],
                    citation.frame_time,
                    frames,
                    warnings,
                    library,
                    config,
                ),
            )
            for citation in citations
        ]
        lap("frames")
    if not citations and _not_latin(question):
        warnings.append(
            "the packaged text model reads English; in other scripts only exact words are matched"
        )
    answer = Answer(
        question=question,
        text=_text(citations, choices, found.picked),
        found=bool(citations),
        citations=tuple(citations),
        choices=found.choices,
        choice=found.picked,
        config_hash=config.hash(),
        timings=timings,
        warnings=tuple(warnings),
    )
    if explain is not None:
        asked = [v for v in library.videos() if videos is None or v.video_id in videos]
        shown = list(found.videos.values()) or asked[:1]
        if not shown:
            raise ConfigError("There is no video to draw; index one first: videopipe index VIDEO.")
        plain = replace(config, encoder=EncoderConfig())
        pool = gather((question,), library, shown, embedder, plain)
        draw(explain, citations_explained(question, pool, answer))
    return answer


def check(question: str, choices: Sequence[str]) -> None:
    """Refuse what cannot be answered whatever the video.

    Raises:
        ConfigError: an empty question, or a single or empty choice.
    """
    if not question.strip():
        raise ConfigError("The question is empty; ask something.")
    if choices and (len(choices) < 2 or not all(choice.strip() for choice in choices)):
        raise ConfigError('Give at least two choices, none of them empty: "first|second".')
    if len(choices) > 26 or len(set(choices)) < len(choices):
        raise ConfigError("Give at most 26 choices (A to Z), each once.")


@dataclass(frozen=True, slots=True)
class _Found:
    """Scored passages in time order, the videos they are from by id, and the choice if any."""

    evidence: list[tuple[Passage, float]]
    videos: dict[str, Video]
    choices: tuple[Choice, ...] = ()
    picked: int | None = None


def _find(
    question: str,
    library: Library,
    videos: Sequence[str] | None,
    choices: Sequence[str],
    embedder: Embedder,
    config: Config,
) -> _Found:
    """Retrieve clips and read them; with ``choices`` pick the one the evidence speaks for."""

    def score(query: str, texts: Sequence[str]) -> NDArray[np.float64]:
        return library.relevance(query, texts, embedder, videos=videos)

    hits = {
        (hit.clip.video_id, hit.clip.index): hit
        for query in (question, *(f"{question} {choice}" for choice in choices))
        for hit in library.search(query, config.retrieve.clips, videos=videos, embedder=embedder)
    }
    held = {hit.video.video_id: hit.video for hit in hits.values()}
    found = _passages_of(library, list(hits.values()))
    least = config.answer.min_score
    evidence = read(question, found, score, count=config.answer.sentences, min_score=least)
    if not choices or not found:
        return _Found(evidence, held)
    support, backing = choose(question, choices, found, score)
    options = tuple(Choice(c, float(s)) for c, s in zip(choices, support, strict=True))
    picked = int(support.argmax())
    if support[picked] < least / 2:
        return _Found(evidence, held, options)
    return _Found(_with(evidence, backing[picked], float(support[picked])), held, options, picked)


def _only_video(library: Library, videos: Sequence[str] | None) -> Video | None:
    """The video that is asked about, if it is one."""
    held = [v for v in library.videos() if videos is None or v.video_id in videos]
    return held[0] if len(held) == 1 else None


def _passages_of(library: Library, hits: Sequence[ClipHit]) -> list[Passage]:
    """The passages that overlap the retrieved clips.

    The neighbouring clips are read as well: a sentence goes on over a clip boundary.
    """
    wanted: dict[str, set[int]] = {}
    for hit in hits:
        near = range(hit.clip.index - 1, hit.clip.index + 2)
        wanted.setdefault(hit.clip.video_id, set()).update(near)
    found: list[Passage] = []
    for video_id, numbers in wanted.items():
        clips = [clip for clip in library.clips(video_id) if clip.index in numbers]
        spans = [(hit.clip.start, hit.clip.end) for hit in hits if hit.clip.video_id == video_id]
        found += [
            passage
            for passage in passages(library.texts(clips))
            if any(passage.start < end and passage.end > start for start, end in spans)
        ]
    return found


def _with(
    evidence: list[tuple[Passage, float]], passage: Passage, value: float
) -> list[tuple[Passage, float]]:
    """``evidence`` with the passage behind the chosen option, in time order."""
    if any(passage == other for other, _ in evidence):
        return evidence
    joined = [*evidence, (passage, value)]
    return sorted(joined, key=lambda e: (e[0].video_id, e[0].start, e[0].end))


def _cite(number: int, passage: Passage, value: float, video: Video, library: Library) -> Citation:
    return Citation(
        number=number,
        video_id=passage.video_id,
        video=video.path,
        start=passage.start,
        end=passage.end,
        source=passage.source,
        text=passage.text,
        score=value,
        frame_time=best_time(
            library.signals(passage.video_id, ("times", "sharpness")), passage.start, passage.end
        ),
    )


def _text(citations: Sequence[Citation], choices: Sequence[str], picked: int | None) -> str:
    if not citations:
        return NOTHING
    quotes: dict[str, str] = {}
    for citation in citations:
        quote = (
            f"“{citation.text}”" if citation.source in ("subtitle", "asr", "ocr") else citation.text
        )
        line = f"{_LEADS[citation.source]}: {quote}"
        quotes[line] = quotes.get(line, "") + f" [{citation.number}]"
    lines = [] if picked is None else [f"{chr(65 + picked)}. {choices[picked]}"]
    return "\n".join([*lines, *(line + marks for line, marks in quotes.items())])


def _not_latin(text: str) -> bool:
    letters = re.findall(r"[^\W\d_]", text)
    return bool(letters) and sum(letter > "ɏ" for letter in letters) > len(letters) / 2
