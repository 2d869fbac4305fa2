"""Selectors by their published names, and the one way to call them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Protocol

import numpy as np

from videopipe.errors import ConfigError
from videopipe.registry import Registry
from videopipe.select.candidates import Candidates, Indices
from videopipe.select.fill import evenly, fill
from videopipe.select.resolution import Demand, Grid, plan_resolution
from videopipe.select.selection import Picks, SelectedClip, Selection


class Selector(Protocol):
    """What a method is: a class, its parameters those of its constructor.

    ``needs`` names the signals without which it cannot work, ``paper`` where it was published. It
    is called with ``1 <= k < N`` and returns up to ``k`` frames, the most wanted first; what is
    missing is filled in.
    """

    needs: ClassVar[frozenset[str]]
    paper: ClassVar[str]

    def __call__(self, candidates: Candidates, k: int) -> Picks: ...


_METHODS: Registry[Callable[..., Selector]] = Registry("selector")
register = _METHODS.register


def methods() -> tuple[str, ...]:
    """The names, in alphabetical order."""
    return tuple(_METHODS)


def method(name: str) -> Callable[..., Selector]:
    """The class of a published name.

    Raises:
        ConfigError: there is none of that name; the sentence lists them.
    """
    return _METHODS[name]


def select(name: str, candidates: Candidates, k: int, **params: Any) -> Indices:
    """Choose exactly ``min(k, N)`` of the candidates by a published method.

    Args:
        name: see :func:`methods`.
        k: number of frames, 1 at least.
        params: the method's own.

    Returns:
        Their positions, int64 ``[k]``, ascending, each once.

    Raises:
        ConfigError: an unknown name, or parameters that the method does not take.
        ValueError: ``k`` below 1, no candidates, or a signal that the method needs is missing.
    """
    return choose(name, candidates, k, **params).indices


def choose(name: str, candidates: Candidates, k: int, **params: Any) -> Picks:
    """As :func:`select`, with the weights, the clips and the reasons of the method."""
    kind = method(name)
    try:
        selector = kind(**params)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"The selector '{name}' does not take that ({error}).") from None
    if k < 1 or not len(candidates):
        raise ValueError(f"at least one frame is chosen of at least one; got k={k}")
    if missing := selector.needs - candidates.signals:
        raise ValueError(f"{name} needs {', '.join(sorted(missing))} of the candidates")
    if k >= len(candidates):
        return Picks(np.arange(len(candidates)), np.ones(len(candidates)), why=("all frames",))
    if selector.needs == {"relevance"} and _flat(candidates):
        return Picks(evenly(len(candidates), k), np.ones(k), why=("no frame is more relevant",))
    return _completed(selector(candidates, k), candidates, k)


def group(
    name: str, candidates: Candidates, picks: Picks, parts: Indices | None = None
) -> Selection:
    """The chosen frames as clips: neighbours of one shot and one weight belong together.

    Where the method says which frames are one clip these stay together.

    Args:
        parts: ``[N]`` ascending, the part of the video that each candidate is in: all chosen frames
            of a part that weigh the same are one clip, be they neighbours or not.
    """
    order = np.argsort(picks.indices)
    rows = picks.indices[order]
    weights = np.ones(len(rows)) if picks.weights is None else picks.weights[order]
    times = candidates.times[rows]
    apart = np.diff((candidates.shots() if parts is None else parts)[rows]) != 0
    apart |= np.diff(weights) != 0
    if picks.clips is not None:
        apart |= np.diff(picks.clips[order]) != 0
    elif parts is None:
        apart |= np.diff(times) > 1.5 * candidates.step
    runs = np.split(np.arange(len(rows)), np.flatnonzero(apart) + 1)
    scores = np.zeros(len(candidates)) if candidates.relevance is None else candidates.relevance
    clips = tuple(
        SelectedClip(rows[run], times[run], float(weights[run[0]]), float(scores[rows[run]].max()))
        for run in runs
    )
    return Selection(name, clips, picks.why)


def plan(
    name: str,
    candidates: Candidates,
    k: int,
    budget: int,
    grid: Grid,
    height: int,
    width: int,
    *,
    demand: Demand = "selector",
    least: int = 0,
    **params: Any,
) -> Selection:
    """Choose ``k`` frames as clips, and sizes for them that fill a budget of visual tokens.

    Args:
        budget: tokens, never exceeded.
        grid: ``packing.tokens_grid`` of a model that takes any resolution.
        height, width: of the video, pixels.
        demand, least: as for :func:`plan_resolution`.
        params: the method's own.

    Raises:
        ConfigError, ValueError: as :func:`select` and :func:`plan_resolution` do.
    """
    selection = group(name, candidates, choose(name, candidates, k, **params))
    return plan_resolution(
        selection,
        budget,
        grid,
        height,
        width,
        demand=demand,
        complexity=candidates.complexity,
        least=least,
    )


def _flat(candidates: Candidates) -> bool:
    scores = candidates.scores
    return bool(scores.max() == scores.min())


def _completed(picks: Picks, candidates: Candidates, k: int) -> Picks:
    """``picks`` in ascending order, filled to ``k`` frames; these weigh as little as any."""
    weights = np.ones(len(picks.indices)) if picks.weights is None else picks.weights
    indices = fill(picks.indices, len(candidates), k)
    least = float(weights.min()) if len(weights) else 1.0
    by_frame = dict(zip(picks.indices.tolist(), weights.tolist(), strict=True))
    worth = np.array([by_frame.get(at, least) for at in indices.tolist()])
    clips = None
    if picks.clips is not None:
        clip_of = dict(zip(picks.indices.tolist(), picks.clips.tolist(), strict=True))
        spare = iter(range(int(picks.clips.max(initial=-1)) + 1, 2 * len(candidates) + 1))
        clips = np.array([clip_of[at] if at in clip_of else next(spare) for at in indices.tolist()])
    return Picks(indices, worth, clips, picks.why)
