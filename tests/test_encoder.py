"""Dual encoders: the vectors of the model itself, whole questions, and refusals in a sentence."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tiny import tiny
from tiny_encoders import ENCODERS, tiny_encoder
from transformers import AutoImageProcessor, AutoModel

from videopipe.errors import ModelError, NotFound
from videopipe.mllm.dual_encoder import load_encoder
from videopipe.select.clauses import EFFECTIVE, clauses

LONG = (
    "After the man in the red coat opens the door of the house, walks to the window and talks to "
    "the two people there, which of the following happens first: the car on the street starts, "
    "the lights go out, or the person who stands beside the table leaves the room?"
)


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
    (text,) = encoder.encode_question("a red car")
    assert text.shape == (encoder.dimension,)
    assert np.linalg.norm(text) == pytest.approx(1, abs=1e-5)


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


def test_what_is_no_dual_encoder_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"does not exist; did you mean 'clip'"):
        load_encoder(str(folders["clip"].parent / "clipp"))
    tiny("qwen2_vl", tmp_path / "llm")
    with pytest.raises(ModelError, match="is no dual encoder of images and text"):
        load_encoder(str(tmp_path / "llm"))
    broken = tmp_path / "pickled"
    broken.mkdir()
    (broken / "config.json").write_text((folders["clip"] / "config.json").read_text())
    (broken / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(ModelError, match="stored as pickles"):
        load_encoder(str(broken))
    cut = tiny_encoder("siglip", tmp_path / "cut")
    weights = (cut / "model.safetensors").read_bytes()
    (cut / "model.safetensors").write_bytes(weights[:-100])
    with pytest.raises(ModelError, match="are damaged"):
        load_encoder(str(cut))
    (cut / "model.safetensors").write_bytes(weights)
    (cut / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_encoder(str(cut))
    with pytest.raises(ModelError, match="not in the local cache"):
        load_encoder("nobody/nothing-of-this-name")
    other = tiny_encoder("clip", tmp_path / "other")
    settings = json.loads((other / "config.json").read_text())
    settings["text_config"]["hidden_size"] = 64
    (other / "config.json").write_text(json.dumps(settings))
    with pytest.raises(ModelError):
        load_encoder(str(other))


def words(text: str) -> int:
    return len(text.split()) + 2


@given(st.lists(st.text("abcä,.;: \n", min_size=1, max_size=9), max_size=60), st.integers(4, 80))
def test_no_clause_is_too_long_and_no_word_is_lost(pieces: list[str], limit: int) -> None:
    question = " ".join(pieces)
    found = clauses(question, limit, words)
    assert "".join("".join(found).split()) == "".join(question.split())
    assert all(words(clause) <= min(limit, EFFECTIVE) for clause in found)


def test_clauses_end_where_the_question_has_joints() -> None:
    assert clauses("Who opens the door?", 77, words) == ["Who opens the door?"]
    found = clauses(LONG, 77, words)
    assert len(found) <= 4
    assert all(re.search(r"[,:?]$", clause) for clause in found)
    japanese = "ドアを開けて部屋に入る人は誰ですか、そして窓のそばに立つのは誰ですか。" * 2
    split = clauses(japanese, 64, lambda text: len(text) + 2)
    assert "".join(split) == japanese
    assert max(map(len, split)) <= 18
