"""LLaVA-Scissor: connected components of alike tokens, in frames and then over time."""

from __future__ import annotations

from dataclasses import dataclass
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

    Above 2,048 components of frames only those of consecutive stretches of as many are compared,
    and tokens join a mean of their stretch, so that the cost is linear in the number of tokens.
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
        first, tried = _first_step(tokens, links, least), min(2 * k, len(tokens))
        for _ in range(_TRIES):
            if abs(first.left - k) <= self.slack * k or not least < tried < most:
                break
            some = _first_step(tokens, links, tried)
            if some.left <= (1 + self.slack) * k:
                least, first = tried, some
            else:
                most = tried
            tried = round((least * most) ** 0.5)
        return _joined(tokens, _over_time(tokens, first, len(first.mean) - k))[0]


class Scissored(NamedTuple):
    """What the released code gives: the map to its rows, the row ``labels`` int64 ``[N]`` that each
    token joins, and ``first_step`` int64 ``[T]``, the number of components of each frame."""

    map: TokenMap
    labels: Tensor
    first_step: Tensor


def by_threshold(tokens: VisualTokens, tau: float) -> Scissored:
    """The published procedure, with as many rows as come of the threshold ``tau``."""
    links = _in_frames(tokens)
    first = _first_step(tokens, links, len(tokens) - int((links.cosine > tau).sum()))
    made, labels = _joined(tokens, _over_time(tokens, first, int((first.links.cosine > tau).sum())))
    of = torch.empty(len(first.mean), dtype=torch.int64)
    of[first.label] = tokens.step.cpu()
    return Scissored(made, labels, torch.bincount(of, minlength=tokens.grid[0]))


class FirstStep(NamedTuple):
    """Components of frames: that of each token, ``label`` int64 ``[N]``, in the order of their
    first tokens; their ``mean`` ``[M, D]``; the trees of these means.

    ``left`` is how many the trees leave, cut at the cosine at which those of the tokens were.
    """

    label: Tensor
    mean: Tensor
    links: Links
    left: int


def _first_step(tokens: VisualTokens, links: Links, count: int) -> FirstStep:
    """``count`` components, of the ``links`` in frames."""
    used = len(tokens) - count
    label = _in_order(links.groups(len(tokens), used))
    mean = _means(tokens, label, 1 / torch.bincount(label).float()[label])
    over_time = trees(mean, *_stretches(len(mean)))
    tau = float(links.cosine[used - 1]) if used else torch.inf
    return FirstStep(label, mean, over_time, count - over_time.strong(tau))


class Anchors(NamedTuple):
    """Components over time: that of each token, ``own`` int64 ``[N]``, its ``share`` float32
    ``[N]`` of the mean of means, and these, ``mean`` ``[K, D]``.

    ``near`` are tokens and the stretch of components that they may join.
    """

    own: Tensor
    share: Tensor
    mean: Tensor
    near: list[tuple[Tensor, slice]]


def _over_time(tokens: VisualTokens, first: FirstStep, joins: int) -> Anchors:
    """What ``joins`` links leave: those between means, then those between what they leave."""
    own, mean, links = first.label, first.mean, first.links
    share = 1 / torch.bincount(own).float()[own]
    near = [(torch.arange(len(own)), slice(0, len(mean) - joins))]
    while True:
        some = min(joins, len(links.cosine))
        group = _in_order(links.groups(len(mean), some))
        if len(mean) - joins > _SET:  # so large a number is met by the first links
            ends = _stretches(len(mean))[0][1:, 0].tolist()
            before = torch.bincount(own).cumsum(0)[[end - 1 for end in ends]].tolist()
            spans = [(int(part.min()), int(part.max()) + 1) for part in group.tensor_split(ends)]
            near = [
                (part, slice(*span))
                for part, span in zip(own.argsort().tensor_split(before), spans, strict=True)
            ]
        share = share / torch.bincount(group).float()[group][own]
        own = group[own]
        mean = _means(tokens, own, share)
        joins -= some
        if not joins:
            return Anchors(own, share, mean, near)
        links = trees(mean, *_stretches(len(mean)))


def _joined(tokens: VisualTokens, made: Anchors) -> tuple[TokenMap, Tensor]:
    """The rows, each of a component and of the tokens that join it; which one each token joins."""
    unit = normalize(made.mean, dim=1)
    joins = torch.empty(len(tokens), dtype=torch.int64)
    for rows, span in made.near:
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


def _in_frames(tokens: VisualTokens) -> Links:
    """The trees of each frame, or of parts of frames with more tokens than are compared."""
    frames = by_frame(tokens)
    n = frames.index.shape[1]
    parts = -(-n // _SET)
    index, there = (
        pad(of, (0, -n % parts)).view(-1, -(-n // parts)) for of in (frames.index, frames.there)
    )
    some = there.any(1)
    return trees(tokens.x, index[some], there[some])


def _stretches(count: int) -> tuple[Tensor, Tensor]:
    """0 to ``count - 1`` in stretches of at most ``_SET``, about equal ones: ``index`` int64 and
    ``there`` bool ``[F, n]``."""
    parts = -(-count // _SET)
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
