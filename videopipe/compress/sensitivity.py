"""How far a projected token moves with small changes of what it is projected from (ZOO-Prune)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

_AT_ONCE = 2**22  # numbers that go into a projector


def closed_form(
    hidden_pre: Tensor,
    w1: Tensor,
    b1: Tensor,
    w2: Tensor,
    activation: Callable[[Tensor], Tensor],
) -> Tensor:
    """The root mean square of ``|J u|`` over directions ``u``, ``[N]``, of a perceptron.

    Of ``w2 activation(w1 x + b1)``, exactly: with ``G = (w2' w2) * (w1 w1')`` and ``s`` the slopes
    of the activation at a token it is ``sqrt(s' G s / d)``. In float32, or float64 if given that.

    Args:
        hidden_pre: ``[N, d]``, what tokens are projected from.
        w1: ``[H, d]``.
        b1: ``[H]``.
        w2: ``[D, H]``.
        activation: of each number by itself.
    """
    kind = torch.promote_types(hidden_pre.dtype, torch.float32)
    # Slopes are wanted in the middle of inference as well.
    with torch.inference_mode(False), torch.no_grad():
        first, bias, second = (part.detach().to(kind) for part in (w1, b1, w2))
        coupling = (second.mT @ second) * (first @ first.mT)
        found = []
        for some in torch.split(hidden_pre, max(1, _AT_ONCE // len(first))):
            with torch.enable_grad():
                inner = (some.detach().to(kind) @ first.mT + bias).requires_grad_()
                (slope,) = torch.autograd.grad(activation(inner).sum(), inner)
            moved = ((slope @ coupling) * slope).sum(1).clamp(min=0)
            found.append((moved / hidden_pre.shape[1]).sqrt())
        return torch.cat(found)


@torch.no_grad()
def sampled(
    x: Tensor,
    projector: Callable[[Tensor], Tensor],
    directions: Tensor,
    step: float = 0.01,
    together: int = 1,
) -> Tensor:
    """The mean of ``|J u|`` over given directions, by central differences, as published.

    All that a token is projected from moves in the same direction at once. Computed in float32: a
    step is less than the rounding of half precision. Memory does not grow with the number of tokens
    or of directions.

    Args:
        x: ``[N, ..., d]``, what tokens are projected from.
        projector: to tokens ``[M, ..., D]``; weights of a module are taken as float32.
        directions: ``[m, d]``, of any length; each is scaled to 1.
        step: how far to go to either side.
        together: how many rows of ``x`` the projector makes one row of.

    Returns:
        ``[M, ...]``, one for each token.
    """
    own: dict[str, Tensor] = {}
    if isinstance(projector, nn.Module):
        weights = (*projector.named_parameters(), *projector.named_buffers())
        own = {name: w.float() if w.is_floating_point() else w for name, w in weights}

    def project(rows: Tensor) -> Tensor:
        if not isinstance(projector, nn.Module):
            return projector(rows)
        made: Tensor = torch.func.functional_call(projector, own, (rows,))
        return made

    bank = normalize(directions.float().to(x.device), dim=1) * step
    size = max(1, x[0].numel())
    rows = max(together, _AT_ONCE // (size * together) * together)
    found = []
    for some in torch.split(x, rows):
        some = some.float()
        total: Tensor | None = None
        for several in torch.split(bank, max(1, _AT_ONCE // (size * len(some)))):
            shift = several.view(-1, *[1] * (x.dim() - 1), x.shape[-1])
            up, down = (project((some + way * shift).flatten(0, 1)).float() for way in (1.0, -1.0))
            moved = torch.linalg.vector_norm(up - down, dim=-1)
            moved = moved.unflatten(0, (len(several), -1)).sum(0)
            total = moved if total is None else total + moved
        assert total is not None, "there is a direction"
        found.append(total / (2 * step * len(bank)))
    return torch.cat(found)
