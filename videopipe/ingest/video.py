"""The index path of one video: probe, scan, describe, embed. Knows nothing of the library's files.

Runs in a worker; returns a small record that the single writer stores.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from videopipe.config import SubtitlesConfig
from videopipe.describe import describe
from videopipe.errors import VideopipeError
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
        stat = job.path.stat()
        video_id = info.video_id
    if video_id in job.current:
        return Unchanged(video_id)
    with stage("scan"):
        batches = scan(info, config.scan.rate, config.scan.short_side, on_damage=warnings.append)
        signals = measure(batches, lambda time: report("scan", time, info.duration))
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
        said = _subtitles(info, config.subtitles, warnings)
    with stage("describe"):
        texts = describe(
            info,
            signals,
            cuts,
            clips,
            said,
            ocr=config.ocr.enabled,
            ocr_short_side=config.ocr.short_side,
            min_confidence=config.ocr.min_confidence,
            facts=config.facts.enabled,
            progress=report,
        )
    with stage("embed"):
        texts = [part for text in texts for part in _split(text)]
        vectors = load_embedder(config.embed.model).encode([text.text for text in texts])
        texts = [replace(t, embedding=vector) for t, vector in zip(texts, vectors, strict=True)]
    return VideoRecord(
        video_id=video_id,
        path=job.path,
        size=stat.st_size,
        mtime_ns=stat.st_mtime_ns,
        info=info.to_dict(),
        config_hash=config.index_hash(),
        clips=tuple(clips),
        texts=tuple(texts),
        signals=signals.to_arrays(),
        stage_seconds=seconds,
        warnings=(*info.warnings, *warnings),
    )


def _subtitles(info: VideoInfo, config: SubtitlesConfig, warnings: list[str]) -> list[TimedText]:
    """The lines of all tracks, in time order; what several tracks repeat stands once."""
    if not config.enabled:
        return []
    lines: dict[tuple[str, int], TimedText] = {}
    for track in info.subtitles:
        if config.language and track.language not in (None, config.language):
            continue
        try:
            for line in read_subtitles(track, info):
                lines.setdefault((line.text, round(line.start)), line)
        except VideopipeError as error:
            warnings.append(str(error))
    return sorted(lines.values(), key=lambda line: (line.start, line.end))


def _split(text: ClipText) -> list[ClipText]:
    """A document longer than the embedder reads, as several at line boundaries."""
    return [
        replace(text, text=" ".join(line.text for line in lines), lines=tuple(lines))
        for lines in split_document(text.lines)
    ]
