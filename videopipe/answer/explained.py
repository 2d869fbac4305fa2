"""How the frames of an answer were chosen, as what is drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from videopipe.answer.answer import Answer
from videopipe.answer.explain import ChosenClip, ChosenFrame, Explanation
from videopipe.answer.look import Look
from videopipe.answer.pool import Pool
from videopipe.select import Selection


def explanations(
    question: str, pool: Pool, looks: Sequence[Look], answer: Answer, selection: Selection
) -> list[Explanation]:
    """What a model was shown, one for each video that it was shown anything of."""
    why = selection.why + (("looked at twice",) if len(looks) > 1 else ())
    budget = answer.budget or {}
    return _explained(
        question,
        pool,
        lambda video_id: tuple(_shown(looks, video_id, answer)),
        selection.method,
        why,
        (budget.get("budget"), budget.get("used")),
    )


def citations_explained(question: str, pool: Pool, answer: Answer) -> list[Explanation]:
    """What an answer without a model quotes, one for each video that it does."""

    def cited(video_id: str) -> tuple[ChosenClip, ...]:
        return tuple(
            ChosenClip(c.start, c.end, str(c.number), (), cited=True)
            for c in answer.citations
            if c.video_id == video_id
        )

    why = ("the best evidence in what is said, shown and measured",)
    return _explained(question, pool, cited, "quotes", why, (None, None))


def _explained(
    question: str,
    pool: Pool,
    clips_of: Callable[[str], tuple[ChosenClip, ...]],
    method: str,
    why: tuple[str, ...],
    budget: tuple[int | None, int | None],
) -> list[Explanation]:
    """One for each video that clips were taken of; of all videos if there are none."""
    made = []
    for place, video in enumerate(pool.videos):
        mine = pool.owner == place
        times = pool.times[mine]
        start = pool.candidates.times[mine][0] - times[0] if len(times) else 0.0
        cuts = pool.candidates.cuts - start
        made.append(
            Explanation(
                video=video.name,
                duration=video.duration,
                question=question,
                times=times,
                relevance=pool.candidates.scores[mine],
                signals={name: curve[mine] for name, curve in pool.signals.items()},
                cuts=cuts[(cuts > 0) & (cuts < video.duration)],
                clips=clips_of(video.video_id),
                method=method,
                why=why,
                budget=budget[0],
                used=budget[1],
            )
        )
    return [one for one in made if one.clips] or made


def _shown(looks: Sequence[Look], video_id: str, answer: Answer) -> list[ChosenClip]:
    """The parts that were shown, those of a second look with a dash to their number."""
    cited = {(c.start, c.end) for c in answer.citations if c.video_id == video_id}
    clips = []
    for turn, one in enumerate(looks):
        planned = iter(one.plan.clips)
        for number, part in enumerate(one.parts, 1):
            frames = []
            for run in part.runs:
                clip = next(planned)
                each = clip.kept / max(len(clip.frames), 1)
                frames += [
                    ChosenFrame(float(run.times[at]), *size, each)
                    for at, size in zip(clip.frames, clip.sizes, strict=True)
                ]
            if part.video.video_id == video_id and frames:
                span = (part.clip.start, part.clip.end)
                frames.sort(key=lambda frame: frame.time)
                label = f"E{number}" + "\N{PRIME}" * turn
                clips.append(ChosenClip(*span, label, tuple(frames), cited=span in cited))
    return clips
