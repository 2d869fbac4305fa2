"""How the placeholders of one clip stand in the prompt, family by family."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Slot:
    """A clip in the prompt: its steps in time, and the special tokens of the checkpoint.

    ``times`` are the seconds of the frames, ``per_step`` how many of them make one step,
    ``counts`` the number of placeholders of each step. ``holder`` is the placeholder, ``names``
    the tokenizer's special tokens by name.
    """

    times: Sequence[float]
    per_step: int
    counts: Sequence[int]
    holder: str
    names: Mapping[str, str]

    def frames_of(self, step: int) -> Sequence[float]:
        """The seconds of the frames of a step; the last frame fills an incomplete one."""
        several = list(self.times[step * self.per_step : (step + 1) * self.per_step])
        return several + several[-1:] * (self.per_step - len(several))

    def name(self, which: str, usual: str) -> str:
        return self.names.get(which, usual)


Expand = Callable[[Slot], str]


def plain(slot: Slot) -> str:
    """Nothing but placeholders."""
    return slot.holder * sum(slot.counts)


def seconds(slot: Slot) -> str:
    """Qwen3-VL: each step after the mean time of its frames, between marks of its own."""
    start = slot.name("vision_start_token", "<|vision_start|>")
    end = slot.name("vision_end_token", "<|vision_end|>")
    text = ""
    for step, count in enumerate(slot.counts):
        frames = slot.frames_of(step)
        text += f"<{(frames[0] + frames[-1]) / 2:.1f} seconds>{start}{slot.holder * count}{end}"
    return text


def glm(slot: Slot) -> str:
    """GLM-4V: each step as an image, followed by the whole second of its first frame."""
    return "".join(
        f"<|begin_of_image|>{slot.holder * count}<|end_of_image|>{int(slot.frames_of(step)[0])}"
        for step, count in enumerate(slot.counts)
    )


def video_llama(slot: Slot) -> str:
    """VideoLLaMA3: the time of each frame before it."""
    return ",".join(
        f"Time {slot.times[step]:.1f}s:{slot.holder * count}"
        for step, count in enumerate(slot.counts)
    )


def internvl(slot: Slot) -> str:
    """InternVL: numbered frames."""
    start = slot.name("start_image_token", "<img>")
    end = slot.name("end_image_token", "</img>")
    return "\n".join(
        f"Frame{step + 1}: {start}{slot.holder * count}{end}"
        for step, count in enumerate(slot.counts)
    )


def smolvlm(slot: Slot) -> str:
    """SmolVLM2: an introduction, and the time of each frame before it."""
    from datetime import timedelta

    from num2words import num2words

    fake = slot.name("fake_image_token", "<fake_token_around_image>")
    whole = slot.name("global_image_token", "<global-img>")
    span = slot.times[-1] - slot.times[0]
    each = span / (len(slot.times) - 1) if len(slot.times) > 1 else 0.0
    length = timedelta(seconds=int(slot.times[-1] + each))
    text = (
        f"You are provided the following series of {num2words(len(slot.counts))} frames from a "
        f"{length} [H:MM:SS] video.\n"
    )
    for step, count in enumerate(slot.counts):
        minutes, rest = divmod(int(slot.times[step]), 60)
        text += f"\nFrame from {minutes:02d}:{rest:02d}:{fake}{whole}{slot.holder * count}{fake}"
    return text + "\n\n"


def gemma(slot: Slot) -> str:
    """Gemma3: one frame, as an image."""
    start = slot.name("boi_token", "<start_of_image>")
    end = slot.name("eoi_token", "<end_of_image>")
    return f"\n\n{start}{slot.holder * sum(slot.counts)}{end}\n\n"
