"""Frames of one clip to :class:`VisualTokens`: packed, through the vision tower, with positions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel
from transformers.vision_utils import get_vision_window_index

from videopipe.compress import VisualTokens
from videopipe.mllm.entropy import entropy
from videopipe.mllm.pixels import Packing
from videopipe.mllm.projector import SIGNALS, Probe
from videopipe.mllm.vision import Capture, tower_of

_VECTORS = ("key", "metric", "pre")
_PATCHES_AT_ONCE = 16_384  # of the tower; bounds its memory, whatever the number of frames


class Encoder:
    """The vision side of a model."""

    def __init__(self, model: PreTrainedModel, packing: Packing) -> None:
        self.model = model
        self.packing = packing
        self.tower = tower_of(model)

    @torch.inference_mode()
    def __call__(
        self,
        frames: NDArray[np.uint8],
        times: NDArray[np.float64],
        size: tuple[int, int],
        needs: Sequence[str] = (),
    ) -> VisualTokens:
        """Encode ``frames`` ``[T, H, W, 3]`` at ``size``, a few at a time.

        Raises:
            ConfigError: a signal in ``needs`` that this tower does not give.
        """
        packing = self.packing
        step = packing.step
        several = step * max(1, _PATCHES_AT_ONCE // self._patches_per_step(size))
        others = SIGNALS | {"entropy"}
        capture = Capture(self.tower, [need for need in needs if need not in others])
        probe = Probe(self.model, needs)
        parts: list[list[Tensor]] = []
        seen: list[dict[str, Tensor]] = []
        for start in range(0, len(frames), several):
            pixels = packing.pack(frames[start : start + several], size)
            with capture.running(), probe.running():
                levels = self._features(pixels)
            if packing.family.extra == "newline" and start + several < len(frames):
                levels = [level[:-1] for level in levels]  # a clip has one, at its end
            parts.append(levels)
            seen.append(self._by_token(capture.take() | probe.take(), pixels))
            if "entropy" in needs:
                seen[-1]["entropy"] = entropy(frames[start : start + several], size, packing)
        grid = packing.grid(len(frames), *size)
        levels = [torch.cat(level) for level in zip(*parts, strict=True)]
        pos = self._positions(grid).to(levels[0].device)
        placed = pos[:, 1] >= 0
        signals = {}
        for name in seen[0]:
            value = torch.cat([part[name] for part in seen]).to(pos.device)
            signals[name] = value.new_zeros(len(pos), *value.shape[1:])
            signals[name][placed] = value
        second = torch.from_numpy(times)
        last = torch.arange(step - 1, step * grid[0], step).clamp(max=len(times) - 1)
        return VisualTokens(
            x=levels[0],
            pos=pos,
            grid=grid,
            times=(second[::step] + second[last]) / 2,
            levels=tuple(levels[1:]),
            signals=signals,
            frame_times=second,
        )

    def _patches_per_step(self, size: tuple[int, int]) -> int:
        return max(1, size[0] * size[1] // self.packing.patch**2)

    def _features(self, pixels: dict[str, Tensor]) -> list[Tensor]:
        """What the language model would get: ``[N, D]``, and the same of each DeepStack level."""
        family, inner = self.packing.family, cast(Any, self.model.base_model)
        given = {name: value.to(self.model.device) for name, value in pixels.items()}
        if family.modality == "video":
            out = inner.get_video_features(**given, return_dict=True)
        else:
            out = inner.get_image_features(**given, return_dict=True)
        levels = [out.pooler_output, *(getattr(out, "deepstack_features", None) or ())]
        return [_rows(level) for level in levels]

    def _by_token(self, seen: dict[str, Tensor], pixels: dict[str, Tensor]) -> dict[str, Tensor]:
        """Signals of the tower's patches as the mean of each token's, in token order."""
        packing = self.packing
        if packing.family.any_size:
            grid, merge = pixels["video_grid_thw"], packing.merge**2
            order = self._order(grid)
            cells = {}
            for name, value in seen.items():
                parts = 1 if name in SIGNALS else merge  # a projector is given whole tokens
                value = value.reshape(len(order), parts, *_own(name, value)).float()
                cells[name] = value.mean(1)[order]
            return cells
        high, wide = (side // packing.patch for side in packing.size)
        frames = next(iter(pixels.values())).shape[-4]
        _, rows, columns = packing.grid(frames, *packing.size)
        out = {}
        for name, value in seen.items():
            own = _own(name, value)
            value = value.reshape(frames, -1, *own)
            # What the projector is given may be pooled already.
            pooled = name in SIGNALS and value.shape[1] < high * wide
            across, down = (columns, rows) if pooled else (wide, high)
            flat = value[:, -down * across :].reshape(frames, down, across, -1)
            flat = functional.adaptive_avg_pool2d(flat.permute(0, 3, 1, 2).float(), (rows, columns))
            out[name] = flat.permute(0, 2, 3, 1).reshape(-1, *own)
        return out

    def _order(self, grid: Tensor) -> Tensor:
        """Where each cell is in the tower's order; Qwen2.5-VL works window by window."""
        config = self.tower.config
        if not getattr(config, "window_size", None):
            return torch.arange(int(grid.prod()) // self.packing.merge**2)
        index, _ = get_vision_window_index(
            grid, self.packing.merge, config.window_size, self.packing.patch
        )
        return index.argsort()

    def _positions(self, grid: tuple[int, int, int]) -> Tensor:
        """``[N, 3]``: where each token is in ``grid``; -1 for those without a place."""
        pos = torch.cartesian_prod(*(torch.arange(float(side)) for side in grid))
        kind, steps = self.packing.family.extra, grid[0]
        if kind == "newline":
            return torch.cat([pos, torch.tensor([[steps - 1.0, -1.0, -1.0]])])
        if kind == "class":
            heads = torch.full((steps, 1, 3), -1.0)
            heads[:, 0, 0] = torch.arange(float(steps))
            return torch.cat([heads, pos.view(steps, -1, 3)], 1).flatten(0, 1)
        return pos


def _own(name: str, value: Tensor) -> tuple[int, ...]:
    """The shape of what one token has of a signal."""
    return tuple(value.shape[-1:]) if name.partition(":")[0] in _VECTORS else ()


def _rows(level: object) -> Tensor:
    """Features in any of the shapes that transformers has, as ``[N, D]``."""
    if isinstance(level, Tensor):
        return level.reshape(-1, level.shape[-1])
    assert isinstance(level, list | tuple)
    return torch.cat([_rows(part) for part in level])
