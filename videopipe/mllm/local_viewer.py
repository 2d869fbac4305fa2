"""A model in this process looks at clips: encode, compress, generate."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from videopipe.compress import TokenMap, VisualTokens, compose, compress
from videopipe.errors import ConfigError, TimeLimit, VideopipeError
from videopipe.mllm.adapter import VideoMLLM
from videopipe.mllm.budget import BudgetPlan, ClipPlan, check, most_frames, plan, shares
from videopipe.mllm.prompt import VIDEO, Prompt, Shot, Video
from videopipe.mllm.reply import Reply
from videopipe.mllm.view import OnText, View, batch_of
from videopipe.select.resolution import Footage
from videopipe.types import FrameSet

RELEVANCE = "relevance"
# The signals of a compressor that the question gives, not the tower.
ASKED = frozenset({RELEVANCE, "question", "text"})
_LEAST_TEXT = 512  # tokens of text and answer
_AT_ONCE = 8  # views that are scored together
_LATE = 35999.9  # seconds; a time as long in writing as they get


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

    def most_frames(self, frame: Footage, budget: int, compressor: str, ratio: float) -> int:
        return most_frames(self.model.packing, frame, budget, compressor, ratio)

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
        options: Sequence[str] = (),
    ) -> list[Reply | VideopipeError]:
        spent = self._clock(time_limit_seconds)
        scenes = self._scenes(views, max_new_tokens)
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
                    options=options,
                )
            ]
        else:
            replies = self.model.generate_batch(
                [scene.prompt for scene in scenes],
                [tokens for tokens, _ in encoded],
                [maps for _, maps in encoded],
                max_new_tokens=max_new_tokens,
                time_limit_seconds=left,
                options=options,
            )
        return [_later(reply, before) for reply in replies]

    def choose(
        self, views: Sequence[View], options: Sequence[str], *, time_limit_seconds: float
    ) -> NDArray[np.float64]:
        spent = self._clock(time_limit_seconds)
        scenes = self._scenes(views, 1)
        found = [np.empty((0, len(options)))]
        for start in range(0, len(scenes), _AT_ONCE):
            some = scenes[start : start + _AT_ONCE]
            encoded = [self._encoded(scene, spent) for scene in some]
            spent()
            found.append(
                self.model.choose(
                    [scene.prompt for scene in some],
                    [tokens for tokens, _ in encoded],
                    [maps for _, maps in encoded],
                    options,
                )
            )
        return np.concatenate(found)

    def _clock(self, limit_seconds: float) -> Callable[[], float]:
        """A function that tells the seconds from now on, and raises when time is up."""
        began = time.monotonic()

        def spent() -> float:
            seconds = time.monotonic() - began
            if seconds >= limit_seconds:
                raise TimeLimit(
                    f"{self.name} said nothing within {limit_seconds:g} s, which it spent on "
                    "the frames; raise model.time_limit_seconds, or lower --budget or "
                    "budget.frames."
                )
            return seconds

        return spent

    def _scenes(self, views: Sequence[View], max_new_tokens: int) -> list[_Scene]:
        scenes = [self._scene(view) for view in views]
        for scene in scenes:
            self._check_length(scene, max_new_tokens)
        return scenes

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
        needs = compose(view.plan.method).needs
        asked = needs & ASKED
        scored = len(view.relevance) == len(view.clips)
        if asked and not (view.question if asked - {RELEVANCE} else scored):
            raise ConfigError(
                f"The compressor '{view.plan.method}' goes by how well frames fit a question; "
                "here there is none: take another (compress.method)."
            )
        clips: list[VisualTokens] = []
        maps: list[TokenMap | None] = []
        used = [0] * len(view.plan.clips)
        for stretch in scene.stretches:
            spent()
            frames = batch_of(view.clips[stretch.clip], stretch.run)
            tokens = self.model.encode(frames, size=stretch.size, needs=sorted(needs - ASKED))
            rows = None
            if stretch.kept < len(tokens) == sum(stretch.shot.counts):
                if RELEVANCE in needs:
                    tokens = self._with_relevance(tokens, view.relevance[stretch.clip][stretch.run])
                if asked - {RELEVANCE}:
                    tokens = self.model.with_question(tokens, view.question)
                try:
                    rows = compress(view.plan.method, tokens, stretch.kept)
                except ValueError as error:
                    raise ConfigError(
                        f"The compressor '{view.plan.method}' cannot be used here ({error})."
                    ) from None
            used[stretch.clip] += len(tokens if rows is None else rows)
            clips.append(tokens)
            maps.append(rows)
        check(view.plan, used)
        return clips, maps

    def _with_relevance(self, tokens: VisualTokens, frames: NDArray[np.float64]) -> VisualTokens:
        """``tokens`` with the signal of their frames; frames of one step count as the best."""
        step = self.model.packing.step
        best = np.maximum.reduceat(frames, np.arange(0, len(frames), step))
        values = torch.from_numpy(best).to(tokens.x.device)[tokens.pos[:, 0].long()]
        return replace(tokens, signals={**tokens.signals, RELEVANCE: values})


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


def _later(reply: Reply, seconds: float) -> Reply:
    """The reply as one that was asked for ``seconds`` earlier."""
    first = reply.first_token_seconds
    return replace(
        reply,
        first_token_seconds=None if first is None else first + seconds,
        seconds=reply.seconds + seconds,
    )


def _seconds(times: Sequence[float]) -> str:
    return f"\n(frames at {', '.join(f'{time:.1f}' for time in times)} seconds)\n"
