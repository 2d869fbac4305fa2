"""A server process that speaks the OpenAI chat protocol, and misbehaves when told to.

It is started with :func:`openai_server`, or by ``python tests/openai_server.py --port 0``, which
prints its port. ``/control`` says what it has seen and tells it how to behave.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import io
import json
import math
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any


@dataclass
class Behaviour:
    """How the server answers; what each answer is made of stands in ``OpenAIServer.seen``."""

    answer: str | None = None  # what it says; null: a sentence about what it was sent
    first: list[str] = field(default_factory=list)  # what it says before that, one by one
    echo: bool = False  # it says the last text it was sent
    fail: int = 0  # so many of the next requests get `status`
    status: int = 500
    message: str = "something broke"  # of a refusal; {authorization} is what the client sent
    retry_after: str | None = None
    raw: str | None = None  # answered in place of everything else, with status 200
    moved_to: str | None = None  # everything is answered by a redirection there
    hang: int = 0  # so many of the next requests get no answer at all
    hang_for: str | None = None  # and those with this in a text
    hang_after: int | None = None  # and all after so many
    late_for: str | None = None  # requests with this in a text are answered after the others
    document: bool = False  # one JSON document, whatever the client asks for
    endless: str | None = None  # said over and over; {n} counts
    delay: float = 0.0  # seconds between two pieces
    slice: int | None = None  # bytes that are sent at once
    break_off: int = 0  # so many of the next answers end after two pieces
    error_inside: int = 0  # so many of the next answers hold an error after two pieces
    finish: str = "stop"
    usage: bool = True
    unfit: list[str] = field(default_factory=list)  # parameters that are refused
    refusal: int = 400  # the status with which these are refused
    thoughts: str | None = None  # told before the answer, apart from it
    closing: bool = True  # the token that ends them is told as well
    # Of each token, thoughts and all, what it might have been and how likely; told when asked for.
    likely: list[dict[str, float]] = field(default_factory=list)
    together: int = 0  # requests wait for so many others before they are answered


@dataclass
class State:
    """What has happened since the last reset."""

    requests: int = 0
    in_work: int = 0
    most_at_once: int = 0
    cut_off: int = 0  # answers that the client did not want to hear to the end
    times: list[float] = field(default_factory=list)  # of each request, seconds
    authorization: str | None = None
    path: str = ""
    body: dict[str, Any] = field(default_factory=dict)  # of the last request, without messages
    system: str | None = None
    parts: list[dict[str, Any]] = field(default_factory=list)  # of its user message, decoded


class _Service:
    def __init__(self, models: list[str], key: str | None) -> None:
        self.models, self.key = models, key
        self.reset()

    def reset(self) -> None:
        self.behaviour, self.state = Behaviour(), State()
        self.barrier: asyncio.Barrier | None = None

    async def control(self, request: Any) -> Any:
        from aiohttp import web

        if request.method == "POST":
            told = await request.json()
            self.reset()
            self.behaviour = Behaviour(**told)
            if self.behaviour.together:
                self.barrier = asyncio.Barrier(self.behaviour.together)
        return web.json_response(asdict(self.state))

    def refused(self, request: Any) -> Any:
        """The refusal that the key, or the told behaviour, asks for."""
        behaviour, sent = self.behaviour, request.headers.get("Authorization")
        self.state.authorization, self.state.path = sent, request.path
        if self.key is not None and sent != f"Bearer {self.key}":
            return self.error(401, f"Incorrect API key provided: {sent}")
        if behaviour.moved_to:
            return self.error(308, "moved", {"Location": behaviour.moved_to})
        if behaviour.fail:
            behaviour.fail -= 1
            said = behaviour.message.replace("{authorization}", str(sent))
            after = behaviour.retry_after
            return self.error(behaviour.status, said, {"Retry-After": after} if after else {})
        return None

    def error(self, status: int, message: str, headers: dict[str, str] | None = None) -> Any:
        from aiohttp import web

        error = {"message": message, "type": "error", "code": status}
        return web.json_response({"error": error}, status=status, headers=headers)

    async def list_models(self, request: Any) -> Any:
        from aiohttp import web

        if self.behaviour.hang:
            await asyncio.Event().wait()
        if self.behaviour.raw is not None:
            return web.Response(text=self.behaviour.raw)
        entries = [{"id": name, "object": "model"} for name in self.models]
        return self.refused(request) or web.json_response({"object": "list", "data": entries})

    async def complete(self, request: Any) -> Any:
        state = self.state
        state.requests += 1
        state.in_work += 1
        state.most_at_once = max(state.most_at_once, state.in_work)
        state.times.append(monotonic())
        try:
            return await self.answer(request)
        except (asyncio.CancelledError, ConnectionError):
            state.cut_off += 1
            raise
        finally:
            state.in_work -= 1

    async def answer(self, request: Any) -> Any:
        from aiohttp import web

        behaviour, state = self.behaviour, self.state
        body = await request.json()
        parts = await asyncio.to_thread(_decoded, body["messages"][-1]["content"])
        first = body["messages"][0]
        state.system = first["content"] if first["role"] == "system" else None
        state.parts, state.body = parts, {k: v for k, v in body.items() if k != "messages"}
        texts = [part["text"] for part in parts if part["type"] == "text"]
        if refusal := self.refused(request):
            return refusal
        for name in behaviour.unfit:
            if name in body:
                other = "; use 'max_completion_tokens' instead" if name == "max_tokens" else ""
                return self.error(behaviour.refusal, f"Unsupported parameter: '{name}'{other}.")
        if behaviour.raw is not None:
            return web.Response(text=behaviour.raw)
        late = behaviour.hang_after is not None and self.state.requests > behaviour.hang_after
        named = behaviour.hang_for is not None and behaviour.hang_for in " ".join(texts)
        if behaviour.hang or late or named:
            behaviour.hang -= bool(behaviour.hang)
            await asyncio.Event().wait()
        if self.barrier is not None:
            await self.barrier.wait()
        if behaviour.late_for and behaviour.late_for in " ".join(texts):
            await asyncio.sleep(0.3)
        said = texts[-1] if behaviour.echo else behaviour.answer or _sentence(parts)
        said = behaviour.first.pop(0) if behaviour.first else said
        if behaviour.document or not body.get("stream"):
            return web.json_response(self.whole(said, body))
        return await self.stream(request, said, body)

    def whole(self, said: str, body: dict[str, Any]) -> dict[str, Any]:
        message = {"role": "assistant", "content": said}
        thoughts = self.thoughts()
        if thoughts:
            message["reasoning_content"] = self.behaviour.thoughts or ""
        told = enumerate([*thoughts, *_pieces(said)])
        scores = [entry for place, piece in told for entry in self.scores(place, piece, body)]
        choice = {"index": 0, "message": message, "finish_reason": self.behaviour.finish}
        choice |= {"logprobs": {"content": scores}} if scores else {}
        usage = {"usage": _usage(len(said.split()))} if self.behaviour.usage else {}
        return {"object": "chat.completion", "choices": [choice]} | usage

    def thoughts(self) -> list[str]:
        if self.behaviour.thoughts is None:
            return []
        return [*_pieces(self.behaviour.thoughts), *["</think>"] * self.behaviour.closing]

    def scores(self, place: int, piece: str, body: dict[str, Any]) -> list[dict[str, Any]]:
        likely = self.behaviour.likely
        if not body.get("logprobs") or place >= len(likely):
            return []
        others = [{"token": t, "logprob": math.log(p)} for t, p in likely[place].items()]
        others = sorted(others, key=lambda other: -float(other["logprob"]))
        most = body.get("top_logprobs", 0)
        return [{"token": piece, "logprob": -0.1, "top_logprobs": others[:most]}]

    async def stream(self, request: Any, said: str, body: dict[str, Any]) -> Any:
        from aiohttp import web

        behaviour = self.behaviour
        breaks, errs = behaviour.break_off > 0, behaviour.error_inside > 0
        behaviour.break_off -= breaks
        behaviour.error_inside -= errs
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)

        async def send(event: object) -> None:
            text = event if isinstance(event, str) else json.dumps(event, ensure_ascii=False)
            data = f": note\r\ndata: {text}\r\n\r\n".encode()
            step = behaviour.slice or len(data)
            for begin in range(0, len(data), step):
                await response.write(data[begin : begin + step])
                await asyncio.sleep(0.001 if behaviour.slice else 0)

        thoughts = self.thoughts()
        for place, piece in enumerate(thoughts):
            scored = {"logprobs": {"content": self.scores(place, piece, body)}}
            delta = {} if piece == "</think>" else {"reasoning_content": piece}
            await send({"choices": [{"index": 0, "delta": delta} | scored]})
        pieces: Iterator[str] = iter(_pieces(said))
        if behaviour.endless is not None:
            pieces = (behaviour.endless.replace("{n}", str(n)) for n in count())
        await send({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})
        told = 0
        for piece in pieces:
            if told == 2 and breaks:
                request.transport.abort()
                return response
            if told == 2 and errs:
                await send({"error": {"message": "the engine died", "code": 500}})
                return response
            entries = self.scores(len(thoughts) + told, piece, body)
            scored = {"logprobs": {"content": entries}} if entries else {}
            await send({"choices": [{"index": 0, "delta": {"content": piece}} | scored]})
            told += 1
            await asyncio.sleep(behaviour.delay)
        ended = {"index": 0, "delta": {}, "finish_reason": behaviour.finish}
        await send({"choices": [ended]})
        if behaviour.usage and "include_usage" in body.get("stream_options", {}):
            await send({"choices": [], "usage": _usage(told)})
        await send("[DONE]")
        return response


def _pieces(said: str) -> list[str]:
    words = said.split(" ")
    return [word + " " * (place < len(words)) for place, word in enumerate(words, 1)]


def _usage(tokens: int) -> dict[str, int]:
    return {"prompt_tokens": 1000, "completion_tokens": tokens, "total_tokens": 1000 + tokens}


def _decoded(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [
        {"type": "text", "text": part["text"]} if part["type"] == "text" else _looked_at(part)
        for part in content
    ]


def _looked_at(part: dict[str, Any]) -> dict[str, Any]:
    """What is in a picture or a video: sizes, times, mean colours."""
    kind = part["type"].removesuffix("_url")
    form, _, data = part[part["type"]]["url"].partition(";base64,")
    file = io.BytesIO(base64.b64decode(data, validate=True))
    if kind == "image":
        import numpy as np
        from PIL import Image

        with Image.open(file) as image:
            mean = np.asarray(image.convert("RGB")).mean((0, 1)).tolist()
            shape = {"width": image.width, "height": image.height, "format": image.format}
            return {"type": kind, "form": form, "mean": mean} | shape
    import av

    with av.open(file) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        return {
            "type": kind,
            "form": form,
            "codec": stream.codec_context.name,
            "width": stream.width,
            "height": stream.height,
            "seconds": float(stream.duration * stream.time_base),
            "times": [frame.time for frame in frames],
            "means": [f.to_ndarray(format="rgb24").mean((0, 1)).tolist() for f in frames],
        }


def _sentence(parts: list[dict[str, Any]]) -> str:
    counts = {kind: sum(p["type"] == kind for p in parts) for kind in ("image", "video", "text")}
    seen = [f"{p['width']}x{p['height']}" for p in parts if p["type"] != "text"]
    counted = ", ".join(f"{number} {kind}s" for kind, number in counts.items())
    return f"I was sent {counted}" + (f" of {' '.join(seen)}." if seen else ".")


async def _serve(port: int, service: _Service) -> None:
    from aiohttp import web

    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/control", service.control)
    app.router.add_get("/v1/models", service.list_models)
    app.router.add_post("/v1/chat/completions", service.complete)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


@dataclass(frozen=True)
class OpenAIServer:
    """A running server: ``url`` is what ``--base-url`` takes."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def behave(self, **behaviour: object) -> None:
        """Forget what has happened, and answer like this from now on (see ``Behaviour``)."""
        assert set(behaviour) <= {known.name for known in fields(Behaviour)}, behaviour
        self._control(json.dumps(behaviour).encode())

    def state(self) -> State:
        """What has happened since the last call of :meth:`behave`."""
        return State(**self._control(None))

    def _control(self, data: bytes | None) -> dict[str, Any]:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://127.0.0.1:{self.port}/control", data, timeout=30) as answer:
            state: dict[str, Any] = json.load(answer)
            return state


@contextmanager
def openai_server(*models: str, key: str | None = None) -> Iterator[OpenAIServer]:
    """A server process of its own for as long as the context lasts; ``key`` is the one it wants."""
    words = [sys.executable, str(Path(__file__)), "--port", "0"]
    words += ["--models", *models] if models else []
    words += ["--key", key] if key else []
    with subprocess.Popen(words, stdout=subprocess.PIPE) as it:
        assert it.stdout is not None
        try:
            yield OpenAIServer(int(it.stdout.readline()))
        finally:
            it.kill()


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--port", type=int, default=0)
    options.add_argument("--models", nargs="*", default=["tiny-vl"])
    options.add_argument("--key")
    told = options.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(told.port, _Service(told.models, told.key)))
