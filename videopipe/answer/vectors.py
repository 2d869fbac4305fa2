"""Vectors of the scanned frames, made once for a video and kept in its library."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from videopipe.answer.evidence import known_packets
from videopipe.config import Config
from videopipe.library import Library, Video
from videopipe.media import fetch_each
from videopipe.mllm.dual_encoder import load_encoder


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
    if name is None:
        return list(videos)
    encoder = load_encoder(name, device=config.encoder.device)
    for video in videos:
        if video.info.get("encoder") == name:
            continue
        tell(f"encoding the frames of {video.name} with {name} ...")
        known_packets(video, library)
        times = library.signals(video.video_id, ["times"])["times"]
        rows = {time: row for row, time in enumerate(times.tolist())}
        vectors = np.zeros((len(times), encoder.dimension), np.float16)
        waiting: dict[int, NDArray[np.uint8]] = {}

        def encode(frames: dict[int, NDArray[np.uint8]], into: NDArray[np.float16]) -> None:
            if frames:
                stacked = np.stack(list(frames.values()))
                into[list(frames)] = encoder.encode_frames(stacked, config.encoder.batch)
                frames.clear()

        for time, frame in fetch_each(
            video.path,
            times,
            config.scan.short_side,
            workers=config.decode.workers or os.cpu_count() or 1,
            backend=config.decode.backend,
            deadline=config.decode.deadline_seconds,
        ):
            waiting[rows[time]] = frame
            if len(waiting) == config.encoder.batch:
                encode(waiting, vectors)
        encode(waiting, vectors)
        library.add_signals(video.video_id, {"vectors": vectors}, {"encoder": name})
    return [library.get(video.video_id) for video in videos]
