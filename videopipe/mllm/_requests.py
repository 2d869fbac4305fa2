"""One request to a server: its address, the key, and what goes wrong on the way."""

from __future__ import annotations

import base64
import io
import json
import os
import urllib.request
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import unquote, urljoin, urlsplit

import aiohttp

from videopipe.errors import ConfigError
from videopipe.mllm._answers import Fault, refusal, safe, words
from videopipe.types import Url

KEY = "OPENAI_API_KEY"
_T = TypeVar("_T")


def key() -> str | None:
    """The key, from the environment alone.

    Raises:
        ConfigError: it cannot be one.
    """
    value = os.environ.get(KEY, "").strip()
    if not value.isascii() or not value.isprintable():
        raise ConfigError(f"{KEY} holds characters that no key has; set it again.")
    return value or None


class Endpoint:
    """A server at ``address``; ``str`` of it is safe to show.

    ``silence_seconds`` is how long it may say nothing. A user and password in the address are sent
    in place of the key.

    Raises:
        ConfigError: ``address`` is no http(s) URL.
    """

    def __init__(self, address: str, silence_seconds: float) -> None:
        try:
            self._parts = urlsplit(address.strip())
            named = bool(self._parts.hostname) and self._parts.port != 0
        except ValueError:
            named = False
        if not named or self._parts.scheme not in ("http", "https"):
            shown = safe(address.rpartition("@")[2].partition("?")[0], os.environ.get(KEY))
            raise ConfigError(
                f"The server address '{shown}' is no http:// or https:// URL, "
                "such as http://localhost:8000/v1."
            )
        self._silence_seconds = silence_seconds

    def __str__(self) -> str:
        return str(Url(self._parts.geturl()))

    @property
    def has_user(self) -> bool:
        """Whether a user stands in the address."""
        return self._parts.username is not None

    def session(self) -> aiohttp.ClientSession:
        """What requests are made in; how many at once is up to the caller."""
        silence = self._silence_seconds
        return aiohttp.ClientSession(
            headers={"User-Agent": "videopipe"} | self._authorization(),
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=silence, sock_read=silence),
        )

    async def exchange(
        self,
        session: aiohttp.ClientSession,
        method: str,
        place: str,
        read: Callable[[aiohttp.ClientResponse], Awaitable[_T]],
        body: dict[str, Any] | None = None,
    ) -> _T:
        """What ``read`` makes of the answer to a request for ``place``.

        Raises:
            Fault: whatever went wrong, on the way or there.
        """
        path = f"{self._parts.path.rstrip('/')}/{place}"
        url = self._parts._replace(netloc=self._host, path=path, fragment="").geturl()
        data = None if body is None else io.BytesIO(json.dumps(body).encode())
        headers = {"Content-Type": "application/json"} if data else None
        try:
            async with session.request(
                method,
                url,
                data=data,
                headers=headers,
                proxy=self._proxy(),
                allow_redirects=False,  # the key and the frames go where they were sent
            ) as response:
                if response.status in (301, 302, 303, 307, 308):
                    there = Url(urljoin(url, response.headers.get("Location", "")))
                    raise Fault("has moved, correct --base-url", message=str(there))
                if response.status < 400:
                    return await read(response)
                after = response.headers.get("Retry-After")
                raise refusal(response.status, await words(response), after)
        except aiohttp.ClientSSLError:
            raise Fault(
                "allows no secure connection; see that https and its certificate are right"
            ) from None
        except aiohttp.ClientConnectorError as error:
            known = error.errno is not None and error.errno > 0
            reason = os.strerror(error.errno or 0) if known else "not found"
            raise Fault(
                f"cannot be reached ({reason}); start it, or correct --base-url", again=True
            ) from None
        except TimeoutError:
            raise Fault(f"was silent for {self._silence_seconds:g} s", again=True) from None
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError):
            raise Fault("broke off the connection", again=True) from None
        except aiohttp.ClientError as error:
            raise Fault(f"cannot be talked to over HTTP ({type(error).__name__})") from None

    @property
    def _host(self) -> str:
        return self._parts.netloc.rpartition("@")[2]

    def _authorization(self) -> dict[str, str]:
        secret, user = key(), self._parts.username
        if user is not None:
            password = unquote(self._parts.password or "")
            basic = base64.b64encode(f"{unquote(user)}:{password}".encode()).decode()
            return {"Authorization": f"Basic {basic}"}
        return {"Authorization": f"Bearer {secret}"} if secret else {}

    def _proxy(self) -> str | None:
        # aiohttp's own look at the environment would also send what it finds in .netrc.
        if urllib.request.proxy_bypass(self._host):
            return None
        return urllib.request.getproxies().get(self._parts.scheme)
