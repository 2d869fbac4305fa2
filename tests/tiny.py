"""Tiny random checkpoints of the real model classes, in folders that look like those of the hub.

``tiny("qwen3_vl", folder)`` writes weights, tokenizer, chat template and the processors' settings.
Structure, normalisation, patch and merge sizes and the way frames stand in a prompt are those of
the published models; widths, depths and picture sizes are small, the weights are noise.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModelForImageTextToText, PreTrainedTokenizerFast

CLIP = {
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}
HALF = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
COMMON = {
    "do_convert_rgb": True,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "rescale_factor": 1 / 255,
}
LANCZOS, BILINEAR, BICUBIC = 1, 2, 3

CORPUS = (
    "the video shows a person who walks into the room and opens the door near the window . ",
    "what happens in the video ? describe the picture , the colours and the words on the screen . ",
    "a red car stands on the street ; two people talk and then they leave the house together . ",
    "You are a helpful assistant . You are provided the following series of frames from a video . ",
    "user assistant system model User Assistant System USER ASSISTANT Question Answer Option ",
    "Frame1: Frame2: Frame from 00:00: 00:05: Time 0.0s: 12.5s: <0.2 seconds> 0123456789 A B C D ",
    "select the best answer to the following question from the subtitles and the frames . yes no ",
)

QWEN_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)

QWEN_CONTENT = (
    "{%- macro render(content) -%}{%- if content is string -%}{{ content }}{%- else -%}"
    "{%- for item in content -%}"
    "{%- if item.type == 'image' -%}{{ '<|vision_start|><|image_pad|><|vision_end|>' }}"
    "{%- elif item.type == 'video' -%}{{ '<|vision_start|><|video_pad|><|vision_end|>' }}"
    "{%- elif item.type == 'text' -%}{{ item.text }}{%- endif -%}"
    "{%- endfor -%}{%- endif -%}{%- endmacro -%}"
)
QWEN_MESSAGES = (
    "{%- for message in messages -%}"
    "{{ '<|im_start|>' + message.role + '\\n' + render(message.content) + '<|im_end|>\\n' }}"
    "{%- endfor -%}"
)
QWEN_REPLY = "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}"
DEFAULT_SYSTEM = (
    "{%- if messages[0].role != 'system' -%}"
    "{{ '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}{%- endif -%}"
)
QWEN2_TEMPLATE = QWEN_CONTENT + DEFAULT_SYSTEM + QWEN_MESSAGES + QWEN_REPLY
QWEN3_TEMPLATE = QWEN_CONTENT + QWEN_MESSAGES + QWEN_REPLY
QWEN3_5_TEMPLATE = (
    QWEN_CONTENT
    + QWEN_MESSAGES
    + "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n<think>\\n' }}"
    "{%- if enable_thinking is defined and not enable_thinking -%}{{ '\\n</think>\\n\\n' }}"
    "{%- endif -%}{%- endif -%}"
)
VIDEO_LLAMA_3_TEMPLATE = (
    DEFAULT_SYSTEM + "{%- for message in messages -%}{{ '<|im_start|>' + message.role + '\\n' }}"
    "{%- if message.content is string -%}{{ message.content }}{%- else -%}"
    "{%- for item in message.content -%}"
    "{%- if item.type == 'image' -%}{{ '<|image_pad|>\\n' }}"
    "{%- elif item.type == 'video' -%}{{ '<|video_pad|>\\n' }}"
    "{%- elif item.type == 'text' -%}{{ item.text }}{%- endif -%}"
    "{%- endfor -%}{%- endif -%}{{ '<|im_end|>\\n' }}{%- endfor -%}"
) + QWEN_REPLY
ONEVISION_TEMPLATE = (
    "{%- for message in messages -%}{{ '<|im_start|>' + message.role + ' ' }}"
    "{%- for item in message.content -%}"
    "{%- if item.type == 'image' -%}{{ '<image>' }}"
    "{%- elif item.type == 'video' -%}{{ '<video>' }}{%- endif -%}{%- endfor -%}"
    "{%- for item in message.content -%}"
    "{%- if item.type == 'text' -%}{{ '\\n' + item.text }}{%- endif -%}{%- endfor -%}"
    "{{ '<|im_end|>' }}{%- endfor -%}"
) + QWEN_REPLY
VICUNA_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if message.role != 'system' -%}{{ message.role.upper() + ': ' }}{%- endif -%}"
    "{%- for item in message.content -%}"
    "{%- if item.type == 'image' -%}{{ '<image>\\n' }}"
    "{%- elif item.type == 'video' -%}{{ '<video>\\n' }}{%- endif -%}{%- endfor -%}"
    "{%- for item in message.content -%}"
    "{%- if item.type == 'text' -%}{{ item.text + ' ' }}{%- endif -%}{%- endfor -%}"
    "{%- endfor -%}{%- if add_generation_prompt -%}{{ 'ASSISTANT:' }}{%- endif -%}"
)
SMOLVLM_TEMPLATE = (
    "<|im_start|>{%- for message in messages -%}{{ message.role | capitalize }}"
    "{%- if message.content[0].type == 'image' -%}{{ ':' }}{%- else -%}{{ ': ' }}{%- endif -%}"
    "{%- for item in message.content -%}"
    "{%- if item.type == 'text' -%}{{ item.text }}"
    "{%- elif item.type == 'image' -%}{{ '<image>' }}"
    "{%- elif item.type == 'video' -%}{{ '<video>' }}{%- endif -%}{%- endfor -%}"
    "{{ '<end_of_utterance>\\n' }}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ 'Assistant:' }}{%- endif -%}"
)
INTERNVL_TEMPLATE = (
    "{%- for message in messages -%}{{ '<|im_start|>' + message.role + '\\n' }}"
    "{%- if message.content is string -%}{{ message.content }}{%- else -%}"
    "{%- for item in message.content -%}"
    "{%- if item.type == 'image' -%}{{ '<IMG_CONTEXT>\\n' }}"
    "{%- elif item.type == 'video' -%}{{ '<video>\\n' }}"
    "{%- elif item.type == 'text' -%}{{ item.text }}{%- endif -%}"
    "{%- endfor -%}{%- endif -%}{{ '<|im_end|>\\n' }}{%- endfor -%}"
) + QWEN_REPLY
GEMMA3_TEMPLATE = (
    "{{ bos_token }}{%- set lead = namespace(text='') -%}{%- for message in messages -%}"
    "{%- if message.role == 'system' -%}"
    "{%- set lead.text = (message.content if message.content is string"
    " else message.content[0].text) + '\\n\\n' -%}"
    "{%- else -%}"
    "{{ '<start_of_turn>' + ('model' if message.role == 'assistant' else message.role) + '\\n' }}"
    "{{ lead.text }}{%- set lead.text = '' -%}"
    "{%- if message.content is string -%}{{ message.content | trim }}{%- else -%}"
    "{%- for item in message.content -%}"
    "{%- if item.type == 'image' -%}{{ '<start_of_image>' }}"
    "{%- elif item.type == 'text' -%}{{ item.text | trim }}{%- endif -%}"
    "{%- endfor -%}{%- endif -%}{{ '<end_of_turn>\\n' }}{%- endif -%}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<start_of_turn>model\\n' }}{%- endif -%}"
)
GLM4V_TEMPLATE = (
    "[gMASK]<sop>{%- for message in messages -%}{{ '<|' + message.role + '|>\\n' }}"
    "{%- if message.content is string -%}{{ message.content }}{%- else -%}"
    "{%- for item in message.content -%}"
    "{%- if item.type == 'image' -%}{{ '<|begin_of_image|><|image|><|end_of_image|>' }}"
    "{%- elif item.type == 'video' -%}{{ '<|begin_of_video|><|video|><|end_of_video|>' }}"
    "{%- elif item.type == 'text' -%}{{ item.text }}{%- endif -%}"
    "{%- endfor -%}{%- endif -%}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|assistant|>\\n' }}{%- endif -%}"
)

Ids = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class Family:
    """One family: its tokens and template, and its settings as the hub's files hold them."""

    processor: str
    template: str
    specials: tuple[str, ...]
    eos: str
    pad: str
    config: Callable[[Ids, int], dict[str, Any]]
    images: dict[str, Any]
    videos: dict[str, Any] | None = None
    assembly: dict[str, Any] = field(default_factory=dict)
    bos: str | None = None
    names: dict[str, str] = field(default_factory=dict)
    generation: dict[str, Any] = field(default_factory=dict)


def _text(kind: str, size: int, **more: Any) -> dict[str, Any]:
    return {
        "model_type": kind,
        "vocab_size": size,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 32768,
        **more,
    }


def _vision(kind: str, **more: Any) -> dict[str, Any]:
    return {
        "model_type": kind,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        **more,
    }


def _tower(kind: str, **more: Any) -> dict[str, Any]:
    return {
        "model_type": kind,
        "depth": 2,
        "num_heads": 2,
        "in_channels": 3,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        **more,
    }


def _qwen_ids(ids: Ids) -> dict[str, Any]:
    return {
        "image_token_id": ids("<|image_pad|>"),
        "video_token_id": ids("<|video_pad|>"),
        "vision_start_token_id": ids("<|vision_start|>"),
        "vision_end_token_id": ids("<|vision_end|>"),
    }


def _ends(ids: Ids, eos: str, pad: str, bos: str | None = None) -> dict[str, Any]:
    ends: dict[str, Any] = {"eos_token_id": ids(eos), "pad_token_id": ids(pad)}
    return ends | {"bos_token_id": ids(bos) if bos else None}


def _mrope(*sections: int, **more: Any) -> dict[str, Any]:
    return {"rope_type": "default", "mrope_section": list(sections), "rope_theta": 1e6, **more}


def _qwen2_vl(ids: Ids, size: int) -> dict[str, Any]:
    ends = _ends(ids, "<|im_end|>", "<|endoftext|>", "<|endoftext|>")
    return {
        "text_config": _text(
            "qwen2_vl_text", size, rope_parameters=_mrope(2, 3, 3), tie_word_embeddings=True, **ends
        ),
        "vision_config": _tower("qwen2_vl_vision", embed_dim=32, hidden_size=64, patch_size=14),
        "tie_word_embeddings": True,
        **_qwen_ids(ids),
    }


def _qwen2_5_vl(ids: Ids, size: int) -> dict[str, Any]:
    ends = _ends(ids, "<|im_end|>", "<|endoftext|>", "<|endoftext|>")
    return {
        "text_config": _text("qwen2_5_vl_text", size, rope_parameters=_mrope(2, 3, 3), **ends),
        "vision_config": _tower(
            "qwen2_5_vl_vision",
            hidden_size=32,
            intermediate_size=48,
            out_hidden_size=64,
            patch_size=14,
            window_size=56,
            fullatt_block_indexes=[1],
            tokens_per_second=2,
        ),
        **_qwen_ids(ids),
    }


def _qwen3_vl(ids: Ids, size: int) -> dict[str, Any]:
    ends = _ends(ids, "<|im_end|>", "<|endoftext|>", "<|endoftext|>")
    return {
        "text_config": _text(
            "qwen3_vl_text",
            size,
            num_hidden_layers=3,
            head_dim=16,
            rope_parameters=_mrope(4, 2, 2, mrope_interleaved=True),
            tie_word_embeddings=True,
            **ends,
        ),
        "vision_config": _tower(
            "qwen3_vl_vision",
            depth=3,
            hidden_size=32,
            intermediate_size=48,
            out_hidden_size=64,
            patch_size=16,
            num_position_embeddings=64,
            deepstack_visual_indexes=[0, 1],
        ),
        "tie_word_embeddings": True,
        **_qwen_ids(ids),
    }


def _qwen3_5(ids: Ids, size: int) -> dict[str, Any]:
    ends = _ends(ids, "<|im_end|>", "<|endoftext|>")
    return {
        "text_config": _text(
            "qwen3_5_text",
            size,
            num_hidden_layers=4,
            head_dim=32,
            layer_types=["linear_attention"] * 3 + ["full_attention"],
            linear_conv_kernel_dim=4,
            linear_key_head_dim=16,
            linear_value_head_dim=16,
            linear_num_key_heads=2,
            linear_num_value_heads=4,
            rope_parameters=_mrope(2, 1, 1, mrope_interleaved=True, partial_rotary_factor=0.25),
            tie_word_embeddings=True,
            **ends,
        ),
        "vision_config": _tower(
            "qwen3_5_vision",
            hidden_size=32,
            intermediate_size=48,
            out_hidden_size=64,
            patch_size=16,
            num_position_embeddings=64,
        ),
        "tie_word_embeddings": True,
        **_qwen_ids(ids),
    }


def _llava_onevision(ids: Ids, size: int) -> dict[str, Any]:
    ends = _ends(ids, "<|im_end|>", "<|endoftext|>")
    return {
        "text_config": _text("qwen2", size, tie_word_embeddings=True, **ends),
        # 76 is no multiple of 14, as 384 is not.
        "vision_config": _vision(
            "siglip_vision_model", image_size=76, patch_size=14, vision_use_head=False
        ),
        "image_token_index": ids("<image>"),
        "video_token_index": ids("<video>"),
        "image_grid_pinpoints": [[76, 76], [76, 152], [152, 76], [152, 152]],
        "tie_word_embeddings": True,
    }


def _llava_next_video(ids: Ids, size: int) -> dict[str, Any]:
    return {
        "text_config": _text(
            "llama", size, num_key_value_heads=4, **_ends(ids, "</s>", "<pad>", "<s>")
        ),
        "vision_config": _vision("clip_vision_model", image_size=84, patch_size=14),
        "image_token_index": ids("<image>"),
        "video_token_index": ids("<video>"),
        "image_grid_pinpoints": [[84, 168], [168, 84], [168, 168]],
        "image_seq_length": 36,
        "video_seq_length": 72,
    }


def _video_llava(ids: Ids, size: int) -> dict[str, Any]:
    return {
        "text_config": _text(
            "llama", size, num_key_value_heads=4, **_ends(ids, "</s>", "<pad>", "<s>")
        ),
        "vision_config": _vision("clip_vision_model", image_size=56, patch_size=14),
        "image_token_index": ids("<image>"),
        "video_token_index": ids("<video>"),
        "image_seq_length": 16,
        "video_seq_length": 136,
    }


def _smolvlm(ids: Ids, size: int) -> dict[str, Any]:
    ends = _ends(ids, "<end_of_utterance>", "<|im_end|>", "<|im_start|>")
    return {
        "text_config": _text("llama", size, tie_word_embeddings=True, **ends),
        "vision_config": _vision("smolvlm_vision", image_size=84, patch_size=14),
        "image_token_id": ids("<image>"),
        "pad_token_id": ids("<|im_end|>"),
        "scale_factor": 3,
        "tie_word_embeddings": True,
    }


def _internvl(ids: Ids, size: int) -> dict[str, Any]:
    ends = _ends(ids, "<|im_end|>", "<|endoftext|>")
    return {
        "text_config": _text("qwen2", size, tie_word_embeddings=True, **ends),
        "vision_config": _vision(
            "internvl_vision", image_size=[84, 84], patch_size=[14, 14], attention_bias=True
        ),
        "image_token_id": ids("<IMG_CONTEXT>"),
        "image_seq_length": 9,
        "downsample_ratio": 0.5,
        "tie_word_embeddings": True,
    }


def _video_llama_3(ids: Ids, size: int) -> dict[str, Any]:
    ends = _ends(ids, "<|im_end|>", "<|endoftext|>")
    return {
        "text_config": _text("qwen2", size, tie_word_embeddings=True, **ends),
        "vision_config": _vision("video_llama_3_vision", patch_size=14),
        "image_token_id": ids("<|image_pad|>"),
        "video_token_id": ids("<|video_pad|>"),
        "tie_word_embeddings": True,
    }


def _gemma3(ids: Ids, size: int) -> dict[str, Any]:
    return {
        "text_config": _text(
            "gemma3_text",
            size,
            num_hidden_layers=3,
            head_dim=16,
            query_pre_attn_scalar=16,
            sliding_window=64,
            layer_types=["sliding_attention", "sliding_attention", "full_attention"],
            **_ends(ids, "<eos>", "<pad>", "<bos>"),
        ),
        "vision_config": _vision(
            "siglip_vision_model", image_size=112, patch_size=14, vision_use_head=False
        ),
        "mm_tokens_per_image": 4,
        "boi_token_index": ids("<start_of_image>"),
        "eoi_token_index": ids("<end_of_image>"),
        "image_token_index": ids("<image_soft_token>"),
    }


def _glm4v(ids: Ids, size: int) -> dict[str, Any]:
    return {
        "text_config": _text(
            "glm4v_text",
            size,
            head_dim=32,
            num_attention_heads=2,
            num_key_value_heads=1,
            rope_parameters=_mrope(2, 3, 3, partial_rotary_factor=0.5),
            **_ends(ids, "<|endoftext|>", "<|endoftext|>"),
        ),
        "vision_config": _tower(
            "glm4v_vision",
            hidden_size=32,
            intermediate_size=48,
            out_hidden_size=64,
            patch_size=14,
            image_size=112,
        ),
        "image_token_id": ids("<|image|>"),
        "video_token_id": ids("<|video|>"),
        "image_start_token_id": ids("<|begin_of_image|>"),
        "image_end_token_id": ids("<|end_of_image|>"),
        "video_start_token_id": ids("<|begin_of_video|>"),
        "video_end_token_id": ids("<|end_of_video|>"),
    }


def _patches(patch: int, temporal: int = 2, merge: int = 2) -> dict[str, Any]:
    return {"patch_size": patch, "temporal_patch_size": temporal, "merge_size": merge}


def _edges(shortest: int, longest: int) -> dict[str, Any]:
    return {"size": {"shortest_edge": shortest, "longest_edge": longest}}


def _square(side: int) -> dict[str, Any]:
    return {"size": {"height": side, "width": side}}


def _cropped(side: int) -> dict[str, Any]:
    return {
        "crop_size": {"height": side, "width": side},
        "do_center_crop": True,
        "size": {"shortest_edge": side},
    }


QWEN_NAMES = {
    "image_token": "<|image_pad|>",
    "video_token": "<|video_pad|>",
    "vision_bos_token": "<|vision_start|>",
    "vision_eos_token": "<|vision_end|>",
}
# Written for pictures; the video processor of a checkpoint this old reads the same file. What the
# classes take for granted (resampling, rescaling) does not stand in the files of these families.
QWEN2_IMAGES = {
    "image_processor_type": "Qwen2VLImageProcessor",
    "min_pixels": 3136,
    "max_pixels": 64 * 28 * 28,
    **_patches(14),
    **CLIP,
}
QWEN3_IMAGES = {
    "image_processor_type": "Qwen2VLImageProcessorFast",
    **_edges(65536, 256 * 32 * 32),
    **_patches(16),
    **HALF,
}
QWEN3_VIDEOS = {
    "video_processor_type": "Qwen3VLVideoProcessor",
    **_edges(4096, 512 * 32 * 32),
    **_patches(16),
    **HALF,
}
SAMPLING = {"do_sample": True, "temperature": 0.7, "top_k": 20, "top_p": 0.8}
VICUNA_SPECIALS = ("<unk>", "<s>", "</s>", "<pad>", "<image>", "<video>")
GRID = [f"<row_{row}_col_{col}>" for row in range(1, 7) for col in range(1, 7)]

_FAMILIES = {
    "qwen2_vl": Family(
        "Qwen2VLProcessor",
        QWEN2_TEMPLATE,
        QWEN_TOKENS,
        "<|im_end|>",
        "<|endoftext|>",
        _qwen2_vl,
        QWEN2_IMAGES,
        names=QWEN_NAMES,
        generation={"do_sample": True, "temperature": 0.01, "top_k": 1, "top_p": 0.001},
    ),
    "qwen2_5_vl": Family(
        "Qwen2_5_VLProcessor",
        QWEN2_TEMPLATE,
        QWEN_TOKENS,
        "<|im_end|>",
        "<|endoftext|>",
        _qwen2_5_vl,
        QWEN2_IMAGES,
        names=QWEN_NAMES,
        generation={"do_sample": True, "temperature": 1e-6, "repetition_penalty": 1.05},
    ),
    "qwen3_vl": Family(
        "Qwen3VLProcessor",
        QWEN3_TEMPLATE,
        QWEN_TOKENS,
        "<|im_end|>",
        "<|endoftext|>",
        _qwen3_vl,
        QWEN3_IMAGES,
        QWEN3_VIDEOS,
        names=QWEN_NAMES,
        generation=SAMPLING,
    ),
    "qwen3_5": Family(
        "Qwen3VLProcessor",
        QWEN3_5_TEMPLATE,
        (*QWEN_TOKENS, "<think>", "</think>"),
        "<|im_end|>",
        "<|endoftext|>",
        _qwen3_5,
        QWEN3_IMAGES,
        QWEN3_VIDEOS,
        names=QWEN_NAMES,
        generation=SAMPLING,
    ),
    "llava_onevision": Family(
        "LlavaOnevisionProcessor",
        ONEVISION_TEMPLATE,
        ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>", "<video>"),
        "<|im_end|>",
        "<|endoftext|>",
        _llava_onevision,
        {
            "image_processor_type": "LlavaOnevisionImageProcessor",
            "image_grid_pinpoints": [[76, 76], [76, 152], [152, 76], [152, 152]],
            "resample": BICUBIC,
            **_square(76),
            **HALF,
            **COMMON,
        },
        {
            "video_processor_type": "LlavaOnevisionVideoProcessor",
            "resample": BICUBIC,
            "do_sample_frames": False,
            **_square(76),
            **HALF,
            **COMMON,
        },
        assembly={
            "num_image_tokens": 25,
            "vision_feature_select_strategy": "full",
            "vision_aspect_ratio": "anyres_max_9",
        },
        names={"image_token": "<image>", "video_token": "<video>"},
        generation={"do_sample": True, "temperature": 0.7, "top_k": 20, "top_p": 0.8},
    ),
    "llava_next_video": Family(
        "LlavaNextVideoProcessor",
        VICUNA_TEMPLATE,
        VICUNA_SPECIALS,
        "</s>",
        "<pad>",
        _llava_next_video,
        {
            "image_processor_type": "LlavaNextImageProcessor",
            "image_grid_pinpoints": [[84, 168], [168, 84], [168, 168]],
            "resample": BICUBIC,
            **_cropped(84),
            **CLIP,
            **COMMON,
        },
        {
            "video_processor_type": "LlavaNextVideoVideoProcessor",
            "resample": BICUBIC,
            "do_sample_frames": False,
            **_cropped(84),
            **CLIP,
            **COMMON,
        },
        assembly={
            "patch_size": 14,
            "num_additional_image_tokens": 1,
            "vision_feature_select_strategy": "default",
        },
        bos="<s>",
        names={"image_token": "<image>", "video_token": "<video>"},
    ),
    "video_llava": Family(
        "VideoLlavaProcessor",
        VICUNA_TEMPLATE,
        VICUNA_SPECIALS,
        "</s>",
        "<pad>",
        _video_llava,
        {
            "image_processor_type": "VideoLlavaImageProcessor",
            "resample": BICUBIC,
            **_cropped(56),
            **CLIP,
            **COMMON,
        },
        {
            "video_processor_type": "VideoLlavaVideoProcessor",
            "resample": BICUBIC,
            "do_sample_frames": False,
            **_cropped(56),
            **CLIP,
            **COMMON,
        },
        assembly={
            "patch_size": 14,
            "num_additional_image_tokens": 1,
            "vision_feature_select_strategy": "default",
        },
        bos="<s>",
        names={"image_token": "<image>", "video_token": "<video>"},
    ),
    "smolvlm": Family(
        "SmolVLMProcessor",
        SMOLVLM_TEMPLATE,
        (
            "<|endoftext|>",
            "<|im_start|>",
            "<|im_end|>",
            "<fake_token_around_image>",
            "<image>",
            "<end_of_utterance>",
            "<global-img>",
            *GRID,
        ),
        "<end_of_utterance>",
        "<|im_end|>",
        _smolvlm,
        {
            "image_processor_type": "SmolVLMImageProcessor",
            "do_image_splitting": True,
            "do_pad": True,
            "max_image_size": {"longest_edge": 84},
            "resample": LANCZOS,
            "size": {"longest_edge": 336},
            "video_sampling": {"fps": 1, "max_frames": 64, "video_size": {"longest_edge": 84}},
            **HALF,
            **COMMON,
        },
        assembly={"image_seq_len": 4},
        names={
            "fake_image_token": "<fake_token_around_image>",
            "image_token": "<image>",
            "end_of_utterance_token": "<end_of_utterance>",
            "global_image_token": "<global-img>",
        },
    ),
    "internvl": Family(
        "InternVLProcessor",
        INTERNVL_TEMPLATE,
        (
            "<|endoftext|>",
            "<|im_start|>",
            "<|im_end|>",
            "<img>",
            "</img>",
            "<IMG_CONTEXT>",
            "<video>",
        ),
        "<|im_end|>",
        "<|endoftext|>",
        _internvl,
        {
            "image_processor_type": "GotOcr2ImageProcessorFast",
            "crop_to_patches": False,
            "min_patches": 1,
            "max_patches": 12,
            "resample": BICUBIC,
            **_square(84),
            **IMAGENET,
            **COMMON,
        },
        {
            "video_processor_type": "InternVLVideoProcessor",
            "resample": BICUBIC,
            "do_sample_frames": False,
            "initial_shift": True,
            **_square(84),
            **IMAGENET,
            **COMMON,
        },
        assembly={"image_seq_length": 9},
        names={
            "start_image_token": "<img>",
            "end_image_token": "</img>",
            "context_image_token": "<IMG_CONTEXT>",
            "video_token": "<video>",
        },
    ),
    "video_llama_3": Family(
        "VideoLlama3Processor",
        VIDEO_LLAMA_3_TEMPLATE,
        QWEN_TOKENS,
        "<|im_end|>",
        "<|endoftext|>",
        _video_llama_3,
        {
            "image_processor_type": "VideoLlama3ImageProcessor",
            "resample": BICUBIC,
            "min_pixels": 3136,
            "max_pixels": 64 * 28 * 28,
            **_patches(14, temporal=1, merge=1),
            **HALF,
            **COMMON,
        },
        {
            "video_processor_type": "VideoLlama3VideoProcessor",
            "resample": BICUBIC,
            "do_sample_frames": False,
            "use_token_compression": True,
            "fps": 1,
            "max_frames": 180,
            **_edges(3136, 512 * 28 * 28),
            **_patches(14, temporal=1),
            **HALF,
            **COMMON,
        },
        names={"image_token": "<|image_pad|>", "video_token": "<|video_pad|>"},
        generation=SAMPLING,
    ),
    "gemma3": Family(
        "Gemma3Processor",
        GEMMA3_TEMPLATE,
        (
            "<pad>",
            "<eos>",
            "<bos>",
            "<start_of_turn>",
            "<end_of_turn>",
            "<start_of_image>",
            "<end_of_image>",
            "<image_soft_token>",
        ),
        "<eos>",
        "<pad>",
        _gemma3,
        {
            "image_processor_type": "Gemma3ImageProcessor",
            "do_pan_and_scan": None,
            "image_seq_length": 4,
            "resample": BILINEAR,
            **_square(112),
            **HALF,
            **COMMON,
            "do_convert_rgb": None,
        },
        assembly={"image_seq_length": 4},
        bos="<bos>",
        names={
            "boi_token": "<start_of_image>",
            "eoi_token": "<end_of_image>",
            "image_token": "<image_soft_token>",
        },
        generation={"do_sample": True, "top_k": 64, "top_p": 0.95},
    ),
    "glm4v": Family(
        "Glm4vProcessor",
        GLM4V_TEMPLATE,
        (
            "<|endoftext|>",
            "[MASK]",
            "[gMASK]",
            "[sMASK]",
            "<sop>",
            "<eop>",
            "<|system|>",
            "<|user|>",
            "<|assistant|>",
            "<|observation|>",
            "<|begin_of_image|>",
            "<|end_of_image|>",
            "<|begin_of_video|>",
            "<|end_of_video|>",
            "<|image|>",
            "<|video|>",
        ),
        "<|endoftext|>",
        "<|endoftext|>",
        _glm4v,
        {
            "image_processor_type": "Glm4vImageProcessor",
            "do_rescale": True,
            **_edges(12544, 64 * 28 * 28),
            **_patches(14),
            **CLIP,
        },
        {
            "video_processor_type": "Glm4vVideoProcessor",
            "do_rescale": True,
            **_edges(12544, 512 * 28 * 28),
            **_patches(14),
            **CLIP,
        },
        names={"image_token": "<|image|>", "video_token": "<|video|>"},
        generation={"do_sample": True, "temperature": 1.0, "top_k": 2, "top_p": 1e-4},
    ),
}

FAMILIES: tuple[str, ...] = tuple(_FAMILIES)
# Gemma3 scales embeddings up and attention down: left alone, the last token decides the next.
ATTENTION_GAINS = ("q_norm.weight", "post_attention_layernorm.weight")
EXTRA_ENDS = {"gemma3": ("<end_of_turn>",), "glm4v": ("<|user|>", "<|observation|>")}


def tiny(family: str, folder: Path, *, seed: int = 0) -> Path:
    """Write a tiny checkpoint of ``family`` into ``folder``.

    Args:
        family: one of ``FAMILIES``, which are the ``model_type`` of ``config.json``.
        folder: created when absent.
        seed: of the weights.

    Returns:
        ``folder``, to be loaded with ``from_pretrained``.
    """
    facts = _FAMILIES[family]
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = build_tokenizer(facts)
    tokenizer.save_pretrained(folder)
    ids = tokenizer.convert_tokens_to_ids
    config = AutoConfig.for_model(family, **facts.config(ids, len(tokenizer)))
    model = _noise(config, seed)
    ends = (facts.eos, *EXTRA_ENDS.get(family, ()))
    model.generation_config.update(
        eos_token_id=[ids(end) for end in ends],
        pad_token_id=ids(facts.pad),
        bos_token_id=ids(facts.bos) if facts.bos else None,
        **facts.generation,
    )
    model.save_pretrained(folder)
    _write(folder / "preprocessor_config.json", facts.images, facts.processor)
    if facts.videos is not None:
        _write(folder / "video_preprocessor_config.json", facts.videos, facts.processor)
    if facts.assembly:
        _write(folder / "processor_config.json", facts.assembly, facts.processor)
    return folder


def build_tokenizer(facts: Family) -> PreTrainedTokenizerFast:
    """A byte-level BPE of a few hundred entries with the family's special tokens and template."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=sorted(alphabet), show_progress=False
    )
    backend.train_from_iterator(CORPUS, trainer)
    backend.add_special_tokens([AddedToken(token, special=True) for token in facts.specials])
    if facts.bos:
        backend.post_processor = processors.TemplateProcessing(
            single=f"{facts.bos} $A",
            pair=f"{facts.bos} $A {facts.bos} $B",
            special_tokens=[(facts.bos, backend.token_to_id(facts.bos))],
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token=facts.eos,
        pad_token=facts.pad,
        bos_token=facts.bos,
        padding_side="left",
        model_max_length=32768,
        extra_special_tokens=facts.names,
        chat_template=facts.template,
    )


def _noise(config: Any, seed: int) -> Any:
    """The model with weights large enough that its input decides what it says."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForImageTextToText.from_config(config, dtype=torch.float32)
        with torch.no_grad():
            for name, weight in sorted(model.named_parameters()):
                if name.endswith(("A_log", "dt_bias")):
                    continue
                if weight.ndim < 2:
                    weight.add_(torch.randn_like(weight), alpha=0.1)
                    if config.model_type == "gemma3" and name.endswith(ATTENTION_GAINS):
                        weight.add_(2)
                elif "embed" in name and "proj" not in name and weight.ndim == 2:
                    weight.normal_(0, 0.02 if config.model_type == "gemma3" else 0.1)
                else:
                    weight.normal_(0, 1.5 / weight[0].numel() ** 0.5)
    return model.eval()


def _write(path: Path, settings: dict[str, Any], processor: str) -> None:
    text = json.dumps(settings | {"processor_class": processor}, indent=2)
    path.write_text(text + "\n", encoding="utf-8")
