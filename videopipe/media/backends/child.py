"""A native back end in a process of its own, which can hang or die without harm to this one.

The process is not one of ``multiprocessing``: a worker of the local pool may not have such
children, and they would run the user's main module again.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn, Self

import numpy as np

from videopipe.errors import ConfigError, MediaError, TimeLimit
from videopipe.media.backends.native import Native, Source, Target, Unfit
from videopipe.media.decoder import Shown, Wanted
from videopipe.media.packets import PacketTable

_START_SECONDS = 120.0  # torch on a cold disk
_LET_GO = 5.0  # seconds; longer only if the system itself cannot let go of a killed process
_MAIN = """
import sys
from videopipe.media.backends import NATIVES
from videopipe.media.backends.child import serve
serve(int(sys.argv[1]), sys.argv[2], NATIVES[sys.argv[2]])
"""


class Died(Exception):
    """The process has ended by itself; the message says of what."""


class Child:
    """A process in which one back end is loaded; messages are pickled over a socket."""

    def __init__(self, name: str) -> None:
        self._socket, theirs = socket.socketpair()
        self._file = self._socket.makefile("rb")
        path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _MAIN, str(theirs.fileno()), name],
                stdin=subprocess.PIPE,  # nothing is ever written: it ends when this process does
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=os.environ | {"PYTHONPATH": path},
                pass_fds=[theirs.fileno()],
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, message: Any, seconds: float | None) -> None:
        """Raises Died, or TimeoutError when it is not taken for ``seconds``."""
        self._socket.settimeout(seconds)
        try:
            self._socket.sendall(pickle.dumps(message))
        except ConnectionError:
            self._dead()

    def receive(self, seconds: float | None) -> tuple[str, Any]:
        """The next message. Raises Died, or TimeoutError when nothing comes for ``seconds``."""
        self._socket.settimeout(seconds)
        try:
            kind, content = pickle.load(self._file)
        except (EOFError, ConnectionError, pickle.UnpicklingError):
            self._dead()
        return kind, content

    def kill(self) -> None:
        self._process.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_LET_GO)
        for end in (self._process.stdin, self._file, self._socket):
            if end is not None:
                end.close()

    def _dead(self) -> NoReturn:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_LET_GO)  # its own end says more than one by force
        self.kill()
        raise Died(_cause(self._process.returncode)) from None


class ChildDecoder:
    """A :class:`~videopipe.media.decoder.Decoder` whose work is done by a child process.

    The socket holds a few hundred kilobytes, so the child is at most one picture ahead or two.
    """

    def __init__(
        self, name: str, source: Source, table: PacketTable, deadline: float | None
    ) -> None:
        self._name, self._source, self._table = name, source, table
        self._deadline = deadline
        self._child: Child | None = None
        self.device = ""
        """On which the last picture was decoded: ``cpu`` or ``cuda``."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """The process at work, if there is one."""
        return self._child.pid if self._child else None

    def close(self) -> None:
        """End the child; the next call of :meth:`pictures` starts another."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    def pictures(self, wanted: Sequence[Wanted]) -> Iterator[Shown]:
        """As promised by ``Decoder``, in display order.

        Raises:
            MediaError: the back end cannot tell which frame is the right one, or died.
            ConfigError: the back end does not work here.
            TimeLimit: no picture came within the deadline.
        """
        if not wanted:
            return
        targets = self._targets(wanted)
        finished = False
        try:
            child = self._started()
            child.send(targets, self._deadline)
            for _ in targets:
                yield self._answer(child)
            finished = True
        except TimeoutError:
            raise TimeLimit(
                f"{self._source.path}: {self._name} showed no frame for {self._deadline:g} s and "
                "was stopped; raise decode.deadline_seconds or use decode.backend=pyav."
            ) from None
        except Died as death:
            raise self._failure(f"died of {death} while decoding") from None
        finally:
            if not finished:
                self.close()

    def _targets(self, wanted: Sequence[Wanted]) -> list[Target]:
        packets = np.array([packet for packet, _ in wanted], np.intp)
        ranks = self._table.ranks(packets).tolist()
        times = (self._table.pts.at(packets) * np.float64(self._table.tick)).tolist()
        found = zip(packets.tolist(), ranks, times, (sizes for _, sizes in wanted), strict=True)
        return sorted((Target(*each) for each in found), key=lambda target: target.rank)

    def _started(self) -> Child:
        if self._child is None:
            self._child = Child(self._name)
            if reason := trouble(self._child, self._name):
                raise ConfigError(f"{reason[:-1]}, or use decode.backend=pyav.")
            self._child.send(self._source, self._deadline)
        return self._child

    def _answer(self, child: Child) -> Shown:
        kind, content = child.receive(self._deadline)
        if kind != "shown":
            raise self._failure(content)
        packet, pictures, self.device = content
        return packet, pictures

    def _failure(self, what: str) -> MediaError:
        return refusal(self._source.path, self._name, what)


def refusal(path: Path, name: str, what: str) -> MediaError:
    """The sentence about a file that a back end cannot be used for; ``what`` is its predicate."""
    return MediaError(f"{path}: {name} {what}; use decode.backend=pyav.")


def trouble(child: Child, name: str) -> str | None:
    """One sentence why the back end could not be loaded into ``child``, ``None`` if it was."""
    try:
        kind, content = child.receive(_START_SECONDS)
    except Died as death:
        return f"{name} died of {death} while it was loaded; install it again."
    except TimeoutError:
        return f"{name} took over {_START_SECONDS:g} s to load; install it again."
    return None if kind == "loaded" else str(content)


def serve(line: int, name: str, native: type[Native]) -> None:
    """The child: load the back end, then show what is asked for until nobody asks any more."""
    import fcntl  # not on Windows, where this module must be importable

    # Ctrl-C goes to the whole group: the parent decides what happens to its children.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The end of the parent closes stdin, and the signal of that ends even native code that hangs
    # with the interpreter's lock in its hands.
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)
    with (
        socket.socket(fileno=line) as connection,
        connection.makefile("rwb") as file,
        suppress(EOFError, ConnectionError),  # the parent is gone
    ):

        def send(kind: str, content: Any) -> None:
            pickle.dump((kind, content), file, pickle.HIGHEST_PROTOCOL)
            file.flush()

        try:
            native.load()
        except Exception as error:
            send("unloaded", _unloaded(name, native, error))
            return
        send("loaded", None)
        try:
            decoder = native(pickle.load(file))
            while True:
                for shown in decoder.pictures(pickle.load(file)):
                    send("shown", (*shown, decoder.device))
        except (EOFError, ConnectionError):
            return
        except Unfit as reason:
            send("failed", str(reason))
        except Exception as error:
            send("failed", f"failed ({_line(error)})")


def _unloaded(name: str, native: type[Native], error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name == native.module:
        return f"{name} is not installed; pip install '{native.requirement}'."
    if isinstance(error, Unfit):
        return f"{name} {error}."
    return f"{name} cannot be imported ({_line(error)}); install it again."


def _cause(code: int | None) -> str:
    """What a process died of, by its return code; ``None`` if even SIGKILL has not ended it."""
    if code is None:
        return "unknown causes"
    if code >= 0:
        return f"exit {code}"
    names = {int(known): known.name for known in signal.Signals}
    return names.get(-code, f"signal {-code}")


def _line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
