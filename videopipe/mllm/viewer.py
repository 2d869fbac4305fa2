"""One way to show clips to a video MLLM, be it in this process or behind a server.

Plan first: it says which of the frames are wanted, at which sizes. Then look.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import Protocol

import numpy as np
import torch

from videopipe.compress import TokenMap, VisualTokens, compress, method
from videopipe.config import ModelConfig
from videopipe.errors import ConfigError, TimeLimit, VideopipeError
from videopipe.mllm.adapter import VideoMLLM, load
from videopipe.mllm.budget import BudgetPlan, ClipPlan, Footage, check, plan, shares
from videopipe.mllm.families import FAMILIES
from videopipe.mllm.pixels import Packing
from videopipe.mllm.prompt import VIDEO, Prompt, Shot, Video
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

        What went wrong with one of several stands in its place. The time limit and the seconds of
        a reply are of all this.

        Raises:
            ModelError: a prompt that is too long, or out of memory.
            TimeLimit: nothing was said within the time.
        """


# What decides which model is in memory; all else is said with each call.
_LOCAL = ("name", "base_url", "dtype", "device", "attention", "quantize")
_SERVER = ("name", "base_url", "timeout_seconds", "retries", "concurrency", "send")


class _Opened:
    """The one model that stays open between calls."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._key: tuple[object, ...] = ()
        self._viewer: Viewer | None = None

    def __call__(self, config: ModelConfig) -> Viewer:
        """The model that the configuration names; it stays open until another is asked for.

        Raises:
            ConfigError: none is named, or a setting is wrong.
            NotFound, ModelError: it cannot be loaded, or the server cannot be reached.
        """
        if config.name is None:
            raise ConfigError("Name a video MLLM: --model NAME, a folder, or openai:MODEL.")
        names = _SERVER if config.name.startswith(SERVER) else _LOCAL
        key = tuple(getattr(config, name) for name in names)
        with self._lock:
            if self._viewer is None or key != self._key:
                self._release()  # first: two models may be more than the memory holds
                self._viewer = _open(config.name, config)
                self._key = key
            return self._viewer

    def cache_clear(self) -> None:
        """Close it."""
        with self._lock:
            self._release()

    def _release(self) -> None:
        held, self._viewer = isinstance(self._viewer, LocalViewer), None
        if held:
            gc.collect()  # modules refer to each other
            if torch.cuda.is_available():
                torch.cuda.empty_cache()


open_viewer = _Opened()


def _open(name: str, config: ModelConfig) -> Viewer:
    if name.startswith(SERVER):
        server = ServerModel(
            name.removeprefix(SERVER),
            config.base_url,
            timeout_seconds=config.timeout_seconds,
            retries=config.retries,
            concurrency=config.concurrency,
            send=config.send,
        )
        server.check()
        return ServerViewer(server)
    if config.base_url is not None:
        raise ConfigError(f"A server (--base-url) serves openai:MODEL; '{name}' is local.")
    return LocalViewer(
        load(
            name,
            dtype=config.dtype,
            device=config.device,
            attention=config.attention,
            quantize=config.quantize,
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
        packing, longest = self.model.packing, self.model.longest
        if longest is None or self.model.family.rope != "1d":
            return plan(packing, footage, budget, compressor, ratio)
        # Half the positions are for text and answer, or fewer where the budget asks for more.
        least = max(longest // 4, min(_LEAST_TEXT, longest // 2))
        reserve = max(least, min(longest // 2, longest - budget))
        limits = {"longest": longest, "reserve": reserve}
        made = plan(packing, footage, budget, compressor, ratio, **limits)
        # What stands in the prompt for each frame beside its tokens takes positions as well.
        beside, room = self._text_of_frames(made), longest - least
        while made.encoded > 1 and made.encoded + beside > room:
            fits = made.encoded * room // (made.encoded + beside)  # fewer frames have less text
            limits["reserve"] = longest - max(1, min(fits, made.encoded - 1))
            made = plan(packing, footage, budget, compressor, ratio, **limits)
            beside = self._text_of_frames(made)
        return made

    def _text_of_frames(self, made: BudgetPlan) -> int:
        """Tokens of a prompt of the planned frames alone that are not visual, at most."""
        if not made.encoded:
            return 0
        clips = [FrameSet(np.full(len(clip.frames), _LATE), ()) for clip in made.clips]
        return self._text_length(self._scene(View(range(len(clips)), clips, made)))

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
        began = time.monotonic()

        def spent() -> float:
            seconds = time.monotonic() - began
            if seconds >= time_limit_seconds:
                raise TimeLimit(
                    f"{self.name} said nothing within {time_limit_seconds:g} s, which it spent on "
                    "the frames; raise model.time_limit_seconds, or lower --budget or "
                    "budget.frames."
                )
            return seconds

        scenes = [self._scene(view) for view in views]
        for scene in scenes:
            self._check_length(scene, max_new_tokens)
        encoded = [self._encoded(scene, spent) for scene in scenes]
        before = spent()
        left = time_limit_seconds - before
        if len(scenes) == 1:
            replies = [
                self.model.generate(
                    scenes[0].prompt,
                    *encoded[0],
                    max_new_tokens=max_new_tokens,
                    time_limit_seconds=left,
                    on_text=on_text,
                )
            ]
        else:
            replies = self.model.generate_batch(
                [scene.prompt for scene in scenes],
                [tokens for tokens, _ in encoded],
                [maps for _, maps in encoded],
                max_new_tokens=max_new_tokens,
                time_limit_seconds=left,
            )
        return [_later(reply, before) for reply in replies]

    def _scene(self, view: View) -> _Scene:
        """The prompt of a view, and the stretches of one size in it; nothing is encoded yet."""
        packing = self.model.packing
        places: dict[int, list[_Stretch]] = {}
        for number, (clip, frames) in enumerate(zip(view.plan.clips, view.clips, strict=True)):
            runs = [(run, size, packing.counts(len(run), *size)) for run, size in clip.runs()]
            kept = shares([sum(counts) for _, _, counts in runs], clip.kept)
            places[number] = [
                _Stretch(number, run, size, Shot(frames.times[run].tolist(), counts), k)
                for (run, size, counts), k in zip(runs, kept, strict=True)
                if k
            ]
        prompt: list[str | Video] = []
        order: list[_Stretch] = []
        for part in view.parts:
            if isinstance(part, str):
                prompt.append(part)
                continue
            for stretch in places[part]:
                prompt.append(VIDEO)
                order.append(stretch)
                if not self.model.family.stamped:
                    prompt.append(_seconds(stretch.shot.times))
        return _Scene(view, prompt, order)

    def _check_length(self, scene: _Scene, max_new_tokens: int) -> None:
        """Before minutes go into encoding: what is too long would be refused afterwards."""
        text = self._text_length(scene)
        kept = sum(stretch.kept for stretch in scene.stretches)
        whole = sum(sum(stretch.shot.counts) for stretch in scene.stretches)
        positions = text + whole if self.model.family.rope == "1d" else 0  # others need fewer
        self.model.check_length(text, kept, positions, max_new_tokens)

    def _text_length(self, scene: _Scene) -> int:
        writer = self.model.writer
        ids = writer.write(scene.prompt, [stretch.shot for stretch in scene.stretches])
        return len(ids) - ids.count(writer.holder_id)

    def _encoded(
        self, scene: _Scene, spent: Callable[[], float]
    ) -> tuple[list[VisualTokens], list[TokenMap | None]]:
        """The tokens of each stretch and their maps; ``spent`` raises when time is up."""
        view = scene.view
        needs = sorted(method(view.plan.method).needs)
        clips: list[VisualTokens] = []
        maps: list[TokenMap | None] = []
        used = [0] * len(view.plan.clips)
        for stretch in scene.stretches:
            spent()
            frames = _batch(view.clips[stretch.clip], stretch.run)
            tokens = self.model.encode(frames, size=stretch.size, needs=needs)
            rows = None
            if stretch.kept < len(tokens) == sum(stretch.shot.counts):
                rows = compress(view.plan.method, tokens, stretch.kept)
            used[stretch.clip] += len(tokens if rows is None else rows)
            clips.append(tokens)
            maps.append(rows)
        check(view.plan, used)
        return clips, maps


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Frames of one size of a clip, ``run`` among its own, of which ``kept`` tokens are shown."""

    clip: int
    run: list[int]
    size: tuple[int, int]
    shot: Shot
    kept: int


@dataclass(frozen=True, slots=True)
class _Scene:
    """A view laid out as a prompt."""

    view: View
    prompt: Prompt
    stretches: list[_Stretch]


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
_LEAST_TEXT = 512  # tokens of text and answer
_LATE = 35999.9  # seconds; a time as long in writing as they get


def _served(view: View) -> list[str | FrameBatch | FrameSet]:
    parts: list[str | FrameBatch | FrameSet] = []
    for part in view.parts:
        if isinstance(part, str):
            parts.append(part)
            continue
        clip, frames = view.plan.clips[part], view.clips[part]
        parts += [_batch(frames, run) for run, _ in clip.runs()]
    return parts


def _later(reply: Reply, seconds: float) -> Reply:
    """The reply as one that was asked for ``seconds`` earlier."""
    first = reply.first_token_seconds
    return replace(
        reply,
        first_token_seconds=None if first is None else first + seconds,
        seconds=reply.seconds + seconds,
    )


def _batch(frames: FrameSet, run: Sequence[int]) -> FrameBatch:
    return FrameBatch(frames.times[list(run)], np.stack([frames.frames[at] for at in run]))


def _seconds(times: Sequence[float]) -> str:
    return f"\n(frames at {', '.join(f'{time:.1f}' for time in times)} seconds)\n"
