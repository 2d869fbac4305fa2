"""Measured statements about a clip, in the words a person would search for.

Nothing is guessed: a sentence stands only where its measurement is clear, and each has the time
for which it was measured.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from videopipe.describe.colours import dominant_colours
from videopipe.describe.faces import Faces
from videopipe.scan import Signals
from videopipe.scan.shots import black_frames
from videopipe.scan.signals import SCREEN_BACKDROP
from videopipe.types import Clip, ClipText, TimedText

_Mask = NDArray[np.bool_]
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")

_DARK, _BRIGHT = 45.0, 180.0  # mean grey level
_GREY_ONLY = 1.5  # spread of the colour channels that compression leaves in a grey picture
_GREY_FILM = 25.0  # contrast of a grey picture that shows something
_COLOURFUL = 2  # colours besides greys and browns
_SCREEN_TEXT = 0.005  # share of the picture that looks like text on a slide
_FAST_SHOT = 3.0  # seconds a shot lasts on average where cutting is fast
_STILL = 0.005  # share of the picture that changes in a second where nothing moves
_MOTION = 30.0  # mean grey level difference in a second from which there is a lot of motion
_ANCHORED, _ADRIFT = 0.65, 0.35  # share of the edges that stay: before a fixed, a moving camera
_CHANGES = 0.5  # share of the picture that changes when the whole view moves
_PAN = 0.02  # pictures a second that a pan covers at least
_TRUST = 0.3  # how well one shift must explain the change
_STEADILY = 0.6  # share of the steps that go the same way in a pan
_CLOSE_UP, _FAR = 0.3, 0.12  # height of a face by that of the picture


def facts_texts(
    clips: Sequence[Clip], signals: Signals, cuts: Sequence[float], faces: Sequence[Faces] = ()
) -> list[ClipText]:
    """One document of short sentences for each clip of which anything was sampled."""
    texts = []
    for clip in clips:
        lines = tuple(_facts(clip, signals, cuts, faces))
        if lines:
            texts.append(ClipText(clip, "facts", " ".join(t.text for t in lines), lines, "en"))
    return texts


def frames_to_look_at(
    clips: Sequence[Clip], signals: Signals, keyframes: NDArray[np.float64]
) -> list[float]:
    """Up to three times a clip, ascending, at which to look for faces.

    Key frames, because they cost the least to decode: of each third of the clip the one nearest
    its middle, or the middle of the clip where it has none.
    """
    black = signals.times[black_frames(signals)]
    wanted: set[float] = set()
    for clip in clips:
        thirds = np.linspace(clip.start, clip.end, 4)
        found = []
        for start, end in pairwise(thirds.tolist()):
            inside = keyframes[(keyframes >= start) & (keyframes < end)]
            if len(inside):
                found.append(float(inside[np.argmin(np.abs(inside - (start + end) / 2))]))
        wanted |= set(found or [(clip.start + clip.end) / 2])
    return sorted(t for t in wanted if not len(black) or np.abs(black - t).min() > 0.5)


def _facts(
    clip: Clip, signals: Signals, cuts: Sequence[float], faces: Sequence[Faces]
) -> Iterator[TimedText]:
    inside = np.flatnonzero((signals.times >= clip.start) & (signals.times < clip.end))
    if not len(inside):
        return
    black = black_frames(signals)
    shown = inside[~black[inside]]

    def whole(text: str) -> TimedText:
        return TimedText(clip.start, clip.end, text)

    for start, end in _runs(clip, signals, black):
        yield TimedText(start, end, "The screen is black.")
    if not len(shown):
        return
    screen = (signals.backdrop >= SCREEN_BACKDROP) & (signals.text >= _SCREEN_TEXT)
    is_screen = float(np.mean(screen[shown])) > 0.5
    if is_screen:
        yield whole("A slide or screen with text.")
    else:
        yield whole(_shots(clip, cuts))
    for text in (_picture(signals, shown), _brightness(signals, shown)):
        if text:
            yield whole(text)
    # A step across a cut says nothing about motion.
    shots = [bisect_right(list(cuts), float(time)) for time in signals.times[shown]]
    steps = shown[1:][(np.diff(shots) == 0) & (np.diff(shown) == 1)]
    for text in (_motion(signals, steps), "" if is_screen else _camera(signals, steps)):
        if text:
            yield whole(text)
    yield from _people(clip, cuts, faces)


def _runs(clip: Clip, signals: Signals, mask: _Mask) -> Iterator[tuple[float, float]]:
    """Stretches of the clip in which ``mask`` holds, as ``(start, end)``."""
    times = np.append(signals.times, clip.end)
    start: float | None = None
    for i in np.flatnonzero((signals.times >= clip.start) & (signals.times < clip.end)):
        if mask[i] and start is None:
            start = float(times[i])
        if start is not None and (not mask[i] or times[i + 1] >= clip.end):
            yield start, float(min(times[i + 1] if mask[i] else times[i], clip.end))
            start = None


def _shots(clip: Clip, cuts: Sequence[float]) -> str:
    count = 1 + sum(clip.start < cut < clip.end for cut in cuts)
    if count == 1:
        return "One continuous shot."
    fast = (clip.end - clip.start) / count <= _FAST_SHOT
    return (
        f"Fast cutting, {_count(count)} shots." if fast else f"{_count(count)} shots.".capitalize()
    )


def _picture(signals: Signals, shown: NDArray[np.intp]) -> str:
    grey = np.percentile(signals.colourfulness[shown], 95) < _GREY_ONLY
    # A blank or nearly black picture has no colour either, and is no black and white film.
    if grey and np.median(signals.contrast[shown]) > _GREY_FILM:
        return "Black and white footage."
    colours = dominant_colours(signals.histogram[shown].sum(0, dtype=np.float64))
    accents = [] if grey else colours.accents
    some = f" with some {_listed(accents)}" if accents else ""
    if colours.main:
        return f"A mostly {_listed(colours.main)} picture{some}."
    return f"A colourful picture{some}." if len(accents) >= _COLOURFUL else ""


def _brightness(signals: Signals, shown: NDArray[np.intp]) -> str:
    luma = float(np.median(signals.luma[shown]))
    return "A dark scene." if luma < _DARK else "A bright picture." if luma > _BRIGHT else ""


def _motion(signals: Signals, steps: NDArray[np.intp]) -> str:
    if len(steps) < 2:
        return ""
    if np.median(signals.changed[steps]) < _STILL:
        return "Almost nothing moves."
    return "A lot of motion." if np.median(signals.motion[steps]) > _MOTION else ""


def _camera(signals: Signals, steps: NDArray[np.intp]) -> str:
    if len(steps) < 2:
        return ""
    anchored = float(np.median(signals.anchored[steps]))
    if anchored >= _ANCHORED:
        return "The camera is still."
    shift = signals.shift[steps] * (signals.shift_trust[steps] >= _TRUST)[:, None]
    # The picture moves against the camera.
    ways = {
        "pans left": shift[:, 0] >= _PAN,
        "pans right": shift[:, 0] <= -_PAN,
        "tilts up": shift[:, 1] >= _PAN,
        "tilts down": shift[:, 1] <= -_PAN,
    }
    way = max(ways, key=lambda way: int(ways[way].sum()))
    if np.mean(ways[way]) >= _STEADILY:
        return f"The camera {way}."
    moving = anchored <= _ADRIFT and float(np.median(signals.changed[steps])) >= _CHANGES
    return "The camera moves." if moving else ""


def _people(clip: Clip, cuts: Sequence[float], faces: Sequence[Faces]) -> Iterator[TimedText]:
    """One sentence a shot: the most faces that were seen in it."""
    edges = [clip.start, *(cut for cut in cuts if clip.start < cut < clip.end), clip.end]
    for start, end in pairwise(edges):
        seen = [face for face in faces if start <= face.time < end and face.count]
        if not seen:
            continue
        most = max(seen, key=lambda face: (face.count, face.largest))
        if most.count == 1:
            size = ", close up" if most.largest >= _CLOSE_UP else ""
            size = ", far away" if most.largest < _FAR else size
            yield TimedText(start, end, f"A person's face{size}.")
        else:
            yield TimedText(start, end, f"{_count(most.count)} people's faces.".capitalize())


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _count(number: int) -> str:
    return _NUMBERS[number] if number < len(_NUMBERS) else str(number)
