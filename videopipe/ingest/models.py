"""Whether the models that a run needs are there, found out before it costs hours."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from videopipe.config import Config
from videopipe.describe import load_transcriber
from videopipe.library import PACKAGED, load_embedder
from videopipe.mllm.dual_encoder import load_encoder


def captions_by_local_model(config: Config) -> bool:
    """Whether clips are captioned by a model that every worker would load for itself."""
    name = config.model.name or ""
    return config.captions.by == "vlm" and not name.startswith("openai:")


def check_models(config: Config) -> None:
    """Load the small models and reach the server; look at the files of a large one.

    A model for captions that is not in the local cache is downloaded here.

    Raises:
        ConfigError: captions are asked for, and no model is named.
        NotFound, ModelError: one is not there, cannot be used, or its server cannot be reached.
    """
    if config.embed.model != PACKAGED:
        load_embedder(config.embed.model)
    if config.asr.model is not None:
        load_transcriber(config.asr.model)
    if config.encoder.model is not None:
        load_encoder(config.encoder.model, device=config.encoder.device)
    if config.captions.by == "none":
        return
    from videopipe.mllm import open_viewer

    if config.model.name is not None and captions_by_local_model(config):
        _check_files(config.model.name)
    else:
        open_viewer(config.model)


def load_captioner(config: Config) -> None:
    """Load the model for captions into this process, where it stays.

    Raises:
        ConfigError, NotFound, ModelError: as for ``open_viewer``.
    """
    from videopipe.mllm import open_viewer

    open_viewer(config.model)


def release_models() -> None:
    """Let go of the speech model: the work is done in other processes, each with its own."""
    load_transcriber.cache_clear()


def _check_files(name: str) -> None:
    from videopipe.mllm.families import family_of
    from videopipe.mllm.files import (
        SETTINGS,
        WEIGHTS,
        absent,
        fetch,
        has_weights,
        is_path,
        quiet,
        read,
        shards,
    )

    folder = Path(name).expanduser()
    if not is_path(name):
        with quiet():
            folder = fetch(name, (*SETTINGS, *WEIGHTS), has_weights)
    elif not folder.is_dir():
        raise absent(name, folder)
    kind = read(folder / "config.json", name).get("model_type")
    family_of(SimpleNamespace(model_type=kind))
    shards(name, folder)
