"""Our inputs and logits beside those of transformers' own processors and models, per family.

The other side runs in a process of its own, with torchvision; where that cannot be had these tests
skip.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import official
import pytest
import torch
from tiny import FAMILIES, tiny

from videopipe.mllm import VIDEO, VideoMLLM, load
from videopipe.types import FrameBatch

QUESTION = "What happens in the video?"
# Frames, height, width: even and odd numbers, both orientations, up and down.
CLIPS = {"wide": (8, 90, 160), "tall": (7, 300, 170), "small": (2, 40, 40)}
SECONDS = 0.5


def clip(name: str) -> FrameBatch:
    frames, height, width = CLIPS[name]
    rng = np.random.default_rng(len(name))
    coarse = rng.integers(0, 256, (frames, height // 10, width // 10, 3), dtype=np.uint8)
    noise = rng.integers(0, 24, (frames, height, width, 3), dtype=np.uint8)
    pictures = coarse.repeat(10, 1).repeat(10, 2) // 12 * 11 + noise
    return FrameBatch(np.arange(frames) * SECONDS, pictures.astype(np.uint8))


@pytest.fixture(scope="session")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Any]:
    """What the official side makes of every family and clip."""
    if not official.place().is_dir():
        pytest.skip(f"torchvision is not in {official.place()}; make setup fetches it")
    folder = tmp_path_factory.mktemp("official")
    jobs = []
    for family in FAMILIES:
        tiny(family, folder / family)
        for name in CLIPS:
            batch = clip(name)
            frames = folder / f"{name}.npz"
            np.savez(
                frames,
                frames=batch.frames,
                times=batch.times,
                duration=len(batch) * SECONDS,
            )
            jobs.append(
                {
                    "folder": str(folder / family),
                    "frames": str(frames),
                    "out": str(folder / f"{family}-{name}.npz"),
                    "question": QUESTION,
                }
            )
    (folder / "jobs.json").write_text(json.dumps(jobs))
    subprocess.run(
        [sys.executable, official.__file__, str(folder / "jobs.json")],
        check=True,
        timeout=280,
        capture_output=True,
    )
    return {
        (family, name): dict(np.load(folder / f"{family}-{name}.npz")) | {"folder": folder / family}
        for family in FAMILIES
        for name in CLIPS
    }


_LOADED: dict[Path, VideoMLLM] = {}


def loaded(folder: Path) -> VideoMLLM:
    torch.set_num_threads(1)
    if folder not in _LOADED:
        _LOADED[folder] = load(str(folder))
    return _LOADED[folder]


@pytest.fixture(params=[(f, c) for f in FAMILIES for c in CLIPS], ids=lambda p: "-".join(p))
def case(request: pytest.FixtureRequest, theirs: dict[Any, Any]) -> tuple[VideoMLLM, Any, Any]:
    family, name = request.param
    said = theirs[family, name]
    if "error" in said:
        pytest.fail(str(said["error"]))
    return loaded(said["folder"]), clip(name), said


def test_pixels_are_the_official_ones(case: Any) -> None:
    model, batch, said = case
    size = model.packing.official_size(len(batch), *batch.frames.shape[1:3])
    packed = model.packing.pack(batch.frames, size)
    assert any(name.startswith("pixel_values") for name in packed)
    for name, value in packed.items():
        assert value.shape == said[name].shape, name
        assert np.abs(value.numpy().astype(float) - said[name]).max() <= 1e-5, name


def test_prompts_are_the_official_ones(case: Any) -> None:
    model, batch, said = case
    inputs = model.inputs(QUESTION, model.encode(batch))
    assert inputs["input_ids"][0].tolist() == said["input_ids"][0].tolist()


def test_logits_are_the_models_own(case: Any) -> None:
    model, batch, said = case
    inputs = model.inputs([VIDEO, QUESTION], model.encode(batch))
    with torch.inference_mode():
        logits = model.model(**inputs).logits
    assert np.abs(logits.numpy() - said["logits"]).max() <= 1e-5


def test_greedy_replies_are_the_models_own(case: Any) -> None:
    model, batch, said = case
    inputs = model.inputs(QUESTION, model.encode(batch))
    with torch.inference_mode():
        out = model.model.generate(**inputs, max_new_tokens=official.STEPS, do_sample=False)
    assert out[0, inputs["input_ids"].shape[1] :].tolist() == said["tokens"].tolist()
    reply = model.generate(QUESTION, model.encode(batch), max_new_tokens=official.STEPS)
    thinks = model.tokenizer.decode(said["input_ids"][0]).rstrip().endswith("<think>")
    wanted = model.tokenizer.decode(said["tokens"], skip_special_tokens=True)
    wanted = (("<think>\n" if thinks else "") + wanted).strip()
    assert wanted.startswith(reply.text)
