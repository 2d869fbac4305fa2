"""Any video MLLM of transformers behind one interface.

    model = load("Qwen/Qwen3-VL-2B-Instruct")
    tokens = model.encode(fetch("lecture.mp4", [1.0, 2.0, 3.0]))
    reply = model.generate("What is on the board?", tokens, compress("pool", tokens, 128))

One model belongs to one thread at a time: transformers keeps state on it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from transformers import LogitsProcessorList

from videopipe.compress import TokenMap, VisualTokens
from videopipe.errors import ModelError
from videopipe.mllm.checkpoint import Checkpoint, load_checkpoint
from videopipe.mllm.encoder import Encoder
from videopipe.mllm.families import family_of
from videopipe.mllm.files import quiet
from videopipe.mllm.listeners import FirstToken, OnText, Streamer
from videopipe.mllm.options import shares
from videopipe.mllm.pixels import Packing
from videopipe.mllm.prompt import Prompt, PromptWriter, Shot
from videopipe.mllm.reply import Reply
from videopipe.mllm.scores import OptionScores, chances, spellings
from videopipe.mllm.sequence import Sequenced, batch, sequence
from videopipe.mllm.stopping import Guards
from videopipe.types import FrameBatch

Clips = VisualTokens | Sequence[VisualTokens]
Maps = TokenMap | Sequence[TokenMap | None] | None
_TAG_TOKENS = 16  # in which a tag and a line break are written at most


def load(name: str, **options: Any) -> VideoMLLM:
    """Load a video MLLM by hub name or folder.

    Args:
        name: a hub name, e.g. ``Qwen/Qwen3-VL-2B-Instruct``, or a folder.
        **options: ``dtype``, ``device``, ``attention``, ``quantize``, as in the
            configuration (section ``model``).

    Raises:
        ModelError: not there, not in reach, too large, damaged, or of no supported family.
    """
    return VideoMLLM(load_checkpoint(name, accepts=family_of, **options))


class VideoMLLM:
    """A loaded model: frames to visual tokens, and prompts with these to text."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.name = checkpoint.name
        self.reason = checkpoint.reason
        self.model = checkpoint.model
        self.tokenizer = checkpoint.tokenizer
        self.family = family_of(checkpoint.config)
        settings = checkpoint.processing
        # Older checkpoints describe pictures only, and mean their videos, too.
        own = settings["images"]
        if self.family.items == "video":
            own = settings["videos"] or own
        self.packing = Packing.of(self.family, checkpoint.config, own)
        self.writer = PromptWriter(
            self.family, self.tokenizer, checkpoint.config, self.packing.step
        )
        self.encoder = Encoder(self.model, self.packing)

    @property
    def longest(self) -> int | None:
        """Tokens of a prompt and its answer at most; None where the checkpoint does not say."""
        config = self.model.config.get_text_config()
        most: int | None = getattr(config, "max_position_embeddings", None)
        return most or None

    def check_length(self, text: int, visual: int, positions: int, max_new_tokens: int) -> None:
        """Hold a prompt and its answer against what the model takes.

        Args:
            text: tokens of the prompt that are not visual.
            visual: visual tokens that enter the sequence.
            positions: how far its positions go, which those left out may have moved on.
            max_new_tokens: length of the reply at most.

        Raises:
            ModelError: too long; the sentence says what is.
        """
        most = self.longest
        if not most or max(text + visual, positions) + max_new_tokens <= most:
            return
        if text + max_new_tokens > most:
            raise ModelError(
                f"The text of the prompt is too long: it has {text} tokens and the answer may have "
                f"{max_new_tokens}, but {self.name} takes {most} in all; shorten the question, or "
                "lower budget.text_tokens or model.max_new_tokens."
            )
        over = f" at {positions} positions" if positions > text + visual else ""
        raise ModelError(
            f"The prompt has {text + visual} tokens{over} and the answer may have "
            f"{max_new_tokens}, but {self.name} takes {most} in all; lower --budget, "
            "compress.ratio, budget.text_tokens or model.max_new_tokens."
        )

    def encode(
        self,
        frames: FrameBatch,
        *,
        size: tuple[int, int] | None = None,
        needs: Sequence[str] = (),
    ) -> VisualTokens:
        """Run the frames of one clip through the vision tower.

        Args:
            frames: uint8 RGB of any size; times in seconds.
            size: height and width to resize to; None for what the family's own processor would
                choose. Multiples of ``packing.cell`` where the family takes any size, else its own.
            needs: signals to collect on the way, see ``videopipe.mllm.vision``.

        Raises:
            ValueError: no frames, or a size that this model does not take.
            ConfigError: a signal that its vision tower does not give.
            ModelError: out of memory.
        """
        if not len(frames):
            raise ValueError("there is nothing to encode: the clip has no frames")
        asked = size or self.packing.official_size(len(frames), *frames.frames.shape[1:3])
        cell = self.packing.cell if self.family.any_size else 0
        fits = (
            min(asked) >= cell and not any(side % cell for side in asked)
            if cell
            else (asked == self.packing.size)
        )
        if not fits:
            allowed = f"multiples of {cell}" if cell else f"{self.packing.size} alone"
            raise ValueError(f"{self.family.name} does not take frames of {asked}: {allowed}")
        with _memory(self.name), quiet():
            return self.encoder(frames.frames, frames.times, asked, needs)

    @torch.inference_mode()
    def with_question(self, tokens: VisualTokens, question: str) -> VisualTokens:
        """``tokens`` with what compressors that go by the question read.

        In the space of the language model's input, as MMTok (arXiv 2508.18264) compares them there:
        ``text`` ``[M, D]`` are the tokens of the question, ``question`` ``[N]`` the mean cosine of
        a visual token with these. The space aligns the two only loosely.
        """
        ids = self.tokenizer(question, add_special_tokens=False)["input_ids"]
        embed = cast(Any, self.model).get_input_embeddings()
        text = embed(torch.tensor(ids, dtype=torch.long, device=self.model.device)).float()
        text = text.to(tokens.x.device)
        mean = functional.normalize(text, dim=-1).sum(0) / max(1, len(ids))
        fits = functional.normalize(tokens.x.float(), dim=-1) @ mean
        return replace(
            tokens,
            signals={**tokens.signals, "question": fits},
            context={**tokens.context, "text": text},
        )

    def inputs(
        self,
        prompt: Prompt,
        tokens: Clips = (),
        token_map: Maps = None,
        *,
        system: str | None = None,
    ) -> dict[str, Any]:
        """What the model's ``forward`` and ``generate`` take for one prompt.

        Raises:
            ValueError: maps or places in the prompt that do not fit the clips.
        """
        return self._batch([self._sequenced(prompt, tokens, token_map, system)])

    def generate(
        self,
        prompt: Prompt,
        tokens: Clips = (),
        token_map: Maps = None,
        *,
        system: str | None = None,
        max_new_tokens: int = 512,
        time_limit_seconds: float = 300.0,
        on_text: OnText | None = None,
        options: Sequence[str] = (),
    ) -> Reply:
        """Answer one prompt, greedily.

        Args:
            prompt: text, or texts with :data:`VIDEO` where each clip stands; clips that have no
                place stand first.
            tokens: one clip or several, as :meth:`encode` gave them.
            token_map: for each clip the map that a compressor made, None to keep all its tokens.
            system: a system message.
            max_new_tokens: length of the reply at most.
            time_limit_seconds: the reply is cut off then.
            on_text: told each piece of text as it comes.
            options: the letters that the prompt may be answered with, for the margin of the reply;
                by the scores from which its tokens are taken.

        Where the prompt ends within the model's thoughts the text begins with ``<think>``.

        Raises:
            ValueError: maps or places in the prompt that do not fit the clips, or an option that is
                not one token.
            ModelError: out of memory, or a sequence longer than the model takes.
        """
        streamer = Streamer(self.tokenizer, on_text) if on_text else None
        row = self._sequenced(prompt, tokens, token_map, system)
        return self._generate([row], max_new_tokens, time_limit_seconds, streamer, options)[0]

    def generate_batch(
        self,
        prompts: Sequence[Prompt],
        tokens: Sequence[Clips],
        token_maps: Sequence[Maps],
        *,
        system: str | None = None,
        max_new_tokens: int = 512,
        time_limit_seconds: float = 300.0,
        options: Sequence[str] = (),
    ) -> list[Reply]:
        """Answer several prompts at once; the time limit is for all of them.

        Raises:
            ValueError, ModelError: as :meth:`generate` does.
        """
        rows = self._rows(prompts, tokens, token_maps, system)
        if not rows:
            return []
        return self._generate(rows, max_new_tokens, time_limit_seconds, None, options)

    @torch.inference_mode()
    def choose(
        self,
        prompts: Sequence[Prompt],
        tokens: Sequence[Clips],
        token_maps: Sequence[Maps],
        options: Sequence[str],
        *,
        system: str | None = None,
    ) -> NDArray[np.float64]:
        """The probability that the reply to a prompt begins with each of ``options``.

        All prompts are read at once, and none is answered. As in QuoTA (arXiv 2503.08689), of the
        whole vocabulary at the last token; summed over the tokens that spell an option, with a
        space before it or without, and shared out among the options. Thoughts that a prompt opens
        are closed first, empty.

        Returns:
            ``[prompts, options]``; each row sums to 1, and is even where no option is likely.

        Raises:
            ValueError, ModelError: as :meth:`generate` does.
        """
        spelled = spellings(self.tokenizer, options)
        rows = self._rows(prompts, tokens, token_maps, system, thinks=False)
        if not rows:
            return np.empty((0, len(options)))
        self._check_lengths(rows, 1)
        with _memory(self.name), quiet():
            # Logits of all tokens would be many times the features.
            states = self.model.model(**self._batch(rows), use_cache=False, return_dict=True)[0]
            logits = cast(Any, self.model).get_output_embeddings()(states[:, -1])
            return shares(chances(logits, spelled))

    def _rows(
        self,
        prompts: Sequence[Prompt],
        tokens: Sequence[Clips],
        token_maps: Sequence[Maps],
        system: str | None,
        thinks: bool = True,
    ) -> list[Sequenced]:
        if not len(prompts) == len(tokens) == len(token_maps):
            raise ValueError(
                f"{len(prompts)} prompts were given tokens for {len(tokens)} "
                f"and maps for {len(token_maps)}"
            )
        return [
            self._sequenced(prompt, clips, maps, system, thinks)
            for prompt, clips, maps in zip(prompts, tokens, token_maps, strict=True)
        ]

    def _sequenced(
        self,
        prompt: Prompt,
        tokens: Clips,
        token_map: Maps,
        system: str | None,
        thinks: bool = True,
    ) -> Sequenced:
        clips = [tokens] if isinstance(tokens, VisualTokens) else list(tokens)
        if token_map is None or isinstance(token_map, TokenMap):
            maps: list[TokenMap | None] = [token_map] * len(clips)
        else:
            maps = list(token_map)
        if len(maps) != len(clips):
            raise ValueError(f"{len(maps)} maps were given for {len(clips)} clips")
        for clip, rows in zip(clips, maps, strict=True):
            if rows is not None and rows.tokens_in != len(clip):
                raise ValueError(f"{rows!r} is not a map of {clip!r}")
        ids = self.writer.write(prompt, [self._shot(clip) for clip in clips], system)
        if not thinks:
            ids = self._thought(ids)
        return sequence(
            self.model,
            self.family,
            ids,
            self.writer.holder_id,
            clips,
            maps,
            [self._pace(clip) for clip in clips],
            self.packing.merge,
        )

    def _shot(self, clip: VisualTokens) -> Shot:
        counts = torch.bincount(clip.pos[:, 0].long().cpu(), minlength=clip.grid[0])
        return Shot(self._times(clip).tolist(), counts.tolist())

    def _times(self, clip: VisualTokens) -> Tensor:
        """The seconds of the frames of a clip."""
        if clip.frame_times is not None:
            return clip.frame_times
        return clip.times.repeat_interleave(self.packing.step)

    def _pace(self, clip: VisualTokens) -> float:
        """Seconds from one step of a clip to the next."""
        times = self._times(clip)
        apart = float(times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else 1.0
        return apart * self.packing.step

    def _opening(self, ids: Sequence[int]) -> str:
        """The tag of the thoughts that the prompt has opened already, with which a reply begins."""
        end = str(self.tokenizer.decode(list(ids[-_TAG_TOKENS:])))
        return "<think>\n" if end.rstrip().endswith("<think>") else ""

    def _thought(self, ids: list[int]) -> list[int]:
        """A prompt with the thoughts that it opens closed, as templates write empty ones."""
        if not self._opening(ids):
            return ids
        end = len(ids)
        while not str(self.tokenizer.decode(ids[end - 1 : end])).strip():
            end -= 1
        closing = self.tokenizer("\n\n</think>\n\n", add_special_tokens=False)["input_ids"]
        return [*ids[:end], *closing]

    def _batch(self, rows: Sequence[Sequenced]) -> dict[str, Any]:
        pad = self.tokenizer.pad_token_id
        if pad is None:
            pad = self.tokenizer.eos_token_id or 0
        return batch(self.model, self.family, rows, pad)

    @torch.inference_mode()
    def _generate(
        self,
        rows: Sequence[Sequenced],
        max_new_tokens: int,
        time_limit_seconds: float,
        streamer: Streamer | None,
        options: Sequence[str],
    ) -> list[Reply]:
        began = time.monotonic()
        self._check_lengths(rows, max_new_tokens)
        openings = [self._opening(row.ids.tolist()) for row in rows]
        scores = OptionScores(
            spellings(self.tokenizer, options), openings, lambda i: str(self.tokenizer.decode([i]))
        )
        inputs = self._batch(rows)
        longest = inputs["input_ids"].shape[1]
        settings = self.model.generation_config
        ends = settings.eos_token_id
        ends = [ends] if isinstance(ends, int) else list(ends or [])
        ends += [i for i in (self.tokenizer.eos_token_id,) if i is not None and i not in ends]
        pad = self.tokenizer.pad_token_id
        guards = Guards(
            time_limit_seconds,
            [*ends, *([] if pad is None else [pad])],
            lambda ids: str(self.tokenizer.decode(ids, skip_special_tokens=True)),
        )
        first = FirstToken()
        with _memory(self.name), quiet():
            out = cast(Any, self.model).generate(
                **inputs,
                max_new_tokens=max_new_tokens,
                do_sample=False,
                num_beams=1,
                temperature=None,
                top_p=None,
                top_k=None,
                eos_token_id=ends or None,
                pad_token_id=pad if pad is not None else (ends[0] if ends else None),
                stopping_criteria=[first, guards],
                logits_processor=LogitsProcessorList([scores] if options else []),
                streamer=streamer,
            )
        seconds = time.monotonic() - began
        replies = []
        for number, row in enumerate(rows):
            ids = out[number, longest:].tolist()
            stop = next((at for at, i in enumerate(ids) if i in ends or i == pad), len(ids))
            said = str(self.tokenizer.decode(ids[:stop], skip_special_tokens=True))
            replies.append(
                Reply(
                    text=(openings[number] + said).strip(),
                    stopped_by=guards.stopped_by(number),
                    new_tokens=stop,
                    prompt_tokens=len(row.ids),
                    first_token_seconds=first.at and first.at - began,
                    seconds=seconds,
                    margin=scores.margin(number),
                )
            )
        return replies

    def _check_lengths(self, rows: Sequence[Sequenced], max_new_tokens: int) -> None:
        for row in rows:
            visual = int(row.kinds.count_nonzero())
            end = int(row.positions.max()) + 1
            self.check_length(len(row.ids) - visual, visual, end, max_new_tokens)


@contextmanager
def _memory(name: str) -> Iterator[None]:
    """Running out of memory is told in one sentence."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise _too_little(name) from error
    except RuntimeError as error:
        if "can't allocate memory" not in str(error):  # what the CPU allocator says
            raise
        raise _too_little(name) from error


def _too_little(name: str) -> ModelError:
    return ModelError(
        f"{name} ran out of memory; lower --budget or budget.frames, or load it smaller "
        "(model.dtype, model.quantize)."
    )
