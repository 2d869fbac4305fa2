"""The three executors do the same to the same jobs, whatever happens to their workers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from work import by_name

from videopipe.cluster import RayActors, choose_executor
from videopipe.config import Config, RunConfig
from videopipe.errors import ConfigError, MediaError, TimeLimit, VideopipeError
from videopipe.ingest import Executor, InProcess, Job, Processes
from videopipe.ingest.executor import Failed, Finished, Progress

STALL_SECONDS = 3.0


def processes(tmp_path: Path) -> Executor:
    return Processes(2, stall_seconds=STALL_SECONDS, retries=1)


def ray_actors(tmp_path: Path) -> Executor:
    return RayActors(RunConfig(workers=2, stall_seconds=STALL_SECONDS, retries=1), 9)


def in_process(tmp_path: Path) -> Executor:
    return InProcess()


POOLS = [processes, pytest.param(ray_actors, marks=pytest.mark.ray)]
Make = Callable[[Path], Executor]


def run(executor: Executor, folder: Path, *names: str) -> tuple[dict[str, object], list[Progress]]:
    """Result or error by name, and the progress that was heard."""
    heard: list[Progress] = []
    jobs = [Job(folder / name, Config()) for name in names]
    ended: dict[str, object] = {}
    for outcome in executor.run(jobs, by_name, heard.append):
        assert outcome.job.path.name not in ended, "an outcome came twice"
        is_done = isinstance(outcome, Finished)
        ended[outcome.job.path.name] = outcome.result if is_done else outcome.error
    return ended, heard


@pytest.mark.parametrize("make", [in_process, *POOLS])
def test_a_failed_video_is_named_and_the_others_go_on(make: Make, tmp_path: Path) -> None:
    ended, heard = run(make(tmp_path), tmp_path, "a", "broken", "bug", "b", "c", "d")
    good = {name: result for name, result in ended.items() if isinstance(result, str)}
    assert good == {name: f"{name} done" for name in "abcd"}
    assert isinstance(ended["broken"], MediaError)
    assert str(ended["broken"]) == f"{tmp_path / 'broken'}: broken on purpose."
    assert type(ended["bug"]) is VideopipeError
    assert "ZeroDivisionError: one by zero" in str(ended["bug"])
    assert {(p.stage, p.total) for p in heard} <= {("count", 3)}


@pytest.mark.parametrize("make", POOLS)
def test_workers_that_die_or_hang_cost_only_their_video(make: Make, tmp_path: Path) -> None:
    names = ["a", "crash", "hang", "once", "b", "slow", "c"]
    ended, heard = run(make(tmp_path), tmp_path, *names)
    assert set(ended) == set(names)
    for name in ("a", "b", "c", "once", "slow"):
        assert ended[name] == f"{name} done"
    assert isinstance(ended["crash"], MediaError)
    assert "died 2 times" in str(ended["crash"])
    assert isinstance(ended["hang"], TimeLimit)
    # "slow" takes longer than the limit, but shows signs of life.
    assert sum(event.job.path.name == "slow" for event in heard) > 3


def test_closing_the_iterator_kills_the_workers(tmp_path: Path) -> None:
    executor = Processes(2, stall_seconds=60, retries=0)
    jobs = [Job(tmp_path / name, Config()) for name in ("a", "hang", "hang2")]
    outcomes = executor.run(jobs, by_name, lambda _: None)
    first = next(outcomes)
    assert isinstance(first, Finished | Failed)
    outcomes.close()
    import multiprocessing

    assert multiprocessing.active_children() == []


def test_the_choice_of_executor() -> None:
    assert isinstance(choose_executor(RunConfig(), 1, alone=True), InProcess)
    # What is left of a larger run may be the file that killed its worker.
    for left in (RunConfig(), RunConfig(executor="local", workers=1)):
        assert isinstance(choose_executor(left, 1, alone=False), Processes)
    local = choose_executor(RunConfig(executor="local", workers=3), 5, alone=False)
    assert isinstance(local, Processes)
    assert local.workers == 3
    with pytest.raises(ConfigError, match=r"run\.address"):
        choose_executor(RunConfig(executor="local", address="auto"), 5, alone=False)
