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
    """

    text: str
    stopped_by: StoppedBy
    new_tokens: int
    prompt_tokens: int | None
    first_token_seconds: float | None
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, without the text."""
        return {
            "stopped_by": self.stopped_by,
            "new_tokens": self.new_tokens,
            "prompt_tokens": self.prompt_tokens,
            "first_token_s": self.first_token_seconds and round(self.first_token_seconds, 4),
            "generate_s": round(self.seconds, 4),
        }
