"""A web server of files with range requests, which counts what it sends and can misbehave."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Lock, Thread
from urllib.parse import unquote, urlsplit

RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass
class WebServer:
    """Serves the files of ``folder`` at ``url``; what it does wrong can be changed at any time.

    ``sent`` are the bytes of all answers' bodies, ``asked`` the requests for ranges that were
    answered. ``status`` refuses everything. ``faults`` is how many of the next requests for data
    are not answered as they should: by silence (``silent``) or by breaking off in the middle.
    ``etag`` is that of all files, none if empty.
    """

    folder: Path
    ranges: bool = True
    status: int = 0
    faults: int = 0
    silent: bool = False
    sent: int = 0
    asked: int = 0
    etag: str = '"1"'
    port: int = 0
    lock: Lock = field(default_factory=Lock)
    over: Event = field(default_factory=Event)

    def url(self, name: str, user: str = "") -> str:
        """The address of a file."""
        return f"http://{user}127.0.0.1:{self.port}/{name}"

    def forget(self) -> None:
        """Count from here."""
        self.sent = self.asked = 0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served: WebServer

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, body: bool) -> None:
        served = self.served
        file = served.folder / unquote(urlsplit(self.path).path).lstrip("/")
        status = served.status or (200 if file.is_file() else 404)
        if status != 200:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if self.headers.get("If-Match", served.etag) != served.etag:
            self.send_response(412)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        size = file.stat().st_size
        begin, end = 0, size - 1
        found = RANGE.match(self.headers.get("Range", "")) if served.ranges else None
        if found:
            begin, end = int(found[1]), min(int(found[2] or end), end)
        self.send_response(206 if found else 200)
        if found:
            self.send_header("Content-Range", f"bytes {begin}-{end}/{size}")
        self.send_header("Content-Length", str(end - begin + 1))
        if served.etag:
            self.send_header("ETag", served.etag)
        self.end_headers()
        if not body:
            return
        with served.lock:
            served.asked += bool(found)
            faulty = bool(found) and served.faults > 0
            served.faults -= faulty
        if faulty and served.silent:
            served.over.wait()
        with file.open("rb") as stream:
            stream.seek(begin)
            left = (end - begin + 1) // (2 if faulty else 1)
            while left:
                data = stream.read(min(left, 65_536))
                try:
                    self.wfile.write(data)
                except OSError:  # the other side has had enough
                    self.close_connection = True
                    return
                left -= len(data)
                with served.lock:
                    served.sent += len(data)
        if faulty:
            self.close_connection = True


@contextmanager
def web_server(folder: Path) -> Iterator[WebServer]:
    """A server on a port of its own for as long as the context lasts."""
    served = WebServer(folder)
    handler = type("Handler", (_Handler,), {"served": served})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    served.port = server.server_address[1]
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield served
    finally:
        served.over.set()
        server.shutdown()
        server.server_close()
        thread.join()
