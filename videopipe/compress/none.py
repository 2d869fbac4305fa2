"""No compression: what others are compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from videopipe.compress.registry import Kind, register
from videopipe.compress.tokens import TokenMap, VisualTokens
from videopipe.errors import ConfigError


@register("none")
@dataclass(frozen=True, slots=True)
class Nothing:
    """Keeps every token; the budget is met by the resolution and the number of frames."""

    needs: ClassVar[frozenset[str]] = frozenset()
    kind: ClassVar[Kind] = "prune"
    whole: ClassVar[bool] = False
    exact: ClassVar[str] = "the plan, which fits"
    paper: ClassVar[str] = ""

    def __call__(self, tokens: VisualTokens, k: int) -> TokenMap:
        raise ConfigError(
            f"{len(tokens)} visual tokens do not fit into {k} without a compressor; "
            "choose one (compress.method), or fewer frames."
        )
