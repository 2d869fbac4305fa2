"""Dual encoders of images and text (SigLIP, SigLIP2, CLIP, Long-CLIP): how well frames fit a text.

Any checkpoint that transformers loads with ``get_image_features`` and ``get_text_features``. The
length of text that it takes is read from it: Long-CLIP is a CLIP with 248 positions.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videopipe.errors import ConfigError, ModelError
from videopipe.mllm.files import (
    SETTINGS,
    WEIGHTS,
    absent,
    fetch,
    first_line,
    has_weights,
    is_path,
    quiet,
    read,
    shards,
    tensors,
)
from videopipe.select.clauses import clauses

_BLOCK = 4096  # rows compared at once: float16 vectors need no copy of them all


@lru_cache(maxsize=1)
def load_encoder(name: str, *, device: str = "auto") -> DualEncoder:
    """A dual encoder by hub name or folder; the last one stays loaded.

    Raises:
        NotFound: the folder is not there.
        ConfigError: there is no such device.
        ModelError: it cannot be loaded, or is no dual encoder; one sentence.
    """
    folder = Path(name).expanduser()
    with quiet():
        if not is_path(name):
            folder = fetch(name, (*SETTINGS, *WEIGHTS), has_weights)
        elif not folder.is_dir():
            raise absent(name, folder)
        settings = read(folder / "config.json", name)
        if not {"text_config", "vision_config"} <= settings.keys():
            raise _no_encoder(name, settings)
        for _ in tensors(shards(name, folder), name):
            pass  # their headers tell what is damaged
        return DualEncoder(name, folder, device, _half(settings))


class DualEncoder:
    """A dual encoder of images and text.

    ``dimension`` is that of its vectors, ``reason`` says on what it runs and why. In half precision
    on a GPU, as saved; in float32 on a CPU.
    """

    def __init__(self, name: str, folder: Path, device: str, half: str) -> None:
        import torch
        from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

        self.name = name
        gpu = torch.cuda.is_available() if device == "auto" else device.startswith("cuda")
        place = ("cuda" if gpu else "cpu") if device == "auto" else device
        try:
            torch.empty(0, device=place)
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            raise ConfigError(
                f"There is no device '{device}' here; give auto, cpu, cuda, or cuda:N."
            ) from error
        try:
            model, told = AutoModel.from_pretrained(
                folder,
                dtype=getattr(torch, half) if gpu else torch.float32,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
                # They come back in ``told``, which says more than the error would.
                ignore_mismatched_sizes=True,
            )
            self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            processors: Any = AutoImageProcessor
            self._pixels = processors.from_pretrained(folder, local_files_only=True)
            if told["missing_keys"] or told["mismatched_keys"]:
                raise ModelError(
                    f"The weights of '{name}' do not fit its config.json; download it again."
                )
            self._model: Any = model.to(place).eval()
        except ModelError:
            raise
        except Exception as error:  # the libraries below raise nearly every class there is
            raise ModelError(
                f"The encoder '{name}' cannot be loaded ({first_line(error)}); give a CLIP or "
                "SigLIP checkpoint with its weights, tokenizer and image processor."
            ) from error
        if not all(hasattr(model, f"get_{side}_features") for side in ("image", "text")):
            raise _no_encoder(name, {"model_type": model.config.model_type})
        self.reason = f"{place}, {half if gpu else 'float32'}"
        self._limit = int(model.config.text_config.max_position_embeddings)
        # SigLIP was trained on lower-case texts, padded, without masks. Its tokenizers look after
        # the case, but not that of SigLIP2 at one resolution, which is Gemma's.
        self._siglip = model.config.model_type.startswith("siglip")
        self.dimension = self.encode_question("dimension").shape[1]

    def encode_frames(self, frames: NDArray[np.uint8], batch: int = 32) -> NDArray[np.float16]:
        """Unit vectors, float16 ``[T, D]``.

        Args:
            frames: uint8 RGB ``[T, H, W, 3]`` of any size.
            batch: frames in memory at once; halved where that is too many.

        Raises:
            ModelError: not even one fits into memory.
        """
        import torch

        vectors = np.empty((len(frames), self.dimension), np.float16)
        start = 0
        while start < len(frames):
            some = list(frames[start : start + batch])
            try:
                with quiet():
                    given = self._pixels(
                        images=some, return_tensors="pt", input_data_format="channels_last"
                    )
                vectors[start : start + len(some)] = self._vectors("image", given)
            except torch.OutOfMemoryError as error:
                if batch == 1:
                    raise ModelError(f"{self.name} ran out of memory on one frame.") from error
                batch //= 2
                continue
            start += len(some)
        return vectors

    def encode_question(self, question: str) -> NDArray[np.float32]:
        """Unit vectors of the clauses of a question, float32 ``[C, D]``; nothing of it is cut."""
        texts = clauses(question.lower() if self._siglip else question, self._limit, self._count)
        given = self._tokenizer(
            texts,
            padding="max_length" if self._siglip else True,
            max_length=self._limit,
            truncation=True,  # of what is longer than a limit without a joint: none is
            return_tensors="pt",
        )
        known = ("input_ids",) if self._siglip else ("input_ids", "attention_mask")
        return self._vectors("text", {key: given[key] for key in known if key in given})

    def relevance(
        self, features: NDArray[Any], question: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        """The cosine of each frame with the clause that fits it best, ``[N]``.

        The best and not the mean: the parts of a question may be seen at different times, and a
        frame that shows one of them counts.

        Args:
            features: ``[N, D]`` of :meth:`encode_frames`.
            question: ``[C, D]`` of :meth:`encode_question`.
        """
        best = np.empty(len(features))
        for start in range(0, len(features), _BLOCK):
            some = features[start : start + _BLOCK].astype(np.float32)
            best[start : start + len(some)] = (some @ question.T).max(1)
        return best

    def _count(self, text: str) -> int:
        return len(self._tokenizer(text, verbose=False).input_ids)

    def _vectors(self, side: str, given: Any) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            inputs = {
                key: value.to(self._model.device, self._model.dtype)
                if value.is_floating_point()
                else value.to(self._model.device)
                for key, value in given.items()
            }
            out = getattr(self._model, f"get_{side}_features")(**inputs)
            pooled = out if isinstance(out, torch.Tensor) else out.pooler_output
            rows: NDArray[np.float32] = (
                torch.nn.functional.normalize(pooled.float(), dim=-1).cpu().numpy()
            )
        return rows


def _half(settings: dict[str, Any]) -> str:
    """The dtype of half precision: bfloat16 where the weights are saved so, else float16."""
    saved = settings.get("dtype", settings.get("torch_dtype"))
    return "bfloat16" if saved == "bfloat16" else "float16"


def _no_encoder(name: str, settings: dict[str, Any]) -> ModelError:
    return ModelError(
        f"'{name}' is no dual encoder of images and text (its type is "
        f"'{settings.get('model_type')}'); give a CLIP, SigLIP or SigLIP2 checkpoint."
    )
