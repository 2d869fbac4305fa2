"""The model itself scores frames before it answers (QuoTA, arXiv 2503.08689).

It first takes the question apart into the things that would have to be seen; then it is shown one
frame at a time and asked whether any of them is there.
"""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from videopipe.answer.evidence import decoding, known_packets
from videopipe.answer.look import Asked
from videopipe.answer.parts import frame_size
from videopipe.answer.pool import Pool
from videopipe.errors import ConfigError, VideopipeError
from videopipe.media import fetch_each
from videopipe.mllm import View
from videopipe.mllm.quoting import clean, spoken
from videopipe.select import Footage
from videopipe.select.candidates import Indices
from videopipe.select.fill import evenly
from videopipe.select.relevance import fuse
from videopipe.types import FrameSet

_TOKENS = 256  # visual tokens of a frame that is scored, at most
_AT_ONCE = 8  # frames scored together
_MOST_THINGS = 8
_DECOUPLE = (
    "A question about a video will be answered from its frames. Think step by step. First: must "
    "any physical things or events be seen to answer it? Second: if so, name them. Third: leave "
    "out what cannot be seen in a single picture. End with one line that begins with THINGS: and "
    "lists what is left, with commas between, or says none.\n\n"
    "Question: Which colour is the car that overtakes the bus?\n"
    "It must be seen how a car passes a bus. The car and the bus are visible.\nTHINGS: car, bus\n\n"
    "Question: Why did the company change its name?\n"
    "That is told, not seen.\nTHINGS: none\n\n"
    "Question: What does the chef add after the onions?\n"
    "Cooking must be seen, with the pan and onions in it.\nTHINGS: chef, pan, onions\n\n"
    "Question: {question}\n"
)
_SEEN = "Is any of these to be seen in the picture: {things}?\nA. yes\nB. no\n"
_ENOUGH = "Does the picture hold what is needed to answer this: {question}\nA. yes\nB. no\n"
_LETTER = "Answer with the letter alone."
_THINGS = re.compile(r"THINGS\s*:\s*(?P<things>.*)", re.IGNORECASE)


def with_model_relevance(pool: Pool, asked: Asked) -> Pool:
    """``pool`` with the signal ``model``: the probability that a frame shows what is asked about.

    ``select.model_frames`` even frames are scored, those between them get a line between the two.

    Raises:
        MediaError, ModelError, TimeLimit: a video cannot be decoded, or the model not asked.
    """
    config = asked.config
    rows = evenly(len(pool.candidates), config.select.model_frames)
    things = wanted_things(asked)
    question = (
        _SEEN.format(things=", ".join(things))
        if things
        else _ENOUGH.format(question=clean(asked.question))
    )
    asked.tell(f"scoring {len(rows)} frames: {', '.join(things) or 'is it answered here?'} ...")
    curve = np.zeros(len(pool.candidates))
    for place in range(len(pool.videos)):
        mine = rows[pool.owner[rows] == place]
        scored = [
            found
            for start in range(0, len(mine), _AT_ONCE)
            for found in _chances(pool, mine[start : start + _AT_ONCE], place, question, asked)
        ]
        if scored:
            times, chances = zip(*scored, strict=True)
            own = pool.owner == place
            curve[own] = np.interp(pool.times[own], times, chances)
    signals = pool.signals | {"model": curve}
    return replace(
        pool, signals=signals, candidates=replace(pool.candidates, relevance=fuse(signals))
    )


def wanted_things(asked: Asked) -> list[str]:
    """What must be seen to answer the question, in the words of the model; nothing if it cannot."""
    prompt = _DECOUPLE.format(question=clean(asked.question))
    plan = asked.viewer.plan([], asked.config.budget.tokens, "none", 1.0)
    (reply,) = asked.viewer.look(
        [View([prompt], [], plan)],
        max_new_tokens=256,
        time_limit_seconds=asked.config.model.time_limit_seconds,
    )
    if isinstance(reply, VideopipeError):
        raise reply
    found = _THINGS.findall(spoken(reply.text))
    if not found:
        return []
    names = [name.strip(" .[]\"'`*").lower() for name in re.split(r"[,;]", found[-1])]
    kept = [name for name in dict.fromkeys(names) if name and name not in ("none", "null", "n/a")]
    return [clean(name) for name in kept[:_MOST_THINGS]]


def _chances(
    pool: Pool, rows: Indices, place: int, question: str, asked: Asked
) -> list[tuple[float, float]]:
    """The second and the probability of yes for each of ``rows``, frames of one video.

    Those that cannot be decoded are left out.
    """
    viewer, config, video = asked.viewer, asked.config, pool.videos[place]
    footage = Footage(1, *frame_size(video))
    try:
        plan = viewer.plan([footage], _TOKENS, "none", 1.0)
    except ConfigError:  # a family of one size, larger than that
        plan = viewer.plan([footage], _TOKENS, "auto", config.compress.ratio)
    known_packets(video, asked.library)
    (size,) = viewer.sizes(footage, plan.clips[0])
    times = np.unique(pool.times[rows])
    frames = list(fetch_each(video.path, times, min(size), **decoding(config)))
    views = [
        View([0, f"\n{question}{_LETTER}"], [FrameSet(np.array([time]), (frame,))], plan)
        for time, frame in frames
    ]
    if not views:
        return []
    chances = viewer.choose(views, ("A", "B"), time_limit_seconds=config.model.time_limit_seconds)
    return [(time, float(yes)) for (time, _), yes in zip(frames, chances[:, 0], strict=True)]
