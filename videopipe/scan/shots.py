"""Hard cuts, found in the signals of the scan and placed exactly by the file's key frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from videopipe.scan.signals import HUES, SCREEN_BACKDROP, Signals

_Floats = NDArray[np.float64]

_CUT = 0.32  # difference from which a change may be a cut
_SURE = 0.55  # difference that is a cut wherever it stands
_RISE = 1.7  # a cut stands out from its neighbourhood by this factor
_ENCODER = 0.75  # these limits where the encoder, too, saw a new scene
_NEIGHBOURS = 3  # samples on either side
_PART, _WHOLE = 0.35, 0.65  # share of the picture that is new: within a shot, at a cut
_NOISE = 4.0  # grey levels: weaker structure is not compared
_STOOD, _WENT = 0.8, 0.6  # share of the strokes read that are left: same slide, another
_FLASH = 40.0  # grey levels by which a flash outshines both of its neighbours
BLACK_LUMA = 20.0  # mean brightness below which a frame without contrast is black
BLACK_CONTRAST = 2.5


def find_cuts(signals: Signals, keyframes: Sequence[float] | NDArray[np.float64]) -> list[float]:
    """Times at which a new shot begins, ascending, without 0.

    A cut is a change of colour and structure that stands out from its neighbourhood and is no
    flash; a new slide is one, too. A black stretch belongs to the shot before it, so that a fade is
    one cut, where the picture comes back.

    Args:
        keyframes: seconds, ascending. Encoders start a new group of pictures at a cut, so when
            exactly one lies between two samples, the cut is there; else it is at the later sample.
    """
    times, keyframes = signals.times, np.asarray(keyframes, dtype=np.float64)
    if len(times) < 2:
        return []
    step = np.array([0.0] + [_difference(signals, i - 1, i) for i in range(1, len(times))])
    black = black_frames(signals)
    scenes = _scene_keyframes(keyframes)
    found = []
    for i in range(1, len(times)):
        scene = np.searchsorted(scenes, times[i], "right") > np.searchsorted(
            scenes, times[i - 1], "right"
        )
        ease = _ENCODER if scene else 1.0
        stands_out = step[i] >= ease * max(_CUT, min(_SURE, _RISE * _surroundings(step, i)))
        new_slide = _is_new_slide(signals, i)
        if black[i] or not (black[i - 1] or stands_out or new_slide):
            continue
        if not black[i - 1] and (_is_flash(signals, i) or _is_flash(signals, i - 1)):
            continue
        inside = keyframes[(keyframes > times[i - 1]) & (keyframes <= times[i])]
        found.append(float(inside[0] if len(inside) == 1 else times[i]))
    return found


def black_frames(signals: Signals) -> NDArray[np.bool_]:
    """Which samples show nothing, ``[T]``."""
    return (signals.luma < BLACK_LUMA) & (signals.contrast < BLACK_CONTRAST)


def _scene_keyframes(keyframes: _Floats) -> _Floats:
    """The key frames that came before the encoder had to set one: it saw a new scene."""
    if len(keyframes) < 2:
        return keyframes[:0]
    spacing = np.diff(keyframes)
    forced = spacing > 0.98 * spacing.max()
    return keyframes[1:] if forced.sum() == 1 else keyframes[1:][~forced]


def _is_flash(signals: Signals, i: int) -> bool:
    """A single bright sample between two that agree."""
    if not 0 < i < len(signals) - 1:
        return False
    around = max(signals.luma[i - 1], signals.luma[i + 1])
    return bool(signals.luma[i] > around + _FLASH) and _difference(signals, i - 1, i + 1) < _CUT


def _surroundings(step: _Floats, i: int) -> float:
    """Typical difference near sample ``i``, itself left out."""
    near = np.concatenate([step[max(1, i - _NEIGHBOURS) : i], step[i + 1 : i + 1 + _NEIGHBOURS]])
    return float(np.median(near)) if len(near) else 0.0


def _is_new_slide(signals: Signals, i: int) -> bool:
    """Text that stood on a slide or screen until now has gone; more lines on it do not count."""
    drawn = min(signals.backdrop[i - 1 : i + 1]) >= SCREEN_BACKDROP
    stood = signals.text_kept[i - 1] >= _STOOD and signals.text_fresh[i - 1] == 0
    return bool(drawn and stood and signals.text_kept[i] <= _WENT)


def _difference(signals: Signals, i: int, j: int) -> float:
    """How different two samples are, 0-1: half colour (blind to motion), half structure."""
    return 0.5 * _colour(signals, i, j) + 0.5 * _structure(signals, i, j)


def _colour(signals: Signals, i: int, j: int) -> float:
    a, b = (_soft(signals.histogram[k]) for k in (i, j))
    return float(np.abs(a - b).sum() / max(a.sum() + b.sum(), 1.0))


def _soft(histogram: NDArray[np.uint8]) -> _Floats:
    """Spread each bin over its neighbours, so that a small drift is a small difference."""
    bins = histogram.astype(np.float64).reshape(HUES, 4, 4)
    bins = bins + 0.5 * (np.roll(bins, 1, 0) + np.roll(bins, -1, 0))
    for axis in (1, 2):
        padded = np.pad(bins, [(1, 1) if a == axis else (0, 0) for a in range(3)])
        before, after = (np.take(padded, range(k, k + 4), axis) for k in (0, 2))
        bins = bins + 0.5 * (before + after)
    return bins


def _structure(signals: Signals, i: int, j: int) -> float:
    """How unlike the layouts are, 0-1, as far as most of the picture is new.

    A thing that crosses the picture changes a part of it. The median is taken out, so that
    automatic exposure changes nothing.
    """
    a, b = (signals.thumb[k].astype(np.float64) for k in (i, j))
    visible = np.clip((a.mean() + b.mean()) / 10, 6.0, 16.0)  # grey levels; less in the dark
    a, b = a - np.median(a), b - np.median(b)
    noise = len(a) * _NOISE**2
    unlike = 1.0 - (a @ b + noise) / (np.sqrt((a @ a) * (b @ b)) + noise)
    new = np.mean(np.abs(a - b) > visible)
    return float(min(unlike, 1.0) * np.clip((new - _PART) / (_WHOLE - _PART), 0.0, 1.0))
