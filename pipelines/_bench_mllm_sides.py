"""What bench_mllm.py measures, one side to a fresh process (on a GPU all in one process).

``python pipelines/_bench_mllm_sides.py '{"part": ..., ...}'`` prints one line of JSON. Only the
official sides import torchvision.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
import zlib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from _bench_models import packing_of, qwen

QUESTION = "What happens in the video?"
INNER = 3  # measurements in one process, after one that does not count
RATIO = 4.0  # tokens encoded for each that is kept by a compressor, as by default
_MB = 1e6 if sys.platform == "darwin" else 1e6 / 1024  # of ru_maxrss


def picture(count: int, height: int, width: int) -> Any:
    """``[T, H, W, 3]``: blocks and noise, other ones in each frame."""
    import numpy as np

    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 224, (count, height // 20, width // 20, 3), dtype=np.uint8)
    frames = blocks.repeat(20, 1).repeat(20, 2)
    frames += rng.integers(0, 32, frames.shape[1:], dtype=np.uint8)
    return frames


def official_call(processor: Any, frames: Any, prompt: str | None = None) -> Any:
    """The model's own processor on ``frames``, at one a second; of the pixels alone or in full."""
    from transformers.video_utils import VideoMetadata

    if not hasattr(processor, "video_processor"):
        pictures = [frame.transpose(2, 0, 1) for frame in frames]
        return processor.image_processor(images=pictures, return_tensors="pt")
    count, height, width = frames.shape[:3]
    metadata = VideoMetadata(
        total_num_frames=count,
        fps=1.0,
        height=height,
        width=width,
        duration=float(count),
        frames_indices=list(range(count)),
    )
    more = {"do_sample_frames": False, "video_metadata": [metadata]}
    videos = [frames.transpose(0, 3, 1, 2)]
    if prompt is None:
        return processor.video_processor(videos=videos, return_tensors="pt", **more)
    return processor(text=[prompt], videos=videos, return_tensors="pt", videos_kwargs=more)


def load_processor(folder: Path) -> Any:
    """The official processor, or None where torchvision cannot be had."""
    if find_spec("torchvision") is None:
        return None
    from transformers import AutoProcessor

    return AutoProcessor.from_pretrained(folder)


def cpu(work: Callable[[], object]) -> float:
    """Median CPU seconds."""
    work()
    taken = []
    for _ in range(INNER):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return median(taken)


def pack(job: dict[str, Any]) -> dict[str, Any]:
    """CPU seconds of packing each clip for each family, and a checksum of the pixels."""
    import torch

    figures: dict[str, Any] = {}
    for clip, shape in job["clips"].items():
        frames = picture(*shape)
        for family in job["families"]:
            folder = Path(job["work"]) / family
            if job["side"] == "official":
                processor = load_processor(folder)
                if processor is None:
                    return {"reason": "torchvision is not installed"}

                def work(processor: Any = processor, frames: Any = frames) -> Any:
                    return official_call(processor, frames)

                row: dict[str, Any] = {}
            else:
                packing = packing_of(family, folder)
                size = packing.official_size(*shape)

                def work(packing: Any = packing, frames: Any = frames, size: Any = size) -> Any:
                    return packing.pack(frames, size)

                row = {"size": list(size)}
                pictures = torch.from_numpy(frames).permute(0, 3, 1, 2)
                row["resize_s"] = cpu(
                    lambda p=packing, x=pictures, s=size: [p._resized(few, s) for few in x.split(1)]
                )
            row["cpu_s"] = cpu(work)
            pixels = next(v for k, v in work().items() if k.startswith("pixel_values"))
            # A stack of frames may come as a list or with axes of length 1: the bytes are compared.
            values = pixels if isinstance(pixels, torch.Tensor) else torch.stack(list(pixels))
            row["sum"] = zlib.crc32(values.contiguous().numpy())
            if job["side"] == "ours":
                row["write_s"] = cpu(lambda v=values: torch.empty(v.shape).zero_())
            figures[f"{family} {clip}"] = row
    return figures


def first_token(model: Any, side: dict[str, Any], frames: Any, processor: Any) -> dict[str, Any]:
    """One question up to the first token of the answer: what was encoded and what went in."""
    import numpy as np
    import torch

    from videopipe.types import FrameBatch

    batch = FrameBatch(np.arange(len(frames), dtype=np.float64), frames)
    if side["side"] in ("official", "pixels"):
        if side["side"] == "official":
            message = [{"type": "video"}, {"type": "text", "text": QUESTION}]
            prompt = processor.apply_chat_template(
                [{"role": "user", "content": message}], add_generation_prompt=True, tokenize=False
            )
            inputs = dict(official_call(processor, frames, prompt))
        else:
            inputs = pixel_inputs(model, batch)
        inputs = {
            name: value.to(model.model.device) if isinstance(value, torch.Tensor) else value
            for name, value in inputs.items()
        }
        model.model.generate(**inputs, max_new_tokens=1, do_sample=False)
        visual = int((inputs["input_ids"] == model.writer.holder_id).sum())
        return {"encoded": visual, "kept": visual}
    tokens, maps = encode(model, batch, side)
    model.generate(QUESTION, tokens, maps, max_new_tokens=1)
    kept = sum(len(t if m is None else m) for t, m in zip(tokens, maps, strict=True))
    return {"encoded": sum(map(len, tokens)), "kept": kept}


def encode(model: Any, batch: Any, side: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    """Visual tokens and their maps: at the official size, or as planned for a budget."""
    from videopipe.compress import compress
    from videopipe.mllm.budget import plan
    from videopipe.select import Footage
    from videopipe.types import FrameBatch

    if side["budget"] is None:
        return [model.encode(batch)], [None]
    footage = Footage(len(batch), *batch.frames.shape[1:3])
    planned = plan(model.packing, [footage], side["budget"], side["method"], RATIO).clips[0]
    tokens, maps = [], []
    left, ahead = planned.kept, planned.encoded
    for run, size in planned.runs():
        places = [planned.frames[at] for at in run]
        part = model.encode(FrameBatch(batch.times[places], batch.frames[places]), size=size)
        keep = left * len(part) // ahead  # the last one gets what is left
        left, ahead = left - keep, ahead - len(part)
        tokens.append(part)
        maps.append(compress(side["method"], part, keep) if keep < len(part) else None)
    return tokens, maps


def pixel_inputs(model: Any, batch: Any) -> dict[str, Any]:
    """Our pixels and ids for the model's own generate, where its processor cannot be had."""
    import torch

    from videopipe.mllm.prompt import Shot

    packing = model.packing
    size = packing.official_size(len(batch), *batch.frames.shape[1:3])
    steps, high, wide = packing.grid(len(batch), *size)
    shot = Shot(batch.times.tolist(), [high * wide] * steps)
    ids = torch.tensor([model.writer.write(QUESTION, [shot])])
    return {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "mm_token_type_ids": (ids == model.writer.holder_id).long() * 2,
        "second_per_grid_ts": torch.tensor([float(packing.step)]),
        **packing.pack(batch.frames, size),
    }


def on_cpu(job: dict[str, Any]) -> dict[str, Any]:
    """CPU seconds to the first token and the peak memory of this process."""
    folder = Path(job["work"]) / "qwen2_5_vl"
    processor = load_processor(folder) if job["side"] == "official" else None
    if job["side"] == "official" and processor is None:
        return {"reason": "torchvision is not installed"}
    model = qwen("small", folder, "cpu")
    frames = picture(*job["clip"])
    small = {**job, "budget": job["budget"] and 16}
    first_token(model, small, picture(2, 120, 160), processor)  # imports and first calls
    before = peak_mb()
    began = time.process_time()
    counts = first_token(model, job, frames, processor)
    seconds = time.process_time() - began
    return counts | {"seconds": seconds, "peak_mb": peak_mb(), "net_mb": peak_mb() - before}


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _MB


def on_gpu(job: dict[str, Any]) -> dict[str, Any]:
    """Wall seconds to the first token and the peak of allocated memory of each side, in turn."""
    import torch

    if not torch.cuda.is_available():
        return {"reason": "there is no CUDA device here"}
    folder = Path(job["work"]) / "qwen2_5_vl"
    processor = load_processor(folder)
    model = qwen(job["shape"], folder, "cuda")
    frames = picture(*job["clip"])
    weights = torch.cuda.memory_allocated() / 1e6
    figures: dict[str, Any] = {"device": torch.cuda.get_device_name(), "weights_mb": weights}
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in job["sides"]}
    for number in range(job["rounds"] + 1):  # the first does not count
        for name in rotated(list(runs), number):
            side = job["sides"][name]
            if side["side"] == "official" and processor is None:
                runs[name].append({"reason": "torchvision is not installed"})
                continue
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            torch.cuda.synchronize()
            began = time.perf_counter()
            counts = first_token(model, side, frames, processor)
            torch.cuda.synchronize()
            seconds = time.perf_counter() - began
            peak = torch.cuda.max_memory_allocated() / 1e6
            runs[name].append(
                counts | {"seconds": seconds, "peak_mb": peak, "net_mb": peak - weights}
            )
    return figures | {"runs": {name: some[1:] for name, some in runs.items()}}


def rotated(names: list[str], number: int) -> list[str]:
    """Each round begins with another side."""
    begin = number % len(names)
    return names[begin:] + names[:begin]


def main() -> None:
    import torch

    torch.set_num_threads(1)
    job = json.loads(sys.argv[1])
    if job["part"] == "gpu" or job["side"] == "official":
        import official

        official.shim()  # before transformers looks for torchvision
    from transformers.utils import logging

    logging.set_verbosity_error()
    print(json.dumps({"pack": pack, "model": on_cpu, "gpu": on_gpu}[job["part"]](job)))


if __name__ == "__main__":
    main()
