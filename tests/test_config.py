"""Where values come from, what is refused, and that the documented file is the real default."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import get_args

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from videopipe.config import Config, declared, given_up, load, satisfies, to_yaml
from videopipe.errors import ConfigError
from videopipe.media.decoder import Backend
from videopipe.media.exactness import AutoExactness

ROOT = Path(__file__).parents[1]


def test_default_yaml_documents_every_key_and_its_default() -> None:
    text = (ROOT / "configs" / "default.yaml").read_text()
    body = text[text.index("\nscan:") + 1 :]
    assert body == to_yaml(Config()), "run: make docs"
    assert yaml.safe_load(text) == json.loads(json.dumps(asdict(Config())))


@pytest.mark.parametrize("file", sorted((ROOT / "configs").rglob("*.yaml")), ids=lambda f: f.name)
def test_shipped_configurations_load(file: Path) -> None:
    load(file)


def test_later_layers_win_and_say_so(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("scan: {rate: 2, short_side: 160}\nocr: {enabled: false}\n")
    resolved = load(file, ["scan.rate=3", "run.workers=4"], {"run.workers": 5, "run.address": None})
    config, origins = resolved.config, resolved.origins
    assert (config.scan.rate, config.scan.short_side, config.run.workers) == (3.0, 160, 5)
    assert not config.ocr.enabled
    assert origins["scan.rate"] == "--set"
    assert origins["scan.short_side"] == str(file)
    assert origins["run.workers"] == "flag"
    assert origins["run.address"] == origins["embed.model"] == "default"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("scan.rat=2", "did you mean 'scan.rate'"),
        ("rate=2", "did you mean"),
        ("scan.rate", "takes key=value"),
        ("scan.rate=fast", "must be a number"),
        ("scan.rate=-1", "between 0.01 and 60"),
        ("scan.rate=.nan", "between 0.01 and 60"),
        ("clips.max_seconds=.inf", "at least 0.2 and finite"),
        (f"run.stall_seconds={'9' * 400}", "at least 1 and finite"),
        ("run.workers=1e400", "a whole number"),
        ("scan.short_side=224.5", "must be a whole number"),
        ("ocr.enabled=1", "true or false"),
        ("embed.model=7", "must be text"),
        ("clips.mode=scenes", "one of shots, windows"),
        ("index.paths=3", "a list of texts"),
        ("clips.min_seconds=70", "at least twice"),
        ("scan={rate: 2", "not valid YAML"),
    ],
)
def test_a_wrong_override_is_one_clear_sentence(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load(overrides=[override])
    assert "\n" not in str(caught.value)


def test_a_wrong_file_is_one_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "missing.yaml")
    file = tmp_path / "list.yaml"
    file.write_text("- scan")
    with pytest.raises(ConfigError, match="must hold sections"):
        load(file)
    file.write_text("scan: 3")
    with pytest.raises(ConfigError, match="did you mean"):
        load(file)


def test_hashes_follow_what_they_stand_for() -> None:
    base = Config()
    run = load(overrides=["run.workers=7", "answer.sentences=1"]).config
    scan = load(overrides=["scan.rate=2"]).config
    assert base.index_hash() == run.index_hash() != scan.index_hash()
    assert len({base.hash(), run.hash(), scan.hash()}) == 3


def test_what_is_held_satisfies_what_asks_for_less() -> None:
    def made(*overrides: str) -> str:
        return load(overrides=overrides).config.index_hash()

    captions = ("captions.by=vlm", "model.name=openai:a")
    speech = "asr.model=whisper"
    plain, captioned, heard = made(), made(*captions), made(speech)
    both = made(*captions, speech)
    assert both == f"{captioned}-{heard.split('-')[1]}"
    for less in (plain, captioned, heard, both):
        assert satisfies(less, less)
        assert satisfies(both, less)
        assert satisfies(less, plain)
    assert not satisfies(plain, captioned)
    assert not satisfies(heard, captioned)
    assert not satisfies(captioned, both)
    assert not satisfies(both, made("captions.by=vlm", "model.name=openai:b"))
    assert not satisfies(captioned, made("scan.rate=2"))
    assert satisfies(captioned, made(*captions, "captions.batch=1"))
    assert made("model.name=openai:a") == plain
    assert given_up(both, plain) == ["captions", "speech"]
    assert given_up(both, heard) == ["captions"]
    assert given_up(plain, both) == given_up(both, both) == []


@given(st.sampled_from([key for key, _, _ in declared()]), st.text(max_size=12))
def test_any_override_is_taken_or_refused_in_words(key: str, text: str) -> None:
    try:
        origins = load(overrides=[f"{key}={text}"]).origins
    except ConfigError:
        return
    assert origins[key] == "--set"


def test_names_of_decoding_are_those_of_media() -> None:
    """The configuration writes them out again, so that it need not import what decodes."""
    kinds = {key: set(get_args(kind)) for key, _, kind in declared()}
    assert kinds["scan.exactness"] == set(get_args(AutoExactness))
    assert kinds["decode.backend"] == set(get_args(Backend))
