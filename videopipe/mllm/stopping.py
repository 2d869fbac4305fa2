"""What ends a generation before its token limit: the clock and loops."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import StoppingCriteria

from videopipe.mllm.guards import cycles, loops
from videopipe.mllm.reply import StoppedBy

STRIDE = 16  # tokens between two looks for a loop
_TAIL = 512  # tokens decoded for a look


class Guards(StoppingCriteria):
    """Stops rows that loop, and all rows when the time is up; for one call of ``generate``.

    The clock starts here, so the time limit holds for the reading of the prompt, too; it is looked
    at after each token. ``end_ids`` are the tokens that end a reply or fill a finished row,
    ``decode`` makes text of tokens. ``clock`` gives seconds that never go back.
    """

    def __init__(
        self,
        time_limit_seconds: float,
        end_ids: Collection[int],
        decode: Callable[[list[int]], str],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._until = clock() + time_limit_seconds
        self._end_ids = frozenset(end_ids)
        self._decode = decode
        self._length = 0
        self._rows: list[_Row] = []

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
        """Whether each row is to stop: bool ``[B]`` for tokens ``[B, L]`` so far."""
        if not self._rows:
            # The prompt may or may not be part of the tokens; one token is new at the first call.
            self._length = input_ids.shape[1] - 1
            self._rows = [_Row() for _ in range(input_ids.shape[0])]
        late = self._clock() >= self._until
        for row, new in zip(self._rows, input_ids[:, self._length :].tolist(), strict=True):
            self._read(row, new, late)
        self._length = input_ids.shape[1]
        stopped = [row.stopped_by is not None for row in self._rows]
        return torch.tensor(stopped, device=input_ids.device)

    def stopped_by(self, row: int = 0) -> StoppedBy:
        """What ended a row, once ``generate`` has returned."""
        if not self._rows:
            return "max_new_tokens"
        return self._rows[row].stopped_by or "max_new_tokens"

    def _read(self, row: _Row, new: Sequence[int], late: bool) -> None:
        for token in new:
            if row.stopped_by is not None:
                return
            row.tokens.append(token)
            if token in self._end_ids:
                row.stopped_by = "end"
            elif len(row.tokens) % STRIDE == 0 and self._in_loop(row.tokens):
                row.stopped_by = "repetition"
        if row.stopped_by is None and late:
            row.stopped_by = "time_limit"

    def _in_loop(self, tokens: list[int]) -> bool:
        return cycles(tokens) or loops(self._decode(tokens[-_TAIL:]))


class _Row:
    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.stopped_by: StoppedBy | None = None
