"""Bounds on the server's connections: how many there are, and how long one may keep the server waiting."""

from __future__ import annotations

import asyncio
import socket

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

REQUEST_S = 10.0
"""Seconds in which a connection must have sent the head of a request."""
SEND_BUFFER_BYTES = 128 * 1024
"""What the kernel may hold for a browser that is slow: some pictures, and not minutes of them."""


class BoundedHttp(H11Protocol):
    """A connection that speaks HTTP, one of at most `most`.

    Above that, the oldest connection that waits for a request gives way to the new one, so that idle connections keep
    nobody out.
    """

    most = 128
    began_s = 0.0
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, or end it at once."""
        if len(self.connections) >= self.most and not self._make_room():
            self.transport = transport
            transport.abort()
            return
        connection = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        self.began_s = self.loop.time()
        super().connection_made(transport)
        self._timer = self.loop.call_later(REQUEST_S, self._end_if_nothing_came)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end of a connection."""
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def _make_room(self) -> bool:
        waiting = [one for one in self.connections if isinstance(one, BoundedHttp) and one.is_waiting()]
        if not waiting:
            return False
        oldest = min(waiting, key=lambda one: one.began_s)
        self.connections.discard(oldest)
        oldest.transport.abort()
        return True

    def is_waiting(self) -> bool:
        """Whether no request is being answered."""
        return self.cycle is None or bool(self.cycle.response_complete)

    def _end_if_nothing_came(self) -> None:
        if self in self.connections and self.cycle is None:
            self.transport.abort()


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """A WebSocket whose connection ends when the browser does not answer a ping, however much still waits for it."""

    def keepalive_timeout(self) -> None:
        """End the connection without waiting for what was not sent."""
        super().keepalive_timeout()
        self.transport.abort()


def http_protocol(most: int) -> type[BoundedHttp]:
    """The protocol class for at most so many connections."""
    return type("BoundedHttpOfServer", (BoundedHttp,), {"most": most})
