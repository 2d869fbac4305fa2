"""What is said, subtitles or a transcript, as text of a clip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from videopipe.types import Clip, ClipText, TimedText


def subtitle_texts(
    clips: Sequence[Clip],
    lines: Sequence[TimedText],
    language: str | None = None,
    source: Literal["subtitle", "asr"] = "subtitle",
    model: str | None = None,
) -> list[ClipText]:
    """One document for each clip in which something is said; a cue across a border is in both.

    Args:
        model: the name of the model that heard it.
    """
    texts = []
    for clip in clips:
        said = tuple(line for line in lines if line.start < clip.end and line.end > clip.start)
        if said:
            text = " ".join(line.text for line in said)
            texts.append(ClipText(clip, source, text, said, language, model=model))
    return texts
