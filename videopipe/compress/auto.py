"""The composition that keeps most of a video, by measurement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple, get_args

from videopipe.compress.composition import compose
from videopipe.compress.registry import Kind, register
from videopipe.compress.tokens import TokenMap, VisualTokens
from videopipe.types import Asks


class Choice(NamedTuple):
    """A composition, and why it."""

    spec: str
    why: str


@register("auto")
@dataclass(frozen=True, slots=True)
class Auto:
    """The composition that was best on measured videos."""

    needs: ClassVar[frozenset[str]] = frozenset()
    kind: ClassVar[Kind] = "merge"
    whole: ClassVar[bool] = True
    exact: ClassVar[str] = "its last stage"
    paper: ClassVar[str] = ""

    asks: Asks = "content"

    def __post_init__(self) -> None:
        if self.asks not in get_args(Asks):
            raise ValueError(f"asks is one of {', '.join(get_args(Asks))}, got {self.asks}")

    def choice(self, n: int, k: int, steps: int) -> Choice:
        """The composition for ``n`` tokens of ``steps`` steps in time, of which ``k`` are kept."""
        return Choice("pool", "pooling")

    def __call__(self, tokens: VisualTokens, k: int) -> TokenMap:
        return compose(self.choice(len(tokens), k, tokens.grid[0]).spec)(tokens, k)


def automatic(spec: str) -> Auto | None:
    """The ``auto`` that a composition is, if it is that alone.

    Raises:
        ConfigError: no composition.
    """
    stages = compose(spec).stages
    alone = stages[0].compressor
    return alone if len(stages) == 1 and isinstance(alone, Auto) else None
