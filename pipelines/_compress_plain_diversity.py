"""Compressors for diversity and coverage as a reader of their papers would write them.

What bench_compress.py compares with: short and obvious, with the N x N matrices and the loops that
the procedures are written with. Where a paper leaves something open, it is what videopipe takes, so
that picks can be compared; nothing here repairs a procedure.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import normalize

from videopipe.compress import VisualTokens


def divprune(tokens: VisualTokens, k: int) -> Tensor:
    """The most isolated token, then always the farthest from what is kept."""
    unit = normalize(tokens.features, dim=1)
    apart = 1 - unit @ unit.T
    picks: list[int] = []
    for step in range(k):
        if step == 0:
            nearest = apart.topk(2, dim=0, largest=False).values[1]
        else:
            nearest = apart[torch.tensor(picks)].min(0).values
        picks.append(int(nearest.argmax()))
    return torch.tensor(picks).sort().values


def zoo_prune(tokens: VisualTokens, k: int) -> Tensor:
    """As divprune, each distance times the sensitivity; the most sensitive token first."""
    score = tokens.signals["sensitivity"].float()
    score = (score - score.min()) / (score.max() - score.min() + 1e-8)
    unit = normalize(tokens.features, dim=1)
    apart = 1 - unit @ unit.T
    picks = [int(score.argmax())]
    while len(picks) < k:
        worth = score * apart[torch.tensor(picks)].min(0).values
        worth[picks] = -torch.inf
        picks.append(int(worth.argmax()))
    return torch.tensor(picks).sort().values


def todre(tokens: VisualTokens, k: int) -> Tensor:
    """Always the token whose cosines with what is kept sum to the least."""
    unit = normalize(tokens.features, dim=1)
    picks = [int((unit @ unit.mean(0)).argmin())]
    likeness = unit @ unit[picks[0]]
    while len(picks) < k:
        likeness[picks[-1]] = torch.inf
        picks.append(int(likeness.argmin()))
        likeness += unit @ unit[picks[-1]]
    return torch.tensor(picks).sort().values


def mmtok(tokens: VisualTokens, k: int) -> Tensor:
    """Greedy coverage of the words and of all tokens, the whole video one picture."""
    unit = normalize(tokens.features, dim=1)
    text = normalize(tokens.context["text"].float(), dim=1)
    words = (text @ unit.T / 0.01).softmax(1) / len(text)
    rest = (unit @ unit.T / 0.2).softmax(1) / len(unit)
    rows = torch.cat([words, 0.5 * rest])
    return _covering(rows, torch.zeros(len(unit)), k).sort().values


def catp(tokens: VisualTokens, k: int) -> Tensor:
    """In each frame, greedy coverage of the frame and likeness to the text."""
    steps = tokens.grid[0]
    unit = normalize(tokens.features, dim=1).view(steps, -1, tokens.x.shape[1])
    fits = 0.7 * (1 + tokens.signals["question"].float().view(steps, -1)) / 2
    size = unit.shape[1]
    kept = []
    for step in range(steps):
        alike = (1 + unit[step] @ unit[step].T) / 2
        share = k * (step + 1) // steps - k * step // steps
        kept.append(step * size + _covering(alike, fits[step], share))
    return torch.cat(kept).sort().values


def _covering(rows: Tensor, bonus: Tensor, k: int) -> Tensor:
    """Always the column that adds the most to the largest of each row."""
    best = torch.zeros(len(rows))
    picks: list[int] = []
    while len(picks) < k:
        gain = (rows - best[:, None]).clamp(min=0).sum(0) + bonus
        gain[picks] = -torch.inf
        picks.append(int(gain.argmax()))
        best = torch.maximum(best, rows[:, picks[-1]])
    return torch.tensor(picks)


def cdpruner(tokens: VisualTokens, k: int) -> Tensor:
    """In each frame, the greedy most likely set of a determinantal process."""
    steps = tokens.grid[0]
    unit = normalize(tokens.features, dim=1).view(steps, -1, tokens.x.shape[1])
    score = -tokens.signals["question"].float().view(steps, -1)
    score = (score - score.min() + 1e-6) / (score.max() - score.min())
    size = unit.shape[1]
    kept = []
    for step in range(steps):
        kernel = score[step][:, None] * (unit[step] @ unit[step].T) * score[step]
        share = k * (step + 1) // steps - k * step // steps
        left = kernel.diagonal().clone()
        made = torch.zeros(share, size)
        picks: list[int] = []
        for at in range(share):
            pick = int(left.argmax())
            row = (kernel[pick] - made[:at, pick] @ made[:at]) / left[pick].sqrt()
            made[at] = row
            left -= row.square()
            left[pick] = -torch.inf
            picks.append(pick)
        kept.append(step * size + torch.tensor(picks, dtype=torch.int64))
    return torch.cat(kept).sort().values


PLAIN: dict[str, Callable[[VisualTokens, int], object]] = {
    "catp": catp,
    "cdpruner": cdpruner,
    "divprune": divprune,
    "mmtok": mmtok,
    "todre": todre,
    "zoo-prune": zoo_prune,
}
