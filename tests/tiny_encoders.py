"""Tiny random dual encoders of the real classes, in folders that look like those of the hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tiny import CORPUS
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    PreTrainedTokenizerFast,
    Siglip2Config,
    Siglip2ImageProcessorPil,
    Siglip2Model,
    SiglipConfig,
    SiglipImageProcessorPil,
    SiglipModel,
)

ENCODERS = ("clip", "long-clip", "siglip", "siglip2")
_SIZE = 32
_WIDE: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}


def tiny_encoder(kind: str, folder: Path) -> Path:
    """Write one of :data:`ENCODERS` into ``folder``."""
    clip = kind.endswith("clip") and kind != "siglip"
    limit = {"clip": 77, "long-clip": 248}.get(kind, 64)
    tokenizer = _tokenizer(limit, masks=clip)
    text = _WIDE | {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": limit,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    vision = _WIDE | {"image_size": _SIZE, "patch_size": 8}
    torch.manual_seed(3)
    if clip:
        model: Any = CLIPModel(
            CLIPConfig(text_config=text, vision_config=vision, projection_dim=24)
        )
        pixels: Any = CLIPImageProcessorPil(
            size={"shortest_edge": _SIZE}, crop_size={"height": _SIZE, "width": _SIZE}
        )
    elif kind == "siglip":
        model = SiglipModel(SiglipConfig(text_config=text, vision_config=vision))
        pixels = SiglipImageProcessorPil(size={"height": _SIZE, "width": _SIZE})
    else:
        vision = _WIDE | {"patch_size": 8, "num_patches": 16}
        model = Siglip2Model(Siglip2Config(text_config=text, vision_config=vision))
        pixels = Siglip2ImageProcessorPil(patch_size=8, max_num_patches=16)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn_like(weight) * 0.2)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    pixels.save_pretrained(folder)
    return folder


def _tokenizer(limit: int, masks: bool) -> PreTrainedTokenizerFast:
    made = Tokenizer(models.BPE(unk_token="<unk>"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    special = ["<pad>", "<unk>", "<s>", "</s>"]
    made.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=400, special_tokens=special, show_progress=False)
    )
    ends = [(token, made.token_to_id(token)) for token in ("<s>", "</s>")]
    made.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=ends)
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        model_max_length=limit,
        # SigLIP was trained without masks: its published tokenizers give none.
        model_input_names=["input_ids", "attention_mask"] if masks else ["input_ids"],
    )
