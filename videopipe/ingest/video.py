"""The index path of one video: probe, scan, listen, describe, caption, embed.

Knows nothing of the library's files. Runs in a worker; returns a small record that the single
writer stores.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from multiprocessing import parent_process
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videopipe.config import AsrConfig, Config, SubtitlesConfig
from videopipe.describe import Transcript, describe, load_transcriber, transcribe
from videopipe.errors import MediaError, VideopipeError
from videopipe.ingest.executor import Job, Report
from videopipe.ingest.plan import sidecars
from videopipe.library import load_embedder, split_document
from videopipe.media import (
    audio,
    fetch,
    fetch_each,
    packet_table,
    probe,
    read_subtitles,
    same_language,
    scan,
)
from videopipe.mllm.dual_encoder import load_encoder
from videopipe.scan import LandmarkTracker, cut_clips, find_cuts, measure
from videopipe.types import Clip, ClipText, FrameBatch, TimedText, VideoInfo, VideoRecord, stamp

_EMBED_AT_ONCE = 256  # texts between two signs of life


def index_video(job: Job, report: Report) -> VideoRecord:
    """Work on one video.

    Raises:
        NotFound, MediaError: the file is missing, not a video, or cannot be decoded.
        ModelError: the text embedder, the speech model or the captioning model cannot be loaded or
            reached, or no clip could be captioned.
        ConfigError: the speech model does not know the language asked for, or no frame fits into
            the tokens of a caption.
    """
    config = job.config
    seconds: dict[str, float] = {}

    @contextmanager
    def stage(name: str) -> Iterator[None]:
        report(name, 0.0, 1.0)
        began = time.perf_counter()
        yield
        seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - began

    how: dict[str, Any] = {
        "workers": config.decode.workers or job.cores,
        "backend": config.decode.backend,
        "deadline": config.decode.deadline_seconds,
    }
    warnings: list[str] = []
    with stage("probe"):
        before = stamp(job.path)
        beside = sidecars(job.path)
        info = probe(job.path)
        video_id = info.video_id
    with stage("scan"):
        batches = scan(
            info,
            config.scan.rate,
            config.scan.short_side,
            exactness=config.scan.exactness,
            on_damage=warnings.append,
            **how,
        )
        scanned = {
            "exactness": batches.exactness,
            "largest_error_s": round(batches.largest_error, 6),
        }
        watched = _Watched(batches, config)
        signals = measure(watched, lambda time: report("scan", time, info.duration))
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
        tracks = _subtitles(info, config.subtitles, warnings)
    spoken = None
    if config.asr.model and info.audio and not any(lines for _, lines in tracks):
        with stage("speech"):
            spoken = _speech(info, config.asr.model, config.asr, warnings, report)
    with stage("describe"):
        texts = describe(
            info,
            signals,
            cuts,
            clips,
            tracks,
            spoken,
            ocr=config.ocr.enabled,
            ocr_short_side=config.ocr.short_side,
            min_confidence=config.ocr.min_confidence,
            facts=config.facts.enabled,
            fetch_each=partial(fetch_each, **how),
            progress=report,
        )
    if config.captions.by == "vlm":
        with stage("caption"):
            if parent_process() is not None:  # a worker's; it was given one thread
                _take_cores(job.cores)
            texts += _captions(info, clips, texts, config, how, warnings, report)
            texts.sort(key=lambda text: text.clip.index)
    with stage("embed"):
        texts = [part for text in texts for part in _split(text)]
        embedder = load_embedder(config.embed.model)
        embedded: list[ClipText] = []
        for start in range(0, len(texts), _EMBED_AT_ONCE):
            report("embed", start, len(texts))
            several = texts[start : start + _EMBED_AT_ONCE]
            vectors = embedder.encode([text.text for text in several])
            embedded += [replace(t, embedding=v) for t, v in zip(several, vectors, strict=True)]
    if stamp(job.path) != before:
        raise MediaError(f"{job.path} changed while it was indexed; index it again.")
    return VideoRecord(
        video_id=video_id,
        path=job.path,
        size=before[0],
        mtime_ns=before[1],
        info=info.to_dict()
        | {"sidecars": beside, "scan": scanned, "encoder": config.encoder.model},
        config_hash=config.index_hash(),
        clips=tuple(clips),
        texts=tuple(embedded),
        signals=signals.to_arrays() | watched.arrays(cuts),
        packets=packet_table(job.path).to_arrays(),
        stage_seconds=seconds,
        warnings=(*info.warnings, *warnings),
    )


class _Watched:
    """The batches of a scan on their way to be measured: landmarks and vectors are taken of them.

    Raises (while iterated): ModelError, NotFound: the encoder cannot be loaded.
    """

    def __init__(self, batches: Iterable[FrameBatch], config: Config) -> None:
        self._batches, self._encoder = batches, config.encoder
        self._tracker = LandmarkTracker() if config.scan.landmarks else None
        self._vectors: list[NDArray[np.float16]] = []

    def __iter__(self) -> Iterator[FrameBatch]:
        encoder = None
        if self._encoder.model is not None:
            encoder = load_encoder(self._encoder.model, device=self._encoder.device)
        for batch in self._batches:
            if self._tracker is not None:
                for time_, frame in zip(batch.times.tolist(), batch.frames, strict=True):
                    self._tracker.add(time_, frame)
            if encoder is not None:
                self._vectors.append(encoder.encode_frames(batch.frames, self._encoder.batch))
            yield batch

    def arrays(self, cuts: Sequence[float]) -> dict[str, NDArray[Any]]:
        """What selection needs beside the signals, by name."""
        found: dict[str, NDArray[Any]] = {"cuts": np.array(cuts, dtype=np.float64)}
        if self._tracker is not None:
            landmarks = self._tracker.landmarks(cuts)
            found["landmarks.offsets"] = landmarks.offsets
            found["landmarks.ids"] = landmarks.ids.astype(np.int32)
        if self._vectors:
            found["vectors"] = np.concatenate(self._vectors)
        return found


def _subtitles(
    info: VideoInfo, config: SubtitlesConfig, warnings: list[str]
) -> list[tuple[str | None, list[TimedText]]]:
    """Language and lines of each track; what an earlier track says already is left out.

    Of the tracks in the preferred language if there are any, else of all.
    """
    if not config.enabled:
        return []
    wanted = [t for t in info.subtitles if same_language(t.language, config.language)]
    said: set[tuple[str, int]] = set()
    tracks = []
    for track in wanted or info.subtitles:
        try:
            lines = read_subtitles(track, info)
        except VideopipeError as error:
            warnings.append(str(error))
            continue
        fresh = [
            replace(line, end=min(line.end, info.duration))
            for line in lines
            if line.start < info.duration and (line.text, round(line.start)) not in said
        ]
        said.update((line.text, round(line.start)) for line in fresh)
        tracks.append((track.language, fresh))
    return tracks


def _speech(
    info: VideoInfo, model: str, config: AsrConfig, warnings: list[str], report: Report
) -> Transcript | None:
    """What is said in the video; nothing where its sound cannot be decoded."""
    transcriber = load_transcriber(model)
    sounds = audio(info, language=config.language, on_damage=warnings.append)
    try:
        return transcribe(
            sounds,
            transcriber,
            language=config.language,
            batch=config.batch,
            progress=lambda time: report("speech", time, info.duration),
        )
    except MediaError as error:
        warnings.append(str(error))
        return None


def _captions(
    info: VideoInfo,
    clips: Sequence[Clip],
    texts: Sequence[ClipText],
    config: Config,
    how: dict[str, Any],
    warnings: list[str],
    report: Report,
) -> list[ClipText]:
    """What the model of the configuration says of each clip."""
    report("load", 0.0, 1.0)  # a large model says nothing until it is there
    from videopipe.describe.captions import caption_texts  # brings transformers along
    from videopipe.mllm import open_viewer

    report("load", 0.0, 1.0)
    viewer = open_viewer(config.model)
    report("caption", 0.0, info.duration)
    return caption_texts(
        info,
        clips,
        texts,
        viewer,
        config,
        fetch=lambda source, times, sizes: fetch(source, times, sizes, **how),
        fetch_each=partial(fetch_each, **how),
        on_warning=warnings.append,
        progress=lambda time: report("caption", time, info.duration),
    )


def _take_cores(count: int) -> None:
    import torch

    torch.set_num_threads(count)


def _split(text: ClipText) -> list[ClipText]:
    """A document longer than the embedder reads, as several at line boundaries."""
    return [
        replace(text, text=" ".join(line.text for line in lines), lines=tuple(lines))
        for lines in split_document(text.lines)
    ]
