"""Films with planted events: rendered from a seed, so that it is known when evidence is shown.

Every film comes with one question about it and the scenes that the answer needs. What a selector
is told about the film is measured from its decoded pixels, in ``planted_case``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from videopipe.errors import ConfigError
from videopipe.evaluate._planted_shots import (
    COLOURS,
    HEIGHT,
    SHAPES,
    WIDTH,
    Event,
    Scenery,
    Shot,
    Thing,
    grain,
)
from videopipe.evaluate.frame_metrics import Scene
from videopipe.evaluate.rooms import Camera, House, walk
from videopipe.select import Landmarks

Kind = Literal["single", "several", "distractors", "near-duplicates", "overview", "space"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_RATE, _WALK_RATE = 4, 2  # frames a second
_LEAST = 60.0  # seconds of a film
_MINUTES = (8.0, 20.0)
_BEFORE = 0.01  # s: a scene ends just before the frame that shows it no more
_APART = 8.0  # seconds between two events with the thing that is asked for
_X264 = {
    "preset": "ultrafast",
    "tune": "fastdecode",
    "crf": "30",
    "scenecut": "40",  # off in this preset
    "rc-lookahead": "4",
    "threads": "1",
}
_ASKED: dict[Kind, tuple[str, ...]] = {
    "single": (
        "When does the {} appear?",
        "What happens while the {} is on the screen?",
        "Does the {} move while it can be seen, or does it stand still?",
        "How long can the {} be seen?",
    ),
    "several": (
        "How many times does a {} appear?",
        "At which moments is a {} shown?",
        "How often does a {} come up, and for how long each time?",
        "Every time a {} appears, does it move?",
    ),
    "distractors": (
        "How often is a {} shown, leaving aside everything that only looks like it?",
        "Which of the coloured figures are a {}, and when are they shown?",
        "How many times does a {} appear?",
        "When is there a {} in the picture?",
    ),
    "near-duplicates": (
        "On which occasions is a {} seen?",
        "How many different scenes show a {}?",
        "Is a {} always the same size when it is shown?",
        "Against which backgrounds does a {} appear?",
    ),
    "overview": (
        "What is this video about?",
        "Summarize the video.",
        "Describe the whole film from beginning to end.",
        "How does the scenery change over the course of the film?",
    ),
    "space": (
        "How many rooms are there, and how are they connected?",
        "What is the layout of this apartment?",
        "How large is the home in square metres?",
        "Which room lies next to the one where the walk begins?",
    ),
}


@dataclass(frozen=True, slots=True)
class Planted:
    """A film before it is rendered, its question, and what must be seen to answer it.

    Attributes:
        kind: ``single``: one short event. ``several``: three to six, of different lengths.
            ``distractors``: some among many look-alikes. ``near-duplicates``: one that stands for
            minutes in an unmoving picture, and short ones elsewhere. ``overview``: all the shots
            are asked for. ``space``: a walk through rooms.
        seconds: its length.
        thing: what the question asks for, None where it is no thing.
        scenes: the intervals of each scene in seconds, both ends inside.
        shots, events: what is shown; none in a walk.
    """

    kind: Kind
    seed: int
    seconds: float
    question: str
    thing: Thing | None
    scenes: tuple[Scene, ...]
    shots: tuple[Shot, ...] = ()
    events: tuple[Event, ...] = ()

    @property
    def rate(self) -> int:
        """Frames a second."""
        return _WALK_RATE if self.kind == "space" else _RATE

    def landmarks(self, times: ArrayLike) -> Landmarks:
        """The landmarks that are truly seen at some times of a walk, for each of them."""
        house = House(self.seed)
        camera = Camera(house, WIDTH, HEIGHT)
        poses = walk(house, self.seed, self.seconds, self.rate)
        frames = np.floor(np.asarray(times) * self.rate + 1e-6).astype(np.int64)
        return Landmarks.of(camera.landmarks(poses[frame]) for frame in frames)


def plan(kind: Kind, seed: int, seconds: float | None = None) -> Planted:
    """Think of a film.

    Args:
        seconds: its length, a minute at least; 8 to 20 minutes by the seed if None.

    Raises:
        ConfigError: there is no such kind of film, or it would be too short.
    """
    if kind not in KINDS:
        raise ConfigError(f"There is no kind of film '{kind}'; there are {', '.join(KINDS)}.")
    if seconds is not None and seconds < _LEAST:
        raise ConfigError(f"A planted film lasts {_LEAST:g} s or longer; got {seconds:g} s.")
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    length = float(round(seconds or rng.uniform(*_MINUTES) * 60))
    question = _ASKED[kind][int(rng.integers(len(_ASKED[kind])))]
    if kind == "space":
        return Planted(kind, seed, length, question, None, _stays(seed, length))
    shots = _shots(rng, length, still=kind == "near-duplicates")
    if kind == "overview":
        scenes = tuple(((shot.start, shot.end - _BEFORE),) for shot in shots)
        clutter = _clutter(rng, shots, _things(), 0.5)
        return Planted(kind, seed, length, question, None, scenes, shots, tuple(clutter))
    thing = _things()[int(rng.integers(len(_things())))]
    events = _evidence(rng, kind, thing, shots, length)
    others = [t for t in _things() if t.colour != thing.colour and t.shape != thing.shape]
    if kind == "distractors":
        extra = [*_look_alikes(rng, thing, events, length), *_clutter(rng, shots, others, 0.2)]
    else:
        extra = _clutter(rng, shots, others, 0.4)
    scenes = tuple(((event.start, event.end - _BEFORE),) for event in events)
    return Planted(
        kind, seed, length, question.format(thing), thing, scenes, shots, (*extra, *events)
    )


def render(film: Planted, path: Path) -> None:
    """Draw a film and encode it as H.264, replacing what is at ``path`` once it is finished."""
    import av

    unfinished = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        with av.open(unfinished, "w", format="mp4") as container:
            stream = container.add_stream("libx264", rate=film.rate, options=_X264)
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
            stream.codec_context.gop_size = 30 * film.rate
            for index, picture in enumerate(_pictures(film)):
                frame = av.VideoFrame.from_ndarray(_i420(picture), "yuv420p")
                frame.pts, frame.time_base = index, Fraction(1, film.rate)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _pictures(film: Planted) -> Iterator[NDArray[np.uint8]]:
    import cv2

    noise = grain(np.random.default_rng([film.seed, 5]))
    for index, picture in enumerate(_clean(film)):
        yield cv2.add(picture, noise[index * 7 % len(noise)])


def _clean(film: Planted) -> Iterator[NDArray[np.uint8]]:
    if film.kind == "space":
        house = House(film.seed)
        camera = Camera(house, WIDTH, HEIGHT)
        yield from map(camera.picture, walk(house, film.seed, film.seconds, film.rate))
    for shot in film.shots:
        scenery = Scenery(shot, film.seed * len(KINDS) + KINDS.index(film.kind))
        within = [e for e in film.events if e.start < shot.end and e.end > shot.start]
        for frame in range(round(shot.start * film.rate), round(shot.end * film.rate)):
            yield scenery.draw(frame / film.rate, within)


def _i420(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    import cv2

    converted: NDArray[np.uint8] = cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420)
    return converted


def _things() -> list[Thing]:
    return [Thing(colour, shape) for colour in COLOURS for shape in SHAPES]


def _on_grid(seconds: float) -> float:
    return round(seconds * _RATE) / _RATE


def _shots(rng: np.random.Generator, length: float, still: bool) -> tuple[Shot, ...]:
    """Shots of uneven lengths up to the end; now and then the film comes back to a place.

    ``still``: one of them is long and unmoving.
    """
    long = _on_grid(min(rng.uniform(90, 180), length / 4)) if still else 0.0
    most = min(110.0, length / 6)
    turn = rng.uniform(0.1, 0.6) * length
    shots: list[Shot] = []
    clock, places = 0.0, 0
    while clock < length:
        steady = still and clock >= turn
        if steady:
            still = False
            lasts = long
        else:
            lasts = _on_grid(float(np.clip(rng.lognormal(np.log(13.0), 0.9), 2.0, most)))
        end = clock + lasts if length - clock - lasts >= 2.0 else length
        place = places
        if places > 1 and rng.random() < 0.2:
            place = int(rng.integers(places - 1))
        else:
            places += 1
        shots.append(Shot(clock, end, place, steady))
        clock = end
    return tuple(shots)


def _evidence(
    rng: np.random.Generator, kind: Kind, thing: Thing, shots: tuple[Shot, ...], length: float
) -> list[Event]:
    """What the question asks for, in order of time."""
    lengths = {
        "single": rng.uniform(3, 6, 1),
        "several": rng.uniform(2, 12, int(rng.integers(3, 7))),
        "distractors": rng.uniform(3, 6, int(rng.integers(2, 5))),
        "near-duplicates": rng.uniform(3, 8, int(rng.integers(3, 5))),
    }[kind]
    taken: list[tuple[float, float]] = []
    events = []
    for shot in shots:
        if shot.still:
            taken.append((shot.start - _APART, shot.end + _APART))
            place = (rng.uniform(80, WIDTH - 80), rng.uniform(60, HEIGHT - 60))
            start = _on_grid(min(shot.start + 1, shot.end))
            events.append(Event(start, shot.end, thing, 32.0, place))
    for lasts in lengths.tolist():
        start, end = _free(rng, taken, _on_grid(lasts), length)
        taken.append((start - _APART, end + _APART))
        radius = rng.uniform(15, 22) if kind == "near-duplicates" else rng.uniform(16, 30)
        events.append(_moving(rng, start, end, thing, radius))
    return sorted(events, key=lambda event: event.start)


def _free(
    rng: np.random.Generator, taken: list[tuple[float, float]], lasts: float, length: float
) -> tuple[float, float]:
    """A stretch that overlaps none of ``taken``; with no room left any."""
    for _ in range(1000):
        start = _on_grid(rng.uniform(1.0, length - lasts - 1.0))
        if all(start >= end or start + lasts <= begin for begin, end in taken):
            break
    return start, start + lasts


def _moving(
    rng: np.random.Generator, start: float, end: float, thing: Thing, radius: float
) -> Event:
    """An event that stays inside the picture: from one place to another at even speed."""
    low, high = np.array([radius + 4, radius + 4]), np.array([WIDTH, HEIGHT]) - radius - 4
    first, last = rng.uniform(low, high), rng.uniform(low, high)
    speed = (last - first) / (end - start) * rng.choice([0.0, 0.5, 1.0])
    x, y = speed.tolist()
    return Event(start, end, thing, radius, (float(first[0]), float(first[1])), (x, y))


def _clutter(
    rng: np.random.Generator, shots: tuple[Shot, ...], things: list[Thing], share: float
) -> list[Event]:
    """Things that nobody asks for, in a share of the shots."""
    events = []
    for shot in shots:
        if rng.random() < share:
            thing = things[int(rng.integers(len(things)))]
            start = _on_grid(rng.uniform(shot.start, shot.end - 1))
            end = _on_grid(min(shot.end, start + rng.uniform(1, 15)))
            events.append(_moving(rng, start, end, thing, rng.uniform(8, 26)))
    return events


def _look_alikes(
    rng: np.random.Generator, thing: Thing, events: list[Event], length: float
) -> list[Event]:
    """Same colour and other shape, same shape and other colour, or both at once for a moment."""
    taken = [(event.start - 1, event.end + 1) for event in events]
    colours = [colour for colour in COLOURS if colour != thing.colour]
    shapes = [shape for shape in SHAPES if shape != thing.shape]
    found = []
    for _ in range(int(length // 40)):
        of_colour = Thing(thing.colour, shapes[int(rng.integers(len(shapes)))])
        of_shape = Thing(colours[int(rng.integers(len(colours)))], thing.shape)
        both = rng.random() < 0.25
        start, end = _free(rng, taken, _on_grid(rng.uniform(1, 2 if both else 8)), length)
        shown = (of_colour, of_shape) if both else (of_colour if rng.random() < 0.5 else of_shape,)
        found += [_moving(rng, start, end, one, rng.uniform(14, 30)) for one in shown]
    return found


def _stays(seed: int, length: float) -> tuple[Scene, ...]:
    """For each room that the walk comes to, when it is there."""
    house = House(seed)
    poses = walk(house, seed, length, _WALK_RATE)
    rooms = np.array([house.room(pose) for pose in poses])
    edges = np.concatenate([[0], np.flatnonzero(np.diff(rooms)) + 1, [len(rooms)]])
    stays: dict[int, list[tuple[float, float]]] = {}
    for first, last in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        interval = (first / _WALK_RATE, last / _WALK_RATE - _BEFORE)
        stays.setdefault(int(rooms[first]), []).append(interval)
    return tuple(tuple(stays[room]) for room in sorted(stays))
