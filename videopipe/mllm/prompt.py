"""Texts and clips to token ids: the checkpoint's own chat template, its placeholders filled in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerBase

from videopipe.errors import ModelError
from videopipe.mllm.expansions import Slot
from videopipe.mllm.families import Family


class Video:
    """Where a clip stands in a prompt."""

    def __repr__(self) -> str:
        return "VIDEO"


VIDEO = Video()
Prompt = str | Sequence[str | Video]


@dataclass(frozen=True, slots=True)
class Shot:
    """A clip as the prompt needs it: the seconds of its frames, and tokens of each step."""

    times: Sequence[float]
    counts: Sequence[int]


class PromptWriter:
    """Writes prompts for one checkpoint.

    Raises:
        ModelError: the checkpoint has no chat template, or its tokenizer lacks the placeholder.
    """

    def __init__(
        self, family: Family, tokenizer: PreTrainedTokenizerBase, config: Any, step: int
    ) -> None:
        self.family = family
        self.tokenizer = tokenizer
        self.step = step
        ids = [getattr(config, name, None) for name in family.holder]
        holder_id = next((i for i in ids if i is not None), None)
        if holder_id is None or not getattr(tokenizer, "chat_template", None):
            missing = "chat template" if holder_id is not None else "visual placeholder"
            raise ModelError(
                f"This {family.name} checkpoint has no {missing}; take the instruction-tuned one, "
                "with all files of its tokenizer."
            )
        self.holder_id: int = holder_id
        self.holder = str(tokenizer.convert_ids_to_tokens(self.holder_id))
        attribute, usual = family.marker
        self.names = {
            name: str(value)
            for name, value in tokenizer.special_tokens_map.items()
            if isinstance(value, str)
        }
        self.marker = self.names.get(attribute, usual)
        controls = {*tokenizer.all_special_tokens, *map(str, tokenizer.added_tokens_encoder)}
        controls |= {self.marker, self.holder}
        # Some vocabularies have line breaks and blanks among their added tokens: these are text.
        controls = {token for token in controls if token.strip()}
        self._controls = re.compile("|".join(sorted(map(re.escape, controls), key=len)[::-1]))

    def plain(self, text: str) -> str:
        """``text`` in which nothing is a control token of this model any more."""
        return self._controls.sub(lambda match: f"{match[0][0]} {match[0][1:]}", text)

    def count(self, text: str) -> int:
        """Tokens of ``text`` by itself."""
        plain = self.plain(text)
        return len(self.tokenizer(plain, add_special_tokens=False, verbose=False)["input_ids"])

    def write(self, prompt: Prompt, shots: Sequence[Shot], system: str | None = None) -> list[int]:
        """Token ids of the whole prompt, an answer to follow.

        A prompt that says nowhere where its clips stand has them first.

        Raises:
            ValueError: ``prompt`` has places for another number of clips.
            ModelError: the chat template leaves clips out.
        """
        parts = [prompt] if isinstance(prompt, str) else _joined(prompt)
        if VIDEO not in parts:
            parts = [VIDEO] * len(shots) + parts
        if sum(part is VIDEO for part in parts) != len(shots):
            raise ValueError(f"the prompt has no place for each of {len(shots)} clips")
        content: list[dict[str, str]] = []
        slots: list[Slot] = []
        clips = iter(shots)
        for part in parts:
            if isinstance(part, str):
                content.append(_text(self.plain(part)))
                continue
            several = self._slots(next(clips))
            content += [{"type": self.family.items}] * len(several)
            slots += several
        messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
        if system:
            messages.insert(0, {"role": "system", "content": [_text(self.plain(system))]})
        if not self._keeps_order(content):
            # Some templates put all clips before all texts: write the places into the text.
            inline = "".join(entry.get("text", f"{self.marker}\n") for entry in content)
            messages[-1]["content"] = [_text(inline)]
        rendered = self._render(messages)
        pieces = rendered.split(self.marker)
        if len(pieces) != len(slots) + 1:
            raise ModelError(
                f"The chat template of this checkpoint writes {len(pieces) - 1} places for "
                f"{len(slots)} clips; it is not one for video."
            )
        whole = pieces[0]
        for slot, piece in zip(slots, pieces[1:], strict=True):
            whole += self.family.expand(slot) + piece
        # A template writes the tokens that begin a sequence itself, or leaves it to the tokenizer.
        begins = self.tokenizer.bos_token
        add = not (begins and whole.startswith(begins))
        # How long a sequence may be is the model's to say, and checked there.
        ids: list[int] = self.tokenizer(whole, add_special_tokens=add, verbose=False)["input_ids"]
        return ids

    def _keeps_order(self, content: Sequence[dict[str, str]]) -> bool:
        """Whether the template leaves clips and texts in place, seen by texts like no others."""
        probe = [
            _text(f"(text {number})") if "text" in item else item
            for number, item in enumerate(content)
        ]
        text, at = self._render([{"role": "user", "content": probe}]), 0
        for item in probe:
            wanted = item.get("text", self.marker)
            at = text.find(wanted, at)
            if at < 0:
                return False
            at += len(wanted)
        return True

    def _slots(self, shot: Shot) -> list[Slot]:
        if self.family.items == "video":
            return [Slot(shot.times, self.step, shot.counts, self.holder, self.names)]
        return [
            Slot([time], 1, [count], self.holder, self.names)
            for time, count in zip(shot.times, shot.counts, strict=True)
        ]

    def _render(self, messages: list[dict[str, Any]]) -> str:
        try:
            return str(
                self.tokenizer.apply_chat_template(
                    messages, tokenize=False, add_generation_prompt=True
                )
            )
        except Exception as error:  # whatever a template does
            raise ModelError(
                f"The chat template of this checkpoint fails ({type(error).__name__}: {error})."
            ) from None


def _joined(prompt: Sequence[str | Video]) -> list[str | Video]:
    """Texts side by side made one, in which halves of a control token are seen to meet."""
    parts: list[str | Video] = []
    for part in prompt:
        if parts and isinstance(part, str) and isinstance(parts[-1], str):
            parts[-1] += part
        else:
            parts.append(part)
    return parts


def _text(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}
