"""Dual encoders: the vectors of the model itself, whole questions, and refusals in a sentence."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_clauses import LONG
from tiny import tiny
from tiny_encoders import ENCODERS, tiny_encoder
from transformers import (
    AutoImageProcessor,
    AutoModel,
    AutoTokenizer,
    CLIPProcessor,
    Siglip2Processor,
    SiglipProcessor,
)

from videopipe.errors import ModelError, NotFound
from videopipe.mllm.dual_encoder import load_encoder
from videopipe.select.clauses import clauses

PROCESSORS = {
    "clip": CLIPProcessor,
    "long-clip": CLIPProcessor,
    "siglip": SiglipProcessor,
    "siglip2": Siglip2Processor,
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("encoders")
    return {kind: tiny_encoder(kind, root / kind) for kind in ENCODERS}


def pictures(count: int = 5) -> np.ndarray:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (count, 6, 9, 3), dtype=np.uint8)
    return coarse.repeat(8, 1).repeat(8, 2)


@pytest.mark.parametrize("kind", ENCODERS)
def test_vectors_are_those_of_the_model(kind: str, folders: dict[str, Path]) -> None:
    encoder = load_encoder(str(folders[kind]))
    frames = pictures()
    found = encoder.encode_frames(frames)
    assert found.dtype == np.float16
    np.testing.assert_allclose(np.linalg.norm(found.astype(float), axis=1), 1, atol=2e-3)
    model = AutoModel.from_pretrained(folders[kind]).eval()
    processor = AutoImageProcessor.from_pretrained(folders[kind])
    with torch.inference_mode():
        given_ = processor([Image.fromarray(frame) for frame in frames], return_tensors="pt")
        wanted = model.get_image_features(**given_).pooler_output
    wanted = torch.nn.functional.normalize(wanted, dim=-1).numpy()
    np.testing.assert_allclose(found, wanted, atol=2e-3)
    np.testing.assert_allclose(encoder.encode_frames(frames, batch=2), found, atol=1e-3)


@pytest.mark.parametrize("kind", ENCODERS)
def test_questions_are_those_of_the_model(kind: str, folders: dict[str, Path]) -> None:
    encoder = load_encoder(str(folders[kind]))
    model = AutoModel.from_pretrained(folders[kind]).eval()
    parts = [
        loader.from_pretrained(folders[kind]) for loader in (AutoImageProcessor, AutoTokenizer)
    ]
    padding = "max_length" if kind.startswith("siglip") else True
    for question in ("a red car", LONG):
        texts = clauses(question, 64, lambda text: len(parts[1](text).input_ids))
        given_ = PROCESSORS[kind](*parts)(text=texts, padding=padding, return_tensors="pt")
        with torch.inference_mode():
            wanted = model.get_text_features(**given_).pooler_output
        wanted = torch.nn.functional.normalize(wanted, dim=-1).numpy()
        found = encoder.encode_question(question)
        assert found.dtype == np.float32
        assert found.shape == (len(texts), encoder.dimension)
        np.testing.assert_allclose(found, wanted, atol=1e-5)
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_the_length_of_texts_is_read_from_the_model(folders: dict[str, Path]) -> None:
    limits = {kind: load_encoder(str(folders[kind]))._limit for kind in ENCODERS}
    assert limits == {"clip": 77, "long-clip": 248, "siglip": 64, "siglip2": 64}


@pytest.mark.parametrize("kind", ENCODERS)
def test_long_questions_are_read_whole(kind: str, folders: dict[str, Path]) -> None:
    encoder = load_encoder(str(folders[kind]))
    seen: list[list[int]] = []
    vectors = encoder._vectors

    def spy(side: str, given_: dict[str, torch.Tensor]) -> np.ndarray:
        seen.extend(given_["input_ids"].tolist())
        return vectors(side, given_)

    encoder._vectors = spy  # type: ignore[method-assign]
    try:
        rows = encoder.encode_question(LONG)
    finally:
        del encoder._vectors
    assert len(rows) == len(seen) > 1
    read = [i for ids in seen for i in ids if i > 3]  # without special ones
    whole = [i for i in encoder._tokenizer(LONG).input_ids if i > 3]
    assert read == whole


def test_a_frame_is_as_relevant_as_its_best_clause(folders: dict[str, Path]) -> None:
    encoder = load_encoder(str(folders["clip"]))
    frames, question = encoder.encode_frames(pictures()), encoder.encode_question(LONG)
    found = encoder.relevance(frames, question)
    np.testing.assert_allclose(found, (frames.astype(np.float32) @ question.T).max(1), atol=1e-6)
    many = np.tile(frames, (1000, 1))  # more than are compared at once
    assert encoder.relevance(many, question).tolist() == pytest.approx(
        np.tile(found, 1000), abs=1e-6
    )
    assert encoder.relevance(frames[:0], question).shape == (0,)


def refused(name: str, error: type[Exception], what: str) -> None:
    with pytest.raises(error, match=what) as told:
        load_encoder(name)
    sentence = str(told.value)
    assert sentence.endswith((".", "?"))
    assert "\n" not in sentence
    assert not re.search(r"\. [A-Z]", sentence)


def test_what_is_no_dual_encoder_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    refused(str(folders["clip"].parent / "clipp"), NotFound, r"does not exist; did you mean 'clip'")
    tiny("qwen2_vl", tmp_path / "llm")
    refused(str(tmp_path / "llm"), ModelError, "is no dual encoder of images and text")
    broken = tmp_path / "pickled"
    broken.mkdir()
    (broken / "config.json").write_text((folders["clip"] / "config.json").read_text())
    (broken / "pytorch_model.bin").write_bytes(b"x")
    refused(str(broken), ModelError, "stored as pickles")
    cut = tiny_encoder("siglip", tmp_path / "cut")
    weights = (cut / "model.safetensors").read_bytes()
    (cut / "model.safetensors").write_bytes(weights[:-100])
    refused(str(cut), ModelError, "are damaged")
    (cut / "model.safetensors").write_bytes(weights)
    (cut / "tokenizer.json").unlink()
    refused(str(cut), ModelError, "cannot be loaded")
    refused("nobody/nothing-of-this-name", ModelError, "not in the local cache")
    other = tiny_encoder("clip", tmp_path / "other")
    settings = json.loads((other / "config.json").read_text())
    settings["text_config"]["hidden_size"] = 64
    (other / "config.json").write_text(json.dumps(settings))
    refused(str(other), ModelError, "do not fit its config.json")
