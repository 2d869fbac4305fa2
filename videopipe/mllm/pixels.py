"""Frames to the pixel tensors of a model: resized, normalised and cut into patches, in one pass.

Works on uint8 as long as it can: moving bytes costs a quarter of moving floats.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from videopipe.errors import ModelError
from videopipe.mllm.families import Family
from videopipe.mllm.sizes import Limits, cropped, longest, smart_size
from videopipe.select.resolution import Grid

_FILTERS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}  # by their numbers in PIL


@dataclass(frozen=True, slots=True)
class Packing:
    """How a checkpoint wants its pixels, from its own files.

    ``patch`` and ``merge`` in pixels and patches, ``step`` frames make one step in time. ``size``
    is the checkpoint's ``(height, width)`` where it has but one; ``edge`` the side that is scaled
    to before the middle is cropped, or the longest side on the way to ``size``. ``limits`` bound
    the pixels of a frame or a clip. ``mean`` and ``deviation`` are of pixels
    between 0 and 1, of which a byte has ``levels``.
    """

    family: Family
    patch: int
    merge: int
    step: int
    size: tuple[int, int]
    edge: int
    limits: Limits
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    levels: float
    filter: str

    @classmethod
    def of(cls, family: Family, config: Any, processing: dict[str, Any]) -> Packing:
        """Read it from the configuration of the model and of its processor.

        Raises:
            ModelError: the checkpoint's processor settings are missing or unusable.
        """
        # A null means that a setting is left to the processor.
        told = {name: value for name, value in processing.items() if value is not None}
        if not told:
            raise ModelError(
                f"This {family.name} checkpoint has no processor settings "
                "(preprocessor_config.json); download it again with all its files."
            )
        try:
            return _read(cls, family, config, told)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"The processor settings of this {family.name} checkpoint cannot be used "
                f"({type(error).__name__}: {error}); save it again with its processor."
            ) from None

    @property
    def cell(self) -> int:
        """Side of the square of pixels that becomes one token, where any size is taken."""
        return self.patch * self.merge

    @property
    def tokens_grid(self) -> Grid:
        """What becomes a token, for the planner of resolutions."""
        return Grid(self.cell, self.step)

    def official_size(self, frames: int, height: int, width: int) -> tuple[int, int]:
        """The size that the family's own processor gives ``frames`` of that size."""
        if not self.family.any_size:
            return self.size
        return smart_size(
            frames, height, width, self.cell, self.step, self.limits, self.family.resize
        )

    def source_size(self, height: int, width: int) -> tuple[int, int]:
        """The size at which a frame is best decoded where a family has but one size."""
        if self.family.resize == "crop":
            return cropped(height, width, self.edge)
        if self.family.resize == "longest":
            near = longest(height, width, self.edge)
            return near if near[0] <= height else (height, width)
        return self.size

    def grid(self, frames: int, height: int, width: int) -> tuple[int, int, int]:
        """Tokens in time, height and width of ``frames`` of exactly that size."""
        if self.family.any_size:
            return -(-frames // self.step), height // self.cell, width // self.cell
        high, wide = self.size[0] // self.patch, self.size[1] // self.patch
        if self.family.halved == "up":
            high, wide = -(-high // 2), -(-wide // 2)
        elif self.family.halved == "down":
            high, wide = high // 2, wide // 2
        return frames, high // self.merge, wide // self.merge

    def tokens(self, frames: int, height: int, width: int) -> int:
        """Visual tokens of a clip of ``frames`` of that size, those without a place included."""
        return sum(self.counts(frames, height, width))

    def counts(self, frames: int, height: int, width: int) -> list[int]:
        """The same of each step in time."""
        steps, high, wide = self.grid(frames, height, width)
        counts = [high * wide + (self.family.extra == "class")] * steps
        if self.family.extra == "newline":
            counts[-1] += 1
        return counts

    def pack(self, frames: NDArray[np.uint8], size: tuple[int, int]) -> dict[str, Tensor]:
        """``frames`` ``[T, H, W, 3]`` at ``size`` as what the vision tower takes, by name."""
        pictures = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2)
        if self.family.any_size:
            return self._patches(pictures, size)
        values = torch.empty(len(pictures), 3, *size)
        for picture, into in zip(torch.split(pictures, 1), torch.split(values, 1), strict=True):
            self._normalise(self._resized(picture, size), into)
        if self.family.pixels == "frames":
            return {"pixel_values": values}
        if self.family.pixels == "images":
            return {
                "pixel_values": values[None],
                "pixel_attention_mask": torch.ones(1, *values.shape[:1], *size, dtype=torch.int64),
            }
        return {"pixel_values_videos": values[None]}

    def shown(self, frame: NDArray[np.uint8], size: tuple[int, int]) -> Tensor:
        """A frame ``[H, W, 3]`` as the tower is shown it, not normalised yet, ``[3, H, W]``."""
        picture = torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1)[None]
        return self._resized(picture, size)[0]

    def _resized(self, pictures: Tensor, size: tuple[int, int]) -> Tensor:
        height, width = pictures.shape[-2:]
        if self.family.resize == "crop":
            middle = self._scaled(pictures, cropped(height, width, self.edge))
            top, left = ((a - b) // 2 for a, b in zip(middle.shape[-2:], size, strict=True))
            return middle[..., top : top + size[0], left : left + size[1]]
        if self.family.resize == "longest":
            pictures = self._scaled(pictures, longest(height, width, self.edge))
        return self._scaled(pictures, size)

    def _scaled(self, pictures: Tensor, size: tuple[int, int]) -> Tensor:
        if tuple(pictures.shape[-2:]) == size:
            return pictures
        if self.filter == "nearest":
            return functional.interpolate(pictures, size, mode="nearest")
        return functional.interpolate(
            pictures, size, mode=self.filter, antialias=True, align_corners=False
        )

    def _patches(self, pictures: Tensor, size: tuple[int, int]) -> dict[str, Tensor]:
        patch, merge = self.patch, self.merge
        high, wide = (side // patch for side in size)
        steps = -(-len(pictures) // self.step)
        values = torch.empty(steps * high * wide, 3, self.step * patch * patch)
        # Step by step, while its bytes are in the cache.
        for few, into in zip(
            torch.split(pictures, self.step), torch.split(values, high * wide), strict=True
        ):
            few = self._resized(few, size)
            if missing := self.step - len(few):
                few = torch.cat([few, few[-1:].expand(missing, -1, -1, -1)])
            cells = few.reshape(
                self.step, 3, high // merge, merge, patch, wide // merge, merge, patch
            )
            # Rows cell by cell, so that the patches of one token are neighbours.
            rows = cells.permute(2, 5, 3, 6, 1, 0, 4, 7).reshape(into.shape)
            self._normalise(rows, into)
        pixels = {
            "pixel_values_videos": values.flatten(1),
            "video_grid_thw": torch.tensor([[steps, high, wide]]),
        }
        if self.family.resize == "shared":
            pixels["video_merge_sizes"] = torch.tensor([merge])
        return pixels

    def _normalise(self, values: Tensor, into: Tensor) -> None:
        """Write ``values`` into ``into``; axis 1 of both is the colour."""
        shape = [3 if axis == 1 else 1 for axis in range(values.dim())]
        # 0-255 instead of 0-1: means and deviations are scaled, not the pixels.
        mean, deviation = (torch.tensor(of) * self.levels for of in (self.mean, self.deviation))
        into.copy_(values).sub_(mean.view(shape)).div_(deviation.view(shape))


def _read(cls: type[Packing], family: Family, config: Any, processing: dict[str, Any]) -> Packing:
    settings: dict[str, Any] = {**_DEFAULTS[family.name], **processing}
    vision = config.vision_config
    factor = settings["rescale_factor"] if settings.get("do_rescale", True) else 1.0
    mean, std = settings["image_mean"], settings["image_std"]
    if not settings.get("do_normalize", True):
        mean, std = [0.0] * 3, [1.0] * 3
    patch = vision.patch_size
    patch = int(patch if isinstance(patch, int) else patch[0])
    size = dict(settings["size"])
    if family.any_size:
        merge, step = int(settings["merge_size"]), int(settings.get("temporal_patch_size", 1))
        limits = Limits(
            int(settings.get("min_pixels") or size["shortest_edge"]),
            int(settings.get("max_pixels") or size["longest_edge"]),
        )
        one, edge = (0, 0), 0
    else:
        merge, step, limits = family.merge(config), 1, Limits(0, 0)
        if family.resize == "crop":
            crop = settings["crop_size"]
            crop = {"height": crop, "width": crop} if isinstance(crop, int) else crop
            one = int(crop["height"]), int(crop["width"])
            edge = int(size.get("shortest_edge") or size["height"])
        elif family.resize == "longest":
            side = int(settings["max_image_size"]["longest_edge"])
            if "size" not in processing and "video_sampling" in processing:
                size = dict(processing["video_sampling"]["video_size"])
            one, edge = (side, side), int(size["longest_edge"])
        else:
            one, edge = (int(size["height"]), int(size["width"])), 0
        # Frames are resized whatever do_resize says: the tower takes no other size.
        own = getattr(vision, "image_size", None) or one
        if one != ((own, own) if isinstance(own, int) else tuple(own)):
            raise ValueError(f"frames of {one} for a vision tower of {own}")
    return cls(
        family=family,
        patch=patch,
        merge=merge,
        step=step,
        size=one,
        edge=edge,
        limits=limits,
        mean=tuple(map(float, mean)),
        deviation=tuple(map(float, std)),
        levels=1 / factor,
        filter=_FILTERS[int(settings["resample"])],
    )


_CLIP = {
    "image_mean": (0.48145466, 0.4578275, 0.40821073),
    "image_std": (0.26862954, 0.26130258, 0.27577711),
}
_HALF = {"image_mean": (0.5, 0.5, 0.5), "image_std": (0.5, 0.5, 0.5)}
_COMMON: dict[str, Any] = {"rescale_factor": 1 / 255, "resample": 3, "merge_size": 2}
# What the processors of transformers assume where a checkpoint says nothing.
_DEFAULTS: dict[str, dict[str, Any]] = {
    "Qwen2-VL": _COMMON | _CLIP
    | {"temporal_patch_size": 2, "size": {"shortest_edge": 100352, "longest_edge": 602112}},
    "Qwen2.5-VL": _COMMON | _CLIP
    | {"temporal_patch_size": 2, "size": {"shortest_edge": 100352, "longest_edge": 602112}},
    "Qwen3-VL": _COMMON | _HALF
    | {"temporal_patch_size": 2, "size": {"shortest_edge": 131072, "longest_edge": 786432}},
    "Qwen3.5": _COMMON | _HALF
    | {"temporal_patch_size": 2, "size": {"shortest_edge": 131072, "longest_edge": 786432}},
    "LLaVA-OneVision": _COMMON | _CLIP | {"size": {"height": 384, "width": 384}},
    "LLaVA-NeXT-Video": _COMMON | _CLIP
    | {"size": {"shortest_edge": 224}, "crop_size": {"height": 224, "width": 224}},
    "Video-LLaVA": _COMMON | _CLIP
    | {"size": {"shortest_edge": 224}, "crop_size": {"height": 224, "width": 224}},
    "SmolVLM2": _COMMON | _HALF
    | {"resample": 1, "size": {"longest_edge": 1456}, "max_image_size": {"longest_edge": 364}},
    "InternVL": _COMMON | _CLIP | {"size": {"height": 384, "width": 384}},
    "VideoLLaMA3": _COMMON | _HALF | {"size": {"shortest_edge": 100352, "longest_edge": 602112}},
    "Gemma3": _COMMON | _HALF | {"resample": 2, "size": {"height": 224, "width": 224}},
    "GLM-4V": _COMMON | _CLIP
    | {"temporal_patch_size": 2, "size": {"shortest_edge": 12544, "longest_edge": 9633792}},
}  # fmt: skip
