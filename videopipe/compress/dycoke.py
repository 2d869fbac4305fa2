"""DyCoke: of four frames one is kept whole, and what differs from it of the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from videopipe.compress.changes import differences, largest, unit_scale
from videopipe.compress.registry import Kind, register
from videopipe.compress.resample import even
from videopipe.compress.tokens import TokenMap, VisualTokens

_GROUP = 4


@register("dycoke")
@dataclass(frozen=True, slots=True)
class DyCoke:
    """DyCoke's token merging (CVPR 2025): one frame of four whole, of the others what differs.

    The second frame of four keeps the tokens that are least like (cosine) those of the first at
    their place, the fourth those least like the third, and the third those least like the first;
    nothing is merged, the published name notwithstanding. All of these keep as many, within one.

    The published rate gives that number, 0.3 of a frame; here ``k`` does. With a quarter of the
    tokens or fewer no more than the first frames of the groups are left: they keep as many each,
    least like those of the first frame of the group before; the first frame of all keeps tokens at
    even distances. The released code drops the last of an odd number of frames and leaves the
    third frame of the last group whole.
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    kind: ClassVar[Kind] = "prune"
    whole: ClassVar[bool] = True
    exact: ClassVar[str] = "equal numbers of each frame, within one"
    paper: ClassVar[str] = "arXiv 2411.15024"

    def __call__(self, tokens: VisualTokens, k: int) -> TokenMap:
        steps, high, wide = tokens.grid
        n = high * wide
        x = tokens.features.view(steps, n, -1)
        whole = list(range(0, steps, _GROUP))
        others = [step for step in range(steps) if step % _GROUP]
        kept = torch.zeros(steps, n, dtype=torch.bool, device=x.device)
        scale = unit_scale(x)
        if k >= n * len(whole):
            kept[whole] = True
            # Of four, the last is compared with the third, the others with the first.
            like = [step - (1 if step % _GROUP == 3 else step % _GROUP) for step in others]
            apart = differences(x, scale, others, like)
            kept[others] = largest(apart, even(k - n * len(whole), len(others)))
        else:
            apart = differences(x, scale, whole[1:], whole[:-1])
            apart = torch.cat([torch.zeros_like(x[:1, :, 0]), apart])
            kept[whole] = largest(apart, even(k, len(whole)))
        return TokenMap.keep(kept.flatten().nonzero().squeeze(1), tokens.pos)
