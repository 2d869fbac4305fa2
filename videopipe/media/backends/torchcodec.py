"""torchcodec: PyTorch's decoder, on a GPU where there is one that takes the video.

It scans the file first and answers by the number of a frame in display order; each frame comes with
its time stamp. What is damaged it may show patched up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from videopipe.media.backends.native import Native, Source, Target, Unfit, fitted_to, mirroring
from videopipe.media.decoder import Picture, Shown


class TorchCodec(Native):
    module, requirement = "torchcodec", "videopipe[torchcodec]"

    @staticmethod
    def load() -> None:
        try:
            import torchcodec.decoders  # noqa: F401
        except RuntimeError:  # a page of it; this is what is behind it as a rule
            raise Unfit("finds no shared libraries of FFmpeg 4 to 8; install ffmpeg") from None

    @staticmethod
    def unfit(source: Source) -> str | None:
        if source.container in ("mpegts", "mpeg"):
            return "misplaces frames of MPEG program and transport streams"
        return None

    def __init__(self, source: Source) -> None:
        import torch

        torch.set_num_threads(source.threads)
        self._source = source
        self._turn = mirroring(source.turn)
        self._open("cpu")
        if torch.cuda.is_available():
            with suppress(RuntimeError):  # built without it, or not for this video
                self._open("cuda")
        if len(self._decoder) != source.frames:
            raise Unfit(f"counts {len(self._decoder)} frames where {source.frames} are displayed")
        if not source.same(self._decoder.metadata.begin_stream_seconds, source.first):
            raise Unfit("takes the frames to be at other times than are stored")

    def pictures(self, targets: Sequence[Target]) -> Iterator[Shown]:
        for target in targets:
            picture = self._frame(target)
            pictures = None if picture is None else fitted_to(picture, target.sizes, self._turn)
            yield target.packet, pictures

    def _open(self, device: str) -> None:
        from torchcodec.decoders import VideoDecoder

        self._decoder: Any = VideoDecoder(
            self._source.url,
            stream_index=self._source.stream,
            dimension_order="NHWC",
            num_ffmpeg_threads=self._source.threads,
            device=device,
            seek_mode="exact",
        )
        self.device = device

    def _frame(self, target: Target) -> Picture | None:
        for _ in range(2):  # the first error may be that of the frame asked for before
            with suppress(RuntimeError):
                frame = self._decoder.get_frame_at(target.rank)
                if self._source.same(frame.pts_seconds, target.time):
                    return np.asarray(frame.data.cpu().numpy(), np.uint8)
        if self.device == "cuda":  # whose trouble it may be rather than the frame's
            self._open("cpu")
            return self._frame(target)
        if self._source.open_gop:
            raise Unfit("loses frames where groups of pictures are open, as in this file")
        return None  # an error, or another frame in place of what is damaged
