"""The process of the page: the ROS client, and a server for browsers, each in a thread of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any

from uvicorn import Config, Server

from ..node.allocator import keep_large_blocks
from .access import Access, is_loopback
from .app import WebApp
from .board import Board
from .browsers import Browsers
from .connections import BoundedWebSocket, http_protocol
from .handover import Handover
from .node_client import NodeClient

CONNECTIONS_PER_CLIENT = 4
"""Connections that the server takes for each browser: its events, and what it loads and asks meanwhile."""
MOST_MESSAGE_BYTES = 1024
"""Largest message of a browser on its WebSocket."""
BACKLOG = 64
END_S = 2
WAIT_S = 0.5


class WebServerError(RuntimeError):
    """The page cannot be served as asked; the text says what to change."""


class NeedsTokenError(WebServerError):
    """Other machines could open the page, and no token is given."""


def listening(host: str, port: int) -> socket.socket:
    """Open the socket of the server.

    Args:
        host: The address, or a name of it.
        port: The port; 0: any that is free.

    Raises:
        WebServerError: The address is unknown, or the port is taken.
    """
    try:
        (family, _, _, _, address), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        opened = socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        raise WebServerError(f"cannot listen on {host}, port {port}: {error.strerror or error}") from None
    opened.setblocking(False)
    return opened


def serve(
    node_name: str,
    host: str,
    port: int,
    *,
    token: str | None = None,
    clients: int = 32,
    names: Sequence[str] = (),
    on_ready: Callable[[str], None],
) -> None:
    """Serve the page until the main thread is told to stop (KeyboardInterrupt, SystemExit).

    Args:
        node_name: Fully qualified name of the node.
        host: Address to listen on. Any other than that of this machine alone needs a token.
        port: Port to listen on; 0: any that is free.
        token: What users of the page have to give; None: nothing.
        clients: Most browsers at a time.
        names: Further names of the server, such as that of a proxy.
        on_ready: Called with the page's address when it can be opened.

    Raises:
        NeedsTokenError: The address needs a token.
        WebServerError: The address cannot be used.
    """
    if token is None and not is_loopback(host):
        raise NeedsTokenError(
            f"{host} can be reached from other machines: give a token (--token-file), or listen on 127.0.0.1"
        )
    keep_large_blocks()
    opened = listening(host, port)
    shown = f"[{host}]" if ":" in host else host
    running = _Running(node_name, opened, Access(host, token, names), clients)
    try:
        running.wait_until_up()
        on_ready(f"http://{shown}:{opened.getsockname()[1]}/")
        running.wait()
    finally:
        running.end()


class _Running:
    """The event loop's thread and all that lives in it."""

    def __init__(self, node_name: str, opened: socket.socket, access: Access, clients: int) -> None:
        self._node_name = node_name
        self._opened = opened
        self._access = access
        self._clients = clients
        self._server: Server | None = None
        self._is_up, self._ended = threading.Event(), threading.Event()
        self._error: BaseException | None = None
        # The main thread is left to signals.
        self._thread = threading.Thread(target=self._run, name="llava_ov_web", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - the main thread raises it
            self._error = error
        finally:
            self._ended.set()
            self._is_up.set()

    async def _serve(self) -> None:
        board = Board(self._node_name)

        def take(kind: str, content: Any) -> None:
            event = board.take(kind, content)
            if event is not None:
                browsers.tell(event)

        handover = Handover(asyncio.get_running_loop(), take, lambda camera, picture: browsers.show(camera, picture))
        client = NodeClient(self._node_name, handover.put, handover.put_picture)
        browsers = Browsers(self._clients, client.pictures.watch)
        try:
            config = Config(
                WebApp(board, browsers, client.requests, self._access).asgi(),
                http=http_protocol(CONNECTIONS_PER_CLIENT * self._clients),
                ws=BoundedWebSocket,
                ws_max_size=MOST_MESSAGE_BYTES,
                # Pictures do not get smaller, and a compressor for each browser takes memory.
                ws_per_message_deflate=False,
                loop="asyncio",
                lifespan="off",
                interface="asgi3",
                proxy_headers=False,
                server_header=False,
                access_log=False,
                log_config=None,
                timeout_graceful_shutdown=END_S,
            )
            self._server = Server(config)
            self._is_up.set()
            await self._server.serve(sockets=[self._opened])
        finally:
            await asyncio.to_thread(client.close)

    def wait_until_up(self) -> None:
        """Wait for the server; the system already queues connections."""
        self._is_up.wait()
        self._raise()

    def wait(self) -> None:
        """Wait until the server ends by itself, which it does only after an error."""
        while not self._ended.wait(WAIT_S):
            pass
        self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def end(self) -> None:
        """End the server and leave the ROS graph."""
        if self._server is not None:
            self._server.should_exit = True
        self._thread.join(3 * END_S + 5)
