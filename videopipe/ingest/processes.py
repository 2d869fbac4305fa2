"""The local pool: spawned processes, one job at a time each, spoken to over a pipe."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterable
from multiprocessing.connection import Connection, wait
from typing import Any

from videopipe.errors import VideopipeError
from videopipe.ingest.executor import (
    Job,
    OnProgress,
    Outcomes,
    Work,
    Worker,
    WorkerDied,
    attempt,
    run_pool,
    share_the_cores,
)


class Processes:
    """An :class:`~videopipe.ingest.executor.Executor` of ``workers`` spawned processes."""

    def __init__(self, workers: int, *, stall_seconds: float = 300.0, retries: int = 1) -> None:
        self.workers = workers
        self._stall_seconds = stall_seconds
        self._retries = retries

    def run(self, jobs: Iterable[Job], work: Work, on_progress: OnProgress) -> Outcomes:
        return run_pool(
            self,
            self.workers,
            jobs,
            work,
            on_progress,
            stall_seconds=self._stall_seconds,
            retries=self._retries,
        )

    def spawn(self, work: Work) -> Worker:
        return _Process(work)

    def wait(self, busy: list[Worker], timeout: float) -> tuple[list[Worker], list[Worker]]:
        by_pipe = {worker.pipe: worker for worker in busy if isinstance(worker, _Process)}
        heard = [by_pipe[pipe] for pipe in wait(list(by_pipe), timeout)]  # type: ignore[index]
        for worker in heard:
            worker.receive()
        return [worker for worker in heard if worker.finished], list(heard)


class _Process:
    ready = True

    def __init__(self, work: Work) -> None:
        # spawn, not fork: torch, OpenCV and FFmpeg threads do not survive a fork.
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, work), daemon=True)
        self._process.start()
        theirs.close()
        self.finished = True
        self._news: list[tuple[str, float, float]] = []
        self._outcome: tuple[str, Any] = ("", None)

    def start(self, job: Job) -> None:
        self.finished = False
        self.pipe.send(job)

    def receive(self) -> None:
        try:
            while self.pipe.poll():
                kind, value = self.pipe.recv()
                if kind == "progress":
                    self._news.append(value)
                else:
                    self._outcome, self.finished = (kind, value), True
        except (EOFError, ConnectionError):
            self._process.join(1)
            code = self._process.exitcode
            how = signal.Signals(-code).name if code is not None and code < 0 else f"exit {code}"
            self._outcome, self.finished = ("died", how), True

    def news(self) -> list[tuple[str, float, float]]:
        news, self._news = self._news, []
        return news

    def result(self) -> Any:
        kind, value = self._outcome
        if kind == "died":
            raise WorkerDied(value)
        if kind == "error":
            raise value
        return value

    def kill(self) -> None:
        self.pipe.close()
        if self.finished:
            self._process.join(2)  # without a job it ends when nobody speaks to it any more
        self._process.kill()
        self._process.join(5)  # longer only if the system itself cannot let go of it


def _serve(pipe: Connection, work: Work) -> None:
    from tqdm import tqdm

    # Ctrl-C goes to the whole group: the parent decides what happens to its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    share_the_cores()
    # The semaphore tqdm makes otherwise outlives a worker that is killed, and Python complains.
    tqdm.set_lock(threading.RLock())
    while True:
        try:
            job = pipe.recv()
        except (EOFError, OSError):
            return

        def report(stage: str, done: float, total: float) -> None:
            _send(pipe, "progress", (stage, done, total))

        try:
            _send(pipe, "result", attempt(work, job, report))
        except VideopipeError as error:
            _send(pipe, "error", error)


def _send(pipe: Connection, kind: str, value: Any) -> None:
    try:
        pipe.send((kind, value))
    except (BrokenPipeError, ConnectionError):
        os._exit(0)  # the parent is gone
