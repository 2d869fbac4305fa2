"""Where somebody may be speaking, and the stretches of sound worth transcribing.

Speech is louder than what is around it, goes up and down, and is neither a tone nor a hiss. That is
measured on frames of 32 ms, 50 a second; music may pass for speech, steady noise does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from videopipe.media import Sound

RATE = 16_000
"""Samples a second of all sound here."""

_HOP, _SIZE = 320, 512  # samples
_FRAMES = RATE // _HOP  # a second
_BAND = slice(6, 129)  # of the spectrum: 190 to 4000 Hz
_SECTION = 10 * _FRAMES  # frames looked at together; the quiet is measured over three of them
_SILENT = -60.0  # dB of full scale; below it nothing can be made out
_LEAST, _MOST = 3.0, 8.0  # dB above the quiet from which there is a voice
_SHARE = 0.35  # of the way from the quiet to the loud, between these bounds
_HISS = 0.35  # spectral flatness of the band; that of noise is 0.56
_TONE = 0.9  # share of the band's energy in one peak
_PEAK = 2  # bins to either side that belong to a peak
_VOICED = 6  # frames of a voice, neither tone nor hiss, in a stretch that is kept
_VOICED_SHARE = 0.2  # of its loud frames
_RANGE = 3.0  # dB between the quieter and the louder frames of a stretch that is no noise
_PAUSE = int(1.5 * _FRAMES)  # frames of quiet that end a stretch
_PAD = int(0.2 * _FRAMES)  # frames kept before and after: consonants are quiet
_SMOOTH = 10  # frames over which the quietest moment is looked for

_Levels = NDArray[np.float64]
_Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Speech:
    """A stretch of sound from ``start`` s on: ``samples`` float32 ``[N]``, mono, at ``RATE``."""

    start: float
    samples: NDArray[np.float32] = field(repr=False)

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.samples) / RATE


def stretches(sounds: Iterable[Sound], longest: float = 30.0) -> Iterator[Speech]:
    """The stretches of at most ``longest`` seconds in which somebody may speak, in order.

    They are cut at pauses, at the quietest moment where there is none in time, and never overlap.
    Memory is bounded however long the sound is.

    Args:
        sounds: at ``RATE``, each going on where the one before ended.
    """
    most = int(longest * _FRAMES)
    tape: _Tape | None = None
    for section in _sections(sounds):
        tape = section if tape is None else tape.joined(section)
        while (cut := _next(tape, most)) is not None:
            first, after, is_speech = cut
            if is_speech:
                yield Speech(tape.start + first / _FRAMES, tape.sound(first, after))
            tape = tape.after(after)
        if not tape.loud.any():
            tape = tape.after(max(tape.frames - _PAD, 0))


@dataclass(frozen=True, slots=True)
class _Tape:
    """Sound that is not yet dealt with and what was measured of its frames, ``[F]`` each."""

    start: float
    samples: NDArray[np.float32]
    levels: _Levels
    voiced: _Flags
    loud: _Flags
    last: bool

    @property
    def frames(self) -> int:
        return len(self.levels)

    def joined(self, other: _Tape) -> _Tape:
        return _Tape(
            self.start,
            np.concatenate((self.samples, other.samples)),
            np.concatenate((self.levels, other.levels)),
            np.concatenate((self.voiced, other.voiced)),
            np.concatenate((self.loud, other.loud)),
            other.last,
        )

    def after(self, frame: int) -> _Tape:
        return _Tape(
            self.start + frame / _FRAMES,
            self.samples[frame * _HOP :],
            self.levels[frame:],
            self.voiced[frame:],
            self.loud[frame:],
            self.last,
        )

    def sound(self, first: int, after: int) -> NDArray[np.float32]:
        return self.samples[first * _HOP : after * _HOP].copy()


def _next(tape: _Tape, most: int) -> tuple[int, int, bool] | None:
    """The next stretch as its frames and whether it is speech; ``None``: more must be heard."""
    loud = np.flatnonzero(tape.loud)
    if not len(loud):
        return None
    first = max(int(loud[0]) - _PAD, 0)
    gaps = np.flatnonzero(np.diff(loud) > _PAUSE)
    end = int(loud[gaps[0]] if len(gaps) else loud[-1]) + 1
    if not len(gaps) and not tape.last and tape.frames - end <= _PAUSE and end - first <= most:
        return None
    after = min(end + _PAD, tape.frames)
    if after - first > most:
        after = min(_quietest(tape.levels, first + most // 2, first + most), first + most)
    inside = slice(first, after)
    return first, after, _is_speech(tape.levels[inside], tape.loud[inside], tape.voiced[inside])


def _quietest(levels: _Levels, first: int, after: int) -> int:
    """The frame in the middle of the quietest moment."""
    sums = np.convolve(levels[first:after], np.ones(_SMOOTH), "valid")
    return first + int(sums.argmin()) + _SMOOTH // 2


def _is_speech(levels: _Levels, loud: _Flags, voiced: _Flags) -> bool:
    heard = levels[loud]
    count = int((loud & voiced).sum())
    if count < max(_VOICED, _VOICED_SHARE * len(heard)):
        return False
    quieter, louder = np.percentile(heard, (10, 90))
    return bool(louder - quieter >= _RANGE)


def _sections(sounds: Iterable[Sound]) -> Iterator[_Tape]:
    """Sound in sections, each measured against the quiet around it."""
    around: list[_Tape] = []
    for section in _measured(sounds):
        around.append(section)
        if len(around) > 1:
            yield _against(around[-2], around)
            del around[:-2]
    if around:
        yield _against(around[-1], around)


def _against(section: _Tape, around: list[_Tape]) -> _Tape:
    """The section with its loud frames."""
    quiet, high = np.percentile(np.concatenate([some.levels for some in around]), (10, 95))
    quiet = max(float(quiet), _SILENT)
    above = min(max(_SHARE * (float(high) - quiet), _LEAST), _MOST)
    return replace(section, loud=section.levels > quiet + above)


def _measured(sounds: Iterable[Sound]) -> Iterator[_Tape]:
    """Sections of which it is not yet known what is loud."""
    start: float | None = None
    parts: list[NDArray[np.float32]] = []
    size, whole = 0, _SECTION * _HOP
    for sound in sounds:
        start = sound.start if start is None else start
        parts.append(sound.samples)
        size += len(sound.samples)
        while size >= whole + _SIZE:
            samples = np.concatenate(parts)
            yield _measure(start, samples[:whole], samples[: whole + _SIZE - _HOP], last=False)
            parts, size = [samples[whole:]], size - whole
            start += whole / RATE
    if start is not None and size:
        samples = np.concatenate(parts)
        padded = np.zeros((-(-size // _HOP) - 1) * _HOP + max(_SIZE, size % _HOP), np.float32)
        padded[:size] = samples[: len(padded)]
        yield _measure(start, samples, padded, last=True)


def _measure(
    start: float, samples: NDArray[np.float32], framed: NDArray[np.float32], last: bool
) -> _Tape:
    """Level in dB and whether it may be a voice, of each frame of 32 ms of ``framed``."""
    windows = np.lib.stride_tricks.sliding_window_view(framed, _SIZE)[::_HOP]
    spectrum = np.fft.rfft(windows * np.hanning(_SIZE).astype(np.float32))[:, _BAND]
    power = (np.abs(spectrum) ** 2).astype(np.float64) + 1e-12
    total = power.sum(axis=1)
    levels = 10 * np.log10(total / (_SIZE * _SIZE / 16))  # 0 is the loudest sine there can be
    flatness = np.exp(np.log(power).mean(axis=1)) / power.mean(axis=1)
    near = power.argmax(axis=1)[:, None] + np.arange(2 * _PEAK + 1)
    peak = np.take_along_axis(np.pad(power, ((0, 0), (_PEAK, _PEAK))), near, axis=1).sum(axis=1)
    voiced = (flatness < _HISS) & (peak < _TONE * total)
    return _Tape(start, samples, levels, voiced, np.zeros_like(voiced), last)
