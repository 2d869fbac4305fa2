"""The Ray pool: one actor per worker, bounded, each killed and replaced when it stalls or dies.

The unit of work is a video. An actor returns a record of a few megabytes; frames never enter the
object store.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterable
from typing import Any

from videopipe.config import RunConfig
from videopipe.errors import ConfigError, ModelError, VideopipeError
from videopipe.ingest.executor import (
    Executor,
    InProcess,
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
from videopipe.ingest.processes import Processes


def choose_executor(run: RunConfig, jobs: int, alone: bool) -> Executor:
    """The executor for ``jobs`` videos.

    In process for one that was named ``alone``, Ray for several or with an address; what is left of
    a larger run gets a process of its own, for it may be the file that kills whoever opens it.
    """
    if run.executor == "local" and run.address is not None:
        raise ConfigError("run.address needs Ray; leave out run.executor=local or the address.")
    several = run.executor == "auto" and jobs > 1
    if run.executor == "ray" or run.address is not None or several:
        return RayActors(run, jobs)
    workers = min(jobs, run.workers or os.cpu_count() or 1)
    if alone:
        return InProcess()
    return Processes(workers, stall_seconds=run.stall_seconds, retries=run.retries)


class RayActors:
    """An :class:`~videopipe.ingest.executor.Executor` of Ray actors with one CPU each."""

    def __init__(self, run: RunConfig, jobs: int) -> None:
        self._run = run
        self._owns_ray = _connect(run.address)
        import ray

        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        cpus = int(resources.get("CPU", 0))
        if cpus < 1:
            raise ModelError("The Ray cluster has no CPU to work on; add a worker node.")
        # More actors than CPUs would wait for ever without an error.
        self.workers = max(1, min(run.workers or cpus, cpus, jobs))

    def run(self, jobs: Iterable[Job], work: Work, on_progress: OnProgress) -> Outcomes:
        try:
            yield from run_pool(
                self,
                self.workers,
                jobs,
                work,
                on_progress,
                stall_seconds=self._run.stall_seconds,
                retries=self._run.retries,
            )
        finally:
            if self._owns_ray:
                import ray

                ray.shutdown()

    def spawn(self, work: Work) -> Worker:
        return _Actor(work)

    def wait(self, busy: list[Worker], timeout: float) -> tuple[list[Worker], list[Worker]]:
        import ray

        actors = {worker.pending: worker for worker in busy if isinstance(worker, _Actor)}
        ready, _ = ray.wait(list(actors), num_returns=1, timeout=timeout)
        if ready:  # whatever else is done by now
            ready, _ = ray.wait(list(actors), num_returns=len(actors), timeout=0)
        return [actors[ref] for ref in ready], [w for w in actors.values() if w.listen()]


def _connect(address: str | None) -> bool:
    """Start or join Ray; True when this process started it and has to stop it."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray starts its workers through uv when the driver runs under it; ours share this interpreter.
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import logging

    import ray

    if ray.is_initialized():
        return False
    if address is not None:
        _check_reachable(address)
    on_terminate = signal.getsignal(signal.SIGTERM)
    try:
        if address is None and "RAY_ADDRESS" not in os.environ:
            ray.init(
                address="local",
                include_dashboard=False,
                log_to_driver=False,
                configure_logging=True,
                logging_level=logging.ERROR,
            )
        else:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        where = f"at {address}" if address else "on this machine"
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(f"Ray {where} cannot be reached ({reason}).") from None
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_terminate)  # ray.init puts its own in its place
    return True


def _check_reachable(address: str) -> None:
    """Ray itself tries for minutes before it says that nobody is there."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        return
    try:
        socket.create_connection((host, int(port)), 5).close()
    except (OSError, OverflowError) as error:
        raise ModelError(
            f"Ray at {address} cannot be reached ({error}); start it or correct run.address."
        ) from None


class _Actor:
    def __init__(self, work: Work) -> None:
        self._handle = _remote_class().remote(work)
        self.ready = False
        self.pending: Any = None
        self._asked: Any = None
        self._heard: list[tuple[str, float, float]] = []

    def start(self, job: Job) -> None:
        self._asked = None
        self.pending = self._handle.process.remote(job)

    def listen(self) -> bool:
        """Ask the actor for news without waiting; True when some has come."""
        import ray

        if self._asked is None:
            self._asked = self._handle.news.options(concurrency_group="news").remote()
            return False
        if not ray.wait([self._asked], timeout=0)[0]:
            return False
        try:
            self._heard += ray.get(self._asked)
        except ray.exceptions.RayError:
            return False  # the pending call tells how it ended
        self.ready = True
        self._asked = self._handle.news.options(concurrency_group="news").remote()
        return bool(self._heard)

    def news(self) -> list[tuple[str, float, float]]:
        heard, self._heard = self._heard, []
        return heard

    def result(self) -> Any:
        import ray

        try:
            kind, value = ray.get(self.pending)
        except ray.exceptions.RayError as error:
            raise WorkerDied(str(error).strip().splitlines()[0]) from None
        if kind == "error":
            raise value
        return value

    def kill(self) -> None:
        import ray

        if ray.is_initialized():
            ray.kill(self._handle)


def _remote_class() -> Any:
    import ray

    # No restarts and no task retries by Ray: the pool counts the tries, so that they are seen.
    # (Ray's own types leave out concurrency_groups.)
    options: dict[str, Any] = {
        "num_cpus": 1,
        "max_restarts": 0,
        "max_task_retries": 0,
        "concurrency_groups": {"news": 1},
    }
    return ray.remote(**options)(_VideoActor)


class _VideoActor:
    """Works on one video at a time; answers for its progress from a thread of its own."""

    def __init__(self, work: Work) -> None:
        share_the_cores()
        self._work = work
        self._progress: list[tuple[str, float, float]] = []

    def process(self, job: Job) -> tuple[str, Any]:
        def report(stage: str, done: float, total: float) -> None:
            self._progress.append((stage, done, total))

        try:
            return "result", attempt(self._work, job, report)
        except VideopipeError as error:
            error.__cause__ = None  # may hold what cannot be pickled
            return "error", error

    def news(self) -> list[tuple[str, float, float]]:
        progress, self._progress = self._progress, []
        return progress
