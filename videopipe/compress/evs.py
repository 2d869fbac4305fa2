"""EVS and DTD: tokens that change at their place are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from videopipe.compress.changes import Reference, changes, checked
from videopipe.compress.registry import Kind, register
from videopipe.compress.tokens import TokenMap, VisualTokens


@register("evs")
@dataclass(frozen=True, slots=True)
class EfficientVideoSampling:
    """EVS (arXiv 2510.14624, as in vLLM): keeps the tokens that change most at their place.

    The first frame is kept whole, and of all others the tokens least like (cosine) those before
    them at the same place, over the whole video.

    Published is ``reference="previous"``: each token is compared with that of the frame before. A
    pan or a fade of small steps is then never seen again. With ``kept`` it is compared with the
    last token that was kept there. Where ``k`` does not suffice for the first frame, which the
    released code then keeps whole all the same, its tokens compete by how they differ from their
    neighbours.
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    kind: ClassVar[Kind] = "prune"
    whole: ClassVar[bool] = True
    exact: ClassVar[str] = "rank of differences"
    paper: ClassVar[str] = "arXiv 2510.14624"
    reference: Reference = "kept"

    def __post_init__(self) -> None:
        checked(self.reference)

    def __call__(self, tokens: VisualTokens, k: int) -> TokenMap:
        kept = changes(tokens, k, self.reference).flatten()
        return TokenMap.keep(kept.nonzero().squeeze(1), tokens.pos)


@register("dtd")
@dataclass(frozen=True, slots=True)
class DifferentialTokenDrop(EfficientVideoSampling):
    """DTD of TimeChat-Online: drops tokens too like those before them at the same place.

    It is given a threshold of the cosine of features, and a number of tokens comes of it. Here the
    threshold is what the number asks for, so that it keeps what ``evs`` does.
    """

    paper: ClassVar[str] = "arXiv 2504.17343"
