"""Where the files of a checkpoint are, and what those say that are not weights.

A checkpoint is a folder, or a name of the Hub whose files lie in the local cache or are downloaded
there. Weights are taken from safetensors alone: pickles can run code.
"""

from __future__ import annotations

import difflib
import json
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from threading import Lock
from typing import Any

from videopipe.errors import ModelError, NotFound

SETTINGS = ("*.json", "*.jinja", "*.txt", "*.model")
WEIGHTS = ("*.safetensors",)
FLOATS = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
"""Stored types that loading converts, and what torch calls them."""
_UNREACHABLE = (
    "'{name}' is not in the local cache and the Hub cannot be reached; download it where there is "
    "network (hf download {name}), or give a folder."
)


def is_path(name: str) -> bool:
    """Whether ``name`` means a folder: it is one, is written like one, or stands beside some."""
    path = Path(name).expanduser()
    if path.exists() or not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name) or name.startswith("."):
        return True
    return "/" in name and path.parent.is_dir()


def absent(name: str, path: Path) -> NotFound:
    """The error for a folder that is not there, with what is near it."""
    if path.exists():
        return NotFound(f"'{name}' is a file; give the folder of the checkpoint it belongs to.")
    above = next(parent for parent in path.absolute().parents if parent.exists())
    if above != path.absolute().parent:
        return NotFound(
            f"The model folder '{name}' does not exist: there is nothing in '{above}' "
            f"on the way to it; check the path."
        )
    names = [entry.name for entry in above.iterdir() if entry.is_dir()]
    near = difflib.get_close_matches(path.name, names, 1, 0.6)
    hint = f"did you mean '{near[0]}' beside it?" if near else "check the path."
    return NotFound(f"The model folder '{name}' does not exist; {hint}")


def has_config(folder: Path) -> bool:
    """Whether the folder holds a configuration."""
    return (folder / "config.json").is_file()


def has_weights(folder: Path) -> bool:
    """Whether every file of weights is there."""
    try:
        return bool(shards("", folder))
    except ModelError:
        return False


def fetch(name: str, patterns: Sequence[str], enough: Callable[[Path], bool]) -> Path:
    """The cached files of a hub name, downloaded where they are not ``enough``."""
    import huggingface_hub as hub
    from huggingface_hub import errors

    wanted: dict[str, Any] = {
        "allow_patterns": list(patterns),
        "ignore_patterns": ["*/*", "consolidated*"],
    }
    try:
        try:
            folder = Path(hub.snapshot_download(name, local_files_only=True, **wanted))
            if enough(folder):
                return folder
        except errors.LocalEntryNotFoundError:
            pass
        folder = Path(hub.snapshot_download(name, **wanted))
    except errors.HFValidationError as error:
        raise ModelError(
            f"'{name}' is neither a folder nor a name of the Hub such as ORGANISATION/MODEL."
        ) from error
    except errors.GatedRepoError as error:
        raise ModelError(
            f"'{name}' is gated: accept its terms on the Hub and log in (hf auth login)."
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise ModelError(
            f"The Hub has no model '{name}' that you may read; check the name, or log in "
            f"(hf auth login) if it is private."
        ) from error
    except OSError as error:
        if "space" in str(error):
            raise ModelError(f"'{name}' cannot be downloaded: the disk is full.") from error
        raise ModelError(_UNREACHABLE.format(name=name)) from error
    except Exception as error:  # the http client below has classes of its own
        raise ModelError(_UNREACHABLE.format(name=name)) from error
    if hub.constants.HF_HUB_OFFLINE and not enough(folder):
        raise ModelError(_UNREACHABLE.format(name=name))
    return folder


def shards(name: str, folder: Path) -> list[Path]:
    """The files with the weights, every one of which exists."""
    index = folder / "model.safetensors.index.json"
    if (folder / "model.safetensors").is_file():
        return [folder / "model.safetensors"]
    if not index.is_file():
        if any(folder.glob("*.bin")) or any(folder.glob("*.pt*")):
            raise ModelError(
                f"The weights of '{name}' are stored as pickles, which can run code when loaded; "
                f"give a checkpoint stored as safetensors."
            )
        raise ModelError(f"'{name}' holds no weights; give a checkpoint stored as safetensors.")
    listed = read(index, name).get("weight_map")
    if not isinstance(listed, dict):
        raise ModelError(f"The {index.name} of '{name}' is damaged; download it again.")
    shards = [folder / file for file in sorted(set(listed.values()))]
    absent = [shard.name for shard in shards if not shard.is_file()]
    if absent:
        raise ModelError(
            f"'{name}' lacks {len(absent)} of its {len(shards)} files of weights, the first being "
            f"{absent[0]}; download it again."
        )
    return shards


@dataclass(frozen=True, slots=True)
class Tensor:
    """What a header says of a tensor. ``kind`` is the stored type as safetensors writes it."""

    name: str
    kind: str
    count: int
    stored_bytes: int


def tensors(shards: list[Path], name: str) -> Iterator[Tensor]:
    """Every tensor, from the headers alone: files larger than the memory can be asked, too."""
    for shard in shards:
        try:
            with shard.open("rb") as file:
                length = int.from_bytes(file.read(8), "little")
                if length > shard.stat().st_size:
                    raise ValueError("it is no safetensors file")
                header = json.loads(file.read(length))
            header.pop("__metadata__", None)
            found = [_tensor(key, entry) for key, entry in header.items()]
            ends = max((entry["data_offsets"][1] for entry in header.values()), default=0)
            if 8 + length + ends != shard.stat().st_size:
                raise ValueError("it is cut off")
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise ModelError(
                f"The weights of '{name}' are damaged ({shard.name}: {first_line(error)}); "
                f"download them again."
            ) from error
        yield from found


def _tensor(name: str, entry: dict[str, Any]) -> Tensor:
    start, end = entry["data_offsets"]
    return Tensor(name, entry["dtype"], prod(entry["shape"]), end - start)


def processing(name: str, folder: Path) -> dict[str, dict[str, Any]]:
    """As transformers reads them: newer checkpoints nest all settings in one file."""
    found = {
        key: read(folder / file, name) if (folder / file).is_file() else {}
        for key, file in (
            ("processor", "processor_config.json"),
            ("images", "preprocessor_config.json"),
            ("videos", "video_preprocessor_config.json"),
        )
    }
    images = found["processor"].pop("image_processor", None) or found["images"]
    videos = found["processor"].pop("video_processor", None) or found["videos"] or images
    return {"images": images, "videos": dict(videos), "processor": found["processor"]}


def read(path: Path, name: str) -> dict[str, Any]:
    """A JSON object of the checkpoint ``name``."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"The {path.name} of '{name}' cannot be read ({first_line(error)}); download it again."
        ) from error
    if not isinstance(found, dict):
        raise ModelError(f"The {path.name} of '{name}' is damaged; download it again.")
    return found


def first_line(error: BaseException) -> str:
    """The first sentence of a message, to stand inside another."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].split(". ")[0].rstrip(".")[:300]


class _Quiet:
    """How many threads are quiet; the last one puts back what the first found.

    What the libraries say is set for the whole process.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._inside = 0
        self._restore = ExitStack()

    def enter(self) -> None:
        with self._lock:
            if not self._inside:
                self._restore.enter_context(_silenced())
            self._inside += 1

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._restore.close()


_QUIET = _Quiet()


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars, no reports of the libraries: what matters becomes an error."""
    _QUIET.enter()
    try:
        yield
    finally:
        _QUIET.leave()


@contextmanager
def _silenced() -> Iterator[None]:
    from huggingface_hub.utils import logging as hub
    from huggingface_hub.utils.tqdm import disable_progress_bars, enable_progress_bars
    from transformers.utils import logging as library

    bars, level = library.is_progress_bar_enabled(), library.get_verbosity()
    hub_level = hub.get_verbosity()
    library.disable_progress_bar()  # type: ignore[no-untyped-call]
    library.set_verbosity_error()  # type: ignore[no-untyped-call]
    hub.set_verbosity_error()  # type: ignore[no-untyped-call]
    disable_progress_bars()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        library.set_verbosity(level)
        hub.set_verbosity(hub_level)
        if bars:
            library.enable_progress_bar()  # type: ignore[no-untyped-call]
            enable_progress_bars()
