"""Checkpoints that load, and everything that may be wrong with one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import FAMILIES, tiny
from transformers import AutoModelForImageTextToText, Qwen2Config, Qwen2ForCausalLM
from transformers.utils import logging as library

from videopipe.errors import ConfigError, ModelError, NotFound, VideopipeError
from videopipe.mllm.checkpoint import load_checkpoint
from videopipe.mllm.families import family_of
from videopipe.mllm.files import quiet

torch.set_num_threads(1)
Damage = Callable[[Path], object]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with all the files there can be."""
    return tiny("llava_onevision", tmp_path_factory.mktemp("models") / "onevision")


@pytest.fixture
def broken(whole: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return shutil.copytree(whole, tmp_path / "broken")


def _edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _says(kind: type[VideopipeError], *parts: str, name: str, **options: Any) -> None:
    with pytest.raises(kind) as caught:
        load_checkpoint(name, **options)
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith((".", "?"))
    for part in parts:
        assert part in text


def test_a_folder_loads_as_it_was_saved(whole: Path, capfd: pytest.CaptureFixture[str]) -> None:
    loaded = load_checkpoint(str(whole))
    assert loaded.name == str(whole)
    assert (loaded.device, loaded.dtype) == (torch.device("cpu"), torch.float32)
    assert loaded.reason.startswith("float32 (for a CPU) on cpu")
    assert not loaded.model.training
    held = loaded.model.state_dict()
    saved = AutoModelForImageTextToText.from_pretrained(whole).state_dict()
    assert len(load_file(whole / "model.safetensors")) == len(held) - 1  # the head is tied
    assert all(torch.equal(held[key], value) for key, value in saved.items())
    assert loaded.tokenizer.chat_template == (whole / "chat_template.jinja").read_text()
    assert loaded.processing["images"]["image_processor_type"] == "LlavaOnevisionImageProcessor"
    assert loaded.processing["videos"]["size"] == {"height": 76, "width": 76}
    assert loaded.processing["processor"]["num_image_tokens"] == 25
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_loads_complete_and_says_something(family: str, tmp_path: Path) -> None:
    loaded = load_checkpoint(str(tiny(family, tmp_path)))
    assert loaded.config.model_type == family
    chat = [{"role": "user", "content": [{"type": "text", "text": "What happens?"}]}]
    prompt = loaded.tokenizer.apply_chat_template(
        chat, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    ids = prompt["input_ids"]
    said = loaded.model.generate(input_ids=ids, max_new_tokens=8, do_sample=False)
    assert len(set(said[0, ids.shape[1] :].tolist())) > 1


def test_weights_in_pieces_are_put_together(whole: Path, tmp_path: Path) -> None:
    pieces = shutil.copytree(whole, tmp_path / "pieces")
    (pieces / "model.safetensors").unlink()
    model = AutoModelForImageTextToText.from_pretrained(whole)
    model.save_pretrained(pieces, max_shard_size="200KB")
    files = sorted(pieces.glob("model-*.safetensors"))
    assert len(files) > 1
    loaded = load_checkpoint(str(pieces)).model.state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in model.state_dict().items())
    files[1].unlink()
    _says(ModelError, "lacks 1 of its", files[1].name, name=str(pieces))


def test_the_dtype_may_be_chosen_and_the_attention_too(whole: Path) -> None:
    loaded = load_checkpoint(str(whole), dtype="bfloat16", attention="eager", device="cpu")
    assert {weight.dtype for weight in loaded.model.parameters()} == {torch.bfloat16}
    assert loaded.dtype == torch.bfloat16
    assert loaded.model.config.get_text_config()._attn_implementation == "eager"
    assert loaded.reason == "bfloat16 (as asked) on cpu (as asked)"


def test_a_home_folder_is_expanded(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(whole.parent))
    assert load_checkpoint(f"~/{whole.name}").name == "~/onevision"


def test_settings_of_pictures_stand_in_for_those_of_videos(tmp_path: Path) -> None:
    loaded = load_checkpoint(str(tiny("qwen2_vl", tmp_path)))
    assert loaded.processing["videos"] == loaded.processing["images"]
    assert loaded.processing["videos"]["patch_size"] == 14


def test_settings_nested_in_one_file_are_found(broken: Path) -> None:
    for kind, file in (("image", "preprocessor"), ("video", "video_preprocessor")):
        path = broken / f"{file}_config.json"
        _edit(broken / "processor_config.json", **{f"{kind}_processor": {"from": kind}})
        path.unlink()
    found = load_checkpoint(str(broken)).processing
    assert (found["images"], found["videos"]) == ({"from": "image"}, {"from": "video"})
    assert found["processor"]["num_image_tokens"] == 25
    assert "video_processor" not in found["processor"]


def test_a_template_in_the_older_file_is_found(broken: Path) -> None:
    (broken / "chat_template.jinja").unlink()
    assert load_checkpoint(str(broken)).tokenizer.chat_template is None
    (broken / "chat_template.json").write_text('{"chat_template": "{{ messages }}"}')
    assert load_checkpoint(str(broken)).tokenizer.chat_template == "{{ messages }}"


@pytest.mark.parametrize(
    ("name", "hint"),
    [("onevison", "did you mean 'onevision' beside it?"), ("a/b/c", "on the way to it")],
)
def test_a_folder_that_is_not_there(whole: Path, name: str, hint: str) -> None:
    _says(NotFound, "does not exist", hint, name=str(whole.parent / name))


def test_what_is_not_the_folder_of_a_model(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _says(NotFound, "is a file", name=str(whole / "config.json"))
    _says(ModelError, "no config.json", f"did you mean '{whole}'?", name=str(whole.parent))
    _says(ModelError, "no config.json", "give the folder", name=str(tmp_path))
    monkeypatch.chdir(whole.parent.parent)
    _says(NotFound, "did you mean 'onevision'", name=f"{whole.parent.name}/onevisio")


def test_a_text_model_has_no_vision(tmp_path: Path) -> None:
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 32}
    Qwen2ForCausalLM(Qwen2Config(**sizes, **heads)).save_pretrained(tmp_path)
    _says(ModelError, "has no vision part", "qwen2", name=str(tmp_path))


def test_who_loads_may_refuse_before_weights_are_read(broken: Path) -> None:
    (broken / "model.safetensors").write_bytes(b"never read")

    def refuse(config: Any) -> None:
        raise ModelError(f"No {config.model_type} here.")

    _says(ModelError, "No llava_onevision here.", name=str(broken), accepts=refuse)
    _edit(broken / "config.json", model_type="martian")
    _says(ModelError, "No martian here.", name=str(broken), accepts=refuse)
    _says(ModelError, "config.json", "martian", name=str(broken))


@pytest.mark.parametrize("kind", ["martian", "qwen2", None])
def test_code_that_comes_with_a_checkpoint_is_never_run(
    kind: str | None, broken: Path, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    lines = (
        f"open({str(ran)!r}, 'w').close()",
        "from transformers import PreTrainedConfig",
        "class Martian(PreTrainedConfig):",
        "    pass",
    )
    (broken / "code.py").write_text("\n".join(lines))
    _edit(broken / "config.json", model_type=kind, auto_map={"AutoConfig": "code.Martian"})
    says = (f"type '{kind}' is not supported", "Qwen3-VL", "openai:MODEL")
    _says(ModelError, *says, name=str(broken), accepts=family_of)
    assert not ran.exists()


def _cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])


def _drop_weight(folder: Path) -> None:
    path = folder / "model.safetensors"
    weights = load_file(path)
    del weights[sorted(weights)[0]]
    save_file(weights, path, metadata={"format": "pt"})


def _narrow(folder: Path) -> None:
    path = folder / "config.json"
    text = json.loads(path.read_text())["text_config"]
    _edit(path, text_config=text | {"intermediate_size": 80})


def _pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


@pytest.mark.parametrize(
    ("damage", "parts"),
    [
        (lambda at: (at / "config.json").write_text("{"), ["config.json", "cannot be read"]),
        (lambda at: (at / "config.json").write_text("[]"), ["config.json", "damaged"]),
        (lambda at: (at / "config.json").unlink(), ["no config.json"]),
        (lambda at: (at / "tokenizer.json").unlink(), ["no tokenizer"]),
        (lambda at: (at / "tokenizer.json").write_text("{}"), ["The tokenizer of"]),
        (lambda at: (at / "preprocessor_config.json").write_text("?"), ["preprocessor_config"]),
        (lambda at: (at / "model.safetensors").unlink(), ["no weights"]),
        (lambda at: (at / "model.safetensors").write_bytes(b""), ["damaged"]),
        (lambda at: (at / "model.safetensors").write_bytes(b"x" * 500), ["damaged"]),
        (_cut, ["damaged", "cut off", "model.safetensors"]),
        (_pickle, ["pickles", "safetensors"]),
        (_drop_weight, ["lacks the weights of 1 tensor", "image_newline"]),
        (_narrow, ["do not fit its config.json", "down_proj", "[64, 96]", "[64, 80]"]),
    ],
)
def test_damage_is_named(broken: Path, damage: Damage, parts: list[str]) -> None:
    damage(broken)
    _says(ModelError, str(broken), *parts, name=str(broken))


def test_too_little_memory_is_known_before_loading(broken: Path) -> None:
    """The file says it holds a million million weights, and is as long; it takes no disk."""
    size = 2 * 10**12
    entry = {"dtype": "BF16", "shape": [10**6, 10**6], "data_offsets": [0, size]}
    header = json.dumps({"layer.q_proj.weight": entry}).encode()
    with (broken / "model.safetensors").open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + size)
    _says(ModelError, "4000.0 GB", "float32", "GB are free", "bfloat16", name=str(broken))
    _says(ModelError, "2000.0 GB", "quantize", name=str(broken), dtype="bfloat16")


@pytest.mark.parametrize(
    ("options", "kind", "parts"),
    [
        ({"device": "teapot"}, ConfigError, ["'teapot'", "cpu"]),
        ({"device": "cuda:99"}, ConfigError, ["'cuda:99'"]),
        ({"dtype": "int8"}, ConfigError, ["'int8'", "bfloat16"]),
        ({"dtype": "float99"}, ConfigError, ["'float99'"]),
        ({"attention": "teapot"}, ConfigError, ["'teapot'", "sdpa"]),
    ],
)
def test_a_choice_that_is_none(
    whole: Path, options: dict[str, str], kind: type[VideopipeError], parts: list[str]
) -> None:
    _says(kind, *parts, name=str(whole), **options)


@pytest.mark.parametrize(
    ("options", "library"),
    [({"quantize": "4bit"}, "bitsandbytes"), ({"device": "balanced"}, "accelerate")],
)
def test_a_library_that_is_not_installed(
    whole: Path, options: dict[str, str], library: str
) -> None:
    try:
        __import__(library)
    except ImportError:
        _says(ModelError, f"{library}", "pip install", name=str(whole), **options)
    else:
        pytest.skip(f"{library} is installed")


def test_a_name_of_the_hub_comes_from_the_cache(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    name = "someone/onevision"
    _says(ModelError, name, "not in the local cache", "hf download", name=name)
    kept = tmp_path / "cache" / "models--someone--onevision"
    at = shutil.copytree(whole, kept / "snapshots" / ("a" * 40))
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text("a" * 40)
    assert load_checkpoint(name).name == name
    _says(ModelError, "no config.json", str(at), name=str(kept))
    (at / "model.safetensors").unlink()
    _says(ModelError, name, "not in the local cache", name=name)


@contextmanager
def _hub() -> Iterator[str]:
    """A Hub that has no model, and one behind a gate."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            gated = "gated" in self.path
            self.send_response(403 if gated else 404)
            self.send_header("X-Error-Code", "GatedRepo" if gated else "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_what_the_hub_answers_is_said(tmp_path: Path) -> None:
    code = (
        "from videopipe.mllm.checkpoint import load_checkpoint\n"
        "from videopipe.errors import ModelError\n"
        "for name in ('someone/nothing', 'someone/gated'):\n"
        "    try: load_checkpoint(name)\n"
        "    except ModelError as error: print(error)\n"
    )
    with _hub() as address:
        cache = {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": address, "HF_HOME": str(tmp_path)}
        ran = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | cache,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
    nothing, gated = ran.stdout.splitlines()
    assert "The Hub has no model 'someone/nothing'" in nothing
    assert "'someone/gated' is gated" in gated
    assert "Traceback" not in ran.stderr


def test_quiet_in_two_threads_ends_with_the_last() -> None:
    before = library.get_verbosity()
    first, second = quiet(), quiet()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert library.get_verbosity() == library.ERROR
    second.__exit__(None, None, None)
    assert library.get_verbosity() == before
