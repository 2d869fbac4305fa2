"""The frames that a question may be answered from, and how well each fits it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videopipe.config import Config
from videopipe.library import Embedder, Library, Video
from videopipe.mllm.dual_encoder import load_encoder
from videopipe.scan import appearance
from videopipe.select import Candidates, Landmarks, Picks
from videopipe.select.candidates import Floats, Indices
from videopipe.select.relevance import fuse, spread, standardised
from videopipe.types import Clip

_NAMES = (
    *("times", "changed", "cuts", "complexity", "histogram", "thumb", "vectors"),
    *("landmarks.offsets", "landmarks.ids"),
)
_REREAD = 12  # texts whose lines are scored one by one
_BESIDE = 0.5  # share of a text's score that its span gets beside the lines that match
_MARGIN = 1.0  # seconds
_STILL = 1e-3  # share of the picture that may change in a frame that shows the same
_CELL = 3  # grey levels by which a cell of it may differ
_APART = 60.0  # seconds between two videos on the common clock


@dataclass(frozen=True, eq=False)
class Pool:
    """The scanned frames of some videos, one after the other on a common clock.

    Attributes:
        videos: whose frames these are.
        candidates: ``[N]`` frames; their times are on the common clock.
        owner: ``[N]`` the place in ``videos`` of each.
        times: ``[N]`` seconds in the video that it is from.
        signals: what the relevance was made of, ``[N]`` in 0-1 by name.
        clips: the clips of all videos, in order.
        clip: ``[N]`` the place in ``clips`` of each frame.
        changed: ``[N]`` share of the picture that differs from the frame before.
        thumb: ``[N, 144]`` the picture in grey cells.
    """

    videos: tuple[Video, ...]
    candidates: Candidates
    owner: Indices
    times: Floats
    signals: dict[str, Floats]
    clips: tuple[Clip, ...]
    clip: Indices
    changed: Floats
    thumb: NDArray[np.uint8]

    def without_copies(self, picks: Picks) -> Picks:
        """``picks`` without the frames that show just what the one before them shows.

        On a slide that stands, all tokens are worth more in one frame than in many.
        """
        moved = np.cumsum(self.changed)
        order = np.argsort(picks.indices)
        kept: list[int] = []
        for at in order.tolist():
            row, last = picks.indices[at], picks.indices[kept[-1]] if kept else None
            if last is None or self.clip[row] != self.clip[last]:
                kept.append(at)
                continue
            # What changes too slowly for a step to count adds up in the cells.
            apart = np.abs(self.thumb[row].astype(np.int16) - self.thumb[last]).max()
            if moved[row] - moved[last] > _STILL or apart > _CELL:
                kept.append(at)
        if len(kept) == len(order):
            return picks
        return Picks(
            picks.indices[kept],
            None if picks.weights is None else picks.weights[kept],
            None if picks.clips is None else picks.clips[kept],
            (*picks.why, f"{len(order) - len(kept)} frames that show the same are left out"),
        )

    def of_clip(self, clip: Clip) -> Indices:
        """The frames of a clip, ascending."""
        place = self.clips.index(clip)
        return np.arange(*np.searchsorted(self.clip, (place, place + 1)))


def gather(
    queries: Sequence[str],
    library: Library,
    videos: Sequence[Video],
    embedder: Embedder,
    config: Config,
) -> Pool:
    """All scanned frames of ``videos`` with their signals for ``queries``.

    Text relevance is there always; that of the frames themselves where the library holds their
    vectors by the encoder of the configuration.

    Args:
        queries: the question, and the question with each choice.
    """
    encoder = config.encoder.model
    held = [library.signals(video.video_id, _NAMES) for video in videos]
    inside = [
        arrays["times"] < max(v.duration, 1e-3) for arrays, v in zip(held, videos, strict=True)
    ]
    times = [arrays["times"][keep] for arrays, keep in zip(held, inside, strict=True)]
    starts = np.cumsum([0.0, *(video.duration + _APART for video in videos)])[:-1]
    clips = [library.clips(video.video_id) for video in videos]
    firsts = np.cumsum([0, *(len(some) for some in clips)])[:-1]
    owner = np.repeat(np.arange(len(videos)), [len(some) for some in times])

    signals = {"text": _joined(_text_relevance(queries, library, videos, times, embedder))}
    vectors = None
    if encoder and all(v.info.get("encoder") == encoder and "vectors" in a
                       for v, a in zip(videos, held, strict=True)):  # fmt: skip
        vectors = _rows(held, inside, "vectors")
        model = load_encoder(encoder, device=config.encoder.device)
        asked = [model.encode_question(query) for query in queries]
        cosines = np.max([model.relevance(vectors, rows) for rows in asked], axis=0)
        cosines[~vectors.any(1)] = cosines.min()  # could not be decoded: like nothing
        signals["frames"] = standardised(cosines)
    landmarks = None
    if all("landmarks.ids" in arrays for arrays in held):
        landmarks = Landmarks.join(
            [
                Landmarks(a["landmarks.offsets"], a["landmarks.ids"].astype(np.int64)).take(
                    np.flatnonzero(keep)
                )
                for a, keep in zip(held, inside, strict=True)
            ]
        )
    features = vectors
    if features is None:
        features = appearance(_rows(held, inside, "histogram"), _rows(held, inside, "thumb"))
    cuts = [arrays.get("cuts", np.empty(0)) for arrays in held]
    candidates = Candidates(
        times=_joined([some + start for some, start in zip(times, starts, strict=True)]),
        relevance=fuse(signals),
        features=features,
        landmarks=landmarks,
        complexity=_complexity(held, inside),
        cuts=_joined(
            [starts[1:], *(some + start for some, start in zip(cuts, starts, strict=True))]
        ),
    )
    return Pool(
        videos=tuple(videos),
        candidates=candidates,
        owner=owner,
        times=_joined(times),
        signals=signals,
        clips=tuple(clip for some in clips for clip in some),
        changed=_rows(held, inside, "changed").astype(np.float64),
        thumb=_rows(held, inside, "thumb"),
        clip=np.concatenate(
            [
                np.empty(0, np.int64),
                *(
                    first + _clip_of(some, clock)
                    for first, some, clock in zip(firsts, clips, times, strict=True)
                ),
            ]
        ),
    )


def _clip_of(clips: Sequence[Clip], times: Floats) -> Indices:
    starts = np.array([clip.start for clip in clips])
    return np.clip(np.searchsorted(starts, times + 1e-6, "right") - 1, 0, len(clips) - 1)


def _joined(parts: Sequence[Floats]) -> Floats:
    return np.concatenate([np.empty(0), *parts])


def _rows(
    held: Sequence[dict[str, NDArray[Any]]], inside: Sequence[NDArray[np.bool_]], name: str
) -> NDArray[Any]:
    return np.concatenate([arrays[name][keep] for arrays, keep in zip(held, inside, strict=True)])


def _complexity(
    held: Sequence[dict[str, NDArray[Any]]], inside: Sequence[NDArray[np.bool_]]
) -> Floats | None:
    if not all("complexity" in arrays for arrays in held):
        return None
    return _rows(held, inside, "complexity").astype(np.float64)


def _text_relevance(
    queries: Sequence[str],
    library: Library,
    videos: Sequence[Video],
    times: Sequence[Floats],
    embedder: Embedder,
) -> list[Floats]:
    """How well what is said and shown at each frame fits the best of ``queries``, per video.

    Every text counts over its span with its stored vector; the best are read again line by line.
    """
    ids = [video.video_id for video in videos]
    spans: dict[str, list[tuple[float, float, float]]] = {video_id: [] for video_id in ids}
    for query in queries:
        scored = library.scores(query, embedder, videos=ids)
        best = sorted(scored, key=lambda text: -text.score)[:_REREAD]
        again = {(text.video_id, text.start, text.end) for text in best if text.score > 0}
        for text in scored:
            key = (text.video_id, text.start, text.end)
            share = _BESIDE if key in again else 1.0
            spans[text.video_id].append((text.start, text.end, share * text.score))
        places = dict.fromkeys((text.video_id, text.clip) for text in best if text.score > 0)
        lines = _lines(library, places)
        scores = library.relevance(query, [line for _, _, _, line in lines], embedder, videos=ids)
        for (video_id, start, end, _), score in zip(lines, scores.tolist(), strict=True):
            spans[video_id].append((start, end, score))
    return [
        spread(clock, spans[video_id], _MARGIN) for video_id, clock in zip(ids, times, strict=True)
    ]


def _lines(
    library: Library, places: dict[tuple[str, int], None]
) -> list[tuple[str, float, float, str]]:
    """Video, start, end and text of every line of the clips at ``places``."""
    clips: dict[str, dict[int, Clip]] = {}
    for video_id, _ in places:
        if video_id not in clips:
            clips[video_id] = {clip.index: clip for clip in library.clips(video_id)}
    texts = library.texts([clips[video_id][number] for video_id, number in places])
    return [
        (text.clip.video_id, line.start, line.end, line.text)
        for text in texts
        for line in text.lines
    ]
