"""The composition that keeps most of a video, by measurement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple, get_args

from videopipe.compress.composition import compose
from videopipe.compress.registry import Kind, register
from videopipe.compress.tokens import TokenMap, VisualTokens
from videopipe.types import Asks

# Where what is best about space changes: the share that is kept, and steps in time.
_ENOUGH, _VERY_LITTLE = 0.2, 0.04
_FEW_STEPS = 8


class Choice(NamedTuple):
    """A composition, and why it."""

    spec: str
    why: str


@register("auto")
@dataclass(frozen=True, slots=True)
class Auto:
    """The composition that kept most of measured videos, by budget, length and question.

    Asked about a content, of all that were measured ``framefusion | dpc-knn`` kept the most short
    events, at every length and budget: what stays the same is averaged over time, and what is left
    of each frame in clusters, so that a small thing keeps a row of its own. Asked about the whole
    video, ``vqtoken``: clusters of all frames together cover the most. Asked about space,
    ``vqtoken`` as long as a fifth is kept; with less, plain even tokens (``uniform``) tell best
    where things are, or of a few frames with very little ``progressive``.

    Measured on tokens of pixels of rendered films, ``python pipelines/eval_compress.py``, not on
    the answers of a model.
    """

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
        share = k / max(n, 1)
        if self.asks == "content":
            if steps < 2:
                return Choice("dpc-knn", "one frame: what is small keeps a token of its own")
            return Choice("framefusion | dpc-knn", "keeps short events best")
        if self.asks == "overview":
            return Choice("vqtoken", "covers the whole best")
        if share >= _ENOUGH:
            return Choice("vqtoken", f"covers places best with {share:.0%} of the tokens")
        if steps < _FEW_STEPS and share < _VERY_LITTLE:
            return Choice("progressive", f"tells where things are best with {share:.0%} of few")
        return Choice("uniform", f"tells where things are best with {share:.0%} of the tokens")

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
