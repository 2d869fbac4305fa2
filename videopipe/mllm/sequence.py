"""From a prompt and its visual tokens to the inputs of ``generate``: ids, positions, features.

The prompt is laid out in full first, with a placeholder for each visual token, and its positions
are computed by the model's own rule. Then the placeholders that a map leaves out are taken away;
what stays keeps its position, so that the model sees where in the video it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

from videopipe.compress import TokenMap, VisualTokens
from videopipe.mllm.families import Family


@dataclass
class EncodedClips(BaseModelOutputWithPooling):
    """Features in the place of the vision tower's own output."""

    deepstack_features: Any = None


@dataclass(frozen=True, slots=True)
class Sequenced:
    """One prompt: ``ids`` ``[S]``, ``kinds`` ``[S]`` (0 text, else the modality), ``positions``
    ``[S]`` or ``[3, S]``, ``features`` ``[K, D]`` and the same of each DeepStack level."""

    ids: Tensor
    kinds: Tensor
    positions: Tensor
    features: Tensor | None
    levels: tuple[Tensor, ...] = ()


def sequence(
    model: PreTrainedModel,
    family: Family,
    ids: Sequence[int],
    holder: int,
    clips: Sequence[VisualTokens],
    maps: Sequence[TokenMap | None],
    frame_steps: Sequence[float],
    merge: int,
) -> Sequenced:
    """Lay out one prompt.

    Args:
        ids: the whole prompt, a placeholder ``holder`` for every visual token before any map.
        maps: of each clip, None to keep it as it is.
        frame_steps: seconds from one step of each clip to the next.
        merge: patches per side of a token, where positions are on a grid.
    """
    whole = torch.tensor(ids)
    kinds = (whole == holder).long() * (2 if family.modality == "video" else 1)
    positions = _positions(model, family, whole, kinds, clips, frame_steps, merge)
    if not clips:
        return Sequenced(whole, kinds, positions, None)
    places = (whole == holder).nonzero().squeeze(1)
    stays = whole != holder
    moved = positions.float()
    first = 0
    for tokens, rows in zip(clips, maps, strict=True):
        own = places[first : first + len(tokens)]
        first += len(tokens)
        if rows is None:
            stays[own] = True
            continue
        host = rows.host.cpu()
        stays[own[host]] = True
        if family.rope != "1d" and not rows.is_pruning:
            # A row that stands for several places is put at its mean place in height and width.
            off = (rows.pos[:, 0] - tokens.pos[rows.host]).cpu()
            moved[1:, own[host]] += off[:, 1:].T.float()
    if not torch.equal(moved, positions.float()):
        positions = moved
    features, *levels = (
        torch.cat([x if m is None else m.apply(x) for x, m in zip(level, maps, strict=True)])
        for level in zip(*((clip.x, *clip.levels) for clip in clips), strict=True)
    )
    return Sequenced(whole[stays], kinds[stays], positions[..., stays], features, tuple(levels))


def _positions(
    model: PreTrainedModel,
    family: Family,
    ids: Tensor,
    kinds: Tensor,
    clips: Sequence[VisualTokens],
    frame_steps: Sequence[float],
    merge: int,
) -> Tensor:
    if family.rope == "1d":
        return torch.arange(len(ids))
    if not clips:
        return torch.arange(len(ids)).expand(3, -1)
    grids = torch.tensor([[t, h * merge, w * merge] for t, h, w in (c.grid for c in clips)])
    timed = {"second_per_grid_ts": torch.tensor(frame_steps)} if family.rope == "seconds" else {}
    rope, _ = model.model.get_rope_index(
        ids[None], mm_token_type_ids=kinds[None], video_grid_thw=grids, **timed
    )
    positions: Tensor = rope[:, 0]
    return positions


def batch(
    model: PreTrainedModel, family: Family, rows: Sequence[Sequenced], pad: int
) -> dict[str, Any]:
    """The keyword arguments of ``forward`` and ``generate`` for prompts, padded on the left."""
    length = max(len(row.ids) for row in rows)

    def left(part: Tensor, value: int) -> Tensor:
        return torch.nn.functional.pad(part, (length - part.shape[-1], 0), value=value)

    mask = torch.stack([left(torch.ones_like(row.ids), 0) for row in rows])
    positions = torch.stack([left(row.positions, 0) for row in rows], dim=-2)
    inputs: dict[str, Any] = {
        "input_ids": torch.stack([left(row.ids, pad) for row in rows]),
        "attention_mask": mask,
    }
    if family.rope == "1d":
        inputs["position_ids"] = positions
    else:
        # The first row counts the tokens there are; the others say where they were. From the last
        # column, generate counts on.
        count = (mask.cumsum(-1) - 1).clamp(min=0)
        inputs["position_ids"] = torch.cat([count[None].to(positions.dtype), positions])
    if family.name == "Gemma3":  # the tokens of a picture see each other both ways
        inputs["token_type_ids"] = torch.stack([left(row.kinds, 0) for row in rows])
    inputs = {name: value.to(model.device) for name, value in inputs.items()}
    held = [row for row in rows if row.features is not None]
    if held:
        features, *levels = (
            torch.cat(level) for level in zip(*((r.features, *r.levels) for r in held), strict=True)
        )
        inputs["mm_encoder_outputs"] = {
            family.modality: EncodedClips(
                pooler_output=_shaped(features, family.lead),
                deepstack_features=[[level] for level in levels] or None,
            )
        }
    return inputs


def _shaped(features: Tensor, lead: int | None) -> Any:
    return [features] if lead is None else features.view(*[1] * lead, *features.shape)
