"""Video files: what is in them, their frames at given times, their sound and their subtitles."""

from videopipe.media.audio import NoAudio, Sound, audio
from videopipe.media.container import NoVideo
from videopipe.media.decode import Scan, Span, fetch, fetch_each, scan, spans
from videopipe.media.discover import Found, find_videos
from videopipe.media.packets import PacketTable
from videopipe.media.probe import probe
from videopipe.media.remote import location
from videopipe.media.subtitles import (
    SUBTITLE_SUFFIXES,
    find_subtitles,
    read_subtitles,
    same_language,
)
from videopipe.media.tables import packet_table, remember

__all__ = [
    "SUBTITLE_SUFFIXES",
    "Found",
    "NoAudio",
    "NoVideo",
    "PacketTable",
    "Scan",
    "Sound",
    "Span",
    "audio",
    "fetch",
    "fetch_each",
    "find_subtitles",
    "find_videos",
    "location",
    "packet_table",
    "probe",
    "read_subtitles",
    "remember",
    "same_language",
    "scan",
    "spans",
]
