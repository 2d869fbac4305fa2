"""Compressors of the grid as a reader of their papers would write them, for bench_compress.py.

Frames go through torch's own pooling one after another where the released code does so; nothing
here meets a number exactly: each takes the nearest published setting that is not above it. Each
gives the rows that are left.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from videopipe.compress import VisualTokens


def maps(tokens: VisualTokens) -> Tensor:
    """``[T, D, h, w]`` in float32."""
    return tokens.x.float().view(*tokens.grid, -1).permute(0, 3, 1, 2)


def flat(frame: Tensor) -> Tensor:
    """``[D, h, w]`` as tokens in raster order."""
    return frame.flatten(1).T


def m3(tokens: VisualTokens, k: int) -> Tensor:
    """The pool size of so many tokens a frame, and the average of its cells."""
    steps, high, wide = tokens.grid
    size = math.ceil(math.sqrt(high * wide / max(1, k // steps)))
    return torch.cat([flat(functional.avg_pool2d(frame, size)) for frame in maps(tokens)])


def tokenflex(tokens: VisualTokens, k: int) -> Tensor:
    """Adaptive average pooling to a square grid."""
    side = max(1, math.isqrt(k // tokens.grid[0]))
    return torch.cat([flat(functional.adaptive_avg_pool2d(frame, side)) for frame in maps(tokens)])


def llavolta(tokens: VisualTokens, k: int) -> tuple[Tensor, Tensor]:
    """Each frame's tokens and positions averaged in stretches; the last ones are lost."""
    stride, size = math.ceil(len(tokens) / k), tokens.grid[1] * tokens.grid[2]
    rows, ids = [], []
    for x, pos in zip(
        torch.split(tokens.x.float(), size),
        torch.split(torch.arange(float(len(tokens))), size),
        strict=True,
    ):
        rows.append(functional.avg_pool1d(x.T[None], stride)[0].T)
        ids.append(functional.avg_pool1d(pos[None], stride)[0].long())
    return torch.cat(rows), torch.cat(ids)


def fourier(tokens: VisualTokens, k: int) -> Tensor:
    """Transform both axes with fast Fourier transforms, crop, transform back."""
    steps, high, wide = tokens.grid
    ratio = math.sqrt(k / len(tokens))
    rows, columns = max(1, int(high * ratio)), max(1, int(wide * ratio))
    spectrum = _dct(_dct(maps(tokens)).mT).mT[..., :rows, :columns]
    small = _idct(_idct(spectrum).mT).mT
    return small.flatten(2).mT.reshape(steps * rows * columns, -1)


def _dct(x: Tensor) -> Tensor:
    """Orthonormal DCT-II along the last axis."""
    n = x.shape[-1]
    turned = torch.fft.fft(torch.cat([x[..., ::2], x[..., 1::2].flip(-1)], -1))
    angle = torch.arange(n) * (-math.pi / (2 * n))
    made = (turned * torch.polar(torch.ones(n), angle)).real
    made = made * math.sqrt(2 / n)
    return torch.cat([made[..., :1] / math.sqrt(2), made[..., 1:]], -1)


def _idct(x: Tensor) -> Tensor:
    """The inverse of :func:`_dct`."""
    n = x.shape[-1]
    x = torch.cat([x[..., :1] * math.sqrt(2), x[..., 1:]], -1) / math.sqrt(2 / n)
    other = torch.cat([torch.zeros_like(x[..., :1]), -x[..., 1:].flip(-1)], -1)
    angle = torch.arange(n) * (math.pi / (2 * n))
    turned = torch.fft.ifft(torch.complex(x, other) * torch.polar(torch.ones(n), angle)).real
    made = torch.empty_like(turned)
    made[..., ::2] = turned[..., : (n + 1) // 2]
    made[..., 1::2] = turned[..., (n + 1) // 2 :].flip(-1)
    return made


def first_of_group(tokens: VisualTokens, k: int, ratio: float) -> Tensor:
    """The first of every four frames with ``ratio`` times the tokens of the others."""
    steps = tokens.grid[0]
    firsts = len(range(0, steps, 4))
    share = k / (firsts * ratio + steps - firsts)
    rows = []
    for at, frame in enumerate(maps(tokens)):
        n = share * ratio if at % 4 == 0 else share
        side = min(max(1, math.isqrt(int(n))), *frame.shape[1:])
        rows.append(flat(functional.adaptive_avg_pool2d(frame, side)))
    return torch.cat(rows)


def ppllava(tokens: VisualTokens, k: int) -> Tensor:
    """Windows of 2 frames unfolded, and the softmax of the softmax of the whole video in each."""
    steps, high, wide = tokens.grid
    size = math.ceil(math.sqrt(high * wide * steps / (2 * k))) or 1
    kernel = (2, size, size)
    weight = (100 * tokens.signals["question"]).softmax(0).view(1, steps, high, wide)
    x = tokens.x.float().view(*tokens.grid, -1).permute(3, 0, 1, 2)
    for axis, length in enumerate(kernel):
        x = x.unfold(axis + 1, length, length)
        weight = weight.unfold(axis + 1, length, length)
    share = (weight.flatten(4) / 0.01).softmax(-1)
    return (x.flatten(4) * share).sum(-1).flatten(1).T


PLAIN: dict[str, Callable[[VisualTokens, int], object]] = {
    "fourier": fourier,
    "giraffe": lambda tokens, k: first_of_group(tokens, k, 3),
    "llavolta": llavolta,
    "m3": m3,
    "ppllava": ppllava,
    "progressive": lambda tokens, k: first_of_group(tokens, k, 16),
    "tokenflex": tokenflex,
}
