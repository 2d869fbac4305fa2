"""The value that a question returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from videopipe.types import Source

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Citation:
    """A span of a video that supports the answer: ``[start, end)`` in seconds.

    ``text`` is quoted from the library, ``score`` is its match with the question (0 to 1). A model
    that was shown frames cites parts: their ``source`` is ``frames``, their text what was said and
    shown meanwhile.
    ``frame`` is the picture written for it, taken at ``frame_time`` seconds.
    """

    number: int
    video_id: str
    video: Path
    start: float
    end: float
    source: Source | Literal["frames"]
    text: str
    score: float
    frame_time: float
    frame: Path | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "video": {"path": str(self.video), "id": self.video_id},
            "start_s": round(self.start, 3),
            "end_s": round(self.end, 3),
            "source": self.source,
            "text": self.text,
            "score": round(self.score, 4),
            "frame": {
                "time_s": round(self.frame_time, 3),
                "path": str(self.frame) if self.frame else None,
            },
        }


@dataclass(frozen=True, slots=True)
class Evidence:
    """A part of a video that a model was shown: ``[start, end)``, and its frames, in seconds.

    ``frame`` is a picture written for it. Without frames it was shown as text alone.
    """

    video_id: str
    video: Path
    start: float
    end: float
    times: tuple[float, ...]
    frame: Path | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            "video": {"path": str(self.video), "id": self.video_id},
            "start_s": round(self.start, 3),
            "end_s": round(self.end, 3),
            "frame_times_s": [round(time, 3) for time in self.times],
            "frame": str(self.frame) if self.frame else None,
        }


@dataclass(frozen=True, slots=True)
class Choice:
    """One option of a multiple-choice question and how well the evidence supports it."""

    text: str
    score: float


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a question, with the evidence it was taken from.

    ``found`` is False when nothing in the library matches; ``text`` then says so and ``citations``
    is empty. ``choice`` is the index of the chosen option, None for an open question or when
    nothing matches. Quotes stand in time order, what a model cites in the order in which it does;
    ``[1]`` in ``text`` is ``citations[0]``. A model's answer has the ``evidence`` it was shown, how
    that was selected, the report of its ``budget`` and how its ``generation`` ended.
    """

    question: str
    text: str
    found: bool
    citations: tuple[Citation, ...] = ()
    choices: tuple[Choice, ...] = ()
    choice: int | None = None
    model: str = "extractive"
    config_hash: str = ""
    timings: dict[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    budget: dict[str, Any] | None = None
    generation: dict[str, Any] | None = None
    selection: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, keys stable."""
        return {
            "schema_version": SCHEMA_VERSION,
            "question": self.question,
            "answer": self.text,
            "found": self.found,
            "choice": self.choice,
            "choices": [{"text": c.text, "score": round(c.score, 4)} for c in self.choices],
            "citations": [citation.to_dict() for citation in self.citations],
            "evidence": [part.to_dict() for part in self.evidence],
            "budget": self.budget,
            "selection": self.selection,
            "generation": self.generation,
            "model": self.model,
            "config_hash": self.config_hash,
            "timing_s": {name: round(seconds, 4) for name, seconds in self.timings.items()},
            "warnings": list(self.warnings),
        }
