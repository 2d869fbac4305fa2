"""The one way to call a compressor."""

from __future__ import annotations

from typing import Any

import torch

from videopipe.compress.composition import compose
from videopipe.compress.tokens import TokenMap, VisualTokens

_WHERE = {
    "recv": "encode with it; every vision tower gives it",
    "cls": "encode with it; vision towers with a class token give it (Video-LLaVA, "
    "LLaVA-NeXT-Video)",
    "attention": "encode with it; every vision tower gives it",
    "key": "encode with it; every vision tower gives it",
    "metric": "encode with it; every vision tower gives it",
    "pre": "encode with it; every projector gives it",
    "sensitivity": "encode with it; every projector gives it",
    "entropy": "encode with it; it is of the pixels",
    "relevance": "it comes with a question",
    "question": "it comes with a question",
    "text": "it comes with a question",
}


def compress(name: str, tokens: VisualTokens, k: int, **params: Any) -> TokenMap:
    """Make ``k`` of ``tokens``, or leave them be where there are no more than that.

    Tokens without a place in the grid are kept whole, unless they would take more than a quarter
    of ``k``: then they only get what those of the grid leave, the first of them.

    Args:
        name: a published name, see :func:`videopipe.compress.methods`, or several as
            ``evs:0.5 | divprune``, see :func:`videopipe.compress.compose`.
        k: number of rows of the map, 1 at least.
        params: of the method.

    Raises:
        ConfigError: an unknown name, parameters the method does not take, or ``none`` asked for
            fewer tokens than there are.
        ValueError: ``k`` below 1, or a signal that the method needs is missing.
    """
    operator = compose(name, **params)
    if k < 1:
        raise ValueError(f"at least one token is kept; got k={k}")
    if missing := operator.needs - tokens.signals.keys() - tokens.context.keys():
        said = "; ".join(
            f"'{signal}' ({_WHERE.get(signal.partition(':')[0], 'encode with it')})"
            for signal in sorted(missing)
        )
        raise ValueError(f"{name} needs {said}")
    everything = torch.arange(len(tokens), device=tokens.x.device)
    if k >= len(tokens):
        return TokenMap.keep(everything, tokens.pos)
    placed, others = everything[tokens.placed], everything[~tokens.placed]
    if len(others) > k // 4:
        others = others[: max(0, k - len(placed))]
    room = k - len(others)
    grid = tokens.take(placed) if len(placed) < len(tokens) else tokens
    if operator.stages[0].compressor.whole and not grid.whole:
        raise ValueError(f"{name} needs whole frames: a token at each place of the grid, in order")
    if room == len(placed):  # without some of the others there are few enough
        rows = TokenMap.keep(torch.arange(len(placed), device=placed.device), grid.pos)
    else:
        rows = operator(grid, room)
    return _among(rows, placed, others, tokens) if len(placed) < len(tokens) else rows


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
