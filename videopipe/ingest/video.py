"""The index path of one video: probe, scan, describe, embed. Knows nothing of the library's files.

Runs in a worker; returns a small record that the single writer stores.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from videopipe.describe import describe
from videopipe.ingest.executor import Job, Report
from videopipe.library import load_embedder, split_document
from videopipe.media import probe, read_subtitles, scan
from videopipe.scan import cut_clips, find_cuts, measure
from videopipe.types import ClipText, TimedText, VideoInfo, VideoRecord


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The library already holds this very content, made with these settings."""

    video_id: str


def index_video(job: Job, report: Report) -> VideoRecord | Unchanged:
    """Work on one video.

    Raises:
        NotFound, MediaError: the file is missing, not a video, or cannot be decoded.
        ModelError: the text embedder cannot be loaded.
    """
    config = job.config
    seconds: dict[str, float] = {}

    @contextmanager
    def stage(name: str) -> Iterator[None]:
        report(name, 0.0, 1.0)
        began = time.perf_counter()
        yield
        seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - began

    warnings: list[str] = []
    with stage("probe"):
        info = probe(job.path)
        video_id = info.video_id
    if video_id in job.current:
        return Unchanged(video_id)
    with stage("scan"):
        batches = scan(info, config.scan.rate, config.scan.short_side, on_damage=warnings.append)
        signals = measure(batches, lambda t: report("scan", t, info.duration))
        cuts = find_cuts(signals, info.keyframes)
        clips = cut_clips(
            video_id,
            info.duration,
            cuts,
            mode=config.clips.mode,
            min_seconds=config.clips.min_seconds,
            max_seconds=config.clips.max_seconds,
            window_seconds=config.clips.window_seconds,
        )
    with stage("subtitles"):
        cues = _subtitles(info, config.subtitles.language) if config.subtitles.enabled else []
    with stage("describe"):
        texts = describe(
            info,
            signals,
            clips,
            cues,
        )
    with stage("embed"):
        texts = [part for text in texts for part in _split(text)]
        embedder = load_embedder(config.embed.model)
        vectors = embedder.encode([text.text for text in texts])
        texts = [replace(t, embedding=vector) for t, vector in zip(texts, vectors, strict=True)]
    return VideoRecord(
        video_id=video_id,
        path=job.path,
        info=info.to_dict(),
        config_hash=config.index_hash(),
        clips=tuple(clips),
        texts=tuple(texts),
        signals=signals.to_arrays(),
        stage_seconds=seconds,
        warnings=(*info.warnings, *warnings),
    )


def _subtitles(info: VideoInfo, language: str | None) -> list[TimedText]:
    return []


def _split(text: ClipText) -> list[ClipText]:
    """A document longer than the embedder reads, as several at line boundaries."""
    return [
        replace(text, text=" ".join(line.text for line in lines), lines=tuple(lines))
        for lines in split_document(text.lines)
    ]
