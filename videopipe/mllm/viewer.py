"""One way to show clips to a video MLLM, be it in this process or behind a server.

Plan first: it says which of the frames are wanted, at which sizes. Then look.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol

import numpy as np

from videopipe.compress import TokenMap, VisualTokens, compress, method
from videopipe.config import ModelConfig
from videopipe.errors import ConfigError, VideopipeError
from videopipe.mllm.adapter import VideoMLLM, load
from videopipe.mllm.budget import BudgetPlan, ClipPlan, Footage, check, plan, shares
from videopipe.mllm.families import FAMILIES
from videopipe.mllm.pixels import Packing
from videopipe.mllm.prompt import VIDEO, Prompt, Video
from videopipe.mllm.reply import Reply
from videopipe.mllm.server import ServerModel
from videopipe.mllm.sizes import Limits
from videopipe.types import FrameBatch, FrameSet

SERVER = "openai:"
OnText = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class View:
    """One prompt: texts, and by its number each clip where its frames stand.

    ``clips`` hold the frames that ``plan`` asked for, in its order.
    """

    parts: Sequence[str | int]
    clips: Sequence[FrameSet]
    plan: BudgetPlan


class Viewer(Protocol):
    """A model that looks at clips; ``exact`` if its visual tokens are counted, not estimated."""

    name: str
    about: str
    exact: bool

    def plan(
        self, footage: Sequence[Footage], budget: int, compressor: str, ratio: float
    ) -> BudgetPlan:
        """How ``footage`` is to be shown within ``budget`` visual tokens."""

    def sizes(self, footage: Footage, clip: ClipPlan) -> list[tuple[int, int]]:
        """Height and width at which the frames of a planned clip are best decoded."""

    def count(self, text: str) -> int:
        """Tokens of a text; of a server's model an upper estimate."""

    def look(
        self,
        views: Sequence[View],
        *,
        max_new_tokens: int,
        time_limit_seconds: float,
        on_text: OnText | None = None,
    ) -> list[Reply | VideopipeError]:
        """Answer each view; ``on_text`` is told the text of a single one as it comes.

        What went wrong with one of several stands in its place.
        """


@lru_cache(maxsize=1)
def open_viewer(config: ModelConfig) -> Viewer:
    """The model that the configuration names; the last one stays loaded.

    Raises:
        ConfigError: none is named, or a setting is wrong.
        NotFound, ModelError: it cannot be loaded, or the server cannot be reached.
    """
    if config.name is None:
        raise ConfigError("Name a video MLLM: --model NAME, a folder, or openai:MODEL.")
    if config.name.startswith(SERVER):
        server = ServerModel(
            config.name.removeprefix(SERVER),
            config.base_url,
            timeout_seconds=config.timeout_seconds,
            retries=config.retries,
            concurrency=config.concurrency,
            send=config.send,
        )
        server.check()
        return ServerViewer(server)
    if config.base_url is not None:
        raise ConfigError(f"A server (--base-url) serves openai:MODEL; '{config.name}' is local.")
    return LocalViewer(
        load(
            config.name,
            dtype=config.dtype,
            device=config.device,
            attention=config.attention,
            quantize=config.quantize,
            trust_remote_code=config.trust_remote_code,
        )
    )


class LocalViewer:
    """A model of transformers: encode, compress, generate, within an exact budget."""

    def __init__(self, model: VideoMLLM) -> None:
        self.model = model
        self.name = model.name
        self.about = f"{model.family.name}, {model.reason}"
        self.exact = True

    def plan(
        self, footage: Sequence[Footage], budget: int, compressor: str, ratio: float
    ) -> BudgetPlan:
        if compressor != "auto":
            method(compressor)
        return plan(self.model.packing, footage, budget, compressor, ratio)

    def sizes(self, footage: Footage, clip: ClipPlan) -> list[tuple[int, int]]:
        packing = self.model.packing
        if packing.family.any_size:
            return list(clip.sizes)
        return [packing.source_size(footage.height, footage.width)] * len(clip.frames)

    def count(self, text: str) -> int:
        return self.model.writer.count(text)

    def look(
        self,
        views: Sequence[View],
        *,
        max_new_tokens: int,
        time_limit_seconds: float,
        on_text: OnText | None = None,
    ) -> list[Reply | VideopipeError]:
        prepared = [self._prepared(view) for view in views]
        if len(prepared) == 1:
            prompt, tokens, maps = prepared[0]
            return [
                self.model.generate(
                    prompt,
                    tokens,
                    maps,
                    max_new_tokens=max_new_tokens,
                    time_limit_seconds=time_limit_seconds,
                    on_text=on_text,
                )
            ]
        prompts, tokens_of, maps_of = zip(*prepared, strict=True) if prepared else ((), (), ())
        return list(
            self.model.generate_batch(
                prompts,
                tokens_of,
                maps_of,
                max_new_tokens=max_new_tokens,
                time_limit_seconds=time_limit_seconds,
            )
        )

    def _prepared(self, view: View) -> tuple[Prompt, list[VisualTokens], list[TokenMap | None]]:
        """The prompt, and the tokens of each stretch of one size with their maps."""
        needs = sorted(method(view.plan.method).needs)
        places: dict[int, list[tuple[VisualTokens, TokenMap | None]]] = {}
        for number, (clip, frames) in enumerate(zip(view.plan.clips, view.clips, strict=True)):
            encoded = [
                self.model.encode(_batch(frames, run), size=size, needs=needs)
                for run, size in clip.runs()
            ]
            kept = shares([len(tokens) for tokens in encoded], clip.kept)
            places[number] = [
                (tokens, compress(view.plan.method, tokens, k) if k < len(tokens) else None)
                for tokens, k in zip(encoded, kept, strict=True)
                if k
            ]
        used = [sum(len(t if m is None else m) for t, m in place) for place in places.values()]
        check(view.plan, used)
        prompt: list[str | Video] = []
        order: list[tuple[VisualTokens, TokenMap | None]] = []
        for part in view.parts:
            if isinstance(part, str):
                prompt.append(part)
                continue
            for tokens, rows in places[part]:
                prompt.append(VIDEO)
                order.append((tokens, rows))
                if not self.model.family.stamped and tokens.frame_times is not None:
                    prompt.append(_seconds(tokens.frame_times.tolist()))
        return prompt, [tokens for tokens, _ in order], [rows for _, rows in order]


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
        if compressor not in ("auto", "none"):
            raise ConfigError(
                f"Visual tokens are made by the server: '{compressor}' cannot compress them; "
                "leave compress.method at auto."
            )
        return plan(_SERVED, footage, budget, "none")

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
    ) -> list[Reply | VideopipeError]:
        prompts = [_served(view) for view in views]
        if len(prompts) == 1:
            return [
                self.server.reply(
                    prompts[0],
                    max_new_tokens=max_new_tokens,
                    time_limit_seconds=time_limit_seconds,
                    on_text=on_text,
                )
            ]
        return self.server.replies(
            prompts, max_new_tokens=max_new_tokens, time_limit_seconds=time_limit_seconds
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
        parts += [_batch(frames, run) for run, _ in clip.runs()]
    return parts


def _batch(frames: FrameSet, run: Sequence[int]) -> FrameBatch:
    return FrameBatch(frames.times[list(run)], np.stack([frames.frames[at] for at in run]))


def _seconds(times: Sequence[float]) -> str:
    return f"\n(frames at {', '.join(f'{time:.1f}' for time in times)} seconds)\n"
