"""What a video MLLM is shown, and what everything that looks at it has in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from videopipe.errors import VideopipeError
from videopipe.mllm.budget import BudgetPlan, ClipPlan
from videopipe.mllm.reply import Reply
from videopipe.select.resolution import Footage
from videopipe.types import FrameBatch, FrameSet

OnText = Callable[[str], None]
DENSEST = 0.5  # seconds between two frames of a clip at least
GLANCE = 32  # pixels of a short side; enough to see whether a frame can be decoded


@dataclass(frozen=True, slots=True)
class View:
    """One prompt: texts, and by its number each clip where its frames stand.

    ``clips`` hold the frames that ``plan`` asked for, in its order, ``relevance`` how well each
    fits the ``question``, 0-1, where there is one.
    """

    parts: Sequence[str | int]
    clips: Sequence[FrameSet]
    plan: BudgetPlan
    relevance: Sequence[NDArray[np.float64]] = ()
    question: str = ""


class Viewer(Protocol):
    """A model that looks at clips; ``exact`` if its visual tokens are counted, not estimated."""

    name: str
    about: str
    exact: bool

    def plan(
        self, footage: Sequence[Footage], budget: int, compressor: str, ratio: float
    ) -> BudgetPlan:
        """How ``footage`` is to be shown within ``budget`` visual tokens."""

    def most_frames(self, frame: Footage, budget: int, compressor: str, ratio: float) -> int:
        """How many frames like ``frame`` can be shown within ``budget`` visual tokens."""

    def sizes(self, footage: Footage, clip: ClipPlan) -> list[tuple[int, int]]:
        """Height and width at which the frames of a planned clip are best decoded."""

    def count(self, text: str) -> int:
        """Tokens of a text; of a server's model an upper estimate."""

    def look(
        self,
        views: Sequence[View],
        *,
        max_new_tokens: int,
        time_limit_seconds: float,
        on_text: OnText | None = None,
        options: Sequence[str] = (),
    ) -> list[Reply | VideopipeError]:
        """Answer each view; ``on_text`` is told the text of a single one as it comes.

        With ``options``, the letters that the question may be answered with, a reply has a margin
        where it can be told. What went wrong with one of several stands in its place. The time
        limit and the seconds of a reply are of all this.

        Raises:
            ModelError: a prompt that is too long, or out of memory.
            TimeLimit: nothing was said within the time.
        """

    def choose(
        self, views: Sequence[View], options: Sequence[str], *, time_limit_seconds: float
    ) -> NDArray[np.float64]:
        """The probability that the reply to a view begins with each of ``options``, such as A, B.

        It is read at the end of the prompt; nothing is generated. Thoughts that the prompt opens
        are closed first, empty. A model that opens thoughts itself begins with these: what it
        leaves for the options says little.

        Returns:
            ``[views, options]``; each row sums to 1, and is even where no option is likely at all.

        Raises:
            ValueError: an option is not one token of the model.
            ModelError, TimeLimit: as :meth:`look` does, and what went wrong with one of several.
        """


# What decides which model is in memory; all else is said with each call.


def batch_of(frames: FrameSet, run: Sequence[int]) -> FrameBatch:
    """The frames of a run, which are of one size."""
    return FrameBatch(frames.times[list(run)], np.stack([frames.frames[at] for at in run]))


def even_times(start: float, end: float, count: int) -> NDArray[np.float64]:
    """The middles of ``count`` equal stretches of ``[start, end)``, in seconds."""
    return start + (np.arange(count) + 0.5) * (end - start) / max(count, 1)
