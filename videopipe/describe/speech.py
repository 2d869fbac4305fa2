"""What is said in a sound: stretches of speech, heard by a model, as lines of the video."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice

from videopipe.describe.recogniser import Transcriber
from videopipe.describe.voice import Speech, stretches
from videopipe.media import Sound
from videopipe.types import TimedText

_LISTEN = 5  # stretches by which a language is told; however many are transcribed at once
_SQUEEZED = 2.4  # compression from which a text is a model going round in circles
_LEAST = 0.001  # seconds of a line


@dataclass(frozen=True, slots=True)
class Transcript:
    """What is said: ``lines`` in order, in ``language`` where that is known, heard by ``model``."""

    lines: tuple[TimedText, ...]
    language: str | None
    model: str


def transcribe(
    sounds: Iterable[Sound],
    transcriber: Transcriber,
    *,
    language: str | None = None,
    batch: int = 8,
    progress: Callable[[float], None] = lambda _: None,
) -> Transcript:
    """What is said in a sound, told apart from silence, noise and a model's inventions.

    Args:
        sounds: at ``voice.RATE``, each going on where the one before ended.
        language: code of the language spoken; by default the model tells, if it can.
        batch: stretches of speech transcribed at once; does not change the result.
        progress: told how far the sound has been heard, in seconds; several times while a model
            works.

    Raises:
        ConfigError: the model does not know the language.
        ModelError: the model fails.
        MediaError: as ``sounds`` raises it.
    """
    reached = 0.0

    def watched() -> Iterator[Sound]:
        nonlocal reached
        for sound in sounds:
            reached = sound.start
            progress(reached)
            yield sound

    def beat() -> None:
        progress(reached)

    spoken = transcriber.known(language) if language else None
    coming = stretches(watched(), transcriber.longest)
    if spoken is None:
        first = list(islice(coming, _LISTEN))
        spoken = transcriber.detect(first, beat)
        coming = chain(first, coming)
    heard: list[TimedText] = []
    while several := list(islice(coming, batch)):
        for stretch, lines in zip(several, transcriber.hear(several, spoken, beat), strict=True):
            heard += _placed(stretch, lines)
    return Transcript(tuple(_sensible(heard)), spoken or language, transcriber.name)


def _placed(stretch: Speech, lines: Sequence[TimedText]) -> Iterator[TimedText]:
    """Lines on the clock of the video, in order; what is heard after the stretch is made up."""
    before = 0.0
    for line in lines:
        start, end = max(line.start, before), min(line.end, stretch.seconds)
        if start + _LEAST <= end:
            before = end
            yield replace(line, start=stretch.start + start, end=stretch.start + end)


def _sensible(lines: Iterable[TimedText]) -> Iterator[TimedText]:
    """Lines that say something, without those in which a model repeats itself."""
    before = ""
    for line in lines:
        text = " ".join(line.text.split())
        data = text.encode()
        said = "".join(letter for letter in text.casefold() if letter.isalnum())
        if said and said != before and len(data) <= _SQUEEZED * len(zlib.compress(data)):
            before = said
            yield replace(line, text=text)
