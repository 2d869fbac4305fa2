"""Several decoders at work on one video, its frames in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from queue import Empty, Full, Queue
from threading import Event, Lock, Semaphore, Thread, current_thread
from time import monotonic
from typing import TypeVar

from videopipe.errors import TimeLimit
from videopipe.media.decoder import Decoder, Shown, Wanted
from videopipe.types import Location

_T = TypeVar("_T")
_Out = Queue[Shown | BaseException | None]  # what becomes of a piece; None: it is finished
_LOOK_UP = 0.2  # seconds after which a decoder that waits looks whether it is still wanted
_LET_GO = 2.0  # seconds that it is given to stop


def in_order(
    open_decoder: Callable[[Callable[[], bool]], Decoder],
    pieces: Iterable[Sequence[Wanted]],
    *,
    workers: int,
    ahead: int,
    deadline: float | None,
    path: Location,
) -> Iterator[Shown]:
    """The frames of all ``pieces`` in their order, by as many decoders as there are ``workers``.

    ``open_decoder`` is given a function for the decoder to call at every step: a sign of life,
    which says whether to go on.

    They run in threads: libav lets go of the interpreter's lock, and one that hangs can be left
    behind. Each holds back after ``ahead`` frames that nobody has taken yet. A single one without a
    deadline works in the thread of whoever takes the frames, which needs the least memory.

    Raises:
        TimeLimit: no frame and no sign of life came for ``deadline`` seconds.
        MediaError: a decoder gave up.
    """
    if workers == 1 and deadline is None:
        with open_decoder(lambda: True) as decoder:
            for piece in pieces:
                yield from decoder.pictures(piece)
        return
    todo, lock, stop = iter(pieces), Lock(), Event()
    room = Semaphore(2 * workers + 2)  # pieces in work or waiting to be taken
    line: Queue[_Out | None] = Queue()
    signs = 0  # of life

    def give(out: _Out, item: Shown | BaseException | None) -> None:
        while not stop.is_set():
            with suppress(Full):
                out.put(item, timeout=_LOOK_UP)
                return

    def work() -> None:
        out: _Out = Queue(1)
        try:
            with open_decoder(go_on) as decoder:
                while not stop.is_set():
                    room.acquire()
                    with lock:
                        piece = next(todo, None)
                        out = Queue(ahead)
                        line.put(None if piece is None else out)
                    if piece is None:
                        return
                    for shown in decoder.pictures(piece):
                        give(out, shown)
                        if stop.is_set():
                            return
                    give(out, None)
        except BaseException as error:
            first: _Out = Queue(1)  # in case its piece is not in line
            first.put(error)
            line.put(first)
            give(out, error)

    def go_on() -> bool:
        nonlocal signs
        signs += 1
        return not stop.is_set()

    def take(queue: Queue[_T]) -> _T:
        while True:
            before = signs
            try:
                return queue.get(timeout=deadline)
            except Empty:
                if signs == before:
                    raise TimeLimit(
                        f"{path} gave no frame for {deadline:g} s and was given up; "
                        "decode.deadline_seconds allows more."
                    ) from None

    threads = [Thread(target=work, name="decoder", daemon=True) for _ in range(workers)]
    for thread in threads:
        thread.start()
    try:
        working = workers
        while working:
            out = take(line)
            if out is None:
                working -= 1
                continue
            while (item := take(out)) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item
            room.release()
    finally:
        stop.set()
        room.release(workers)
        until = monotonic() + _LET_GO
        for thread in threads:
            if thread is not current_thread():  # which may be collecting what nobody holds any more
                thread.join(max(0.0, until - monotonic()))
