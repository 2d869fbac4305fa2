"""The checkpoints that bench_mllm.py measures with: official settings, random weights.

Pixels are packed as the published processors say, so their settings are those of the published
checkpoints. Of weights only the shapes matter to time and memory: they are made where they are
needed and stand in no file.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.append(str(Path(__file__).parents[1] / "tests"))

if TYPE_CHECKING:
    from videopipe.mllm import VideoMLLM
    from videopipe.mllm.pixels import Packing

_IMAGES, _VIDEOS = "preprocessor_config.json", "video_preprocessor_config.json"


def _pixels(low: int, high: int) -> dict[str, Any]:
    return {"size": {"shortest_edge": low, "longest_edge": high}}


def _square(side: int) -> dict[str, Any]:
    return {"size": {"height": side, "width": side}}


def _cropped(side: int) -> dict[str, Any]:
    return {"size": {"shortest_edge": side}, "crop_size": {"height": side, "width": side}}


# By family the file with the settings of its videos, and what the published one says there.
PUBLISHED: dict[str, tuple[str, dict[str, Any]]] = {
    "qwen2_vl": (_IMAGES, {"min_pixels": 100352, "max_pixels": 602112}),
    "qwen2_5_vl": (_IMAGES, {"min_pixels": 100352, "max_pixels": 602112}),
    "qwen3_vl": (_VIDEOS, _pixels(4096, 25165824)),
    "qwen3_5": (_VIDEOS, _pixels(4096, 25165824)),
    "llava_onevision": (_VIDEOS, _square(384)),
    "llava_next_video": (_VIDEOS, _cropped(336)),
    "video_llava": (_VIDEOS, _cropped(224)),
    "smolvlm": (
        _IMAGES,
        {"size": {"longest_edge": 1536}, "max_image_size": {"longest_edge": 384}},
    ),
    "internvl": (_VIDEOS, _square(448)),
    "video_llama_3": (_VIDEOS, _pixels(3136, 12845056)),
    "gemma3": (_IMAGES, _square(896)),
    "glm4v": (_VIDEOS, _pixels(12544, 47040000)),
}

_SMALL = {
    "text": {
        "hidden_size": 256,
        "intermediate_size": 512,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 131072,
        "mrope_section": [8, 12, 12],
    },
    "vision": {
        "depth": 4,
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_heads": 4,
        "out_hidden_size": 256,
        "fullatt_block_indexes": [3],
    },
}
_SEVEN = {
    "text": {
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "max_position_embeddings": 128000,
        "mrope_section": [16, 24, 24],
        "vocab_size": 152064,
    },
    "vision": {
        "depth": 32,
        "hidden_size": 1280,
        "intermediate_size": 3420,
        "num_heads": 16,
        "out_hidden_size": 3584,
        "fullatt_block_indexes": [7, 15, 23, 31],
    },
}
SHAPES = {"small": _SMALL, "7B": _SEVEN}
"""Of Qwen2.5-VL: one for a CPU, and that of the published 7B."""


def write_folder(family: str, folder: Path) -> None:
    """A folder that the official processor loads: tokenizer, template, published settings."""
    from tiny import tiny
    from transformers.utils import logging

    logging.disable_progress_bar()
    tiny(family, folder)
    name, settings = PUBLISHED[family]
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | settings), encoding="utf-8")


def packing_of(family: str, folder: Path) -> Packing:
    """How the checkpoint in ``folder`` wants its pixels."""
    from transformers import AutoConfig

    from videopipe.mllm.families import family_of
    from videopipe.mllm.files import processing
    from videopipe.mllm.pixels import Packing

    config = AutoConfig.from_pretrained(folder)
    settings = processing(family, folder)
    kind = family_of(config)
    own = settings["videos"] if kind.items == "video" else settings["images"]
    return Packing.of(kind, config, own)


def qwen(shape: str, folder: Path, device: str) -> VideoMLLM:
    """A Qwen2.5-VL of random weights in one of ``SHAPES``, made on ``device``.

    It is bfloat16 on a GPU and float32 on a CPU; ``folder`` holds its tokenizer and settings.
    """
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText, AutoTokenizer

    from videopipe.mllm import VideoMLLM
    from videopipe.mllm.checkpoint import Checkpoint
    from videopipe.mllm.files import processing

    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    small = AutoConfig.from_pretrained(folder).to_dict()
    text = small["text_config"] | SHAPES[shape]["text"]
    text["rope_parameters"] = {
        "rope_type": "default",
        "rope_theta": 1e6,
        "mrope_section": text.pop("mrope_section"),
    }
    for unset in ("layer_types", "head_dim"):
        text.pop(unset, None)
    vision = small["vision_config"] | SHAPES[shape]["vision"] | {"window_size": 112}
    config = AutoConfig.for_model(**small | {"text_config": text, "vision_config": vision})
    torch.manual_seed(0)
    with torch.device(device):
        model = AutoModelForImageTextToText.from_config(config, dtype=dtype).eval()
    return VideoMLLM(
        Checkpoint(
            model=model,
            tokenizer=AutoTokenizer.from_pretrained(folder),
            config=model.config,
            processing=processing("bench", folder),
            name=f"random {shape}",
            device=model.device,
            dtype=dtype,
            reason="for a benchmark",
        )
    )
