"""Video files: what is in them, their frames at given times, and their subtitles."""

from videopipe.media.container import NoVideo
from videopipe.media.decode import Scan, Span, fetch, fetch_each, scan, spans
from videopipe.media.discover import Found, find_videos
from videopipe.media.probe import probe
from videopipe.media.subtitles import (
    SUBTITLE_SUFFIXES,
    find_subtitles,
    read_subtitles,
    same_language,
)

__all__ = [
    "SUBTITLE_SUFFIXES",
    "Found",
    "NoVideo",
    "Scan",
    "Span",
    "fetch",
    "fetch_each",
    "find_subtitles",
    "find_videos",
    "probe",
    "read_subtitles",
    "same_language",
    "scan",
    "spans",
]
