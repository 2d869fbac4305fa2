"""How a server's answer is read, and what may be wrong with it."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from videopipe.mllm.guards import RepetitionStop
from videopipe.mllm.options import Opening, ServedToken, named, shares
from videopipe.mllm.reply import Reply, StoppedBy

if TYPE_CHECKING:
    from aiohttp import ClientResponse

_LARGEST = 16 << 20  # bytes of an answer that comes in one piece, or of one of its lines
_WORDS = 65_536  # bytes of a refusal that are read
_SHOWN = 200  # characters of a server's words in a sentence of ours
_KEY = re.compile(r"(?i)\bbearer\s+\S+|\b(?:sk|pk|key|api|gsk|hf)[-_][\w*.-]{8,}")


class Fault(Exception):
    """What a server did wrong; ``str`` of it ends a sentence that begins with its name.

    ``again`` says whether it may go well another time, ``wait`` after how many seconds at least.
    ``message`` is what the server said of it, ``named`` the parameter that it blames.
    """

    def __init__(
        self,
        what: str,
        *,
        again: bool = False,
        wait: float = 0.0,
        status: int = 0,
        message: str = "",
        named: str = "",
    ) -> None:
        super().__init__(what)
        self.again, self.wait, self.status = again, wait, status
        self.message, self.named = message, named


def safe(text: str, key: str | None = None) -> str:
    """A server's ``text`` fit to be shown: short, on one line, without ``key`` and the like."""
    if key:
        text = text.replace(key, "***")
    text = _KEY.sub("***", text[: 4 * _SHOWN])
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split()).rstrip(".")
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


class Answer:
    """What a server has said so far to one request; the seconds count from ``began``.

    ``on_text`` gets each piece of text as it comes; ``options`` are what the answer may begin with.
    """

    def __init__(
        self,
        began: float,
        on_text: Callable[[str], None] | None,
        options: Sequence[str] = (),
    ) -> None:
        self.text = ""
        self.cut_by: StoppedBy | None = None
        self._began, self._on_text, self._options = began, on_text, options
        self._opening, self._thinks = Opening(), False
        self._begins: ServedToken | None = None
        self._pieces = 0
        self._chosen = self._loops = False
        self._finish: str | None = None
        self._usage: dict[str, Any] = {}
        self._first: float | None = None

    def reply(self) -> Reply:
        """What was said, cut off by ``cut_by`` or ended as the server tells."""
        stopped_by = self.cut_by or ("repetition" if self._loops else None)
        tokens = self._usage.get("completion_tokens")
        prompt_tokens = self._usage.get("prompt_tokens")
        return Reply(
            text=self.text,
            stopped_by=stopped_by or ("max_new_tokens" if self._finish == "length" else "end"),
            new_tokens=tokens if isinstance(tokens, int) else self._pieces,
            prompt_tokens=prompt_tokens if isinstance(prompt_tokens, int) else None,
            first_token_seconds=self._first,
            seconds=perf_counter() - self._began,
            margin=None if self._begins is None else self._begins.margin(self._options),
        )

    def chances(self) -> NDArray[np.float64]:
        """The probability that the answer begins with each option; these sum to 1.

        A server that does not tell is sure of the option that it named.
        """
        told = None if self._begins is None else self._begins.chances(self._options)
        return named(self.text, self._options) if told is None else shares(told)

    async def read(self, response: ClientResponse) -> None:
        """Read events as they come, or one JSON document, up to the end or to a loop of words.

        Raises:
            Fault: it is no answer, it breaks off, or an error stands in it.
        """
        guard = RepetitionStop()
        document: list[str] | None = []
        ended = False
        async for line in _lines(response):
            if line.startswith("data:"):
                document = None
                ended = (event := line[5:].strip()) == "[DONE]"
                if ended:
                    break
                self._take(_parsed(event))
                self._loops = guard.seen(self.text)
                if self._loops:
                    return
            elif document is not None:
                document.append(line)
        if document is not None:
            self._take(_parsed("\n".join(document)))
            ended, self._loops = self._chosen, guard.seen(self.text)
        if not self._chosen and (ended or document is not None):
            raise _malformed("no choices")
        if not ended and self._finish is None:
            raise Fault("broke off its answer", again=True)

    def _take(self, event: dict[str, Any]) -> None:
        if event.get("error") or event.get("object") == "error":
            raise refusal(0, event)
        self._usage = _mapping(event.get("usage")) or self._usage
        choices = event.get("choices")
        choice = _mapping(choices[0]) if isinstance(choices, list) and choices else {}
        if not choice:
            return  # the usage, or a sign of life
        self._chosen = True
        finish = choice.get("finish_reason")
        if finish == "content_filter":
            raise Fault("withheld its answer (content_filter)")
        self._finish = finish or self._finish
        piece = _mapping(choice.get("delta") or choice.get("message"))
        text = piece.get("content")
        if self._options:
            self._listen(piece, _mapping(choice.get("logprobs")).get("content"))
        if isinstance(text, str) and text:
            if self._first is None:
                self._first = perf_counter() - self._began
            text = text.encode("utf-8", "replace").decode()  # half a surrogate pair is no text
            self._pieces += 1
            self.text += text
            if self._on_text is not None:
                self._on_text(text)

    def _listen(self, piece: dict[str, Any], tokens: Any) -> None:
        """Note the token with which the answer begins; thoughts may come apart from it."""
        if piece.get("reasoning_content") or piece.get("reasoning"):
            self._opening.hear("<think>")
            self._thinks = True
        elif self._thinks and piece.get("content"):
            self._opening.hear("</think>")
            self._thinks = False
        for entry in tokens if isinstance(tokens, list) else ():
            token = ServedToken(_mapping(entry))
            if self._opening.awaits:
                self._begins = token
            self._opening.hear(token.text)


async def _lines(response: ClientResponse) -> AsyncIterator[str]:
    held, size = b"", 0
    async for data in response.content.iter_any():
        *lines, held = (held + data).split(b"\n")
        for line in lines:
            text = line.decode("utf-8", "replace").rstrip("\r")
            size = 0 if text.startswith("data:") else size + len(line)
            yield text
        if size + len(held) > _LARGEST:
            raise _malformed("it has no end")
    yield held.decode("utf-8", "replace")


async def words(response: ClientResponse) -> dict[str, Any] | str:
    """What a refusal says: a JSON object, or the beginning of a text."""
    held = b""
    async for data in response.content.iter_any():
        held += data
        if len(held) > _WORDS:
            break
    text = held.decode("utf-8", "replace")
    try:
        return _parsed(text)
    except Fault:
        return text


async def document(response: ClientResponse) -> dict[str, Any]:
    """The JSON object that ``response`` holds.

    Raises:
        Fault: it holds something else.
    """
    return _parsed("\n".join([line async for line in _lines(response)]))


def _parsed(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise _malformed(text or "nothing") from None
    if not isinstance(value, dict):
        raise _malformed(text)
    return value


def _malformed(message: str) -> Fault:
    return Fault(
        "does not answer as an OpenAI-compatible server does, see that --base-url is right "
        "(it mostly ends in /v1)",
        message=message,
    )


def refusal(status: int, body: dict[str, Any] | str, retry_after: str | None = None) -> Fault:
    """The fault that an answer of ``status`` with ``body`` stands for.

    A status of 0 is looked up in the body, as in the middle of a stream.
    """
    tree = _mapping(body)
    error = tree.get("error") or tree.get("message") or tree.get("detail") or body
    details = _mapping(error) or tree
    message = str(_mapping(error).get("message") or error)
    code = details.get("code")
    status = status or (code if isinstance(code, int) else 500)
    if isinstance(code, str):
        message = f"{message} ({code})"
    return Fault(
        f"answered {status}",
        again=status in (408, 409, 429) or status >= 500,
        wait=_seconds(retry_after) if retry_after else 0.0,
        status=status,
        message=message,
        named=str(details.get("param") or ""),
    )


def _seconds(retry_after: str) -> float:
    """What a Retry-After header asks for, a number or a date; nothing sensible is 0."""
    with suppress(ValueError):
        return max(0.0, float(retry_after))
    with suppress(ValueError):
        when = parsedate_to_datetime(retry_after)
        now = datetime.now(UTC)
        return max(0.0, (when.replace(tzinfo=when.tzinfo or UTC) - now).total_seconds())
    return 0.0


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
