"""Vectors of the scanned frames, made once for a video and kept in its library."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from videopipe.answer.evidence import decoding, known_packets
from videopipe.answer.pool import Pool
from videopipe.config import Config
from videopipe.library import Library, Video
from videopipe.media import fetch_each
from videopipe.mllm.dual_encoder import DualEncoder, load_encoder
from videopipe.select.candidates import Floats, Indices

ON_DEMAND = "focus"  # the selector that looks at few frames, and needs no vectors of all


def with_look(pool: Pool, queries: Sequence[str], library: Library, config: Config) -> Pool:
    """``pool`` with an encoder that looks at frames when the selector asks for them.

    A frame that cannot be decoded is like nothing.

    Raises:
        NotFound, ModelError: the encoder cannot be loaded.
    """
    if (
        config.encoder.model is None
        or config.select.method != ON_DEMAND
        or "frames" in pool.signals
    ):
        return pool
    encoder = load_encoder(config.encoder.model, device=config.encoder.device)
    asked = [encoder.encode_question(query) for query in queries]

    def look(rows: Indices) -> Floats:
        scores = np.full(len(rows), -1.0)
        for place, video in enumerate(pool.videos):
            mine = np.flatnonzero(pool.owner[rows] == place)
            vectors = _encoded(video, pool.times[rows[mine]], encoder, library, config)
            cosines = np.max([encoder.relevance(vectors, rows) for rows in asked], axis=0)
            scores[mine] = np.where(vectors.any(1), cosines, -1.0)
        return scores

    return replace(pool, candidates=replace(pool.candidates, look=look))


def with_vectors(
    library: Library, videos: Sequence[Video], config: Config, tell: Callable[[str], None]
) -> list[Video]:
    """``videos``, their frames encoded by the encoder of the configuration where it has not yet.

    A frame that cannot be decoded keeps a vector of zeros, which is like nothing.

    Raises:
        NotFound, ModelError: the encoder cannot be loaded.
        MediaError, TimeLimit: a video cannot be decoded.
    """
    name = config.encoder.model
    if name is None or config.select.method == ON_DEMAND:
        return list(videos)
    encoder = load_encoder(name, device=config.encoder.device)
    for video in videos:
        if video.info.get("encoder") == name:
            continue
        tell(f"encoding the frames of {video.name} with {name} ...")
        times = library.signals(video.video_id, ["times"])["times"]
        vectors = _encoded(video, times, encoder, library, config)
        library.add_signals(video.video_id, {"vectors": vectors}, {"encoder": name})
    return [library.get(video.video_id) for video in videos]


def _encoded(
    video: Video, times: Floats, encoder: DualEncoder, library: Library, config: Config
) -> NDArray[np.float16]:
    """The vectors of frames of a video, ``[T, D]``; of zeros for what cannot be decoded."""
    if not len(times):
        return np.zeros((0, encoder.dimension), np.float16)
    known_packets(video, library)
    ascending, where = np.unique(times, return_inverse=True)
    rows = {time: row for row, time in enumerate(ascending.tolist())}
    vectors = np.zeros((len(ascending), encoder.dimension), np.float16)
    waiting: dict[int, NDArray[np.uint8]] = {}

    def encode() -> None:
        if waiting:
            frames = np.stack(list(waiting.values()))
            vectors[list(waiting)] = encoder.encode_frames(frames, config.encoder.batch)
            waiting.clear()

    frames = fetch_each(
        video.path,
        ascending,
        config.scan.short_side,
        **decoding(config),
    )
    for time, frame in frames:
        waiting[rows[time]] = frame
        if len(waiting) == config.encoder.batch:
            encode()
    encode()
    return vectors[where]


def best_by_vectors(
    library: Library, videos: Sequence[Video], queries: Sequence[str], config: Config, count: int
) -> list[Video]:
    """The ``count`` videos with the frame that fits a question best, of those with vectors."""
    name = config.encoder.model
    held = [video for video in videos if name and video.info.get("encoder") == name]
    if name is None or not held:
        return []
    encoder = load_encoder(name, device=config.encoder.device)
    asked = [encoder.encode_question(query) for query in queries]
    scores = []
    for video in held:
        vectors = library.signals(video.video_id, ["vectors"])["vectors"]
        scores.append(max(encoder.relevance(vectors, rows).max(initial=-1) for rows in asked))
    best = np.argsort(-np.array(scores), kind="stable")[:count]
    return [held[at] for at in np.sort(best)]
