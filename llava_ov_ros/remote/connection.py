"""The connection to a server: requests on an event loop of its own, bounded in bytes and time."""

from __future__ import annotations

import asyncio
import json
import math
import ssl
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Mapping
from concurrent.futures import Future
from contextlib import aclosing, asynccontextmanager
from typing import Any, TypeVar

import httpx
from httpx_sse import EventSource, SSEError

from ..bounds import quoted, shortened
from .address import AddressError, read_key
from .remote_settings import RemoteSettings
from .server_error import ServerError

T = TypeVar("T")
# A line holds the log-probabilities of a whole prompt at most: 32,768 tokens of about 100 bytes.
MOST_LINE_BYTES = 8 * 2**20
MOST_RESPONSE_BYTES = 32 * 2**20
MOST_ERROR_BYTES = 64 * 2**10
LONGEST_WAIT_S = 3600.0
BUSY = (429, 503)
"""HTTP statuses of a server that works, but has no room now."""
FAILING = (500, 502, 504, 529)
"""HTTP statuses of a server, or of a proxy before it, that does not work now."""


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
            AddressError: A file of keys or certificates cannot be used.
        """
        self._address = address
        self._settings = settings
        key = read_key(settings.key_file, address)
        # Compressed bytes could become any number of bytes.
        headers = {"Accept-Encoding": "identity", "User-Agent": "llava_ov_ros"}
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        self._client = httpx.AsyncClient(
            headers=headers,
            transport=_Bounded(httpx.AsyncHTTPTransport(verify=_certificates(settings.ca_file))),
            # The engine bounds the time of a whole request; asyncio bounds the time to the first byte.
            timeout=httpx.Timeout(None, connect=settings.connect_s),
            follow_redirects=False,
        )
        self.bytes_sent = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="llava_ov_server", daemon=True)
        self._thread.start()

    def start(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine on the event loop; cancelling the future ends its requests."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def close(self) -> None:
        """End all requests and the event loop."""
        if self._loop.is_closed():
            return
        self.start(self._end()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._client.aclose()
        await asyncio.get_running_loop().shutdown_asyncgens()

    async def get(self, path: str) -> Any:
        """The JSON at a path behind the base URL, such as `/models`; or, with `../`, beside the URL's last part.

        Raises:
            ServerError: There is no JSON.
        """
        base = self._address if path[:3] != "../" else self._address.rpartition("/")[0]
        async with self._asked("GET", f"{base}/{path.removeprefix('../').lstrip('/')}") as response:
            return _json(await response.aread())

    async def post(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Send a chat completion and return the whole response.

        Raises:
            ServerError: The server did not answer.
        """
        async with self._asked("POST", f"{self._address}/chat/completions", body) as response:
            found = _json(await response.aread())
        if not isinstance(found, dict):
            raise ServerError(f"the server's response is no object: {shortened(str(found))}", is_down=True)
        return found

    async def events(self, body: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """Send a chat completion with streaming, and yield the events until the server says that the answer has ended.

        Raises:
            ServerError: The server did not answer, or ended in the middle of its answer.
        """
        async with (
            self._asked("POST", f"{self._address}/chat/completions", body) as response,
            aclosing(EventSource(response).aiter_sse()) as received,
        ):
            async for event in received:
                if event.data == "[DONE]":
                    return
                found = _json(event.data)
                if not isinstance(found, dict):
                    raise ServerError(f"an event of the server is no object: {shortened(event.data)}", is_down=True)
                if "error" in found:
                    raise _refusal(_status_in(found), found)
                yield found
        raise ServerError("the connection ended in the middle of the answer", again=True, is_down=True)

    @asynccontextmanager
    async def _asked(
        self, method: str, url: str, body: Mapping[str, Any] | None = None
    ) -> AsyncIterator[httpx.Response]:
        """A response with status 200 of which nothing but the head was read."""
        try:
            request = self._client.build_request(method, url, json=body)
            self.bytes_sent += int(request.headers.get("content-length", 0))
            # The connection has its own time-out, so this one is about a server that accepts and then says nothing.
            async with asyncio.timeout(self._settings.connect_s + self._settings.first_byte_s):
                response = await self._client.send(request, stream=True)
            try:
                if response.status_code != 200:
                    raise await _refused(response)
                if response.headers.get("content-encoding", "identity") != "identity":
                    raise ServerError("the server compresses its responses although it was asked not to")
                yield response
            finally:
                await response.aclose()
        except TimeoutError:
            raise ServerError(
                f"the server sent no byte within remote_first_byte_s {self._settings.first_byte_s:g}",
                again=True,
                is_down=True,
            ) from None
        except httpx.ConnectTimeout:
            text = f"no connection within remote_connect_s {self._settings.connect_s:g}"
            raise ServerError(text, again=True, is_down=True) from None
        except httpx.ConnectError as error:
            raise ServerError(f"no connection: {_reason(error)}", again=True, is_down=True) from None
        except SSEError as error:
            raise ServerError(f"the server does not stream: {shortened(str(error))}", is_down=True) from None
        except httpx.HTTPError as error:
            raise ServerError(f"the connection failed: {_reason(error)}", again=True, is_down=True) from None


class _Bounded(httpx.AsyncBaseTransport):
    """A transport whose responses end with an error if a line or the whole is too long."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        assert isinstance(response.stream, httpx.AsyncByteStream)
        return httpx.Response(
            response.status_code,
            headers=response.headers,
            stream=_BoundedStream(response.stream),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        await self._inner.aclose()


class _BoundedStream(httpx.AsyncByteStream):
    def __init__(self, inner: httpx.AsyncByteStream) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        total = line = 0
        async for part in self._inner:
            total += len(part)
            behind = part.rpartition(b"\n")[2]
            line = len(behind) if len(behind) < len(part) else line + len(part)
            if line > MOST_LINE_BYTES:
                raise httpx.RemoteProtocolError(f"a line of more than {MOST_LINE_BYTES} bytes")
            if total > MOST_RESPONSE_BYTES:
                raise httpx.RemoteProtocolError(f"a response of more than {MOST_RESPONSE_BYTES} bytes")
            yield part

    async def aclose(self) -> None:
        await self._inner.aclose()


def _certificates(file: str) -> ssl.SSLContext | bool:
    if not file:
        return True
    try:
        return ssl.create_default_context(cafile=file)
    except (OSError, ssl.SSLError) as error:
        raise AddressError(f"remote_ca_file {quoted(file)} cannot be used: {error.strerror or error}") from None


def _json(text: bytes | str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        said = text if isinstance(text, str) else text.decode("utf-8", errors="replace")
        raise ServerError(f"the server sent no JSON: {shortened(said)!r}", is_down=True) from None


async def _refused(response: httpx.Response) -> ServerError:
    """The error of a response whose status is not 200."""
    if response.is_redirect:
        place = shortened(response.headers.get("location", "nowhere"))
        return ServerError(f"the server sends requests on to {place}: if that is right, give this address as model")
    text = b""
    async for part in response.aiter_bytes():
        text += part
        if len(text) > MOST_ERROR_BYTES:
            break
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = text.decode("utf-8", errors="replace")
    return _refusal(response.status_code, found, _seconds(response.headers.get("retry-after")))


def _refusal(status: int, found: object, wait_s: float | None = None) -> ServerError:
    """The error of a response, or of an event, with an error inside."""
    error = found.get("error", found) if isinstance(found, dict) else found
    said = error.get("message", error) if isinstance(error, dict) else error
    text = f"the server says {status}: {shortened(' '.join(str(said).split()))}"
    if status in (401, 403):
        text += "; remote_key_file names the file with the key"
    return ServerError(
        text,
        status=status,
        again=status in BUSY or status in FAILING,
        is_down=status in FAILING or status == 503,
        wait_s=wait_s,
    )


def _status_in(found: Mapping[str, Any]) -> int:
    error = found["error"]
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) else 500


def _seconds(header: str | None) -> float | None:
    try:
        seconds = float(header or "")
    except ValueError:
        return None
    return min(seconds, LONGEST_WAIT_S) if seconds >= 0 and math.isfinite(seconds) else None


def _reason(error: Exception) -> str:
    return shortened(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
