"""The visual tokens of a video, and the sparse linear map that makes fewer of them.

Every training-free compressor answers with a :class:`TokenMap`: pruning is one entry of weight 1 a
row, merging rows that sum to 1. The same map is applied to whatever the model attaches to a token.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag


@dataclass(frozen=True)
class VisualTokens:
    """``N`` tokens of one video as the language model would see them, in its order.

    ``x`` is ``[N, D]``. ``pos`` is float32 ``[N, 3]``: row ``(t, h, w)`` of a token in ``grid``,
    counted in tokens; a token that stands for no place (a class token, a line break) has
    ``h = w = -1``. ``times`` is float64 ``[T]``: the second of each step of the grid. ``levels``
    are more features of the same tokens, ``[N, D]`` each (DeepStack). ``signals`` are by name
    what a compressor asked for, ``[N]`` or ``[N, d]`` (``recv:-1``: attention received in the last
    block of the vision tower; ``key:-1``: its keys; ``question``: how well a token fits it).
    ``context`` is what is not of single tokens: ``text`` ``[M, D]``, the words of the question as
    the language model sees them, ``frame`` ``[T, E]``, a vector of each step of the grid.
    ``frame_times`` are the seconds of the frames behind ``times``, where several make one step.

    Raises:
        ValueError: lengths that do not fit each other.
    """

    x: Tensor
    pos: Tensor
    grid: tuple[int, int, int]
    times: Tensor
    levels: tuple[Tensor, ...] = ()
    signals: Mapping[str, Tensor] = field(default_factory=dict)
    context: Mapping[str, Tensor] = field(default_factory=dict)
    frame_times: Tensor | None = None

    def __post_init__(self) -> None:
        n = len(self.x)
        rows = [self.pos, *self.levels, *self.signals.values()]
        if any(len(row) != n for row in rows) or len(self.times) != self.grid[0]:
            raise ValueError(f"the parts of {n} visual tokens of grid {self.grid} do not fit")

    def __len__(self) -> int:
        return len(self.x)

    def __repr__(self) -> str:
        known = sorted({*self.signals, *self.context})
        return f"VisualTokens({len(self)} of grid {self.grid}, signals={known})"

    @cached_property
    def placed(self) -> Tensor:
        """Bool ``[N]``: the tokens that stand for a place in the grid."""
        return self.pos[:, 1] >= 0

    @cached_property
    def step(self) -> Tensor:
        """int64 ``[N]``: the step of the grid that each token belongs to."""
        return self.pos[:, 0].round().long()

    @cached_property
    def sizes(self) -> Tensor:
        """int64 ``[T]`` on the CPU: the tokens of each step of the grid."""
        steps, high, wide = self.grid
        if self.whole:
            return torch.full((steps,), high * wide)
        return torch.bincount(self.step, minlength=steps).cpu()

    @cached_property
    def whole(self) -> bool:
        """Whether there is one token for each place of the grid, in order."""
        steps, high, wide = self.grid
        if len(self) != steps * high * wide:
            return False
        place = (self.pos[:, 0] * high + self.pos[:, 1]).double() * wide + self.pos[:, 2].double()
        return torch.equal(place, torch.arange(len(self), device=place.device).double())

    @cached_property
    def features(self) -> Tensor:
        """``x`` as float32, in which likeness is measured: bfloat16 makes ties of neighbours."""
        return self.x.float()

    def take(self, rows: Tensor) -> VisualTokens:
        """The tokens ``rows`` (indices or bools), with all that hangs on them."""
        return replace(
            self,
            x=self.x[rows],
            pos=self.pos[rows],
            levels=tuple(level[rows] for level in self.levels),
            signals={name: signal[rows] for name, signal in self.signals.items()},
        )

    def under(self, rows: TokenMap) -> VisualTokens:
        """What the map ``rows`` makes of these tokens, for another compressor to go on with.

        In float32: means are not rounded before they are looked at.
        """
        return replace(
            self,
            x=rows.apply(self.features),
            pos=rows.pos[:, 0],
            levels=tuple(rows.apply(level) for level in self.levels),
            signals={name: rows.apply(signal) for name, signal in self.signals.items()},
        )


@dataclass(frozen=True)
class TokenMap:
    """A linear map from ``tokens_in`` tokens to ``K``, as entries ``(src, dst, weight)``.

    ``src``, ``dst`` int64 ``[E]``, ``weight`` float32 ``[E]``. ``pos`` is float32 ``[K, P, 3]``,
    the positions ``(t, h, w)`` a row stands for. ``host`` int64 ``[K]`` is one real token of each
    row, ascending: the row takes its place in the sequence.

    Raises:
        ValueError: a row without an entry, hosts that repeat or are out of order, rows that go
            back in time, or weights that are not finite.
    """

    src: Tensor
    dst: Tensor
    weight: Tensor
    pos: Tensor
    host: Tensor
    tokens_in: int

    def __post_init__(self) -> None:
        rows = len(self.host)
        wrong = None
        if not len(self.src) == len(self.dst) == len(self.weight) or self.pos.shape[0] != rows:
            wrong = "its parts differ in length"
        elif not _all_named(self.dst, rows):
            wrong = "a row has no entry"
        elif not bool((self.host.diff() > 0).all()):
            wrong = "its hosts are not in ascending order, each once"
        elif rows and not (
            _within(self.host[:: max(1, rows - 1)], self.tokens_in)  # its first and its last
            and (self.src is self.host or _within(self.src, self.tokens_in))
        ):
            wrong = "it names tokens that are not there"
        elif not bool(torch.isfinite(self.weight).all()):
            wrong = "a weight is not finite"
        elif not bool((self.pos[:, 0, 0].diff() >= 0).all()):
            wrong = "its rows go back in time"
        if wrong:
            raise ValueError(f"not a token map: {wrong}")

    def __len__(self) -> int:
        return len(self.host)

    def __repr__(self) -> str:
        return f"TokenMap({self.tokens_in} -> {len(self)}, entries={len(self.src)})"

    @classmethod
    def keep(cls, rows: Tensor, pos: Tensor) -> TokenMap:
        """Prune: keep the tokens ``rows`` (ascending) of those at ``pos`` ``[N, 3]``."""
        k = len(rows)
        return cls(
            src=rows,
            dst=torch.arange(k, device=rows.device),
            weight=torch.ones(k, device=rows.device),
            pos=pos[rows].unsqueeze(1),
            host=rows,
            tokens_in=len(pos),
        )

    @classmethod
    def merge(
        cls,
        tokens: VisualTokens,
        row: Tensor,
        host: Tensor,
        src: Tensor | None = None,
        weight: Tensor | None = None,
        *,
        stays: bool = False,
    ) -> TokenMap:
        """Merge: each row a weighted mean of tokens, in the order of the hosts.

        A row is at the time of its host, in height and width at the mean of its tokens.

        Args:
            row: ``[E]`` which of the rows, in the order of ``host``, an entry is part of.
            host: ``[K]`` the token whose place each row takes, each once, in any order.
            src: ``[E]`` the token of each entry; None where ``row`` is of all tokens.
            weight: ``[E]``, 0 or more, as large as may be; each row is divided by its sum. None for
                equal ones.
            stays: put each row at the place of its host.
        """
        k = len(host)
        if src is None:
            src = torch.arange(len(row), device=row.device)
        host, order = host.sort()
        rank = torch.empty_like(order)
        rank[order] = torch.arange(k, device=order.device)
        row = rank[row]
        share = torch.ones(len(row), device=row.device) if weight is None else weight.float()
        share = share / share.new_zeros(k).index_add_(0, row, share)[row]
        pos = tokens.pos[host].double()
        if not stays:
            mean = torch.zeros_like(pos)
            mean.index_add_(0, row, tokens.pos[src].double() * share[:, None].double())
            pos[:, 1:] = mean[:, 1:]
        return cls(src, row, share, pos.float().unsqueeze(1), host, len(tokens))

    @cached_property
    def is_pruning(self) -> bool:
        """Whether each row is one token, unchanged."""
        return len(self.src) == len(self) and bool((self.weight == 1).all())

    def apply(self, x: Tensor) -> Tensor:
        """``[N, ...]`` to ``[K, ...]`` in the type of ``x``; sums are taken in float32.

        Raises:
            ValueError: ``x`` has another number of rows.
        """
        if len(x) != self.tokens_in:
            raise ValueError(f"a map of {self.tokens_in} tokens was given {len(x)}")
        src, dst = self.src.to(x.device), self.dst.to(x.device)
        if self.is_pruning:
            return x[src[dst.argsort()]]
        order, first = (part.to(x.device) for part in self._by_row)
        weight = self.weight.to(x.device)[order]
        flat = x.reshape(len(x), math.prod(x.shape[1:])).float()
        # Entries are not copied: as fast as to read the tokens once.
        out = embedding_bag(src[order], flat, first, mode="sum", per_sample_weights=weight)
        return out.view(len(self), *x.shape[1:]).to(x.dtype)

    @cached_property
    def _by_row(self) -> tuple[Tensor, Tensor]:
        """The entries in the order of their rows, and where each row starts."""
        size = torch.bincount(self.dst, minlength=len(self))
        return self.dst.argsort(stable=True), size.cumsum(0) - size

    def to_dense(self) -> Tensor:
        """The map as a float32 matrix ``[K, N]``."""
        dense = torch.zeros(len(self), self.tokens_in, device=self.weight.device)
        return dense.index_put_((self.dst, self.src), self.weight, accumulate=True)

    def then(self, other: TokenMap) -> TokenMap:
        """This map followed by ``other``: the matrix product ``other @ self``.

        Positions and order are those of ``other``; hosts are the first map's.

        Raises:
            ValueError: ``other`` does not start from as many tokens as this one leaves.
        """
        if other.tokens_in != len(self):
            raise ValueError(f"{other!r} cannot follow {self!r}")
        # Each entry of ``other`` meets all entries of the row that it starts from.
        by_row, start = self._by_row
        size = torch.bincount(self.dst, minlength=len(self))
        first, several = start[other.src], size[other.src]
        theirs = torch.arange(len(several), device=several.device).repeat_interleave(several)
        within = torch.arange(len(theirs), device=theirs.device)
        within -= (several.cumsum(0) - several)[theirs]
        ours = by_row[first[theirs] + within]
        where, entry = torch.unique(
            other.dst[theirs] * self.tokens_in + self.src[ours], return_inverse=True
        )
        weight = torch.zeros(len(where), device=self.weight.device)
        weight.index_add_(0, entry, other.weight[theirs] * self.weight[ours])
        return TokenMap(
            where % self.tokens_in,
            where // self.tokens_in,
            weight,
            other.pos,
            self.host[other.host],
            self.tokens_in,
        )


def _within(places: Tensor, n: int) -> bool:
    low, high = places.aminmax()
    return int(low) >= 0 and int(high) < n


def _all_named(dst: Tensor, rows: int) -> bool:
    """Whether ``dst`` names each of ``rows`` rows, and no other."""
    if len(dst) == rows and torch.equal(dst, torch.arange(rows, device=dst.device)):
        return True
    if len(dst) < rows or not rows or not _within(dst, rows):
        return False
    return bool((torch.bincount(dst, minlength=rows) > 0).all())
