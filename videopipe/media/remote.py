"""Files elsewhere, read through fsspec by ranges; no part is asked for twice while it is held."""

from __future__ import annotations

import os
import re
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from threading import Lock
from time import sleep
from typing import Any, Generic, TypeVar
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from videopipe import types
from videopipe.errors import MediaError, NotFound, VideopipeError
from videopipe.types import Location, Url

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)  # one letter is a Windows drive
_BLOCK = 65_536  # bytes
_MOST = 32  # blocks asked for at once
_HELD = 1024  # blocks in memory, of all files together: 64 MiB
_REMEMBERED = 16  # files whose size and version are known
_SILENCE = 20.0  # seconds without a byte after which a server is given up
_LONGEST = 120.0  # seconds that an answer may take in all
_PAUSES = (0.2, 1.0)  # seconds before trying again what may have been a passing fault
_HEADERS = {"Accept-Encoding": "identity"}
_VERSION = ("etag", "content-md5", "md5", "last-modified", "lastmodified", "mtime", "created")
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


def location(name: str | Location) -> Location:
    """What a user's text names: a local file if there is one of that name, else a URL if it is one.

    ``file://`` URLs are local files.
    """
    if not isinstance(name, str):
        return name
    scheme = _SCHEME.match(name)
    if not scheme or os.path.exists(name):  # noqa: PTH110 (Path fails on names that are too long)
        return Path(name)
    if scheme[1].lower() == "file":
        return Path(unquote(urlsplit(name).path))
    return Url(name)


def stamp(path: Location) -> tuple[int, int]:
    """Size in bytes and a number that changes with the content; for a URL as its server says now.

    Where the server tells neither ETag nor time, the number is another one each time.

    Raises:
        NotFound, MediaError: as for :func:`reading`.
    """
    if isinstance(path, Path):
        return types.stamp(path)
    from hashlib import sha256

    remote = _look_up(path)
    return remote.size, int(sha256(remote.state.encode()).hexdigest()[:15], 16)


def remote_id(url: Url) -> str:
    """Digest of the address, and of size and version (ETag, times) as the server says now.

    Raises:
        NotFound, MediaError: as for :func:`reading`.
    """
    from hashlib import sha256

    remote = _look_up(url)
    return sha256(f"{url.address}\n{remote.size}\n{remote.version}".encode()).hexdigest()[:32]


@contextmanager
def reading(url: Url) -> Iterator[RemoteFile]:
    """The file at ``url``, for as long as the context lasts, in the version that was found last.

    One that was replaced meanwhile is an error, if it comes by HTTP with a strong ETag from a
    server that heeds If-Match. Otherwise it is not noticed, and old parts that are held may be
    mixed with new ones until it is probed again.

    Raises:
        NotFound: the server does not have it.
        MediaError: it cannot be read, said on entering or, whatever became of an error of
            ``read`` meanwhile, on leaving.
    """
    file = RemoteFile(url, _known(url))
    try:
        yield file
    except Exception:
        if file.fault is not None:
            raise file.fault from None
        raise
    if file.fault is not None:
        raise file.fault


@dataclass(frozen=True, slots=True)
class _Remote:
    """A file that was found: ``path`` in the file system ``files``, ``size`` in bytes.

    ``version`` is all that its server tells of it, maybe nothing; ``state`` then is of this one
    look-up. ``etag`` is a strong one of HTTP, else empty.
    """

    files: Any
    path: str
    size: int
    version: str
    state: str
    etag: str


class RemoteFile:
    """A file as PyAV reads it: ``read``, ``seek`` and ``tell``.

    libav takes a failed read for the end of the file at times, so a fault is kept, and after the
    first one nothing more can be read.
    """

    def __init__(self, url: Url, remote: _Remote) -> None:
        self.fault: BaseException | None = None
        self._url, self._remote = url, remote
        self._file: Any = None
        self._at = 0

    @property
    def size(self) -> int:
        """In bytes."""
        return self._remote.size

    def tell(self) -> int:
        """Where the next read begins."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Read from there next."""
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        return self._at

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes, fewer at the end of a block, none at the end of the file."""
        if self.fault is not None:
            raise OSError("an earlier read failed")
        if not 0 <= self._at < self.size:
            return b""
        number, begin = divmod(self._at, _BLOCK)
        try:
            data = self._block(number)[begin : begin + size]
        except BaseException as fault:
            # Between here and Python is C, which would lose an interruption.
            self.fault = fault
            raise OSError("this read failed") from None
        self._at += len(data)
        return data

    def _block(self, number: int) -> bytes:
        """Asks for as many blocks more as are held right before, so a long stretch needs few."""
        file = self._url, self.size, self._remote.state
        block = _blocks.get((file, number))
        if block is not None and len(block) == min(_BLOCK, self.size - number * _BLOCK):
            return block
        before = 0
        while before < _MOST and (file, number - before - 1) in _blocks:
            before += 1
        last = min(number + max(before, 1), -(-self.size // _BLOCK))
        after = number + 1
        while after < last and (file, after) not in _blocks:
            after += 1
        data = self._ask(number * _BLOCK, min(after * _BLOCK, self.size))
        for place in range(after - number):
            _blocks.put((file, number + place), data[place * _BLOCK : (place + 1) * _BLOCK])
        return data[:_BLOCK]

    def _ask(self, start: int, stop: int) -> bytes:
        for pause in (*_PAUSES, None):
            try:
                if self._file is None:
                    self._file = _open(self._url, self._remote)
                self._file.seek(start)
                data: bytes = self._file.read(stop - start)
                if len(data) == stop - start:
                    return data
                raise ConnectionError("fewer bytes came than were asked for")
            except Exception as error:  # whatever the drivers of fsspec raise
                if isinstance(error, ValueError) and _is_http(self._url):
                    # The server sent more than it was asked for.
                    raise _no_ranges(self._url) from None
                if pause is None or not _may_pass(error):
                    raise _said(self._url, error) from None
                sleep(pause)
        raise AssertionError


class _Recent(Generic[_Key, _Value]):
    """What was used last, ``most`` of it; safe for threads."""

    def __init__(self, most: int) -> None:
        self._most, self._lock = most, Lock()
        self._held: OrderedDict[_Key, _Value] = OrderedDict()

    def __contains__(self, key: _Key) -> bool:
        return key in self._held

    def get(self, key: _Key) -> _Value | None:
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
            return self._held.get(key)

    def put(self, key: _Key, value: _Value) -> None:
        with self._lock:
            self._held[key] = value
            self._held.move_to_end(key)
            while len(self._held) > self._most:
                self._held.popitem(last=False)


# A block is known by its file's address, size and state, and its number in it.
_blocks: _Recent[tuple[tuple[Url, int, str], int], bytes] = _Recent(_HELD)
_found: _Recent[Url, _Remote] = _Recent(_REMEMBERED)


def _known(url: Url) -> _Remote:
    """As it was found last: the parts of one reading belong together."""
    return _found.get(url) or _look_up(url)


def _look_up(url: Url) -> _Remote:
    import fsspec

    try:
        fsspec.get_filesystem_class(url.address.partition("://")[0].lower())
    except ValueError:
        raise MediaError(f"{url} cannot be read: what stands before :// is not known.") from None
    except ImportError as error:
        needed = "pip install 'videopipe[s3]'" if url.address.startswith("s3") else str(error)
        raise MediaError(f"{url} needs a package that is not here: {needed}.") from None
    try:
        files, path = fsspec.core.url_to_fs(url.address, **_options(url))
        facts = files.info(path)
    except Exception as error:  # whatever the drivers of fsspec raise
        raise _said(url, error) from None
    if facts.get("type") == "directory":
        raise MediaError(f"{url} is a directory; name a video file.")
    if facts.get("size") is None or facts.get("partial") is False:
        raise _no_ranges(url)
    if not facts["size"]:
        raise MediaError(f"{url} is empty (0 bytes).")
    named = {key.lower(): value for key, value in facts.items()}
    version = " ".join(str(named[key]) for key in _VERSION if named.get(key))
    etag = facts.get("ETag", "") if _is_http(url) else ""
    remote = _Remote(
        files=files,
        path=path,
        size=int(facts["size"]),
        version=version,
        state=version or uuid4().hex,
        etag=etag if etag.startswith('"') else "",
    )
    _found.put(url, remote)
    return remote


def _open(url: Url, remote: _Remote) -> Any:
    known: dict[str, Any] = {}  # drivers other than HTTP's may not take any of it
    if _is_http(url):
        known["size"] = remote.size  # spares asking the server once more
        if remote.etag:
            known["headers"] = _HEADERS | {"If-Match": remote.etag}
    return remote.files.open(remote.path, "rb", block_size=_BLOCK, cache_type="none", **known)


def _options(url: Url) -> dict[str, Any]:
    if not _is_http(url):
        return {}
    from aiohttp import ClientTimeout

    timeout = ClientTimeout(total=_LONGEST, sock_connect=_SILENCE, sock_read=_SILENCE)
    return {"client_kwargs": {"timeout": timeout}, "headers": _HEADERS}


def _is_http(url: Url) -> bool:
    return url.address.lower().startswith(("http://", "https://"))


def _cause(error: BaseException) -> BaseException:
    """fsspec says "not found" of whatever happened to HTTP, and keeps the reason as cause."""
    return error.__cause__ if isinstance(error, FileNotFoundError) and error.__cause__ else error


def _may_pass(error: BaseException) -> bool:
    status = getattr(error, "status", None)
    if status is not None:
        return bool(status == HTTPStatus.TOO_MANY_REQUESTS or status >= 500)
    lasting = (TimeoutError, FileNotFoundError, PermissionError)
    return not isinstance(error, lasting)


def _said(url: Url, error: BaseException) -> VideopipeError:
    """One sentence for what a driver of fsspec raised. Its own may hold the whole address."""
    error = _cause(error)
    status = getattr(error, "status", None)
    if isinstance(error, FileNotFoundError) or status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
        return NotFound(f"{url} does not exist.")
    if isinstance(error, PermissionError) or status in (
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
    ):
        return MediaError(f"{url} may not be read: the server refuses it without permission.")
    if status == HTTPStatus.PRECONDITION_FAILED:
        return MediaError(f"{url} has changed on the server; probe it again.")
    if status is not None:
        return MediaError(f"{url} cannot be read: the server answers {status}; try again later.")
    if isinstance(error, TimeoutError):
        return MediaError(
            f"{url} cannot be read: the server did not answer for {_SILENCE:g} s; try again later."
        )
    return MediaError(
        f"{url} cannot be read ({type(error).__name__}): check the address and the connection."
    )


def _no_ranges(url: Url) -> MediaError:
    return MediaError(
        f"{url} cannot be read in parts: its server does not support range requests; "
        "download the file first."
    )
