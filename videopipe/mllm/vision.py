"""Running the vision tower of a model, and looking into it where a compressor asks to.

What is asked for by name: ``recv:B``, the attention that each token receives in block ``B`` of the
tower, mean over queries and heads, from its own frame (or, in the windowed blocks of Qwen2.5-VL,
its own window); ``cls:B``, the attention the class token pays it; ``attention:B``, the one where
the tower has a class token, else the other; ``key:B``, its key, heads concatenated; ``metric:B``,
its key, mean over heads. Blocks count from 0, or from the end if negative; ``50%`` is the last
block of the first half, ``-8..-2`` the mean over these blocks, as far as the tower has them.
Attention is computed from queries and keys in a hook, one head group of one frame at a time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, AttentionMaskInterface
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from videopipe.errors import ConfigError

_SIGNAL = re.compile(r"(recv|cls|attention|key|metric):(-?\d+%?)(?:\.\.(-?\d+%?))?")
_NAME = "videopipe_capture"
_AT_ONCE = 2**24  # attention weights held at a time


def tower_of(model: PreTrainedModel) -> PreTrainedModel:
    """The vision tower of a model."""
    inner = model.base_model
    for name in ("visual", "video_tower", "vision_tower", "vision_model"):
        if (tower := getattr(inner, name, None)) is not None:
            return tower  # type: ignore[no-any-return]
    raise AssertionError(f"{type(model).__name__} has no vision tower")


class Capture:
    """Collects queries and keys of named blocks while the tower runs."""

    def __init__(self, tower: PreTrainedModel, needs: Sequence[str]) -> None:
        self.tower = tower
        blocks = _blocks(tower)
        has_class = any(
            name.endswith(("class_embedding", "cls_token")) for name, _ in tower.named_parameters()
        )
        self.wanted: dict[int, list[tuple[str, str]]] = {}
        for need in sorted(set(needs)):
            match = _SIGNAL.fullmatch(need)
            if not match:
                raise ConfigError(
                    f"A vision tower gives no signal '{need}'; it gives recv:B, cls:B, "
                    "attention:B, key:B and metric:B of a block B."
                )
            kind = match[1]
            if kind == "attention":
                kind = "cls" if has_class else "recv"
            if kind == "cls" and not has_class:
                raise ConfigError(
                    f"'{need}': this vision tower has no class token, as those of Video-LLaVA and "
                    f"LLaVA-NeXT-Video have; take recv:{need.partition(':')[2]}, the attention "
                    "received."
                )
            for block in _numbers(need, match[2], match[3], len(blocks)):
                self.wanted.setdefault(block, []).append((kind, need))
        self.place = {
            id(module): number for number in self.wanted for module in blocks[number].modules()
        }
        self.found: dict[str, dict[int, list[Tensor]]] = {}

    @contextmanager
    def running(self) -> Iterator[None]:
        """Within, the tower's attention passes through this object."""
        if not self.wanted:
            yield
            return
        held = self.tower.config._attn_implementation
        _LOOKING.update(dict.fromkeys(self.place, self))
        self.tower.set_attn_implementation(_NAME)
        try:
            yield
        finally:
            self.tower.set_attn_implementation(held)
            for module in self.place:
                del _LOOKING[module]

    def look(self, module: nn.Module, query: Tensor, key: Tensor, scale: Any) -> None:
        """Note what is wanted of the block that ``module`` belongs to."""
        self._look(self.place[id(module)], query, key, scale)

    def _look(self, block: int, query: Tensor, key: Tensor, scale: Any) -> None:
        """``query`` and ``key`` are ``[frames, heads, n, d]``, rotated as the block uses them."""
        scale = key.shape[-1] ** -0.5 if scale is None else scale
        for kind, name in self.wanted[block]:
            if kind == "key":
                seen = key.transpose(1, 2).flatten(2)
            elif kind == "metric":
                seen = key.float().mean(1)
            elif kind == "cls":
                weights = (query[:, :, :1].float() @ key.float().transpose(2, 3)) * scale
                seen = weights.softmax(-1).mean(1).squeeze(1)
            else:
                seen = _received(query, key, scale)
            parts = self.found.setdefault(name, {}).setdefault(block, [])
            parts.append(seen.flatten(0, 1).cpu())

    def take(self) -> dict[str, Tensor]:
        """What was seen since the last call, by name, in the tower's order.

        ``[patches]`` or ``[patches, d]``; a class token comes first of its frame.
        """
        found, self.found = self.found, {}
        out = {}
        for name, blocks in found.items():
            seen = [torch.cat(parts) for parts in blocks.values()]
            out[name] = seen[0] if len(seen) == 1 else torch.stack(seen).float().mean(0)
        return out


# Attention is registered for the process, so one function serves the towers of all threads: by the
# ids of their modules, those that are being looked into.
_LOOKING: dict[int, Capture] = {}


def _attend(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any
) -> Any:
    if (capture := _LOOKING.get(id(module))) is not None:
        capture.look(module, query, key, kwargs.get("scaling"))
    # Flash kernels take all frames at once; this one is given them frame by frame.
    return ALL_ATTENTION_FUNCTIONS["sdpa"](module, query, key, value, *args, **kwargs)


AttentionInterface.register(_NAME, _attend)
AttentionMaskInterface.register(_NAME, ALL_MASK_ATTENTION_FUNCTIONS["sdpa"])


def _numbers(need: str, first: str, last: str | None, count: int) -> range:
    """The blocks, of ``count``, that a signal is about.

    Raises:
        ConfigError: there is none of them.
    """

    def number(text: str) -> int:
        if text.endswith("%"):
            return max(1, round(int(text[:-1]) * count / 100)) - 1
        return int(text) + count if text.startswith("-") else int(text)

    start = number(first)
    end = start if last is None else min(number(last), count - 1)
    if last is not None:
        start = max(start, 0)
    if not 0 <= start <= end < count:
        raise ConfigError(f"'{need}': this vision tower has {count} blocks.")
    return range(start, end + 1)


def _received(query: Tensor, key: Tensor, scale: float) -> Tensor:
    """``[frames, n]``: the softmax attention that each key receives, mean over queries, heads."""
    frames, heads, n, _ = query.shape
    out = torch.zeros(frames, n)
    rows = max(1, min(n, _AT_ONCE // (heads * n)))
    for frame in range(frames):
        k = key[frame].float().transpose(1, 2)
        for start in range(0, n, rows):
            weights = (query[frame, :, start : start + rows].float() @ k) * scale
            out[frame] += weights.softmax(-1).sum((0, 1)).cpu()
    return out / (heads * n)


def _blocks(tower: nn.Module) -> nn.ModuleList:
    """The longest list of modules in the tower that attend."""
    lists = [m for m in tower.modules() if isinstance(m, nn.ModuleList)]
    return max(lists, key=lambda m: (sum(1 for _ in m[0].modules()) > 3) * len(m))
