"""Looking into the projector of a model: what goes in, and how much it makes of small changes.

What is asked for by name: ``pre``, the features that one token is projected from;
``sensitivity``, of ZOO-Prune, how far the projected token moves with these.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from videopipe.compress.sensitivity import closed_form, sampled
from videopipe.mllm.vision import tower_of

SIGNALS = frozenset({"pre", "sensitivity"})
_DIRECTIONS = 64  # of a sampled sensitivity, as published


def projector_of(model: PreTrainedModel) -> nn.Module:
    """What makes tokens of the language model from the features of the vision tower."""
    inner, tower = model.base_model, tower_of(model)
    places = ((inner, "multi_modal_projector"), (inner, "connector"), (inner, "projector"))
    for module, name in (*places, (tower, "merger")):
        if isinstance(found := getattr(module, name, None), nn.Module):
            return found
    raise AssertionError(f"{type(model).__name__} has no projector")


class Probe:
    """Notes what goes through the projector while the model makes visual tokens."""

    def __init__(self, model: PreTrainedModel, needs: Sequence[str]) -> None:
        self.projector = projector_of(model)
        self.needs = frozenset(needs) & SIGNALS
        self.linears = [m for m in self.projector.modules() if isinstance(m, nn.Linear)]
        self.found: dict[str, list[Tensor]] = {}
        self._within = False

    @contextmanager
    def running(self) -> Iterator[None]:
        """Within, the projector tells what it is given."""
        if not self.needs:
            yield
            return
        entrance = self.linears[0] if self.linears else self.projector
        hooks = []
        if "pre" in self.needs:
            hooks.append(entrance.register_forward_pre_hook(self._pre))
        if "sensitivity" in self.needs:
            if (activation := self._between()) is not None:
                hooks.append(entrance.register_forward_pre_hook(self._closed(activation)))
            else:
                hooks.append(self.projector.register_forward_pre_hook(self._sampled))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def take(self) -> dict[str, Tensor]:
        """What was seen since the last call, by name: ``[frames, n, ...]`` or ``[n, ...]``."""
        found, self.found = self.found, {}
        return {name: torch.cat(parts) for name, parts in found.items()}

    def _between(self) -> nn.Module | None:
        """The activation of a perceptron of two layers in full precision, if it is one."""
        if len(self.linears) != 2 or any(not m.weight.is_floating_point() for m in self.linears):
            return None
        others = [
            m
            for m in self.projector.modules()
            if not isinstance(m, nn.Linear) and not any(True for _ in m.children())
        ]
        plain = [m for m in others if not any(True for _ in m.parameters())]
        return plain[0] if len(plain) == 1 else None

    def _note(self, name: str, value: Tensor) -> None:
        self.found.setdefault(name, []).append(value.cpu())

    def _pre(self, module: nn.Module, given: tuple[Any, ...]) -> None:
        if not self._within:
            self._note("pre", given[0])

    def _closed(self, activation: nn.Module) -> Any:
        first, second = self.linears

        def look(module: nn.Module, given: tuple[Any, ...]) -> None:
            x = given[0]
            flat = x.reshape(-1, x.shape[-1])
            bias = first.bias if first.bias is not None else flat.new_zeros(first.out_features)
            made = closed_form(flat, first.weight, bias, second.weight, activation)
            self._note("sensitivity", made.view(x.shape[:-1]))

        return look

    def _sampled(self, module: nn.Module, given: tuple[Any, ...]) -> None:
        """Of any other projector, whose tokens move with all that they are made of at once."""
        if self._within:
            return
        x = given[0]
        self._within = True
        try:
            directions = torch.randn(
                _DIRECTIONS, x.shape[-1], generator=torch.Generator().manual_seed(0)
            ).to(x.device)
            # Rows of a merger that become one token go together.
            merged = self.linears and x.dim() == 2
            together = self.linears[0].in_features // x.shape[-1] if merged else 1
            self._note("sensitivity", sampled(x, module, directions, together=together))
        finally:
            self._within = False
