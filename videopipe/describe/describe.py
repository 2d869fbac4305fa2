"""All texts of one video, with one pass over the frames that they need."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from videopipe.describe.faces import FaceFinder, Faces
from videopipe.describe.facts import facts_texts, frames_to_look_at
from videopipe.describe.gate import frames_to_read
from videopipe.describe.ocr import Reader, Reading
from videopipe.describe.screen_text import ocr_texts
from videopipe.describe.speech import Transcript
from videopipe.describe.subtitles import subtitle_texts
from videopipe.media import fetch_each
from videopipe.scan import Signals
from videopipe.types import Clip, ClipText, TimedText, VideoInfo

Progress = Callable[[str, float, float], None]
FetchEach = Callable[[VideoInfo, list[float], int], Iterator[tuple[float, NDArray[np.uint8]]]]
_FACES_SIDE = 480


def describe(
    info: VideoInfo,
    signals: Signals,
    cuts: Sequence[float],
    clips: Sequence[Clip],
    tracks: Sequence[tuple[str | None, Sequence[TimedText]]] = (),
    spoken: Transcript | None = None,
    *,
    ocr: bool = True,
    ocr_short_side: int = 720,
    min_confidence: float = 0.6,
    facts: bool = True,
    fetch_each: FetchEach = fetch_each,
    progress: Progress | None = None,
) -> list[ClipText]:
    """Describe the clips of a video by what is said, its on-screen text and measured facts.

    Args:
        cuts: seconds, as found by ``scan.find_cuts``.
        tracks: language and lines, ascending, of each subtitle track.
        spoken: what a model heard, where there are no subtitles.
        ocr_short_side: pixels; frames are read at this size, small print at up to twice of it.
        fetch_each: how frames are got at full size.
        min_confidence: recognised lines below are dropped, 0-1.
        progress: told ``("describe", seconds reached, seconds in all)``.

    Raises:
        ModelError: the text recogniser or the face detector cannot be loaded.
        MediaError: the video cannot be decoded.
    """
    holds = {hold.time: hold for hold in frames_to_read(signals, cuts)} if ocr else {}
    looks = set(frames_to_look_at(clips, signals, info.keyframes)) if facts else set()
    reader = Reader(min_confidence, ocr_short_side) if holds else None
    finder = FaceFinder() if looks else None
    readings: list[Reading] = []
    faces: list[Faces] = []
    size = 2 * ocr_short_side if holds else _FACES_SIDE
    wanted = sorted(time for time in looks | holds.keys() if time < info.duration)
    for time, frame in fetch_each(info, wanted, size) if wanted else ():
        if reader and time in holds:
            hold = holds[time]
            readings.append(Reading(hold.start, hold.end, reader.read(frame)))
        if finder and time in looks:
            faces.append(finder.find(time, frame))
        if progress:
            progress("describe", time, info.duration)
    texts = [t for language, said in tracks for t in subtitle_texts(clips, said, language)]
    if spoken:
        texts += subtitle_texts(clips, spoken.lines, spoken.language, "asr", spoken.model)
    texts += ocr_texts(clips, readings)
    if facts:
        texts += facts_texts(clips, signals, cuts, faces)
    return sorted(texts, key=lambda text: text.clip.index)
