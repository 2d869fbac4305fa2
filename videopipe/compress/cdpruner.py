"""CDPruner: in each frame different tokens that fit the question, by a determinantal process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from videopipe.compress.directions import ALIKE, filled, unit_rows
from videopipe.compress.frames import by_frame, even_shares
from videopipe.compress.registry import Kind, register
from videopipe.compress.tokens import TokenMap, VisualTokens

_AT_ONCE = 2**23  # numbers held for the frames that are looked at together


@register("cdpruner")
@dataclass(frozen=True, slots=True)
class CDPruner:
    """Keeps different tokens that fit the question, per frame (CDPruner, NeurIPS 2025).

    The most likely set of a determinantal point process, greedily: of the kernel ``r_i r_j
    cosine(i, j)``, with ``r`` the relevance of tokens, scaled to 0-1 over all frames as in the
    released code. That is the cosine with the question, NEGATED (``sign=-1``): in CLIP, background
    is more like any text than what it tells of. Of other towers ``sign=1`` may be right. Frames
    share the budget evenly. When all that are left are made up of chosen ones the released code
    goes on with NaN; here the most relevant follow.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"question"})
    kind: ClassVar[Kind] = "prune"
    whole: ClassVar[bool] = False
    exact: ClassVar[str] = "even shares"
    paper: ClassVar[str] = "arXiv 2506.10967"
    sign: int = -1

    def __post_init__(self) -> None:
        if self.sign not in (-1, 1):
            raise ValueError(f"sign is -1 or 1, got {self.sign}")

    def __call__(self, tokens: VisualTokens, k: int) -> TokenMap:
        x = tokens.features
        relevance = self.relevance(tokens.signals["question"].to(x.device))
        frames, shares = by_frame(tokens), even_shares(tokens, k)
        steps, n = frames.index.shape
        at_once = max(1, _AT_ONCE // (n * (2 * n + 2 * int(shares.max()) + x.shape[1])))
        kept = []
        for some in torch.split(shares.nonzero().squeeze(1), at_once):
            here = some.to(x.device)
            index, there = frames.index[here], frames.there[here]
            if steps * n == len(x) and int(some[-1] - some[0]) + 1 == len(some):
                rows = x[int(some[0]) * n :][: len(some) * n].view(len(some), n, -1)
            else:
                rows = x[index]
            unit, nothing = unit_rows(rows)
            weight = relevance[index] * there
            orders = most_likely(unit @ unit.mT, weight, int(shares[some].max())).cpu()
            for row, share in enumerate(shares[some].tolist()):
                mine = index[row, there[row]]
                first = orders[row, orders[row] >= 0][:share].tolist()
                last = nothing[row, there[row]].cpu().numpy()
                picks = filled(first, share, last, relevance[mine].cpu().numpy())
                kept.append(mine[torch.tensor(picks, device=mine.device)])
        return TokenMap.keep(torch.cat(kept).sort().values, tokens.pos)

    def relevance(self, question: Tensor) -> Tensor:
        """What each token counts, float32 ``[N]`` above 0, from its cosine with the question."""
        score = self.sign * question.float()
        spread = score.max() - score.min()
        if float(spread) <= 0:
            return torch.ones_like(score)
        return (score - score.min() + 1e-6) / spread


def most_likely(cosines: Tensor, weight: Tensor, k: int) -> Tensor:
    """``k`` of the tokens of each of ``B`` sets, int64 ``[B, k]`` in the order they are picked.

    The greedy choice of the largest determinant: always the token that has the most, by its weight,
    that picked ones do not make up. -1 where nothing is left that has.

    Args:
        cosines: ``[B, n, n]``.
        weight: ``[B, n]``, 0 or more; a token of weight 0 is not picked.
    """
    sets, n = weight.shape
    weight = weight.double()
    left = cosines.diagonal(dim1=1, dim2=2) * weight.square()
    least = ALIKE * weight.square()
    each = torch.arange(sets, device=weight.device)
    order = torch.full((sets, k), -1, device=weight.device)
    made = weight.new_zeros(sets, k, n)  # rows of the Cholesky factor
    for step in range(k):
        best, pick = left.where(left > least, -torch.inf).max(1)
        known = best > -torch.inf
        order[:, step] = pick.where(known, -1)
        row = cosines[each, pick] * weight[each, pick, None] * weight
        before = made[:, :step]
        row = row - (before[each, :, pick].unsqueeze(1) @ before).squeeze(1)
        row = (row / best.clamp(min=1e-300).sqrt()[:, None]).where(known[:, None], 0)
        made[:, step] = row
        left = left - row.square()
        left[each, pick] = -torch.inf
    return order
