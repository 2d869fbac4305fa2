"""Decoding back ends by name; all but PyAV run in child processes of their own."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from videopipe.media.backends.child import Child, ChildDecoder, refusal, trouble
from videopipe.media.backends.decord import Decord
from videopipe.media.backends.native import Native, Source
from videopipe.media.backends.opencv import OpenCV
from videopipe.media.backends.torchcodec import TorchCodec
from videopipe.media.decoder import Backend
from videopipe.media.packets import PacketTable
from videopipe.types import VideoInfo

BACKENDS: tuple[Backend, ...] = get_args(Backend)
NATIVES: dict[str, type[Native]] = {"decord": Decord, "torchcodec": TorchCodec, "opencv": OpenCV}

__all__ = ["BACKENDS", "check", "open_decoder"]


def check(name: str) -> str | None:
    """One sentence why the back end does not work here, and what to do; ``None`` when it does.

    A native one is loaded into a process of its own, which takes seconds for torchcodec.
    """
    if name == "pyav":
        try:
            import av  # noqa: F401
        except ImportError as error:
            return f"pyav cannot be imported ({error}); pip install av."
        return None
    child = Child(name)
    try:
        return trouble(child, name)
    finally:
        child.kill()


def open_decoder(
    name: str,
    path: Path,
    info: VideoInfo,
    table: PacketTable,
    *,
    threads: int,
    deadline: float | None,
) -> ChildDecoder:
    """The native back end ``name`` on a local file.

    Args:
        info: what :func:`~videopipe.media.probe` says of it.
        table: all of its packets.
        threads: of the codec.
        deadline: seconds after which a native decoder that shows nothing is killed.

    Raises:
        MediaError: the back end cannot be right on this file, or the file cannot be opened.
    """
    source = Source.of(path, info, table, threads)
    if reason := _unfit(name, source, table):
        raise refusal(path, name, reason)
    return ChildDecoder(name, source, table, deadline)


def _unfit(name: str, source: Source, table: PacketTable) -> str | None:
    """Why the back end cannot be right on this file, as the end of a sentence."""
    if not table.seekable:
        return "goes by a clock, and this file has none that can be used"
    if source.hdr:
        return "does not tone-map HDR video"
    if source.interlaced:
        return "does not weave the fields of interlaced video"
    return NATIVES[name].unfit(source)
