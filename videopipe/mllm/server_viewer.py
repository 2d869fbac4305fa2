"""A model behind a server looks at clips: frames are chosen and sized here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from videopipe.compress.auto import automatic
from videopipe.errors import ConfigError, VideopipeError
from videopipe.mllm.budget import BudgetPlan, ClipPlan, most_frames, plan
from videopipe.mllm.families import FAMILIES
from videopipe.mllm.pixels import Packing
from videopipe.mllm.reply import Reply
from videopipe.mllm.server import ServerModel
from videopipe.mllm.sizes import Limits
from videopipe.mllm.view import OnText, View, batch_of
from videopipe.select.resolution import Footage
from videopipe.types import FrameBatch, FrameSet


class ServerViewer:
    """A model behind a server: frames are chosen and sized here, the rest is the server's."""

    def __init__(self, server: ServerModel) -> None:
        self.server = server
        self.name = server.name
        self.about = "on a server"
        self.exact = False

    def plan(
        self, footage: Sequence[Footage], budget: int, compressor: str, ratio: float
    ) -> BudgetPlan:
        if compressor != "none" and not automatic(compressor):
            raise ConfigError(
                f"Visual tokens are made by the server: '{compressor}' cannot compress them; "
                "leave compress.method at auto."
            )
        return plan(_SERVED, footage, budget, "none")

    def most_frames(self, frame: Footage, budget: int, compressor: str, ratio: float) -> int:
        return most_frames(_SERVED, frame, budget, "none")

    def sizes(self, footage: Footage, clip: ClipPlan) -> list[tuple[int, int]]:
        return list(clip.sizes)

    def count(self, text: str) -> int:
        return -(-len(text.encode()) // _BYTES_PER_TOKEN)

    def look(
        self,
        views: Sequence[View],
        *,
        max_new_tokens: int,
        time_limit_seconds: float,
        on_text: OnText | None = None,
        options: Sequence[str] = (),
    ) -> list[Reply | VideopipeError]:
        prompts = [_served(view) for view in views]
        if len(prompts) == 1:
            return [
                self.server.reply(
                    prompts[0],
                    max_new_tokens=max_new_tokens,
                    time_limit_seconds=time_limit_seconds,
                    on_text=on_text,
                    options=options,
                )
            ]
        return self.server.replies(
            prompts,
            max_new_tokens=max_new_tokens,
            time_limit_seconds=time_limit_seconds,
            options=options,
        )

    def choose(
        self, views: Sequence[View], options: Sequence[str], *, time_limit_seconds: float
    ) -> NDArray[np.float64]:
        return self.server.choose(
            [_served(view) for view in views], options, time_limit_seconds=time_limit_seconds
        )


# What a frame costs a server's model is not told; a token per 28 x 28 pixels is the arithmetic of
# the Qwen families without their merging in time, so it errs on the side of too few pixels.
_SERVED = Packing(
    family=replace(FAMILIES[0], name="served"),
    patch=14,
    merge=2,
    step=1,
    size=(0, 0),
    edge=0,
    limits=Limits(0, 0),
    mean=(),
    deviation=(),
    levels=255.0,
    filter="bicubic",
)
_BYTES_PER_TOKEN = 3  # English has four and more


def _served(view: View) -> list[str | FrameBatch | FrameSet]:
    parts: list[str | FrameBatch | FrameSet] = []
    for part in view.parts:
        if isinstance(part, str):
            parts.append(part)
            continue
        clip, frames = view.plan.clips[part], view.clips[part]
        parts += [batch_of(frames, run) for run, _ in clip.runs()]
    return parts
