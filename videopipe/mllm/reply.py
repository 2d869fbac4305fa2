"""What a model said, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

StoppedBy = Literal["end", "max_new_tokens", "time_limit", "repetition"]


@dataclass(frozen=True, slots=True)
class Reply:
    """The text a model generated.

    ``stopped_by`` is ``end`` when the model ended by itself; anything else cut it off. Tokens are
    the model's; a server may not tell ``prompt_tokens``. Seconds count from the call.

    ``margin``, where the reply was to name one of several options, is how much likelier the best
    was than the second best at the token with which the reply begins, after its thoughts: 0 to 1,
    of a probability shared out among the options. None: not asked for, the reply begins with
    another word, or the server does not tell.
    """

    text: str
    stopped_by: StoppedBy
    new_tokens: int
    prompt_tokens: int | None
    first_token_seconds: float | None
    seconds: float
    margin: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, without the text."""
        return {
            "stopped_by": self.stopped_by,
            "new_tokens": self.new_tokens,
            "prompt_tokens": self.prompt_tokens,
            "first_token_s": self.first_token_seconds and round(self.first_token_seconds, 4),
            "generate_s": round(self.seconds, 4),
            "margin": self.margin and round(self.margin, 4),
        }
