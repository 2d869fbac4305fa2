"""Where the per-video work runs: in this process, or in workers that can die without harm.

Both pools, spawned processes here and Ray actors in ``videopipe.cluster``, are the same loop
(:func:`run_pool`) over different workers. Native code can hang, and a thread cannot be killed:
so a worker that shows no sign of life within its limit is killed and replaced, and a video whose
worker died is tried again on a fresh one.
"""

from __future__ import annotations

import os
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from videopipe.config import Config
from videopipe.errors import MediaError, TimeLimit, VideopipeError

Report = Callable[[str, float, float], None]
"""Told how far a video is: stage, done, total (in the stage's own unit)."""


@dataclass(frozen=True, slots=True)
class Job:
    """One video to work on."""

    path: Path
    config: Config = field(repr=False)
    cores: int = 1  # that are this video's own


@dataclass(frozen=True, slots=True)
class Progress:
    job: Job
    stage: str
    done: float
    total: float


@dataclass(frozen=True, slots=True)
class Finished:
    job: Job
    result: Any
    seconds: float


@dataclass(frozen=True, slots=True)
class Failed:
    job: Job
    error: VideopipeError
    seconds: float


Outcomes = Generator[Finished | Failed, None, None]
Work = Callable[[Job, Report], Any]
OnProgress = Callable[[Progress], None]


class Executor(Protocol):
    """Runs ``work`` on every job. Closing the iterator stops the workers."""

    workers: int

    def run(self, jobs: Iterable[Job], work: Work, on_progress: OnProgress) -> Outcomes:
        """What became of the jobs, in no order; ``on_progress`` is called in between."""
        ...


def attempt(work: Work, job: Job, report: Report) -> Any:
    """``work(job, report)``; whatever goes wrong comes out as one sentence about this video."""
    try:
        return work(job, report)
    except VideopipeError:
        raise
    except Exception as error:
        if os.environ.get("VIDEOPIPE_DEBUG"):
            traceback.print_exc()
        what = f"{type(error).__name__}: {error}".strip(": ")
        raise VideopipeError(
            f"{job.path}: unexpected {what} (VIDEOPIPE_DEBUG=1 shows where)."
        ) from error


def share_the_cores() -> None:
    """For a worker among several: OpenCV takes one thread instead of one per core."""
    import cv2

    cv2.setNumThreads(1)


class InProcess:
    """One video after another in this process: nothing to start, nothing that protects it."""

    workers = 1

    def run(self, jobs: Iterable[Job], work: Work, on_progress: OnProgress) -> Outcomes:
        for job in jobs:
            job = replace(job, cores=os.cpu_count() or 1)
            began = time.monotonic()

            def report(stage: str, done: float, total: float, job: Job = job) -> None:
                on_progress(Progress(job, stage, done, total))

            try:
                result = attempt(work, job, report)
            except VideopipeError as error:
                yield Failed(job, error, time.monotonic() - began)
            else:
                yield Finished(job, result, time.monotonic() - began)


class WorkerDied(Exception):
    """The process or actor behind a worker is gone; the message says how."""


class Worker(Protocol):
    """One process or actor that works on one job at a time.

    ``ready`` is false while a worker waits to be placed on a machine: its clock has not started.
    """

    @property
    def ready(self) -> bool: ...

    def start(self, job: Job) -> None: ...

    def news(self) -> list[tuple[str, float, float]]:
        """Progress since the last call."""
        ...

    def result(self) -> Any:
        """The finished result; raises what the work raised, or :class:`WorkerDied`."""
        ...

    def kill(self) -> None: ...


class Backend(Protocol):
    """Makes workers and knows which of them have something to say."""

    def spawn(self, work: Work) -> Worker: ...

    def wait(self, busy: list[Worker], timeout: float) -> tuple[list[Worker], list[Worker]]:
        """``(finished, heard)``: workers whose result is there; workers that have news."""
        ...


@dataclass(slots=True)
class _Task:
    job: Job
    began: float
    last_sign: float
    attempts: int = 1


def run_pool(
    backend: Backend,
    count: int,
    jobs: Iterable[Job],
    work: Work,
    on_progress: OnProgress,
    *,
    stall_seconds: float,
    retries: int,
) -> Outcomes:
    """Keep ``count`` workers busy; survive each of them.

    A worker without a sign of life for ``stall_seconds`` is killed and its video fails with
    :class:`TimeLimit` (a second try would hang as long again). A worker that dies costs its video
    one of ``retries`` tries.
    """
    waiting = iter(jobs)
    again: deque[tuple[Job, int]] = deque()
    idle: list[Worker] = []
    busy: dict[int, tuple[Worker, _Task]] = {}
    try:
        while True:
            while len(busy) < count:
                following = again.popleft() if again else None
                if following is None:
                    job = next(waiting, None)
                    following = (job, 1) if job is not None else None
                if following is None:
                    break
                worker = idle.pop() if idle else backend.spawn(work)
                try:
                    worker.start(following[0])
                except OSError:  # it died while it had nothing to do
                    worker.kill()
                    again.appendleft(following)
                    continue
                now = time.monotonic()
                busy[id(worker)] = (worker, _Task(following[0], now, now, following[1]))
            if not busy:
                return
            finished, heard = backend.wait([worker for worker, _ in busy.values()], 0.2)
            for worker in heard:
                task = busy[id(worker)][1]
                for stage, done, total in worker.news():
                    task.last_sign = time.monotonic()
                    on_progress(Progress(task.job, stage, done, total))
            for worker in finished:
                task = busy.pop(id(worker))[1]
                seconds = time.monotonic() - task.began
                try:
                    result = worker.result()
                except WorkerDied as death:
                    worker.kill()
                    if task.attempts <= retries:
                        again.append((task.job, task.attempts + 1))
                        continue
                    fatal = MediaError(
                        f"{task.job.path}: the worker died {task.attempts} times on this file "
                        f"({death}); the file or the memory of this machine is at fault."
                    )
                    yield Failed(task.job, fatal, seconds)
                except VideopipeError as error:
                    idle.append(worker)
                    yield Failed(task.job, error, seconds)
                else:
                    idle.append(worker)
                    yield Finished(task.job, result, seconds)
            for key, (worker, task) in list(busy.items()):
                if not worker.ready:
                    task.last_sign = time.monotonic()
                if time.monotonic() - task.last_sign > stall_seconds:
                    del busy[key]
                    worker.kill()
                    late = TimeLimit(
                        f"{task.job.path}: given up after {stall_seconds:g} s without progress "
                        f"(run.stall_seconds)."
                    )
                    yield Failed(task.job, late, time.monotonic() - task.began)
    finally:
        for worker in [*idle, *(worker for worker, _ in busy.values())]:
            worker.kill()
