"""The demonstration video: an hour-long film about measuring time, made from its screenplay.

Slides and scenes are drawn, encoded as H.264 in MP4, and narrated by an embedded subtitle track.
Since the film is made here, it is known to the second where each question is answered.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from videopipe.errors import ConfigError, NotFound, VideopipeError
from videopipe.evaluate._demo_script import (
    MORE_QUESTIONS,
    PUBLIC_QUESTIONS,
    Channel,
    Part,
    Question,
    parts,
)
from videopipe.types import TimedText

if TYPE_CHECKING:
    import numpy as np
    from av import Packet, VideoFrame
    from av.container import OutputContainer
    from av.stream import Stream
    from av.subtitles.stream import SubtitleStream
    from numpy.typing import NDArray

# Stands in the file; a film made by another version of this package is made again.
_VERSION = "videopipe demonstration 1"
_MINUTES = 60.0
_LEAST_MINUTES = 0.1
_RATE = 3  # frames per second: scenes move, the hour is rendered in half a minute
_READING_SPEED = 12.5  # characters per second, as of subtitles
_CUE_SECONDS = (4.0, 8.0)
_MILLISECOND = Fraction(1, 1000)
_X264 = {
    "preset": "ultrafast",
    "crf": "26",
    "g": str(30 * _RATE),
    "threads": "2",  # the bits depend on it, so it does not follow the machine
}
# White letters with a thin outline at the bottom of the picture, where players expect them.
_STYLE = b"""[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, OutlineColour, BorderStyle, Outline, Alignment
Style: Default,Arial,18,&HFFFFFF,&H000000,1,1,2

[Events]
Format: Layer, Start, End, Style, Text
"""


@dataclass(frozen=True, slots=True)
class DemoQuestion:
    """A question with its expected words and where the film answers it.

    ``intervals`` are ``[start, end)`` in seconds; none if the film does not answer it.
    """

    question: str
    answer: str
    intervals: tuple[tuple[float, float], ...]
    channel: Channel | None


@dataclass(frozen=True, slots=True)
class DemoVideo:
    """A rendered film: ``narration`` is its subtitle track, ``cuts`` where its pictures change.

    In a film shorter than the hour, only the questions are left whose evidence is in it.
    """

    path: Path
    duration: float
    narration: tuple[TimedText, ...]
    cuts: tuple[float, ...]
    questions: tuple[DemoQuestion, ...]
    more_questions: tuple[DemoQuestion, ...]


@dataclass(frozen=True, slots=True)
class _Shot:
    start: float
    end: float
    part: Part
    cues: tuple[TimedText, ...]
    slide: int  # its number, 0 for a scene


def ensure_demo(
    path: Path,
    *,
    minutes: float = _MINUTES,
    progress: Callable[[float, float], None] | None = None,
) -> DemoVideo:
    """The film at ``path``, rendered only if it is not already there in this version and length.

    Raises:
        VideopipeError: as ``render``.
    """
    if _is_complete(path, minutes):
        return _describe(path, minutes)
    return render(path, minutes=minutes, progress=progress)


def render(
    path: Path,
    *,
    minutes: float = _MINUTES,
    progress: Callable[[float, float], None] | None = None,
) -> DemoVideo:
    """Render the film to ``path`` (MP4), replacing what is there once it is finished.

    Args:
        path: the file; nothing is left there if the rendering is interrupted.
        minutes: length; a shorter film is the beginning of the hour.
        progress: called with the seconds rendered so far and the seconds in all.

    Raises:
        ConfigError: ``minutes`` is not between 0.1 and 60, or ``path`` is a folder.
        NotFound: the folder of ``path`` does not exist.
        VideopipeError: the file cannot be written.
    """
    if not _LEAST_MINUTES <= minutes <= _MINUTES:
        raise ConfigError(
            f"minutes must be between {_LEAST_MINUTES:g} and {_MINUTES:g}; got {minutes:g}."
        )
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; name the file to write, such as demo.mp4.")
    if not path.parent.is_dir():
        raise NotFound(f"The folder {path.parent} does not exist; create it first.")
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        _encode(unfinished, minutes * 60, progress)
        unfinished.replace(path)
    except OSError as error:
        raise VideopipeError(
            f"The demonstration video cannot be written to {path} ({error.strerror}); "
            "check permissions and free space."
        ) from error
    finally:
        unfinished.unlink(missing_ok=True)
    return _describe(path, minutes)


def _shots() -> list[_Shot]:
    """The film on its timeline: what is not speech is shared out evenly as pauses."""
    film = parts()
    speech = [[_speaking_seconds(line) for line in part.narration] for part in film]
    cues = sum(map(len, speech))
    pause = (_MINUTES * 60 - sum(map(sum, speech))) / cues
    shots = []
    clock, slide = 0.0, 0
    for part, lengths in zip(film, speech, strict=True):
        start = clock
        spoken = []
        for text, length in zip(part.narration, lengths, strict=True):
            begin = round(clock + pause / 2, 3)
            spoken.append(TimedText(begin, round(begin + length, 3), text))
            clock += length + pause
        slide += bool(part.title)
        number = slide if part.title else 0
        shots.append(_Shot(round(start), round(clock), part, tuple(spoken), number))
    return shots


def _speaking_seconds(line: str) -> float:
    low, high = _CUE_SECONDS
    return round(min(max(len(line) / _READING_SPEED, low), high), 3)


def _describe(path: Path, minutes: float) -> DemoVideo:
    shots = _shots()
    duration = round(minutes * 60 * _RATE) / _RATE
    return DemoVideo(
        path=path,
        duration=duration,
        narration=tuple(cue for shot in shots for cue in shot.cues if cue.end <= duration),
        cuts=tuple(shot.start for shot in shots[1:] if shot.start < duration),
        questions=_located(PUBLIC_QUESTIONS, shots, duration),
        more_questions=_located(MORE_QUESTIONS, shots, duration),
    )


def _located(
    questions: tuple[Question, ...], shots: list[_Shot], duration: float
) -> tuple[DemoQuestion, ...]:
    placed = [
        DemoQuestion(asked.question, asked.answer, tuple(_intervals(asked, shots)), asked.channel)
        for asked in questions
    ]
    return tuple(q for q in placed if all(end <= duration for _, end in q.intervals))


def _intervals(asked: Question, shots: list[_Shot]) -> Iterator[tuple[float, float]]:
    for shot in shots:
        if asked.channel == "narration":
            for cue in shot.cues:
                if any(quote in cue.text for quote in asked.evidence):
                    yield cue.start, cue.end
        elif (shot.part.title or shot.part.scene) in asked.evidence:
            yield shot.start, shot.end


def _is_complete(path: Path, minutes: float) -> bool:
    import av

    try:
        with av.open(path) as container:
            found = container.metadata.get("comment")
    except (OSError, av.FFmpegError):
        return False
    return bool(found == _comment(minutes * 60))


def _comment(seconds: float) -> str:
    return f"{_VERSION}, {seconds:g} s"


def _encode(path: Path, seconds: float, progress: Callable[[float, float], None] | None) -> None:
    import av
    from av.video.frame import PictureType
    from av.video.reformatter import Colorspace

    from videopipe.evaluate._demo_canvas import HEIGHT, WIDTH

    shots = _shots()
    slides = max(shot.slide for shot in shots)
    total = round(seconds * _RATE)
    with av.open(path, "w", format="mp4", options={"movflags": "+faststart"}) as container:
        container.metadata.update(title="The measure of time", comment=_comment(seconds))
        stream = container.add_stream("libx264", rate=_RATE, options=_X264)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.colorspace = Colorspace.SMPTE170M
        captions = _add_captions(container)
        for shot in shots:
            first, last = round(shot.start * _RATE), min(round(shot.end * _RATE), total)
            if first >= last:
                break
            for cue in shot.cues:
                if cue.end <= seconds:
                    container.mux(_caption(cue, captions))
            for index, frame in zip(range(first, last), _frames(shot, slides), strict=False):
                frame.pts, frame.time_base = index, Fraction(1, _RATE)
                frame.pict_type = PictureType.I if index == first else PictureType.NONE
                container.mux(stream.encode(frame))
            if progress:
                progress(last / _RATE, total / _RATE)
        container.mux(stream.encode())


def _frames(shot: _Shot, slides: int) -> Iterator[VideoFrame]:
    """The frames of a shot without end; a slide is one frame again and again."""
    import numpy as np

    from videopipe.evaluate._demo_scenes import SCENES
    from videopipe.evaluate._demo_slides import draw_slide

    if shot.slide:
        slide = _frame(draw_slide(shot.part, shot.slide, slides, shot.start / 60))
        while True:
            yield slide
    draw = SCENES[shot.part.scene](np.random.default_rng(round(shot.start)))
    index = 0
    while True:
        yield _frame(draw(index / _RATE))
        index += 1


def _frame(picture: NDArray[np.uint8]) -> VideoFrame:
    import cv2
    from av import VideoFrame

    # OpenCV converts three times as fast as libswscale, by the BT.601 that is declared above.
    return VideoFrame.from_ndarray(cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420), "yuv420p")


def _add_captions(container: OutputContainer) -> SubtitleStream:
    stream = container.add_stream("mov_text")
    stream.codec_context.subtitle_header = _STYLE
    stream.codec_context.time_base = stream.time_base = _MILLISECOND
    stream.metadata["language"] = "eng"
    return stream


def _caption(cue: TimedText, stream: SubtitleStream) -> Packet[Stream]:
    """A cue as MP4 timed text; the muxer fills the gaps between cues with empty ones."""
    from av import Packet

    text = cue.text.encode()
    packet = Packet(len(text).to_bytes(2, "big") + text)
    packet.stream, packet.time_base = stream, _MILLISECOND
    packet.pts = packet.dts = round(cue.start * 1000)
    packet.duration = round((cue.end - cue.start) * 1000)
    return packet
