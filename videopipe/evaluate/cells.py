"""Visual tokens without a model: a descriptor of the pixels of each cell.

For looking at what compressors keep, and for measuring them on videos of which it is known what
they show. A vision tower sees more: what belongs together, what is meant. What repeats, moves or
stands out is seen here as well.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from videopipe.compress import VisualTokens

_SIDE = 8  # pixels of a cell after scaling
_LUMA, _CHROMA = 6, 3  # lowest frequencies per axis
_TURNS = 8  # directions of edges
_COLOUR = 2.0  # of the colours against the shades


def cell_tokens(
    frames: NDArray[np.uint8],
    cell: int = 28,
    times: NDArray[np.float64] | None = None,
    needs: Iterable[str] = (),
    asked: NDArray[np.uint8] | None = None,
) -> VisualTokens:
    """A token for each cell of each frame.

    The lowest frequencies of its shades and colours and the directions of its edges, ``D = 62``.
    The signals stand in for those of a model: all attention is how much a cell differs from
    its frame and how sharp it is, summing to 1 in a frame; keys and features before the projector
    are the descriptors; sensitivity is their length.

    Args:
        frames: uint8 RGB ``[T, H, W, 3]``; what is left over of a cell at the right and below is
            cut off.
        cell: pixels of its side.
        times: ``[T]`` seconds; whole ones if None.
        needs: names of signals and context to give.
        asked: a picture ``[h, w, 3]`` of what a question is about, for ``question``, ``text``
            and ``relevance``.

    Raises:
        ValueError: a frame is smaller than a cell, or there is no such signal.
    """
    import cv2

    steps, height, width = frames.shape[:3]
    high, wide = height // cell, width // cell
    if not steps or not high or not wide:
        raise ValueError(f"frames of {height} x {width} have no cell of {cell} x {cell}")
    size = (wide * _SIDE, high * _SIDE)
    small = np.stack(
        [
            cv2.resize(frame[: high * cell, : wide * cell], size, interpolation=cv2.INTER_AREA)
            for frame in frames
        ]
    )
    x = torch.from_numpy(_described(small, high, wide))
    pos = torch.cartesian_prod(*(torch.arange(float(side)) for side in (steps, high, wide)))
    seconds = np.arange(float(steps)) if times is None else times
    made = VisualTokens(x, pos, (steps, high, wide), torch.from_numpy(seconds))
    template = None if asked is None else _template(asked, cell)
    for name in sorted(needs):
        _give(made, name, template)
    return made


def _described(small: NDArray[np.uint8], high: int, wide: int) -> NDArray[np.float32]:
    """Frames of cells of 8 x 8 pixels as ``[N, D]``."""
    import cv2

    parts = []
    for frame in small:
        shades = cv2.cvtColor(frame, cv2.COLOR_RGB2YCrCb).astype(np.float32)
        shades = (shades - 128) / 64
        cells = shades.reshape(high, _SIDE, wide, _SIDE, 3).transpose(0, 2, 4, 1, 3)
        spectrum = _DCT @ cells @ _DCT.T / _SIDE  # [h, w, 3, 8, 8]
        luma = spectrum[:, :, 0, :_LUMA, :_LUMA].reshape(high * wide, -1)
        chroma = _COLOUR * spectrum[:, :, 1:, :_CHROMA, :_CHROMA].reshape(high * wide, -1)
        down = cv2.Sobel(shades[..., 0], cv2.CV_32F, 0, 1)
        across = cv2.Sobel(shades[..., 0], cv2.CV_32F, 1, 0)
        strength, angle = cv2.cartToPolar(across, down)
        turn = (angle * (_TURNS / np.pi)).astype(np.int64) % _TURNS  # an edge has no sign
        edges = np.zeros((high * wide, _TURNS), np.float32)
        row, column = np.indices(strength.shape) // _SIDE
        np.add.at(edges, ((row * wide + column).ravel(), turn.ravel()), strength.ravel() / 64)
        parts.append(np.concatenate([luma, chroma, edges], 1))
    return np.concatenate(parts)


def _dct() -> NDArray[np.float32]:
    rows, columns = np.arange(_SIDE)[:, None], np.arange(_SIDE)[None]
    matrix = np.cos(np.pi * (2 * columns + 1) * rows / (2 * _SIDE)) * np.sqrt(2 / _SIDE)
    matrix[0] /= np.sqrt(2)
    exact: NDArray[np.float32] = matrix.astype(np.float32)
    return exact


_DCT = _dct()


def _template(asked: NDArray[np.uint8], cell: int) -> Tensor:
    """The descriptors ``[M, D]`` of a picture of what is asked for."""
    return cell_tokens(asked[None], min(cell, *asked.shape[:2])).x


def _give(tokens: VisualTokens, name: str, template: Tensor | None) -> None:
    signals, context = tokens.signals, tokens.context
    assert isinstance(signals, dict)
    assert isinstance(context, dict)
    kind = name.partition(":")[0]
    by_frame = tokens.x.view(tokens.grid[0], -1, tokens.x.shape[1])
    if kind in ("attention", "recv", "cls"):
        apart = (by_frame - by_frame.mean(1, keepdim=True)).norm(dim=2)
        apart = apart + by_frame[..., -_TURNS:].sum(2)
        signals[name] = (apart / apart.sum(1, keepdim=True).clamp(min=1e-9)).flatten()
    elif kind in ("key", "metric", "pre"):
        signals[name] = tokens.x
    elif kind == "sensitivity":
        signals[name] = tokens.x.norm(dim=1)
    elif kind == "frame":
        context[name] = by_frame.mean(1)
    elif kind in ("question", "text", "relevance"):
        if template is None:
            raise ValueError(f"'{name}' is of a question; say what is asked for")
        if kind == "text":
            context[name] = template
            return
        fits = (normalize(tokens.x, dim=1) @ normalize(template, dim=1).T).amax(1)
        if kind == "relevance":
            best = fits.view(tokens.grid[0], -1).amax(1, keepdim=True).clamp(0, 1)
            fits = best.expand(-1, by_frame.shape[1]).flatten()
        signals[name] = fits
    else:
        raise ValueError(f"cells give no signal '{name}'")
