"""Progress on stderr: bars on a terminal, plain lines elsewhere; and the closing table of a run.

What moves on a terminal starts with the first thing there is to show and stops with the last: two
at once would erase each other's lines.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from videopipe.cli import show
from videopipe.ingest import IndexReport, Observer, VideoOutcome

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from videopipe.ingest import Progress

PLAIN_SECONDS = 10.0
"""Seconds between two plain progress lines."""


@contextmanager
def observe() -> Iterator[Observer]:
    """An observer that draws on stderr."""
    if not sys.stderr.isatty():
        yield _Plain()
        return
    live = _Live()
    try:
        yield live
    finally:
        live.stop()


@contextmanager
def bar(description: str) -> Iterator[Callable[[float, float], None]]:
    """A single bar, shown once there is progress; yields ``update(done, total)``."""
    if not sys.stderr.isatty():
        told: list[str] = []

        def tell(done: float, total: float) -> None:
            if not told:
                told.append(description)
                print(f"{description} ...", file=sys.stderr)

        yield tell
        return
    bars: list[Bars] = []

    def draw(done: float, total: float) -> None:
        if not bars:
            bars.append(_bars())
            bars[0].add_task(description)
        bars[0].update(bars[0].task_ids[0], completed=done, total=total)
        bars[0].start()

    try:
        yield draw
    finally:
        for drawn in bars:
            drawn.stop()


@contextmanager
def speaking() -> Iterator[tuple[Callable[[str], None], Callable[[str], None]]]:
    """Two functions: one tells what is going on, one shows text of a model as it comes.

    The text stays as long as it is being written, of a long one the end; the answer is printed
    after it.
    """

    def tell(sentence: str) -> None:
        print(show.plain(sentence), file=sys.stderr)

    if not sys.stderr.isatty():
        yield tell, lambda text: None
        return
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(stderr=True, markup=False, highlight=False)
    told = ""

    def end() -> Text:
        # What has left the screen cannot be erased, and would be left there at each repaint.
        lines = Text(told, style="dim").wrap(console, console.width)
        return Text("\n").join(lines[-max(console.height - 1, 1) :])

    live = Live(console=console, transient=True, get_renderable=end)

    def write(text: str) -> None:
        nonlocal told
        told += "".join(c if c == "\n" else show.plain(c) for c in text)
        live.start()

    try:
        yield tell, write
    finally:
        live.stop()


def _bars() -> Bars:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        console=Console(stderr=True, markup=False, highlight=False),
        transient=True,
    )


def _line(outcome: VideoOutcome) -> str:
    name = show.plain(outcome.path.name)
    if outcome.status == "indexed":
        return (
            f"{name}: indexed, {show.clock(outcome.video_seconds)} of video in "
            f"{outcome.seconds:.1f} s, {outcome.clips} clips, {outcome.texts} texts"
        )
    return f"{name}: {outcome.status}" + (f": {outcome.reason}" if outcome.reason else "")


class _Plain(Observer):
    """A line per finished video, and one every ten seconds for those in work."""

    def __init__(self) -> None:
        self._total = self._finished = 0
        self._spoke = time.monotonic()

    def planned(self, total: int, workers: int) -> None:
        self._total = total

    def progress(self, event: Progress) -> None:
        if time.monotonic() - self._spoke < PLAIN_SECONDS:
            return
        self._spoke = time.monotonic()
        share = 100 * event.done / event.total if event.total else 0
        done = f"{self._finished}/{self._total}"
        print(f"{done} {event.job.path.name}: {event.stage} {share:.0f} %", file=sys.stderr)

    def outcome(self, outcome: VideoOutcome) -> None:
        self._finished += 1
        if outcome.status == "unchanged":
            return  # a finished folder would print nothing but these
        print(f"{self._finished}/{self._total} {_line(outcome)}", file=sys.stderr, flush=True)


class _Live(Observer):
    """One bar for the run, one for each video in work with its stage.

    They are on the terminal from the first progress to the last outcome.
    """

    def __init__(self) -> None:
        self._bars: Bars | None = None
        self._whole: TaskID | None = None
        self._tasks: dict[Path, TaskID] = {}
        self._total = self._finished = 0
        self._began = time.monotonic()
        self._video_seconds = 0.0

    def planned(self, total: int, workers: int) -> None:
        self._total, self._finished = total, 0

    def progress(self, event: Progress) -> None:
        path = event.job.path
        if self._bars is None:
            self._bars = _bars()
            if self._total > 1:
                self._whole = self._bars.add_task(
                    "videos", total=self._total, completed=self._finished
                )
            self._bars.start()
        if path not in self._tasks:
            self._tasks[path] = self._bars.add_task(path.name)
        self._bars.update(
            self._tasks[path],
            description=f"{show.plain(show.shorten(path.name, 32)):32} {event.stage:9}",
            completed=event.done,
            total=event.total,
        )

    def outcome(self, outcome: VideoOutcome) -> None:
        self._finished += 1
        if outcome.status == "indexed":
            self._video_seconds += outcome.video_seconds
        if self._bars is not None:
            if outcome.path in self._tasks:
                self._bars.remove_task(self._tasks.pop(outcome.path))
            if self._whole is not None:
                speed = self._video_seconds / (time.monotonic() - self._began)
                described = f"videos, {speed:.1f} video-seconds/s"
                self._bars.update(self._whole, advance=1, description=described)
        if outcome.status in ("failed", "skipped"):
            print(_line(outcome), file=sys.stderr)  # above the bars, where there are some
        if self._finished >= self._total:
            self.stop()

    def stop(self) -> None:
        """Take the bars off the terminal."""
        if self._bars is not None:
            self._bars.stop()
        self._bars = self._whole = None
        self._tasks.clear()


def summary(report: IndexReport) -> None:
    """The closing table on stdout."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    # Into a file or a log a path goes whole, however long.
    wide = None if sys.stdout.isatty() else 200
    console = Console(markup=False, emoji=False, highlight=False, width=wide)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("video", overflow="fold")
    for name in ("length", "clips", "texts", "seconds"):
        table.add_column(name, justify="right", no_wrap=True, min_width=len(name))
    table.add_column("outcome", overflow="fold")
    for outcome in sorted(report.outcomes, key=lambda o: str(o.path)):
        known = outcome.video_id is not None
        notes = [outcome.reason, *outcome.warnings]
        table.add_row(
            show.plain(outcome.path.name),
            show.clock(outcome.video_seconds) if known else "",
            str(outcome.clips) if known else "",
            str(outcome.texts) if known else "",
            f"{outcome.seconds:.1f}" if outcome.seconds else "",
            ": ".join([outcome.status, *[note for note in notes if note]][:2]),
        )
    console.print(table)
    counts = [
        f"{report.count(status)} {status}"
        for status in ("indexed", "unchanged", "moved", "duplicate", "failed", "skipped")
        if report.count(status)
    ]
    console.print(f"{', '.join(counts)} in {report.seconds:.1f} s; library: {report.library}")
    if report.count("indexed"):
        spent = report.stage_seconds.items()
        parts = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in spent)
        console.print(
            f"{report.video_seconds_per_second:.1f} video-seconds per second with "
            f"{report.workers} worker{'s' * (report.workers != 1)}; worker time by stage: {parts}"
        )
        console.print(f"Frames scanned: {_exactness(report)}")


def _exactness(report: IndexReport) -> str:
    """How exact the scanned frames were: ``3 videos exact, 1 nonref (at most 0.067 s off)``."""
    errors: dict[str, list[float]] = {}
    for outcome in report.outcomes:
        if outcome.scan:
            errors.setdefault(outcome.scan["exactness"], []).append(outcome.scan["largest_error_s"])
    return ", ".join(
        f"{len(off)} video{'s' * (len(off) != 1)} {exactness}"
        + (f" (at most {max(off):.3f} s off)" if max(off) else "")
        for exactness, off in errors.items()
    )
