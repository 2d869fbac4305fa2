"""Small pieces of work that the executor tests send to workers (they must be importable there)."""

from __future__ import annotations

import os
import signal
import time

from videopipe.errors import MediaError
from videopipe.ingest.executor import Job, Report


def by_name(job: Job, report: Report) -> str:
    """Does what the file's name says."""
    name = job.path.stem
    for step in range(3):
        report("count", step + 1, 3)
    if name.startswith("broken"):
        raise MediaError(f"{job.path}: broken on purpose.")
    if name.startswith("bug"):
        raise ZeroDivisionError("one by zero")
    if name.startswith("crash"):
        signal.raise_signal(signal.SIGSEGV)
    if name.startswith("once") and not job.path.exists():
        job.path.write_text("died here before")
        os._exit(9)
    if name.startswith("hang"):
        time.sleep(3600)
    if name.startswith("slow"):
        for step in range(8):
            time.sleep(0.5)
            report("count", step, 8)
    return f"{name} done"
