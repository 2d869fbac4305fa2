"""Compressors by their published names, and the one way to call them."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

import torch

from videopipe.compress.tokens import TokenMap, VisualTokens
from videopipe.errors import ConfigError
from videopipe.registry import Registry


class Compressor(Protocol):
    """What a method is: a class, its parameters those of its constructor.

    ``needs`` names the signals it reads. It is called with tokens that all have a place in the
    grid, in order, and ``1 <= k < N``, and returns a map of exactly ``k`` rows.
    """

    needs: ClassVar[frozenset[str]]

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


def compress(name: str, tokens: VisualTokens, k: int, **params: Any) -> TokenMap:
    """Make ``k`` of ``tokens``, or leave them be where there are no more than that.

    Tokens without a place in the grid are kept whole, unless they would take more than a quarter
    of ``k``: then they only get what those of the grid leave, the first of them.

    Args:
        name: a published name, see :func:`methods`.
        k: number of rows of the map, 1 at least.

    Raises:
        ConfigError: an unknown name, parameters the method does not take, or ``none`` asked for
            fewer tokens than there are.
        ValueError: ``k`` below 1, or a signal that the method needs is missing.
    """
    kind = method(name)
    try:
        operator = kind(**params)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"The compressor '{name}' does not take that ({error}).") from None
    if k < 1:
        raise ValueError(f"at least one token is kept; got k={k}")
    if missing := kind.needs - tokens.signals.keys():
        raise ValueError(f"{name} needs {', '.join(sorted(missing))}; encode with these")
    everything = torch.arange(len(tokens), device=tokens.x.device)
    if k >= len(tokens):
        return TokenMap.keep(everything, tokens.pos)
    placed, others = everything[tokens.placed], everything[~tokens.placed]
    if len(others) > k // 4:
        others = others[: max(0, k - len(placed))]
    room = k - len(others)
    grid = tokens.take(placed)
    if room == len(placed):  # without some of the others there are few enough
        rows = TokenMap.keep(torch.arange(len(placed), device=placed.device), grid.pos)
    else:
        rows = operator(grid, room)
    return _among(rows, placed, others, tokens)


def _among(
    rows: TokenMap, placed: torch.Tensor, others: torch.Tensor, tokens: VisualTokens
) -> TokenMap:
    """``rows``, a map of the ``placed`` tokens, as one of all, with ``others`` in their places."""
    hosts = torch.cat([placed[rows.host], others])
    order = hosts.argsort()
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=order.device)
    single = tokens.pos[others].unsqueeze(1).expand(-1, rows.pos.shape[1], -1)
    return TokenMap(
        src=torch.cat([placed[rows.src], others]),
        dst=torch.cat([rank[rows.dst], rank[len(rows) :]]),
        weight=torch.cat([rows.weight, torch.ones(len(others), device=others.device)]),
        pos=torch.cat([rows.pos, single])[order],
        host=hosts[order],
        tokens_in=len(tokens),
    )
