"""What a run has to do: files that must be indexed, and files the library knows already."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from videopipe.config import Config, satisfies
from videopipe.ingest.executor import Job
from videopipe.library import Video
from videopipe.media import SUBTITLE_SUFFIXES, find_subtitles
from videopipe.types import content_id, normalised, stamp


@dataclass(frozen=True, slots=True)
class Known:
    """A file whose content the library holds with all that the settings ask for."""

    path: Path
    video: Video
    status: Literal["unchanged", "moved", "duplicate"]


@dataclass(frozen=True, slots=True)
class Plan:
    """``places`` are the paths at which known videos were found, by id."""

    jobs: list[Job] = field(default_factory=list)
    known: list[Known] = field(default_factory=list)
    places: dict[str, Path] = field(default_factory=dict)


def plan(paths: Sequence[Path], held: Sequence[Video], config: Config) -> Plan:
    """Compare files with what the library holds.

    A file of the same size and date as when it was indexed is unchanged. Any other is known by its
    content: it is read only if the library holds one of its size. Subtitle files beside a video
    belong to it: it is indexed again when they have changed. Captions and speech that the library
    holds stay where the settings ask for none.
    """
    settings = config.index_hash()
    by_path = {video.path: video for video in held}
    by_size: dict[int, dict[str, Video]] = defaultdict(dict)
    for video in held:
        if satisfies(video.config_hash, settings):
            by_size[video.size][video.video_id] = video
    beside = _Beside()
    made = Plan()
    for path in map(normalised, paths):
        there = by_path.get(path)
        untouched = (
            there is not None and satisfies(there.config_hash, settings) and _in_place(there)
        )
        size = stamp(path)[0]  # 0 for what is not there and what is no file
        alike = by_size[size] if size else {}
        same = there if untouched else alike.get(content_id(path)) if alike else None
        if same is None or beside.stamps(path) != same.info.get("sidecars"):
            made.jobs.append(Job(path, config))
        elif untouched:
            made.known.append(Known(path, same, "unchanged"))
        elif same.path != path and (same.video_id in made.places or _in_place(same)):
            made.known.append(Known(path, same, "duplicate"))
        else:
            made.places[same.video_id] = path
            made.known.append(Known(path, same, "unchanged" if same.path == path else "moved"))
    return made


def _in_place(video: Video) -> bool:
    """Whether the file of a video is where it was, untouched."""
    return stamp(video.path) == (video.size, video.mtime_ns)


def sidecars(path: Path) -> list[list[int]]:
    """Size and date of the subtitle files beside a video; their names follow the video's."""
    return sorted(list(stamp(track.path)) for track in find_subtitles(path))


class _Beside:
    """``sidecars`` for many videos: a folder without anything of that name is listed once."""

    def __init__(self) -> None:
        self._names: dict[Path, set[str]] = {}

    def stamps(self, path: Path) -> list[list[int]]:
        if path.parent not in self._names:
            self._names[path.parent] = set(_subtitle_names(path.parent))
        names = self._names[path.parent]
        return sidecars(path) if any(n.startswith(f"{path.stem}.") for n in names) else []


def _subtitle_names(folder: Path) -> Iterator[str]:
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        if entry.name.lower().endswith(SUBTITLE_SUFFIXES):
            yield entry.name
