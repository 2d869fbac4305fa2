"""How much memory a checkpoint's weights need, and how much is free."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch

from videopipe.errors import ModelError
from videopipe.mllm.files import FLOATS, Tensor

# Bytes a weight takes, the scales of its block included.
_QUANTIZED = {"8bit": 1.0, "4bit": 0.5625}
SPREAD = ("auto", "balanced", "balanced_low_0", "sequential")
"""What a ``device_map`` may be called that spreads a model over devices."""


def check_memory(
    name: str, tensors: Iterable[Tensor], dtype: torch.dtype, quantize: str, place: str
) -> None:
    """Refuse a model whose weights are larger than what is free on ``place``.

    Raises:
        ModelError: naming both sizes.
    """
    need = sum(_bytes(tensor, dtype, quantize) for tensor in tensors)
    free = _free(place)
    if free is not None and need > free:
        kept = quantize if quantize != "none" else str(dtype).removeprefix("torch.")
        smaller = "quantize 4bit, " if quantize == "none" else ""
        if smaller and dtype.itemsize > 2:
            smaller = f"dtype bfloat16, {smaller}"
        raise ModelError(
            f"'{name}' needs {_size(need)} of memory for its weights in {kept}, and {_size(free)} "
            f"are free ({place}); take {smaller}a smaller model or a machine with more memory."
        )


def _bytes(tensor: Tensor, dtype: torch.dtype, quantize: str) -> float:
    if tensor.kind not in FLOATS:
        return tensor.stored_bytes  # whole numbers and 8-bit floats are kept as they are
    if quantize != "none" and tensor.name.endswith("proj.weight"):
        return tensor.count * _QUANTIZED[quantize]
    return tensor.count * dtype.itemsize


def _free(place: str) -> float | None:
    """Bytes free on a device, on all that a spread model may use, or None when nobody tells."""
    kind = place.split(":")[0]
    if kind == "cuda":
        return float(torch.cuda.mem_get_info(torch.device(place))[0])
    if kind not in ("cpu", *SPREAD):
        return None
    found = _free_here()
    if kind in SPREAD and found is not None:
        cards = range(torch.cuda.device_count())
        found += sum(torch.cuda.mem_get_info(card)[0] for card in cards)
    return found


def _free_here() -> float | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        facts = dict(line.split(":", 1) for line in lines)
        free = float(facts["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None
    group = Path("/sys/fs/cgroup")
    try:  # a container may have less than its machine
        limit = float((group / "memory.max").read_text(encoding="ascii"))
        used = float((group / "memory.current").read_text(encoding="ascii"))
        counts = (group / "memory.stat").read_text(encoding="ascii").splitlines()
        cached = dict(line.split() for line in counts).get("file", "0")
        return min(free, limit - used + float(cached))
    except (OSError, ValueError):
        return free


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
