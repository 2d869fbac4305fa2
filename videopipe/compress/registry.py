"""Compressors by their published names."""

from __future__ import annotations

from typing import ClassVar, Literal, Protocol

from videopipe.compress.tokens import TokenMap, VisualTokens
from videopipe.registry import Registry

Kind = Literal["prune", "merge", "pool"]


class Compressor(Protocol):
    """What a method is: a class, its parameters those of its constructor.

    ``needs`` names the signals and the context that it reads; it may depend on the parameters.
    ``kind`` is what becomes of a token that is not kept: ``prune`` drops it, ``merge`` adds it to
    one like it, ``pool`` to its neighbours. ``whole`` is whether it takes a grid with a token at
    each place only. ``exact`` says by what it meets a number exactly, ``paper`` where it was
    published.

    It is called with tokens that all have a place in the grid, in order, and ``1 <= k < N``, and
    returns a map of exactly ``k`` rows.
    """

    kind: ClassVar[Kind]
    whole: ClassVar[bool]
    exact: ClassVar[str]
    paper: ClassVar[str]

    @property
    def needs(self) -> frozenset[str]: ...

    def __call__(self, tokens: VisualTokens, k: int) -> TokenMap: ...


_METHODS: Registry[type[Compressor]] = Registry("compressor")
register = _METHODS.register


def methods() -> tuple[str, ...]:
    """The names, in alphabetical order."""
    return tuple(_METHODS)


def method(name: str) -> type[Compressor]:
    """The class of a published name.

    Raises:
        ConfigError: there is none of that name; the sentence lists them.
    """
    return _METHODS[name]
