"""The client of an OpenAI-compatible server: vLLM, SGLang, a hosted model.

Frames are chosen and sized here; the server does the rest. The key is in ``OPENAI_API_KEY`` and
nowhere else.
"""

from __future__ import annotations

import asyncio
import difflib
import os
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from random import Random
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from videopipe.errors import ModelError, TimeLimit, VideopipeError
from videopipe.mllm._answers import Answer, Fault, document, safe
from videopipe.mllm._apart import apart
from videopipe.mllm._messages import Prompt, Send, messages
from videopipe.mllm._requests import KEY, Endpoint, key
from videopipe.mllm.reply import Reply

if TYPE_CHECKING:
    from aiohttp import ClientSession

_ADDRESS = "OPENAI_BASE_URL"
_HOSTED = "https://api.openai.com/v1"
_PAUSE, _LONGEST_PAUSE = 0.5, 20.0  # seconds before a server is asked again, doubled each time
_SEED = 0
# Some models refuse to be told.
_UNFIT = (
    "temperature",
    "seed",
    "stream_options",
    "logprobs",
    "top_logprobs",
    "chat_template_kwargs",
)
_SCORES = {"logprobs": True, "top_logprobs": 20}  # the most that servers give
_NO_THOUGHTS = {"chat_template_kwargs": {"enable_thinking": False}}
_TOO_LONG = re.compile(r"(?i)context.?(?:length|window)|maximum (?:context|model length)")
_T = TypeVar("_T")


class ServerModel:
    """A video MLLM behind an OpenAI-compatible server.

    Args:
        model: its name on the server.
        base_url: http(s) address up to ``/v1``; None: ``OPENAI_BASE_URL``, else OpenAI's own. A
            user and password in it are sent in place of the key.
        timeout_seconds: a server that is silent for so long is asked again.
        retries: how often it is asked again, with growing pauses, after what may pass.
        concurrency: requests at once, of one call.
        send: ``video`` sends a batch of frames as an MP4 (vLLM, SGLang), else JPEGs.

    Raises:
        ConfigError: ``base_url`` is no http(s) URL.
    """

    def __init__(
        self,
        model: str,
        base_url: str | None,
        *,
        timeout_seconds: float,
        retries: int,
        concurrency: int,
        send: Send = "images",
    ) -> None:
        self.name = f"openai:{model}"
        self._model, self._send = model, send
        address = base_url or os.environ.get(_ADDRESS) or _HOSTED
        self._server = Endpoint(address, timeout_seconds)
        self._timeout_seconds, self._retries = timeout_seconds, retries
        self._concurrency = concurrency
        self._random = Random(_SEED)
        self._unfit: set[str] = set()

    def reply(
        self,
        prompt: Prompt,
        *,
        system: str | None = None,
        max_new_tokens: int,
        time_limit_seconds: float,
        on_text: Callable[[str], None] | None = None,
        options: Sequence[str] = (),
    ) -> Reply:
        """The answer to ``prompt``, texts and frames in the order in which the model sees them.

        ``on_text`` gets the text piece by piece as it comes, in the caller's thread. After
        ``time_limit_seconds`` in all, the reply is what has been said by then. May be called from
        any thread, and where an event loop runs. With ``options``, the letters that it may be, the
        reply has a margin where the server tells how likely they were.

        Raises:
            ModelError: the server cannot be reached, refuses, or gives no sensible answer.
            TimeLimit: nothing was said within the time limit.
            ConfigError: what is in ``OPENAI_API_KEY`` can be no key.
        """
        heard: SimpleQueue[str | None] = SimpleQueue()
        wish = _Wish(system, max_new_tokens, time_limit_seconds, options)

        async def work() -> Reply:
            async with self._server.session() as session:
                told = heard.put if on_text else None
                return (await self._ask(session, prompt, wish, told)).reply()

        return apart(work, heard, on_text)

    def replies(
        self,
        prompts: Sequence[Prompt],
        *,
        system: str | None = None,
        max_new_tokens: int,
        time_limit_seconds: float,
        options: Sequence[str] = (),
    ) -> list[Reply | VideopipeError]:
        """For each of ``prompts``, in order, its reply or the error that :meth:`reply` would raise.

        The time limit is that of each, from when its turn comes.
        """
        wish = _Wish(system, max_new_tokens, time_limit_seconds, options)
        return self._ask_all(prompts, wish, Answer.reply)

    def choose(
        self,
        prompts: Sequence[Prompt],
        options: Sequence[str],
        *,
        system: str | None = None,
        time_limit_seconds: float,
    ) -> NDArray[np.float64]:
        """The probability that the answer to a prompt begins with each of ``options``.

        One token is asked for, without thoughts where the server can do without. What is not among
        the 20 likeliest tokens counts as 0; a server that tells no probabilities is sure of the
        option that it names. The time limit is that of each prompt.

        Returns:
            ``[prompts, options]``; each row sums to 1, and is even where no option is likely.

        Raises:
            ModelError, TimeLimit, ConfigError: as :meth:`reply` does, for the first that fails.
        """
        wish = _Wish(system, 1, time_limit_seconds, options, thinks=False)
        found = np.empty((len(prompts), len(options)))
        for row, chances in enumerate(self._ask_all(prompts, wish, Answer.chances)):
            if isinstance(chances, VideopipeError):
                raise chances
            found[row] = chances
        return found

    def _ask_all(
        self, prompts: Sequence[Prompt], wish: _Wish, read: Callable[[Answer], _T]
    ) -> list[_T | VideopipeError]:
        async def work() -> list[_T | VideopipeError]:
            turns = asyncio.Semaphore(self._concurrency)

            async def one(prompt: Prompt) -> _T | VideopipeError:
                async with turns:
                    try:
                        return read(await self._ask(session, prompt, wish, None))
                    except VideopipeError as error:
                        return error

            async with self._server.session() as session:
                return await asyncio.gather(*map(one, prompts))

        return apart(work)

    def check(self) -> None:
        """See that the server is there and serves the model; takes ``timeout_seconds`` at most.

        Raises:
            ModelError: it cannot be reached, refuses the key, or serves other models (names some).
            ConfigError: what is in ``OPENAI_API_KEY`` can be no key.
        """

        faults: list[Fault] = []

        async def work() -> dict[str, Any]:
            async with self._server.session() as session, asyncio.timeout(self._timeout_seconds):
                return await self._persist(
                    lambda: self._server.exchange(session, "GET", "models", document),
                    self._timeout_seconds,
                    faults,
                )

        try:
            listed = apart(work).get("data")
        except Fault as fault:
            raise self._error(fault) from None
        except TimeoutError:
            silent = Fault(f"did not answer within {self._timeout_seconds:g} s")
            raise self._error(faults[-1] if faults else silent) from None
        entries = listed if isinstance(listed, list) else []
        served = [
            str(entry["id"]) for entry in entries if isinstance(entry, dict) and "id" in entry
        ]
        if self._model not in served:
            near = difflib.get_close_matches(self._model, served, n=3, cutoff=0.0)
            names = ", ".join(safe(name, key()) for name in near) or "no model"
            more = f" and {len(served) - len(near)} more" if len(served) > len(near) else ""
            raise ModelError(
                f"The server {self._server} does not serve {self._model}; it serves {names}{more}."
            )

    async def _ask(
        self,
        session: ClientSession,
        prompt: Prompt,
        wish: _Wish,
        on_text: Callable[[str], None] | None,
    ) -> Answer:
        began = perf_counter()
        answer = Answer(began, on_text)
        limit_seconds = wish.time_limit_seconds
        faults: list[Fault] = []

        async def once() -> Answer:
            nonlocal answer
            while True:
                body = self._body(said, wish)
                answer = Answer(began, on_text, wish.options)
                try:
                    await self._server.exchange(
                        session, "POST", "chat/completions", answer.read, body
                    )
                    return answer
                except Fault as fault:
                    unfit = _unfit(fault, body)
                    if unfit is None:
                        # What was shown cannot be taken back.
                        fault.again &= not (on_text and answer.text)
                        raise
                    self._unfit.add(unfit)

        try:
            async with asyncio.timeout(limit_seconds):
                said = await asyncio.to_thread(messages, prompt, wish.system, self._send)
                return await self._persist(once, limit_seconds, faults)
        except Fault as fault:
            raise self._error(fault) from None
        except TimeoutError:
            if answer.text:
                answer.cut_by = "time_limit"
                return answer
            why = f" (it {self._told(faults[-1])})" if faults else ""
            raise TimeLimit(
                f"There is no answer from the server {self._server} within "
                f"{limit_seconds:g} s{why}; raise model.time_limit_seconds or try later."
            ) from None

    def _body(self, said: list[dict[str, Any]], wish: _Wish) -> dict[str, Any]:
        renamed = "max_tokens" in self._unfit
        body: dict[str, Any] = {
            "model": self._model,
            "messages": said,
            "max_completion_tokens" if renamed else "max_tokens": wish.max_new_tokens,
            "temperature": 0,
            "seed": _SEED,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if wish.options and not self._unfit & _SCORES.keys():
            body |= _SCORES
        if not wish.thinks:
            body |= _NO_THOUGHTS
        return {name: value for name, value in body.items() if name not in self._unfit}

    async def _persist(
        self, once: Callable[[], Awaitable[_T]], limit_seconds: float, faults: list[Fault]
    ) -> _T:
        """What ``once`` gives, tried again after ``faults`` that may pass.

        Raises:
            Fault: one that does not pass.
            TimeoutError: the next attempt would come too late.
        """
        end = perf_counter() + limit_seconds
        attempt = 0
        while True:
            try:
                return await once()
            except Fault as fault:
                faults.append(fault)
                if not fault.again or attempt >= self._retries:
                    raise
                pause = min(_PAUSE * 2**attempt, _LONGEST_PAUSE) * self._random.uniform(0.5, 1.0)
                pause = max(pause, fault.wait)
            if perf_counter() + pause > end:
                raise TimeoutError
            await asyncio.sleep(pause)
            attempt += 1

    def _told(self, fault: Fault) -> str:
        words = safe(fault.message, key())
        return f"{fault}: {words}" if words else str(fault)

    def _error(self, fault: Fault) -> ModelError:
        server, told = f"The server {self._server}", self._told(fault)
        if fault.status in (401, 403):
            if self._server.has_user:
                return ModelError(f"{server} refused the user and password of its address.")
            if key() is None:
                return ModelError(f"{server} wants a key ({fault.status}); set {KEY}.")
            return ModelError(
                f"{server} refused the key in {KEY} ({fault.status}); "
                f"see that it is right and may use {self._model}."
            )
        if _too_long(fault):
            return ModelError(
                f"The prompt is longer than {self._model} takes there ({told}); "
                "lower --budget or budget.text_tokens."
            )
        if fault.status == 404:
            return ModelError(
                f"{server} does not know {self._model} or is at another address ({told}); "
                "--base-url mostly ends in /v1."
            )
        if fault.status == 429:
            return ModelError(f"{server} is too busy ({told}); lower model.concurrency or wait.")
        return ModelError(f"{server} {told}.")


@dataclass(frozen=True, slots=True)
class _Wish:
    """How a prompt is to be answered."""

    system: str | None
    max_new_tokens: int
    time_limit_seconds: float
    options: Sequence[str] = ()
    thinks: bool = True


def _too_long(fault: Fault) -> bool:
    refused = 400 <= fault.status < 500
    return fault.status == 413 or (refused and bool(_TOO_LONG.search(fault.message)))


def _unfit(fault: Fault, body: dict[str, Any]) -> str | None:
    """The parameter in ``body`` that the server would do without, or under another name."""
    if fault.status not in (400, 403, 422) or _too_long(fault):
        return None
    if "max_tokens" in body and "max_completion_tokens" in fault.message:
        return "max_tokens"
    for name in _UNFIT:
        if name in body and (fault.named == name or re.search(rf"\b{name}\b", fault.message)):
            return name
    return None
