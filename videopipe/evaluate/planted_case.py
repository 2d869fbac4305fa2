"""What a selector is told about a planted film, measured from its decoded pixels, and the truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videopipe.evaluate._planted_shots import COLOURS, Shape, Thing, outline
from videopipe.evaluate.frame_metrics import Scene
from videopipe.evaluate.planted import Kind, Planted, plan, render
from videopipe.media import probe, scan
from videopipe.scan import Signals, find_cuts, measure
from videopipe.scan.landmarks import LandmarkTracker
from videopipe.select import Candidates, Landmarks
from videopipe.types import FrameBatch

Floats = NDArray[np.float64]

_VERSION = 1  # of films and what is measured of them; other ones in a folder are not used
# How sure a score is, as of an image-text model: it is never 0, rises a little where the colour is
# about, more for the colour or the shape alone, and trembles.
_USUAL, _ABOUT, _MOST = 0.22, 0.12, 0.55
_OF_COLOUR, _OF_SHAPE = 0.35, 0.25
_TREMBLE, _DRIFT, _DRIFT_SECONDS = 0.045, 0.03, 20.0
_POSES = (0.75, 1.0)  # share of its score that a thing gets by its pose
_VIVID, _BRIGHT = 130, 60  # saturation and value of a thing, of 255
_HUE = 9  # half the width of a colour, of 180
_LEAST = 60  # pixels of a thing
_LARGE = 900  # pixels from which size does not matter
_SIDE = 24  # pixels of the mask that shapes are compared by
_LIKE = (0.62, 0.92)  # intersection over union: nothing alike, the same


@dataclass(frozen=True, eq=False)
class Case:
    """A question about a film, the candidates of its scan, and what must be seen.

    ``truth`` are the landmarks that the candidates of a walk truly see.
    """

    kind: Kind
    seed: int
    question: str
    candidates: Candidates
    scenes: tuple[Scene, ...]
    truth: Landmarks | None = None


def planted_case(kind: Kind, seed: int, folder: Path, seconds: float | None = None) -> Case:
    """The case of a kind and seed; the film and what is measured stay in ``folder``.

    What is there already is used again.

    Raises:
        ConfigError: as :func:`videopipe.evaluate.planted.plan`.
    """
    film = plan(kind, seed, seconds)
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{kind}-{seed}-{film.seconds:g}-v{_VERSION}"
    measured = folder / f"{stem}.npz"
    if not measured.exists():
        video = folder / f"{stem}.mp4"
        if not video.exists():
            render(film, video)
        arrays = _measured(film, video)
        unfinished = measured.with_suffix(".part")
        with unfinished.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
        unfinished.replace(measured)
    with np.load(measured) as arrays:
        return _case(film, arrays)


def _case(film: Planted, arrays: Any) -> Case:
    candidates = Candidates(
        times=arrays["times"],
        relevance=arrays["relevance"],
        features=arrays["features"],
        landmarks=Landmarks(arrays["offsets"], arrays["ids"]),
        cuts=arrays["cuts"],
        duration=float(arrays["duration"]),
    )
    truth = film.landmarks(candidates.times) if film.kind == "space" else None
    return Case(film.kind, film.seed, film.question, candidates, film.scenes, truth)


def _measured(film: Planted, video: Path) -> dict[str, NDArray[Any]]:
    info = probe(video)
    tracker = LandmarkTracker()
    answers: list[float] = []

    def watched() -> Iterator[FrameBatch]:
        for batch in scan(info):
            for time, frame in zip(batch.times.tolist(), batch.frames, strict=True):
                tracker.add(time, frame)
                answers.append(resemblance(frame, film.thing) if film.thing else 0.0)
            yield batch

    signals = measure(watched())
    cuts = find_cuts(signals, info.keyframes)
    landmarks = tracker.landmarks(cuts)
    return {
        "times": signals.times,
        "relevance": relevance(np.array(answers), film.seed),
        "features": features(signals),
        "offsets": landmarks.offsets,
        "ids": landmarks.ids,
        "cuts": np.array(cuts),
        "duration": np.array(info.duration),
    }


def relevance(answers: Floats, seed: int) -> Floats:
    """Resemblances as a model would tell them, ``[N]``, 0-1: with a level and with noise.

    Where nothing is asked for, all resemblances are 0 and noise is left.
    """
    rng = np.random.default_rng([seed, 6])
    keep = np.exp(-1 / _DRIFT_SECONDS)
    drift = np.zeros(len(answers))
    for at, push in enumerate(rng.standard_normal(len(answers))):
        drift[at] = keep * drift[at - 1] + np.sqrt(1 - keep**2) * push
    noise = _TREMBLE * rng.standard_normal(len(answers)) + _DRIFT * drift
    posed = answers * rng.uniform(*_POSES, len(answers))
    return np.clip(_USUAL + _MOST * posed + noise, 0.0, 1.0)


def features(signals: Signals) -> NDArray[np.float32]:
    """Colours and layout of each frame, ``[N, 336]`` of unit length."""
    colours = np.sqrt(signals.histogram.astype(np.float64))
    layout = signals.thumb - signals.thumb.mean(1, keepdims=True)
    halves = [
        part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-9)
        for part in (colours, layout)
    ]
    joined: NDArray[np.float32] = (np.concatenate(halves, 1) / np.sqrt(2)).astype(np.float32)
    return joined


def resemblance(frame: NDArray[np.uint8], thing: Thing) -> float:
    """How much a frame looks like showing a thing, 0-1.

    Vivid blobs are compared with the thing: its colour counts, its shape counts, both of one blob
    count most, small ones less. Its hue elsewhere in the picture counts a little.
    """
    import cv2

    hue, saturation, value = cv2.split(cv2.cvtColor(frame, cv2.COLOR_RGB2HSV))
    vivid = (saturation > _VIVID) & (value > _BRIGHT)
    best = 0.0
    for colour, centre in _hues().items():
        away = np.abs((hue.astype(np.int16) - centre + 90) % 180 - 90)
        mask = (vivid & (away <= _HUE)).astype(np.uint8)
        same = 1.0 if colour == thing.colour else 0.0
        for fit, area in _blobs(mask, thing.shape):
            like = _OF_COLOUR * same + _OF_SHAPE * fit
            like += (1 - _OF_COLOUR - _OF_SHAPE) * same * fit
            best = max(best, like * min(1.0, area / _LARGE) ** 0.35)
        if same:
            about = float(((away <= 2 * _HUE) & (saturation > _VIVID / 3)).mean())
    return min(1.0, best + _ABOUT / _MOST * min(1.0, 3 * about))


def _blobs(mask: NDArray[np.uint8], shape: Shape) -> Iterator[tuple[float, int]]:
    """How well each connected part of a mask fits a shape, 0-1, and its pixels."""
    import cv2

    if np.count_nonzero(mask) < _LEAST:
        return
    _, labels, boxes, _ = cv2.connectedComponentsWithStats(mask)
    model = _mask(shape)
    low, high = _LIKE
    for label, (left, top, width, height, area) in enumerate(boxes.tolist()):
        if label and area >= _LEAST:
            part = (labels[top : top + height, left : left + width] == label).astype(np.float32)
            held = cv2.resize(part, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA) >= 0.5
            overlap = float((held & model).sum() / (held | model).sum())
            aspect = min(width, height) / max(width, height)
            yield float(np.clip((overlap - low) / (high - low), 0, 1)) * aspect, area


def _mask(shape: Shape) -> NDArray[np.bool_]:
    """A shape that fills its box."""
    import cv2

    corners = outline(shape)
    corners = (corners - corners.min(0)) / np.ptp(corners, axis=0) * (_SIDE * 8 - 1)
    large = cv2.fillPoly(
        np.zeros((_SIDE * 8, _SIDE * 8), np.uint8), [np.round(corners).astype(np.int32)], 255
    )
    mask: NDArray[np.bool_] = cv2.resize(large, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA) >= 128
    return mask


def _hues() -> dict[str, int]:
    """The hue of each colour, 0-180."""
    import cv2

    paints = np.array([[*COLOURS.values()]], np.uint8)
    hues = cv2.cvtColor(paints, cv2.COLOR_RGB2HSV)[0, :, 0]
    return dict(zip(COLOURS, hues.tolist(), strict=True))
