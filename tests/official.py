"""What the processors and models of transformers make of a video, as a process of its own.

``python tests/official.py JOBS.json`` where the jobs are a list of
``{"folder": CHECKPOINT, "frames": FRAMES.npz, "out": OUT.npz, "question": TEXT}``; or
``python tests/official.py FOLDER FRAMES.npz OUT.npz`` for one.

FRAMES.npz holds ``frames`` uint8 [T, H, W, 3], ``times`` float [T] in seconds, and may hold
``duration``. OUT.npz holds everything the processor returns under its own name, ``prompt`` (the
rendered chat), ``expanded`` (the prompt with its placeholders in place), ``logits`` float32
[1, S, V] of a forward pass, and ``tokens`` int64 [N], the greedy reply. A family whose official
path does not run leaves ``error`` alone in OUT.npz.

A process of its own, because importing torchvision beside a CPU build of torch needs two operators
declared that it lacks, and changes what transformers imports.
"""

from __future__ import annotations

import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

STEPS = 32
ABSENT = 3
"""Exit status where torchvision is not installed."""
QUESTION = "What happens in the video?"
RATE = 1000
"""Frame indices are milliseconds: any time keeps its place whatever the real frame rate."""


def place() -> Path:
    """The folder torchvision was installed into, which need not exist."""
    named = os.environ.get("VIDEOPIPE_TORCHVISION")
    return Path(named) if named else Path(__file__).parents[1] / ".venv" / "torchvision"


def shim() -> None:
    """Make torchvision importable beside a CPU build of torch, whose wheel expects CUDA."""
    import torch

    sys.path.append(str(place()))
    for op in ("nms", "qnms") if torch.version.cuda is None else ():
        torch.library.define(
            f"torchvision::{op}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        )


def messages(question: str, pictures: int) -> list[dict[str, Any]]:
    """One user message: a video, or as many pictures where the family has no video input."""
    kind = [{"type": "image"}] * pictures if pictures else [{"type": "video"}]
    return [{"role": "user", "content": [*kind, {"type": "text", "text": question}]}]


def inputs(folder: Path, data: Any, question: str) -> tuple[str, Any, Any]:
    """The rendered prompt, what the processor returns, and the processor."""
    from transformers import AutoProcessor
    from transformers.video_utils import VideoMetadata

    processor = AutoProcessor.from_pretrained(folder)
    frames, times = data["frames"], data["times"]
    if not hasattr(processor, "video_processor"):
        prompt = processor.apply_chat_template(
            messages(question, len(frames)), add_generation_prompt=True, tokenize=False
        )
        pictures = [frame.transpose(2, 0, 1) for frame in frames]
        made = processor(
            text=[prompt],
            images=pictures,
            return_tensors="pt",
            add_special_tokens=_wants_specials(processor.tokenizer, prompt),
        )
        return prompt, made, processor
    prompt = processor.apply_chat_template(
        messages(question, 0), add_generation_prompt=True, tokenize=False
    )
    span = float(data["duration"]) if "duration" in data else float(times[-1])
    metadata = VideoMetadata(
        total_num_frames=round(span * RATE) or len(frames),
        fps=float(RATE),
        height=frames.shape[1],
        width=frames.shape[2],
        duration=span,
        frames_indices=[round(float(time) * RATE) for time in times],
    )
    made = processor(
        text=[prompt],
        videos=[frames.transpose(0, 3, 1, 2)],
        return_tensors="pt",
        add_special_tokens=_wants_specials(processor.tokenizer, prompt),
        videos_kwargs={"do_sample_frames": False, "video_metadata": [metadata]},
    )
    return prompt, made, processor


def _wants_specials(tokenizer: Any, prompt: str) -> bool:
    """As ``apply_chat_template(tokenize=True)`` decides it."""
    return not (tokenizer.bos_token and prompt.startswith(tokenizer.bos_token))


def answer(folder: Path, data: Any, question: str) -> dict[str, Any]:
    """Everything one job saves."""
    import numpy as np
    import torch
    from transformers import AutoModelForImageTextToText

    prompt, made, processor = inputs(folder, data, question)
    model = AutoModelForImageTextToText.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="sdpa"
    ).eval()
    given = {key: value for key, value in made.items() if value is not None}
    with torch.no_grad():
        logits = model(**given).logits
        tokens = model.generate(**given, max_new_tokens=STEPS, do_sample=False)
    saved: dict[str, Any] = {
        key: value.numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
        for key, value in given.items()
    }
    return saved | {
        "prompt": prompt,
        "expanded": processor.tokenizer.decode(made["input_ids"][0], skip_special_tokens=False),
        "logits": logits.float().numpy(),
        "tokens": tokens[0, made["input_ids"].shape[1] :].numpy(),
    }


def main(arguments: list[str]) -> int:
    import numpy as np
    import torch

    torch.set_num_threads(1)
    shim()
    if find_spec("torchvision") is None:
        print(f"torchvision is not in {place()}: run make setup.", file=sys.stderr)
        return ABSENT
    if len(arguments) == 1:
        jobs = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    else:
        folder, frames, out = arguments
        jobs = [{"folder": folder, "frames": frames, "out": out}]
    for job in jobs:
        try:
            saved = answer(
                Path(job["folder"]), np.load(job["frames"]), job.get("question", QUESTION)
            )
        except Exception as error:  # one family must not keep the others from being compared
            print(f"{job['folder']}: {type(error).__name__}: {error}", file=sys.stderr)
            saved = {"error": f"{type(error).__name__}: {error}"}
        np.savez(job["out"], **saved)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
