"""The connection to a server: requests on an event loop of its own, bounded in bytes and time."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Mapping
from concurrent.futures import Future
from contextlib import aclosing, asynccontextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, TypeVar

import httpx
from httpx_sse import EventSource

from ..bounds import quoted
from .address import AddressError, read_key
from .bounded_transport import BoundedTransport
from .remote_settings import RemoteSettings
from .server_error import ClosedError, NoResponseError, ServerError, cited
from .server_refusals import TLS_ERRORS, reason_of, refusal, seconds_to_wait, status_in

T = TypeVar("T")
# The log-probabilities of a whole prompt: 32,768 tokens of about 100 bytes.
MOST_RESPONSE_BYTES = 8 * 2**20
MOST_ERROR_BYTES = 64 * 2**10
MOST_EVENT_BYTES = 4096
"""Bytes of a stream for each token allowed; vLLM sends about 400 with log-probabilities."""
MOST_STREAM_BYTES = 64 * 2**20
LEAST_SECRET = 8
"""Characters from which on a key is taken for a secret."""
LONGEST_IDLE_S = 2.0
"""How long a connection is kept for the next request: uvicorn, below vLLM, closes after 5 s, and a request that is sent
just then is lost."""
LONGEST_END_S = 5.0
"""Longest time that requests may take to end when the connection is closed."""
KEEP_ALIVE = [
    # A cable that is cut in the middle of an answer is noticed after half a minute, also where there is no deadline.
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4),
]


class Connection:
    """Sends requests to one server from any thread. `close` ends all requests.

    Attributes:
        bytes_sent: Bytes of the bodies of all requests.
    """

    def __init__(self, address: str, settings: RemoteSettings) -> None:
        """Start the event loop; nothing is sent yet.

        Args:
            address: The checked base URL.
            settings: Time-outs, and the files of keys and certificates.

        Raises:
            AddressError: The address, or a file of keys or certificates, cannot be used.
        """
        self._address = address
        self._settings = settings
        self._key = read_key(settings.key_file, address)
        # Compressed bytes could become any number of bytes.
        headers = {"Accept-Encoding": "identity", "User-Agent": "llava_ov_ros"}
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key}"
        try:
            base = httpx.URL(address)
            host = base.host
        except (httpx.InvalidURL, ValueError) as error:
            raise AddressError(f"the address {quoted(address)} cannot be used: {error}") from None
        if not host:
            raise AddressError(f"the address {quoted(address)} has no host")
        transport = httpx.AsyncHTTPTransport(
            verify=_certificates(settings.ca_file),
            limits=httpx.Limits(max_connections=None, keepalive_expiry=LONGEST_IDLE_S),
            socket_options=KEEP_ALIVE,
        )
        self._client = httpx.AsyncClient(
            headers=headers,
            # Cookies would only pile up.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            transport=BoundedTransport(transport),
            # The engine bounds the time of a whole request.
            timeout=httpx.Timeout(None, connect=settings.connect_s, read=settings.silence_s),
            follow_redirects=False,
        )
        self.bytes_sent = 0
        self._process = os.getpid()
        # A finaliser may close the connection while this very thread starts a request.
        self._closing = threading.RLock()
        self._is_closed = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="llava_ov_server", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()

    def start(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine on the event loop; cancelling the future ends its requests.

        Raises:
            ClosedError: The connection has been closed, or belongs to another process.
        """
        with self._closing:
            # A forked process has the connection, but not the thread of its event loop.
            if self._is_closed or os.getpid() != self._process:
                work.close()
                raise ClosedError
            return asyncio.run_coroutine_threadsafe(work, self._loop)

    def close(self) -> None:
        """End all requests and the event loop; called again, or in a forked process, it does nothing."""
        if os.getpid() != self._process:
            return
        with self._closing:
            if not self._is_closed:
                self._is_closed = True
                asyncio.run_coroutine_threadsafe(self._end(), self._loop)
        # A finaliser may run on the event loop's own thread, which cannot wait for itself.
        if threading.current_thread() is not self._thread:
            self._thread.join()

    async def _end(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in others:
                task.cancel()
            async with asyncio.timeout(LONGEST_END_S):
                await asyncio.gather(*others, return_exceptions=True)
                await self._client.aclose()
                await loop.shutdown_asyncgens()
        except TimeoutError:
            pass
        finally:
            loop.stop()

    async def get(self, path: str) -> Any:
        """The JSON at a path behind the base URL, such as `/models`; or, with `../`, beside the URL's last part.

        Raises:
            ServerError: There is no JSON.
        """
        base = self._address if path[:3] != "../" else self._address.rpartition("/")[0]
        async with self._asked("GET", f"{base}/{path.removeprefix('../').lstrip('/')}") as response:
            return self._json(await response.aread())

    async def post(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Send a chat completion and return the whole response.

        Raises:
            ServerError: The server did not answer.
        """
        async with self._asked("POST", f"{self._address}/chat/completions", body) as response:
            found = self._json(await response.aread())
        if not isinstance(found, dict):
            raise ServerError(f"the server's response is no object: {cited(found)}", is_down=True)
        if error := _error_in(found):
            raise error
        return found

    async def events(self, body: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """Send a chat completion with streaming, and yield the events until the server ends its response.

        Raises:
            ServerError: The server did not answer, or the connection was cut.
        """
        most = min(MOST_ERROR_BYTES + MOST_EVENT_BYTES * int(body["max_tokens"]), MOST_STREAM_BYTES)
        async with self._asked("POST", f"{self._address}/chat/completions", body, most) as response:
            kind = response.headers.get("content-type", "nothing")
            if "text/event-stream" not in kind:
                said = self._said(await response.aread())
                raise ServerError(
                    f"the server does not stream: it sent {self._said(kind.encode())}: {said!r}", is_down=True
                )
            # Event streams are UTF-8, whatever a server declares, and may begin with a byte order mark.
            response.encoding = "utf-8-sig"
            async with aclosing(EventSource(response).aiter_sse()) as received:
                async for event in received:
                    if event.data == "[DONE]":
                        return
                    if not event.data:
                        continue
                    found = self._json(event.data)
                    if not isinstance(found, dict):
                        raise ServerError(f"an event of the server is no object: {cited(found)}", is_down=True)
                    if error := _error_in(found):
                        raise error
                    yield found

    @asynccontextmanager
    async def _asked(
        self, method: str, url: str, body: Mapping[str, Any] | None = None, most_bytes: int = MOST_RESPONSE_BYTES
    ) -> AsyncIterator[httpx.Response]:
        """A response with status 200 of which nothing but the head was read."""
        silence_s = self._settings.silence_s
        try:
            request = self._client.build_request(method, url, json=body, extensions={"most_bytes": most_bytes})
            self.bytes_sent += int(request.headers.get("content-length", 0))
            try:
                # httpx bounds each step; this is about all of them, also of a server that reads slowly.
                async with asyncio.timeout(self._settings.connect_s + silence_s):
                    response = await self._client.send(request, stream=True)
            except TimeoutError:
                # Not sent again: that would take the time in which another model can answer.
                text = f"the server sent nothing for remote_silence_s {silence_s:g}"
                raise NoResponseError(text, is_down=True) from None
            try:
                if response.headers.get("content-encoding", "identity").lower() != "identity":
                    raise ServerError("the server compresses its responses although it was asked not to", is_down=True)
                if response.status_code != 200:
                    raise await self._refused(response)
                yield response
            finally:
                await response.aclose()
        except httpx.ReadTimeout:
            text = f"the server sent nothing for remote_silence_s {silence_s:g}"
            raise NoResponseError(text, is_down=True) from None
        except httpx.ConnectTimeout:
            text = f"no connection within remote_connect_s {self._settings.connect_s:g}"
            raise ServerError(text, again=True, is_down=True) from None
        except httpx.ConnectError as error:
            reason = reason_of(error)
            if any(kind in reason for kind in TLS_ERRORS):
                text = f"the server's certificate is not trusted ({reason}): name its authority's in remote_ca_file"
                raise NoResponseError(text, is_down=True) from None
            raise ServerError(f"no connection: {reason}", again=True, is_down=True) from None
        except httpx.HTTPError as error:
            raise ServerError(f"the connection failed: {reason_of(error)}", again=True, is_down=True) from None

    async def _refused(self, response: httpx.Response) -> ServerError:
        """The error of a response whose status is not 200."""
        if response.is_redirect:
            place = self._said(response.headers.get("location", "").encode())
            return ServerError(
                f"the server sends requests on to {place}: if that is right, give this address as model",
                status=response.status_code,
            )
        text = b""
        async for part in response.aiter_bytes():
            text += part
            if len(text) > MOST_ERROR_BYTES:
                break
        found: object
        try:
            found = self._json(text)
        except ServerError:
            found = self._said(text)
        return refusal(response.status_code, found, seconds_to_wait(response.headers.get("retry-after")))

    def _json(self, sent: bytes | str) -> Any:
        text = sent if isinstance(sent, str) else sent.decode("utf-8-sig", errors="replace")
        try:
            # Once more after reading: escapes may hide the key in the text.
            return self._kept_secret(json.loads(self._without_key(text)))
        except (ValueError, RecursionError):
            said = cited(self._without_key(text))
            raise ServerError(f"the server sent no JSON: {said!r}", is_down=True) from None

    def _kept_secret(self, found: Any) -> Any:
        """JSON values without the key in any text."""
        if self._key is None:
            return found
        if isinstance(found, str):
            return self._without_key(found)
        if isinstance(found, list):
            return [self._kept_secret(one) for one in found]
        if isinstance(found, dict):
            return {name: self._kept_secret(value) for name, value in found.items()}
        return found

    def _said(self, sent: bytes) -> str:
        """What the server sent, for a message."""
        return cited(self._without_key(sent.decode("utf-8", errors="replace")))

    def _without_key(self, text: str) -> str:
        """A text without the key: some servers and proxies repeat the headers of a request in their errors."""
        # A word such as EMPTY, for servers that ask for any key, is no secret, and may be part of an answer.
        return text if self._key is None or len(self._key) < LEAST_SECRET else text.replace(self._key, "***")


def _certificates(file: str) -> ssl.SSLContext | bool:
    if not file:
        return True
    try:
        return ssl.create_default_context(cafile=file)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise AddressError(f"remote_ca_file {quoted(file)} cannot be used: {reason}") from None


def _error_in(found: Mapping[str, Any]) -> ServerError | None:
    """The error that a response with status 200 holds, as vLLM sends it in the middle of a stream."""
    if not found.get("error") and found.get("object") != "error":
        return None
    return refusal(status_in(found), found)
