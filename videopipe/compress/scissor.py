"""LLaVA-Scissor: connected components of alike tokens, in frames and then over time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag, normalize, pad

from videopipe.compress.frames import by_frame
from videopipe.compress.grouped import middles
from videopipe.compress.links import Links, trees
from videopipe.compress.registry import Kind, register
from videopipe.compress.tokens import TokenMap, VisualTokens

_SET = 2048  # rows that are all compared with each other
_AT_ONCE = 2**22  # cosines
_TRIES = 5


@register("scissor")
@dataclass(frozen=True, slots=True)
class Components:
    """Merges what is connected by alike tokens, in frames and over time (LLaVA-Scissor, 2025).

    Published are three steps with one threshold: components of the graph of tokens above it in each
    frame, components of their means over all frames, and every token added to the most similar of
    the means of these. A row is ``(mean + tokens that join) / (1 + their number)``.

    To meet a number the trees of the most alike links are cut instead, which leaves the same
    components: in frames at one cosine for all, over time at exactly ``k``. The first cosine is
    such that the second is about the same: it is looked for in five steps at most, until it would
    leave ``k`` within ``slack``. A row takes the place of the token in the middle of its component.

    Above 2,048 components of frames those of consecutive stretches of as many are compared, until
    all that are left can be; above 2,048 rows tokens join a mean of their stretch. So the cost is
    linear in the number of tokens.
    Components are exact; the released code samples graphs above about 3,200 tokens.
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    kind: ClassVar[Kind] = "merge"
    whole: ClassVar[bool] = False
    exact: ClassVar[str] = "trees cut at k"
    paper: ClassVar[str] = "arXiv 2506.21862"
    slack: float = 0.05

    def __post_init__(self) -> None:
        if not 0 <= self.slack < 1:
            raise ValueError(f"slack is a share, 0 to below 1, got {self.slack}")

    def __call__(self, tokens: VisualTokens, k: int) -> TokenMap:
        links = _in_frames(tokens)
        least, most = max(k, len(tokens) - len(links.cosine)), len(tokens)
        tried = min(2 * k, len(tokens))
        parts, left = self._cut(tokens, links, least, k)
        for _ in range(_TRIES):
            if abs(left - k) <= self.slack * k or not least < tried < most:
                break
            some, some_left = self._cut(tokens, links, tried, k)
            if some_left <= (1 + self.slack) * k:
                least, parts, left = tried, some, some_left
            else:
                most = tried
            tried = round((least * most) ** 0.5)
        return _joined(tokens, *_to_number(tokens, parts, k))[0]

    def _cut(self, tokens: VisualTokens, links: Links, count: int, k: int) -> tuple[Parts, int]:
        """``count`` components of frames, and how many these leave over time at the cosine of
        their last link."""
        used = len(tokens) - count
        parts = Parts.within(tokens, links, used)
        tau = float(links.cosine[used - 1]) if used else torch.inf
        rest = parts
        while k <= _SET < len(rest) and (strong := rest.links.strong(tau)):
            rest = rest.over(tokens, rest.groups(strong))
        return parts, len(rest) - rest.links.strong(tau)


class Scissored(NamedTuple):
    """What the released code gives: the map to its rows, the row ``labels`` int64 ``[N]`` that each
    token joins, and ``first_step`` int64 ``[T]``, the number of components of each frame."""

    map: TokenMap
    labels: Tensor
    first_step: Tensor


def by_threshold(tokens: VisualTokens, tau: float) -> Scissored:
    """The published procedure, with as many rows as come of the threshold ``tau``.

    All tokens of a frame are compared, and all of its components with those of the others.
    """
    links = _in_frames(tokens, len(tokens))
    parts = Parts.within(tokens, links, int((links.cosine > tau).sum()))
    frame = torch.empty(len(parts), dtype=torch.int64)
    frame[parts.own] = tokens.step.cpu()
    over_time = trees(parts.mean, *_stretches(len(parts), len(parts)))  # all with all
    joins = int((over_time.cosine > tau).sum())
    group = _in_order(over_time.groups(len(parts), joins))
    made, labels = _joined(tokens, parts.over(tokens, group), _everywhere(tokens))
    return Scissored(made, labels, torch.bincount(frame, minlength=tokens.grid[0]))


@dataclass(frozen=True)
class Parts:
    """Components, in the order of their first tokens.

    ``own`` int64 ``[N]`` is that of each token, ``share`` float32 ``[N]`` what this is of its mean,
    ``mean`` ``[M, D]``.
    """

    own: Tensor
    share: Tensor
    mean: Tensor

    def __len__(self) -> int:
        return len(self.mean)

    @cached_property
    def links(self) -> Links:
        """The trees of the means, within stretches."""
        return trees(self.mean, *_stretches(len(self)))

    @classmethod
    def within(cls, tokens: VisualTokens, links: Links, count: int) -> Parts:
        """Those that the first ``count`` links of tokens leave."""
        own = _in_order(links.groups(len(tokens), count))
        share = 1 / torch.bincount(own).float()[own]
        return cls(own, share, _means(tokens, own, share))

    def groups(self, count: int) -> Tensor:
        """What the first ``count`` links join, int64 ``[M]``, in the order of their first."""
        return _in_order(self.links.groups(len(self), count))

    def over(self, tokens: VisualTokens, group: Tensor) -> Parts:
        """These joined to groups, whose means are those of their means."""
        share = self.share / torch.bincount(group).float()[group][self.own]
        own = group[self.own]
        return Parts(own, share, _means(tokens, own, share))


_Near = list[tuple[Tensor, slice]]  # tokens, and the stretch of components that they may join


def _to_number(tokens: VisualTokens, parts: Parts, k: int) -> tuple[Parts, _Near]:
    """``k`` components, and which of them tokens may join."""
    if k > _SET:  # so many are met at once
        group = parts.groups(len(parts) - k)
        ends = _stretches(len(parts))[0][1:, 0].tolist()
        before = torch.bincount(parts.own).cumsum(0)[[end - 1 for end in ends]].tolist()
        spans = [slice(int(each.min()), int(each.max()) + 1) for each in group.tensor_split(ends)]
        stretches = parts.own.argsort().tensor_split(before)
        return parts.over(tokens, group), list(zip(stretches, spans, strict=True))
    while (count := len(parts)) > k:
        some = min(count - k, len(parts.links.cosine))
        if count > _SET:
            # Half at a time: what comes again in another stretch would be too late.
            some = min(some, count - max(_SET, count // 2))
        parts = parts.over(tokens, parts.groups(some))
    return parts, _everywhere(tokens)


def _everywhere(tokens: VisualTokens) -> _Near:
    return [(torch.arange(len(tokens)), slice(0, None))]


def _joined(tokens: VisualTokens, made: Parts, near: _Near) -> tuple[TokenMap, Tensor]:
    """The rows, each of a component and of the tokens that join it; which one each token joins."""
    unit = normalize(made.mean, dim=1)
    joins = torch.empty(len(tokens), dtype=torch.int64)
    for rows, span in near:
        anchors = unit[span].T
        for some in torch.split(rows, max(1, _AT_ONCE // anchors.shape[1])):
            cosine = tokens.x[some.to(unit.device)].float() @ anchors
            joins[some] = span.start + cosine.argmax(1).cpu()
    everything = torch.arange(len(tokens))
    itself = joins == made.own
    src = torch.cat([everything, everything[~itself]])
    row = torch.cat([made.own, joins[~itself]])
    weight = torch.cat([made.share + itself, torch.ones(len(src) - len(itself))])
    host = middles(tokens.pos.cpu(), made.own)
    src, row, weight, host = (part.to(unit.device) for part in (src, row, weight, host))
    return TokenMap.merge(tokens, row, host, src, weight), joins


def _in_frames(tokens: VisualTokens, most: int | None = None) -> Links:
    """The trees of each frame, or of parts of frames of more than ``most`` tokens."""
    frames = by_frame(tokens)
    n = frames.index.shape[1]
    parts = -(-n // (most or _SET))
    index, there = (
        pad(of, (0, -n % parts)).view(-1, -(-n // parts)) for of in (frames.index, frames.there)
    )
    some = there.any(1)
    return trees(tokens.x, index[some], there[some])


def _stretches(count: int, most: int | None = None) -> tuple[Tensor, Tensor]:
    """0 to ``count - 1`` in stretches of at most ``most``, about equal ones: ``index`` int64 and
    ``there`` bool ``[F, n]``. ``_SET`` if None."""
    parts = -(-count // (most or _SET))
    ends = torch.arange(parts + 1) * count // parts
    index = ends[:-1, None] + torch.arange(int(ends.diff().max()))
    there = index < ends[1:, None]
    return index.where(there, 0), there


def _in_order(group: Tensor) -> Tensor:
    """Groups, numbered in the order of their first elements."""
    element = torch.arange(len(group))
    first = torch.full((int(group.max()) + 1,), len(group))
    first.scatter_reduce_(0, group, element, "amin")
    return first.argsort().argsort()[group]


def _means(tokens: VisualTokens, row: Tensor, share: Tensor) -> Tensor:
    """The sum of the ``share`` ``[N]`` of tokens in each row, float32 ``[K, D]``."""
    order, size = row.argsort(stable=True), torch.bincount(row)
    first = size.cumsum(0) - size
    order, first, share = (part.to(tokens.x.device) for part in (order, first, share[order]))
    return embedding_bag(order, tokens.features, first, mode="sum", per_sample_weights=share)
