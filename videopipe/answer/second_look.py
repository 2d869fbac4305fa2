"""Looking twice: a cheap look at all, then, where it was not enough, a close one at the best place.

VisionThink (arXiv 2507.13348) and Visual Perception Token (arXiv 2502.17425) train a model to ask
for more; here objective triggers decide, and any model may ask in words.
"""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from videopipe.answer.legibility import asks_for_text, text_box
from videopipe.answer.look import Asked, Look
from videopipe.answer.parts import Part, Run, footage_of
from videopipe.answer.pool import Pool
from videopipe.errors import ConfigError
from videopipe.mllm.quoting import spoken
from videopipe.select import Picks

REQUEST = (
    "If these frames are too small or too few to tell, reply only with LOOK and the mark of the "
    "part to see closely, such as LOOK [E1]."
)
_FIRST = 0.25  # of the budget: half of the height and width
_UNSURE = 0.15  # between the two best letters, in probability
_UNCLEAR = re.compile(
    r"\b(?:(?:too|very) (?:small|blurry|blurred|dark|low)|unreadable|illegible|blurry"
    r"|not (?:clear|legible|readable|visible|possible to (?:tell|read|see|say))"
    r"|(?:can(?:not|'t)|could(?: not|n't)|unable to|hard to|difficult to) (?:clearly )?"
    r"(?:be )?(?:see|seen|read|tell|make out|made out|determine|identify))\b",
    re.IGNORECASE,
)
_SHARE = 0.5  # of the best relevance of a part, down to which the window reaches
_LEAST_SECONDS = 4.0


def first_share(budget: int) -> int:
    """The visual tokens of the first look."""
    return max(1, round(_FIRST * budget))


def reason_to_look_again(look: Look, asked: Asked, small_print: bool) -> str | None:
    """Why the first look was not enough, in a few words; None if it was."""
    said = spoken(look.reply.text).replace("’", "'")
    if look.wants:
        return "the model asked for a closer look"
    if look.absent:
        return "the model did not find it"
    if not look.text:
        return "the model said nothing"
    if _UNCLEAR.search(said):
        return "the model could not see it clearly"
    if asked.choices and look.picked is None:
        return "the model named none of the choices"
    margin = look.reply.margin
    if margin is not None and margin < _UNSURE:
        return f"the two best choices were {margin:.2f} apart"
    if small_print:
        return "the text on screen was too small to read"
    return None


def closer(look: Look, asked: Asked, pool: Pool, budget: int) -> list[Part]:
    """The part to look at again, with frames around its best moment, and cut to its text.

    The part that the model asked for, else the one that fits the question best. Nothing where
    ``budget`` tokens show no more of it than was seen.
    """
    if budget < 1:
        return []
    part = look.parts[_wanted(look, pool)]
    rows = pool.of_clip(part.clip)
    if not len(rows):
        return []
    scores, clock = pool.candidates.scores[rows], pool.times[rows]
    best = np.flatnonzero(scores >= scores.max() - 1e-9)
    peak = int(best[len(best) // 2])
    near = (scores >= _SHARE * scores[peak]) & (np.ptp(scores) > 0)
    near |= np.abs(clock - clock[peak]) <= _LEAST_SECONDS / 2
    # The stretch around the peak without a frame that is neither relevant nor near.
    away = np.flatnonzero(~near)
    low = int(away[away < peak].max(initial=-1)) + 1
    high = int(away[away > peak].min(initial=len(rows)))
    window = np.sort(pool.without_copies(Picks(rows[low:high])).indices)
    most = max(1, asked.config.budget.frames - look.plan.frames)
    nearest = np.argsort(np.abs(pool.times[window] - clock[peak]), kind="stable")[:most]
    window = np.sort(window[nearest])
    box = text_box(part.video, float(clock[peak]), asked) if asks_for_text(asked.question) else None
    run = Run(pool.times[window], pool.candidates.scores[window], box=box)
    again = replace(part, runs=(run,), quoted=True)
    return [again] if box is not None or _shows_more(look, again, asked, budget) else []


def _shows_more(look: Look, again: Part, asked: Asked, budget: int) -> bool:
    """Whether a second look has a frame that was not seen, or one that is larger than it was."""
    seen = {
        time: size[0] * size[1]
        for part, times, sizes in zip(look.parts, look.shown, look.sizes, strict=True)
        if part.video.video_id == again.video.video_id
        for time, size in zip(times, sizes, strict=False)
    }
    how = asked.config.compress
    try:
        plan = asked.viewer.plan(footage_of([again]), budget, how.method, how.ratio)
    except ConfigError:  # what is left of the budget shows no frame
        return False
    (clip,) = plan.clips
    times = again.times[list(clip.frames)].tolist()
    kept = clip.kept / max(len(clip.frames), 1)
    before = look.plan.kept / max(look.plan.frames, 1)
    return (
        any(
            size[0] * size[1] > seen.get(time, 0)
            for time, size in zip(times, clip.sizes, strict=True)
        )
        or kept > before
    )


def _wanted(look: Look, pool: Pool) -> int:
    """Which part to look at again."""
    if look.wants and look.cited:
        return look.cited[0] - 1
    seen = [at for at, times in enumerate(look.shown) if times] or range(len(look.parts))

    def worth(at: int) -> tuple[float, float, int]:
        part = look.parts[at]
        best = pool.candidates.scores[pool.of_clip(part.clip)].max(initial=0.0)
        return float(best), part.score, -at

    return max(seen, key=worth)


def better(first: Look, second: Look) -> bool:
    """Whether the second look is the answer: where it has one, unless the first was surer."""
    if not second.answered or not first.answered:
        return second.answered or not first.answered
    if _UNCLEAR.search(spoken(second.reply.text)):
        return False
    one, two = first.reply.margin, second.reply.margin
    return one is None or two is None or two >= one
