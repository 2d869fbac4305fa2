"""The probabilities of options at one token of a model in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import LogitsProcessor, PreTrainedTokenizerBase

from videopipe.mllm.options import Opening, margin


def spellings(tokenizer: PreTrainedTokenizerBase, options: Sequence[str]) -> list[list[int]]:
    """For each option the tokens that are it, with and without a space before it.

    Raises:
        ValueError: an option is not one token of this model.
    """
    found = []
    for option in options:
        texts = [
            tokenizer(text, add_special_tokens=False)["input_ids"]
            for text in (option, f" {option}")
        ]
        # SentencePiece may put a space before every text: without one it is found by its name.
        name = tokenizer.convert_tokens_to_ids(option)
        tokens = {name, *(ids[0] for ids in texts if len(ids) == 1)} - {None}
        found.append(sorted(i for i in tokens if str(tokenizer.decode([i])).strip() == option))
        if not found[-1]:
            raise ValueError(f"'{option}' is not one token of this model and cannot be scored")
    return found


def chances(logits: Tensor, spelled: Sequence[Sequence[int]]) -> NDArray[np.float64]:
    """The probability of each option, ``[B, options]``, from logits ``[B, V]``."""
    of_tokens = logits.float().softmax(-1)
    summed = [of_tokens[:, list(tokens)].sum(-1) for tokens in spelled]
    return torch.stack(summed, -1).double().cpu().numpy()


class OptionScores(LogitsProcessor):
    """Notes how likely each option was where each reply began; changes nothing.

    For one call of ``generate``.

    Args:
        spelled: the tokens of each option.
        openings: with what each reply begins, before its first token.
        decode: makes text of one token.
    """

    def __init__(
        self,
        spelled: Sequence[Sequence[int]],
        openings: Sequence[str],
        decode: Callable[[int], str],
    ) -> None:
        self._spelled = spelled
        self._options = {token for tokens in spelled for token in tokens}
        self._replies = [Opening(text) for text in openings]
        self._decode = decode
        self._length: int | None = None
        self._chances: list[list[float] | None] = [None] * len(openings)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """The scores ``[B, V]`` as they were given, for tokens ``[B, L]`` so far."""
        if self._length is not None:
            new = input_ids[:, self._length :].tolist()
            for reply, tokens in zip(self._replies, new, strict=True):
                for token in tokens:
                    reply.hear(self._decode(token))
        self._length = input_ids.shape[1]
        rows = [row for row, reply in enumerate(self._replies) if reply.awaits]
        if rows:
            found = chances(scores[rows], self._spelled).tolist()
            says = scores[rows].argmax(-1).tolist()
            for row, mine, token in zip(rows, found, says, strict=True):
                # A reply that begins with another word says its choice later, or none.
                self._chances[row] = mine if token in self._options else None
        return scores

    def margin(self, row: int) -> float | None:
        """That of a reply, once ``generate`` has returned."""
        noted = self._chances[row]
        return None if noted is None else margin(noted)
