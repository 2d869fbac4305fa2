"""Loads checkpoints: a hub name or a folder becomes a model, a tokenizer and their settings.

What can be wrong with a checkpoint, a machine or a network is found here, where possible before a
weight is read, and said in one sentence.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from videopipe.errors import ConfigError, ModelError
from videopipe.mllm.files import (
    FLOATS,
    SETTINGS,
    WEIGHTS,
    Tensor,
    absent,
    fetch,
    first_line,
    has_config,
    has_weights,
    is_path,
    processing,
    quiet,
    read,
    shards,
    tensors,
)
from videopipe.mllm.memory import SPREAD, check_memory

_VOCABULARIES = ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json", "tekken.json")

Accepts = Callable[[Any], object]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A loaded model and what its folder says.

    Attributes:
        model: in evaluation mode, on ``device``.
        tokenizer: with the chat template of the checkpoint, wherever its files keep it.
        config: of the whole model.
        processing: the settings of its processors as plain dicts: ``images``, ``videos`` (those of
            ``images`` where the files have none of their own) and ``processor``.
        name: as it was given.
        device: of the first weights, where the inputs go.
        dtype: of the floating-point weights.
        reason: why this device and dtype, in one line.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    config: PreTrainedConfig
    processing: dict[str, dict[str, Any]]
    name: str
    device: torch.device
    dtype: torch.dtype
    reason: str


def load_checkpoint(
    name: str,
    *,
    dtype: str = "auto",
    device: str = "auto",
    attention: str = "auto",
    quantize: str = "none",
    accepts: Accepts | None = None,
) -> Checkpoint:
    """The model, the tokenizer and the settings of a hub name or folder.

    Args:
        name: a folder, or a name of the Hub; what the local cache holds is used without network.
        dtype: ``auto`` (as saved on a GPU, float32 on a CPU), or a floating-point dtype.
        device: ``auto`` (the GPU where there is one), a device, or a ``device_map`` that spreads
            the model over several, which needs accelerate.
        attention: ``auto`` or an ``attn_implementation``.
        quantize: ``none``, ``8bit`` or ``4bit``, by bitsandbytes.
        accepts: called with the configuration before weights are downloaded or read; what it
            raises goes through.

    Raises:
        NotFound: the folder does not exist.
        ConfigError: the device, dtype or attention is not one.
        ModelError: anything else that keeps the model from being loaded.
    """
    given = Path(name).expanduser()
    local = is_path(name)
    if local and not given.is_dir():
        raise absent(name, given)
    with quiet():
        folder = given if local else fetch(name, SETTINGS, has_config)
        config = _config(name, folder, accepts)
        place = _place(device, quantize)
        if not local:
            folder = fetch(name, (*SETTINGS, *WEIGHTS), has_weights)
        weights = list(tensors(shards(name, folder), name))
        chosen = _dtype(dtype, place, config, weights)
        check_memory(name, weights, chosen, quantize, place)
        settings = processing(name, folder)
        tokenizer = _tokenizer(name, folder)
        options: dict[str, Any] = {"dtype": chosen}
        if attention != "auto":
            options["attn_implementation"] = attention
        model = _model(name, folder, config, options, place, quantize)
    return Checkpoint(
        model=model,
        tokenizer=tokenizer,
        config=model.config,
        processing=settings,
        name=name,
        device=model.device,
        dtype=chosen,
        reason=_reason(dtype, device, chosen, model.device, quantize),
    )


def _config(name: str, folder: Path, accepts: Accepts | None) -> PreTrainedConfig:
    if not has_config(folder):
        inner = [path.parent for path in sorted(folder.glob("*/config.json"))]
        inner += [path.parent for path in sorted(folder.glob("snapshots/*/config.json"))]
        hint = f"did you mean '{inner[0]}'?" if inner else "give the folder of a model."
        raise ModelError(f"'{name}' holds no config.json; {hint}")
    raw = read(folder / "config.json", name)
    if accepts is not None and "auto_map" in raw:  # a type of its own, with code of its own
        own: dict[str, Any] = {"model_type": raw.get("model_type")}
        accepts(PreTrainedConfig(**own))
    config: PreTrainedConfig
    try:
        # What a checkpoint brings along in Python is never run.
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:
        if accepts is not None and "model_type" in raw:
            accepts(PreTrainedConfig(**{"model_type": raw["model_type"]}))
        raise ModelError(
            f"The config.json of '{name}' cannot be used ({first_line(error)}); download it again "
            f"or upgrade transformers."
        ) from error
    if getattr(config, "vision_config", None) is None:
        raise ModelError(
            f"'{name}' has no vision part (its type is {config.model_type}); give a model that "
            f"takes images or video, such as Qwen/Qwen3-VL-2B-Instruct."
        )
    if accepts is not None:
        accepts(config)
    return config


def _place(device: str, quantize: str) -> str:
    """A device, or a ``device_map`` that spreads the model over several."""
    cuda = torch.cuda.is_available()
    if quantize != "none":
        lacking = [part for part in ("bitsandbytes", "accelerate") if find_spec(part) is None]
        if lacking:
            raise ModelError(
                f"Quantizing to {quantize} needs {' and '.join(lacking)}: "
                f"pip install {' '.join(lacking)}."
            )
    several = cuda and torch.cuda.device_count() > 1 and find_spec("accelerate") is not None
    place = device
    if device == "auto" and not several:
        place = "cuda" if cuda else "cpu"
    if place in SPREAD:
        if find_spec("accelerate") is None:
            raise ModelError(
                f"Spreading a model over devices (device {device}) needs accelerate: "
                f"pip install accelerate."
            )
        return place
    try:
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ConfigError(
            f"There is no device '{device}' here; give auto, cpu, cuda, or cuda:N."
        ) from error
    return place


def _dtype(dtype: str, place: str, config: PreTrainedConfig, weights: list[Tensor]) -> torch.dtype:
    if dtype == "auto":
        return torch.float32 if place == "cpu" else _saved_dtype(config, weights)
    chosen = getattr(torch, dtype, None)
    if not isinstance(chosen, torch.dtype) or not chosen.is_floating_point:
        raise ConfigError(f"'{dtype}' is no dtype; give auto, float32, bfloat16 or float16.")
    return chosen


def _saved_dtype(config: PreTrainedConfig, weights: list[Tensor]) -> torch.dtype:
    stated = config.dtype or config.get_text_config().dtype
    if stated is None:
        stored = Counter(FLOATS[weight.kind] for weight in weights if weight.kind in FLOATS)
        stated = stored.most_common(1)[0][0] if stored else "float32"
    found: torch.dtype = getattr(torch, stated) if isinstance(stated, str) else stated
    return found


def _tokenizer(name: str, folder: Path) -> PreTrainedTokenizerBase:
    if not any((folder / file).is_file() for file in _VOCABULARIES):
        raise ModelError(f"'{name}' has no tokenizer (tokenizer.json); download it again.")
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # anything a damaged file or a missing library may raise
        raise ModelError(
            f"The tokenizer of '{name}' cannot be loaded ({first_line(error)}); download it again."
        ) from error
    older = folder / "chat_template.json"  # of processors, before chat_template.jinja
    if tokenizer.chat_template is None and older.is_file():
        tokenizer.chat_template = read(older, name).get("chat_template")
    found: PreTrainedTokenizerBase = tokenizer
    return found


def _model(
    name: str,
    folder: Path,
    config: PreTrainedConfig,
    options: dict[str, Any],
    place: str,
    quantize: str,
) -> PreTrainedModel:
    if quantize != "none":
        from transformers import BitsAndBytesConfig

        options["quantization_config"] = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
            load_in_4bit=quantize == "4bit",
            load_in_8bit=quantize == "8bit",
            bnb_4bit_quant_type="nf4",
            bnb_4bit_compute_dtype=options["dtype"],
        )
    mapped = place in SPREAD or quantize != "none"
    if mapped:
        options["device_map"] = place
    try:
        loaded: Any = AutoModelForImageTextToText.from_pretrained(
            folder,
            config=config,
            use_safetensors=True,
            output_loading_info=True,
            # A report of them comes back, which says more than the error would.
            ignore_mismatched_sizes=True,
            trust_remote_code=False,
            **options,
        )
        model: PreTrainedModel = loaded[0]
        _check_complete(name, loaded[1])
        if not mapped:
            model.to(place)  # type: ignore[arg-type]
        model.eval()  # type: ignore[no-untyped-call]
        return model
    except ModelError:
        raise
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"There is too little memory for '{name}' ({place}); take dtype bfloat16, quantize "
            f"4bit or a smaller model."
        ) from error
    except Exception as error:  # the libraries below raise nearly every class there is
        if "attn_implementation" in options and re.search("attn|[Aa]ttention", str(error)):
            raise ConfigError(
                f"The attention '{options['attn_implementation']}' cannot be used "
                f"({first_line(error)}); give auto, sdpa or eager."
            ) from error
        raise ModelError(f"'{name}' cannot be loaded ({first_line(error)}).") from error


def _check_complete(name: str, found: dict[str, Any]) -> None:
    """No weight may be left at its random start."""
    if missing := sorted(found["missing_keys"]):
        raise ModelError(
            f"'{name}' lacks the weights of {len(missing)} tensors, the first being {missing[0]}; "
            f"download it again or give a complete checkpoint."
        )
    if wrong := sorted(found["mismatched_keys"]):
        key, stored, expected = wrong[0]
        raise ModelError(
            f"The weights of '{name}' do not fit its config.json: {key} is stored as "
            f"{list(stored)} and should be {list(expected)}; download it again."
        )


def _reason(
    dtype: str, device: str, chosen: torch.dtype, place: torch.device, quantize: str
) -> str:
    kind = str(chosen).removeprefix("torch.")
    whence = "as asked" if dtype != "auto" else "as saved" if place.type != "cpu" else "for a CPU"
    where = "as asked"
    if device == "auto":
        where = "a GPU is here" if place.type == "cuda" else "no GPU is here"
    packed = "" if quantize == "none" else f", quantized to {quantize}"
    return f"{kind} ({whence}) on {place} ({where}){packed}"
