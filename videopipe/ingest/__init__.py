"""The index path: one video (``index_video``), many videos (``index_paths``), and where it runs."""

from videopipe.ingest.executor import Executor, InProcess, Job, Progress
from videopipe.ingest.processes import Processes
from videopipe.ingest.run import IndexReport, Observer, VideoOutcome, index_paths
from videopipe.ingest.video import index_video

__all__ = [
    "Executor",
    "InProcess",
    "IndexReport",
    "Job",
    "Observer",
    "Processes",
    "Progress",
    "VideoOutcome",
    "index_paths",
    "index_video",
]
