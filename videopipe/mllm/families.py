"""What tells the families of video MLLMs apart: one row of facts each, and no class.

Sizes, normalisation and special tokens are read from the checkpoint; here stands only what its
files do not say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from videopipe.errors import ModelError
from videopipe.mllm import expansions
from videopipe.mllm.expansions import Expand


@dataclass(frozen=True, slots=True)
class Family:
    """The facts of one family.

    Attributes:
        name: as its authors write it.
        model_types: ``model_type`` of the configurations that belong to it.
        pixels: how frames go in: ``patches`` (rows of patches and a grid), ``video``
            (``[1, T, 3, H, W]``), ``frames`` (``[T, 3, H, W]``) or ``images``
            (``[1, T, 3, H, W]``, named as images).
        resize: ``frame``, ``clip`` or ``shared``: any size on the patch grid, with the limits of
            the checkpoint meant for a frame, for a clip, or shared out among its frames;
            ``square``, ``crop`` or ``longest``: one size, by squeezing, by cropping the middle, or
            by way of the longest side.
        modality: under which the features are handed to the model.
        holder: the attribute of the configuration that names the placeholder.
        marker: the attribute of the tokenizer with what the chat template writes for a video (or
            for a frame where ``items`` is ``image``), else its usual text.
        items: what the chat template is given, a video or its frames as images.
        expand: how the placeholders of a clip stand in the prompt.
        lead: leading axes of the features when they are handed over, None for a list.
        rope: ``1d``, or the multi-axis positions of ``get_rope_index``; ``seconds``: these count
            real time.
        extra: tokens without a place in the grid: one at the end of a clip (``newline``) or at
            the head of each frame (``class``).
        halved: the tower's grid is pooled 2 x 2 before the language model.
        merge: patches per side of a token, from the configuration; where any size is taken, the
            processor's settings say it.
        stamped: the prompt tells the time of each frame already.
    """

    name: str
    model_types: tuple[str, ...]
    pixels: Literal["patches", "video", "frames", "images"]
    resize: Literal["frame", "clip", "shared", "square", "crop", "longest"]
    modality: Literal["video", "image"]
    holder: tuple[str, ...]
    marker: tuple[str, str]
    expand: Expand
    items: Literal["video", "image"] = "video"
    lead: int | None = None
    rope: Literal["1d", "mrope", "seconds"] = "1d"
    extra: Literal["none", "newline", "class"] = "none"
    halved: Literal["no", "up", "down"] = "no"
    merge: Callable[[Any], int] = lambda config: 1
    stamped: bool = False

    @property
    def any_size(self) -> bool:
        """Whether a frame may have any resolution, and so any number of tokens."""
        return self.pixels == "patches"


def _merge_of_gemma(config: Any) -> int:
    vision = config.vision_config
    return int(vision.image_size // vision.patch_size / config.mm_tokens_per_image**0.5)


_VIDEO = ("video_token_id", "video_token_index")
_IMAGE = ("image_token_id", "image_token_index")
_PAD = ("video_token", "<|video_pad|>")
_TAG = ("video_token", "<video>")

FAMILIES: tuple[Family, ...] = (
    Family(
        "Qwen2-VL", ("qwen2_vl",), "patches", "frame", "video", _VIDEO, _PAD, expansions.plain,
        rope="mrope",
    ),
    Family(
        "Qwen2.5-VL", ("qwen2_5_vl",), "patches", "frame", "video", _VIDEO, _PAD,
        expansions.plain, rope="seconds",
    ),
    Family(
        "Qwen3-VL", ("qwen3_vl", "qwen3_vl_moe"), "patches", "clip", "video", _VIDEO, _PAD,
        expansions.seconds, rope="mrope", stamped=True,
    ),
    Family(
        "Qwen3.5", ("qwen3_5", "qwen3_5_moe"), "patches", "clip", "video", _VIDEO, _PAD,
        expansions.seconds, rope="mrope", stamped=True,
    ),
    Family(
        "LLaVA-OneVision", ("llava_onevision",), "video", "square", "video", _VIDEO, _TAG,
        expansions.plain, lead=1, extra="newline", halved="up",
    ),
    Family(
        "LLaVA-NeXT-Video", ("llava_next_video",), "video", "crop", "video", _VIDEO, _TAG,
        expansions.plain, lead=2, halved="down",
    ),
    Family(
        "Video-LLaVA", ("video_llava",), "video", "crop", "video", _VIDEO, _TAG,
        expansions.plain, lead=1, extra="class",
    ),
    Family(
        "SmolVLM2", ("smolvlm",), "images", "longest", "image", _IMAGE, _TAG,
        expansions.smolvlm, merge=lambda config: int(config.scale_factor), stamped=True,
    ),
    Family(
        "InternVL", ("internvl",), "frames", "square", "image", _IMAGE, _TAG,
        expansions.internvl, lead=0, merge=lambda config: round(1 / config.downsample_ratio),
    ),
    Family(
        "VideoLLaMA3", ("video_llama_3",), "patches", "shared", "video", _VIDEO, _PAD,
        expansions.video_llama, stamped=True,
    ),
    Family(
        "Gemma3", ("gemma3",), "frames", "square", "image", _IMAGE,
        ("boi_token", "<start_of_image>"), expansions.gemma, items="image", lead=0,
        merge=_merge_of_gemma,
    ),
    Family(
        "GLM-4V", ("glm4v", "glm4v_moe"), "patches", "clip", "video", _IMAGE,
        ("video_token", "<|video|>"), expansions.glm, rope="mrope", stamped=True,
    ),
)  # fmt: skip


def family_of(config: Any) -> Family:
    """The family of a transformers configuration.

    Raises:
        ModelError: none of them; the sentence names those there are.
    """
    kind = getattr(config, "model_type", None)
    for family in FAMILIES:
        if kind in family.model_types:
            return family
    raise ModelError(
        f"A model of type '{kind}' is not supported; take one of "
        f"{', '.join(family.name for family in FAMILIES)}, or serve it and use openai:MODEL."
    )
