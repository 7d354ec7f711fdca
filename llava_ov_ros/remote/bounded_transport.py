"""A transport whose responses end with an error where they are too long: a server may send bytes for ever."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx


class TooLongError(httpx.RequestError):
    """A response has more bytes than the request allows."""


class BoundedTransport(httpx.AsyncBaseTransport):
    """Bounds the body of each response to the bytes that `request.extensions["most_bytes"]` names."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request."""
        response = await self._inner.handle_async_request(request)
        assert isinstance(response.stream, httpx.AsyncByteStream)
        return httpx.Response(
            response.status_code,
            headers=response.headers,
            stream=_BoundedStream(response.stream, request.extensions["most_bytes"]),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._inner.aclose()


class _BoundedStream(httpx.AsyncByteStream):
    def __init__(self, inner: httpx.AsyncByteStream, most: int) -> None:
        self._inner = inner
        self._most = most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        total = 0
        async for part in self._inner:
            total += len(part)
            if total > self._most:
                raise TooLongError(f"a response of more than {self._most} bytes")
            yield part

    async def aclose(self) -> None:
        await self._inner.aclose()
