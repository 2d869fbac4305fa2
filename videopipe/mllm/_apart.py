"""Work on an event loop in a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

_T = TypeVar("_T")


def apart(
    work: Callable[[], Coroutine[Any, Any, _T]],
    heard: SimpleQueue[str | None] | None = None,
    on_text: Callable[[str], None] | None = None,
) -> _T:
    """What ``work`` gives on an event loop in a thread of its own, as the caller may be in one.

    What it puts into ``heard`` meanwhile is told to ``on_text`` here. An interruption here ends it.
    """
    heard = heard or SimpleQueue()
    loop = asyncio.new_event_loop()
    task = loop.create_task(work())
    task.add_done_callback(lambda _: heard.put(None))

    def serve() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(_settled(task))

    thread = Thread(target=serve, name="videopipe-server-client")
    thread.start()
    try:
        while (text := heard.get()) is not None:
            if on_text is not None:
                on_text(text)
    except BaseException:
        with suppress(RuntimeError):  # it has ended just now
            loop.call_soon_threadsafe(task.cancel)
        raise
    finally:
        thread.join()
    return task.result()


async def _settled(task: asyncio.Task[Any]) -> None:
    await asyncio.wait([task])
