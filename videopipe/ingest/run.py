"""Index many videos: find them, skip what is done, work on the rest, write each as it comes."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from videopipe.config import Config, given_up
from videopipe.errors import (
    ConfigError,
    LibraryError,
    NotFound,
    NothingProcessed,
    PartialFailure,
    VideopipeError,
)
from videopipe.ingest.executor import Executor, Failed, Finished, InProcess, Progress
from videopipe.ingest.models import (
    captions_by_local_model,
    check_models,
    load_captioner,
    release_models,
)
from videopipe.ingest.plan import Known, plan
from videopipe.ingest.video import index_video
from videopipe.library import Library, Video
from videopipe.media import NoVideo, find_videos
from videopipe.media.backends import check
from videopipe.types import VideoRecord, normalised

Status = Literal["indexed", "unchanged", "moved", "duplicate", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class VideoOutcome:
    """What became of one file. ``reason`` is empty where there is nothing to explain."""

    path: Path
    status: Status
    reason: str = ""
    video_id: str | None = None
    video_seconds: float = 0.0
    clips: int = 0
    texts: int = 0
    seconds: float = 0.0
    stage_seconds: dict[str, float] = field(default_factory=dict)
    scan: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    error: VideopipeError | None = field(default=None, repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        return {
            "path": str(self.path),
            "status": self.status,
            "reason": self.reason,
            "video_id": self.video_id,
            "duration_s": round(self.video_seconds, 3),
            "clips": self.clips,
            "texts": self.texts,
            "seconds": round(self.seconds, 3),
            "stage_seconds": {name: round(s, 3) for name, s in self.stage_seconds.items()},
            "scan": self.scan,
            "warnings": list(self.warnings),
        }


@dataclass(slots=True)
class IndexReport:
    """The outcomes of a run, in the order in which they came."""

    library: Path
    outcomes: list[VideoOutcome] = field(default_factory=list)
    seconds: float = 0.0
    workers: int = 0

    def count(self, status: Status) -> int:
        return sum(outcome.status == status for outcome in self.outcomes)

    @property
    def video_seconds_per_second(self) -> float:
        """Seconds of video indexed per second of wall time."""
        indexed = sum(o.video_seconds for o in self.outcomes if o.status == "indexed")
        return indexed / self.seconds if self.seconds > 0 else 0.0

    @property
    def stage_seconds(self) -> dict[str, float]:
        """Worker seconds by stage, over all videos."""
        total: dict[str, float] = defaultdict(float)
        for outcome in self.outcomes:
            for stage, seconds in outcome.stage_seconds.items():
                total[stage] += seconds
        return dict(total)

    def error(self) -> VideopipeError | None:
        """What the run as a whole has to say for itself; None when every video is in."""
        failed = [outcome for outcome in self.outcomes if outcome.status == "failed"]
        good = len(self.outcomes) - len(failed) - self.count("skipped")
        if failed and good:
            return PartialFailure(f"{len(failed)} of {len(self.outcomes)} files failed.")
        errors = [outcome.error for outcome in failed if outcome.error is not None]
        if len({error.exit_code for error in errors}) == 1:
            return errors[0]
        if not good:
            return NothingProcessed("No video could be used; name a video file or a directory.")
        return None

    def to_dict(self) -> dict[str, Any]:
        return {
            "schema_version": 1,
            "library": str(self.library),
            "seconds": round(self.seconds, 3),
            "workers": self.workers,
            "video_seconds_per_second": round(self.video_seconds_per_second, 3),
            "videos": [outcome.to_dict() for outcome in self.outcomes],
        }


class Observer:
    """Told what happens during a run; this one is silent."""

    def planned(self, total: int, workers: int) -> None: ...

    def progress(self, event: Progress) -> None: ...

    def outcome(self, outcome: VideoOutcome) -> None: ...


def index_paths(
    paths: Sequence[Path],
    library: Library,
    config: Config,
    executor_for: Callable[[int, bool], Executor],
    observer: Observer | None = None,
) -> IndexReport:
    """Index every video under ``paths`` into ``library``.

    ``executor_for`` is asked once, with the number of videos that may be in work at once and
    whether the run is about a single file that was named, and only when there is something to do.
    This process is the only writer; a video is in the library when its transaction is committed,
    so a run that is killed goes on where it was.

    Raises:
        ConfigError, NotFound, ModelError: a decoder or a model that the run needs cannot be used.
        LibraryError: the library cannot be written.
    """
    observer = observer or Observer()
    began = time.monotonic()
    report = IndexReport(library.path)

    def note(outcome: VideoOutcome) -> None:
        report.outcomes.append(outcome)
        observer.outcome(outcome)

    library.require_embedder(config.embed.model)
    found = find_videos(paths)
    held = library.videos()
    todo = plan(found.videos, held, config)
    jobs = todo.jobs
    if jobs:
        if config.decode.backend != "pyav" and (reason := check(config.decode.backend)):
            raise ConfigError(reason)
        check_models(config)
        at_once = len(jobs)
        if captions_by_local_model(config) and not config.run.workers:
            # Several workers would each need the memory for the model: one has all the cores.
            at_once, jobs = 1, [replace(job, cores=os.cpu_count() or 1) for job in jobs]
        executor = executor_for(at_once, not found.walked and len(found.videos) == 1)
        if not isinstance(executor, InProcess):
            release_models()
        elif captions_by_local_model(config):
            load_captioner(config)
        report.workers = executor.workers
    observer.planned(len(found.videos) + len(found.missing) + len(found.skipped), report.workers)
    for path, reason in found.missing:
        note(VideoOutcome(path, "failed", _about(path, reason), error=NotFound(reason)))
    for path, reason in found.skipped:
        note(VideoOutcome(path, "skipped", _about(path, reason)))
    if todo.places:
        library.remember_places(todo.places)
    for known in todo.known:
        note(_outcome_of(known))
    if jobs:
        writer = _Writer(library, {normalised(path) for path in found.walked}, held)
        try:
            with closing(executor.run(jobs, index_video, observer.progress)) as outcomes:
                for result in outcomes:
                    note(writer.store(result))
        finally:
            with suppress(LibraryError):  # the vector file only saves the next search some time
                library.flush()
    report.seconds = time.monotonic() - began
    return report


class _Writer:
    """Puts results into the library, each content once."""

    def __init__(self, library: Library, walked: set[Path], held: Sequence[Video]) -> None:
        self._library = library
        self._walked = walked
        self._before = {video.path: video.config_hash for video in held}
        self._stored: dict[str, Path] = {}

    def store(self, event: Finished | Failed) -> VideoOutcome:
        path = event.job.path
        if isinstance(event, Failed):
            # Sound files lie about in folders of videos; nobody asked for them by name.
            passed_over = isinstance(event.error, NoVideo) and path in self._walked
            return VideoOutcome(
                path,
                "skipped" if passed_over else "failed",
                _about(path, str(event.error)),
                seconds=event.seconds,
                error=event.error,
            )
        record: VideoRecord = event.result
        twin = self._stored.setdefault(record.video_id, path)
        reason = f"same content as {twin}" if twin != path else ""
        if twin == path:
            self._library.put(record, event.job.config.embed.model)
            if lost := given_up(self._before.get(path, ""), record.config_hash):
                reason = f"without the {' and '.join(lost)} it had, which this run did not ask for"
        return VideoOutcome(
            path,
            "indexed" if twin == path else "duplicate",
            reason,
            video_id=record.video_id,
            video_seconds=float(record.info["duration_s"]),
            clips=len(record.clips),
            texts=len(record.texts),
            seconds=event.seconds,
            stage_seconds=record.stage_seconds,
            scan=record.info.get("scan", {}),
            warnings=tuple(_about(path, warning) for warning in record.warnings),
        )


def _about(path: Path, sentence: str) -> str:
    """``sentence`` without the path it begins with: the report names it already."""
    return sentence.removeprefix(f"{path}").removeprefix(":").strip()


def _outcome_of(known: Known) -> VideoOutcome:
    video = known.video
    reasons = {"moved": f"was {video.path}", "duplicate": f"same content as {video.path}"}
    return VideoOutcome(
        known.path,
        known.status,
        reasons.get(known.status, ""),
        video_id=video.video_id,
        video_seconds=video.duration,
        clips=video.clips,
        texts=video.texts,
    )
