"""One way to show clips to a video MLLM, be it in this process or behind a server.

Plan first: it says which of the frames are wanted, at which sizes. Then look.
"""

from __future__ import annotations

import gc
from threading import Lock

import torch

from videopipe.config import ModelConfig
from videopipe.errors import ConfigError
from videopipe.mllm.adapter import load
from videopipe.mllm.local_viewer import LocalViewer
from videopipe.mllm.server import ServerModel
from videopipe.mllm.server_viewer import ServerViewer
from videopipe.mllm.view import Viewer

SERVER = "openai:"
_LOCAL = ("name", "base_url", "dtype", "device", "attention", "quantize")
_SERVER = ("name", "base_url", "timeout_seconds", "retries", "concurrency", "send")


class _Opened:
    """The one model that stays open between calls."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._key: tuple[object, ...] = ()
        self._viewer: Viewer | None = None

    def __call__(self, config: ModelConfig) -> Viewer:
        """The model that the configuration names; it stays open until another is asked for.

        Raises:
            ConfigError: none is named, or a setting is wrong.
            NotFound, ModelError: it cannot be loaded, or the server cannot be reached.
        """
        if config.name is None:
            raise ConfigError("Name a video MLLM: --model NAME, a folder, or openai:MODEL.")
        names = _SERVER if config.name.startswith(SERVER) else _LOCAL
        key = tuple(getattr(config, name) for name in names)
        with self._lock:
            if self._viewer is None or key != self._key:
                self._release()  # first: two models may be more than the memory holds
                self._viewer = _open(config.name, config)
                self._key = key
            return self._viewer

    def cache_clear(self) -> None:
        """Close it."""
        with self._lock:
            self._release()

    def _release(self) -> None:
        held, self._viewer = isinstance(self._viewer, LocalViewer), None
        if held:
            gc.collect()  # modules refer to each other
            if torch.cuda.is_available():
                torch.cuda.empty_cache()


open_viewer = _Opened()


def _open(name: str, config: ModelConfig) -> Viewer:
    if name.startswith(SERVER):
        server = ServerModel(
            name.removeprefix(SERVER),
            config.base_url,
            timeout_seconds=config.timeout_seconds,
            retries=config.retries,
            concurrency=config.concurrency,
            send=config.send,
        )
        server.check()
        return ServerViewer(server)
    if config.base_url is not None:
        raise ConfigError(f"A server (--base-url) serves openai:MODEL; '{name}' is local.")
    return LocalViewer(
        load(
            name,
            dtype=config.dtype,
            device=config.device,
            attention=config.attention,
            quantize=config.quantize,
        )
    )
