"""Video files: what is in them, their frames at given times, and their subtitles."""

from videopipe.media.decode import fetch, fetch_each, scan
from videopipe.media.discover import Found, find_videos
from videopipe.media.probe import probe
from videopipe.media.subtitles import find_subtitles, read_subtitles

__all__ = [
    "Found",
    "fetch",
    "fetch_each",
    "find_subtitles",
    "find_videos",
    "probe",
    "read_subtitles",
    "scan",
]
