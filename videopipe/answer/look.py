"""One look of a model at parts of videos: what it was shown, and what it said."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count

from videopipe.answer.letters import extract_letter, letter
from videopipe.answer.parts import Part
from videopipe.answer.pictures import pictures_of
from videopipe.answer.prompts import (
    Block,
    block_text,
    citations_in,
    fit_lines,
    is_abstention,
    question_prompt,
)
from videopipe.config import Config
from videopipe.errors import VideopipeError
from videopipe.library import Embedder, Library
from videopipe.mllm import BudgetPlan, Reply, View, Viewer
from videopipe.mllm.quoting import spoken
from videopipe.types import Source, TimedText

Tell = Callable[[str], None]
WANTED = re.compile(r"\bLOOK\b\W{0,3}\[E\d+\]")  # how a model asks to see a part closely


@dataclass(frozen=True, eq=False)
class Look:
    """What a model was shown, and what it made of it.

    Attributes:
        parts, blocks: what stood in the prompt, block by block.
        plan: how the budget was spent.
        shown: the seconds of the frames of each part.
        sizes: height and width of these.
        reply: as it came.
        text: what it says, with marks as ``[E3]``; empty if it says nothing.
        cited: the numbers of the blocks that it names.
        absent: it says that the video does not show this.
        picked: which choice it named.
        wants: it asks for a closer look.
        answered: there is an answer in it; with choices, one of them.
    """

    parts: list[Part]
    blocks: list[Block]
    plan: BudgetPlan
    shown: list[list[float]]
    sizes: list[list[tuple[int, int]]]
    reply: Reply
    text: str
    cited: list[int]
    absent: bool
    picked: int | None
    wants: bool
    answered: bool


@dataclass(frozen=True, eq=False)
class Asked:
    """A question as it is put to a model, and all that it takes to put it."""

    question: str
    choices: tuple[str, ...]
    library: Library
    viewer: Viewer
    embedder: Embedder
    config: Config
    tell: Tell
    on_text: Tell | None
    warnings: list[str]

    @property
    def queries(self) -> tuple[str, ...]:
        """The question, and the question with each choice."""
        return self.question, *(f"{self.question} {choice}" for choice in self.choices)


def look(asked: Asked, parts: list[Part], budget: int, extra: str = "") -> Look:
    """Show ``parts`` within ``budget`` visual tokens, and ask.

    Args:
        extra: what else the model is told, at the end of the prompt.

    Raises:
        MediaError, TimeLimit: none of the videos can be decoded.
        ModelError, TimeLimit: as ``Viewer.look`` does.
    """
    viewer, config = asked.viewer, asked.config
    parts, plan, pictures = pictures_of(
        viewer, parts, budget, asked.library, config, asked.warnings
    )
    several = "s" * (plan.frames != 1)
    asked.tell(
        f"looking at {plan.frames} frame{several}: {plan.kept} of {plan.budget} visual tokens ..."
    )
    blocks = [_block(number, part, parts, asked.library) for number, part in enumerate(parts, 1)]
    blocks = _within(blocks, asked)
    numbers = count()
    runs = [[next(numbers) for _ in part.runs] for part in parts]
    prompt: list[str | int] = []
    for piece in question_prompt(asked.question, blocks, asked.choices):
        prompt += [piece] if isinstance(piece, str) else runs[piece]
    if extra:
        prompt.append(f"\n{extra}")
    relevance = [
        run.relevance[list(clip.frames)]
        for run, clip in zip((run for part in parts for run in part.runs), plan.clips, strict=True)
    ]
    (reply,) = viewer.look(
        [View(prompt, pictures, plan, relevance, asked.question)],
        max_new_tokens=config.model.max_new_tokens,
        time_limit_seconds=config.model.time_limit_seconds,
        on_text=asked.on_text,
        options=[letter(place) for place in range(len(asked.choices))],
    )
    if isinstance(reply, VideopipeError):
        raise reply
    text, cited = citations_in(spoken(reply.text), [block.number for block in blocks])
    absent, wants = is_abstention(text), WANTED.search(spoken(reply.text)) is not None
    picked = None if absent or not asked.choices else extract_letter(text, asked.choices)
    said = picked is not None if asked.choices else bool(text) and not wants
    return Look(
        parts=parts,
        blocks=blocks,
        plan=plan,
        shown=[sorted(t for run in mine for t in pictures[run].times.tolist()) for mine in runs],
        sizes=[[s for run in mine for s in plan.clips[run].sizes] for mine in runs],
        reply=reply,
        text=text,
        cited=[] if absent else cited,
        absent=absent,
        picked=picked,
        wants=wants,
        answered=not absent and said,
    )


def _block(number: int, part: Part, parts: Sequence[Part], library: Library) -> Block:
    videos = {other.video.video_id: other.video for other in parts}
    several = len(videos) > 1
    same = len({video.name for video in videos.values()}) < len(videos)
    lines: dict[tuple[Source, TimedText], None] = {}
    for text in library.texts([part.clip]) if part.quoted else ():
        for line in text.lines:
            lines.setdefault((text.source, line))
    ordered = sorted(lines, key=lambda entry: (entry[1].start, entry[1].end))
    name = (str(part.video.path) if same else part.video.name) if several else None
    return Block(
        number, name, part.clip.start, part.clip.end, tuple(ordered), video_id=part.video.video_id
    )


def _within(blocks: Sequence[Block], asked: Asked) -> list[Block]:
    """``blocks`` with the lines that the text budget pays for, those nearest to the question."""
    budget, counted = asked.config.budget.text_tokens, asked.viewer.count
    if sum(counted(block_text(block)) for block in blocks if block.lines) <= budget:
        return fit_lines(blocks, budget, counted)
    lines = [line.text for block in blocks for _, line in block.lines]
    scores = iter(
        asked.library.relevance(asked.question, lines, asked.embedder).tolist() if budget else []
    )
    relevance = [[next(scores, 0.0) for _ in block.lines] for block in blocks]
    return fit_lines(blocks, budget, counted, relevance)
