"""Hands what ROS threads bring over to the event loop, through a bounded queue and one slot for each camera."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

MOST_WAITING = 2000
"""Most messages that wait for the event loop; of more, the oldest are dropped and counted."""


class Handover:
    """Takes messages and pictures in any thread and gives them to two functions in the event loop's thread.

    However much comes in, the event loop has at most one call of this object waiting.

    Attributes:
        dropped: Messages that were dropped because the event loop did not keep up.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_message: Callable[[str, Any], None],
        on_picture: Callable[[str, bytes], None],
    ) -> None:
        """Create an empty queue.

        Args:
            loop: The event loop.
            on_message: Gets each message's kind and content, in order.
            on_picture: Gets a camera's name and its newest picture; pictures that were overtaken are left out.
        """
        self._loop = loop
        self._on_message = on_message
        self._on_picture = on_picture
        self._lock = threading.Lock()
        self._messages: deque[tuple[str, Any]] = deque()
        self._pictures: dict[str, bytes] = {}
        self._is_scheduled = False
        self.dropped = 0

    def put(self, kind: str, content: Any) -> None:
        """Hand a message over."""
        with self._lock:
            if len(self._messages) == MOST_WAITING:
                self._messages.popleft()
                self.dropped += 1
            self._messages.append((kind, content))
            self._schedule()

    def put_picture(self, camera: str, picture: bytes) -> None:
        """Hand a camera's newest picture over; one that still waits is replaced."""
        with self._lock:
            self._pictures[camera] = picture
            self._schedule()

    def _schedule(self) -> None:
        if not self._is_scheduled and not self._loop.is_closed():
            self._is_scheduled = True
            self._loop.call_soon_threadsafe(self._give)

    def _give(self) -> None:
        with self._lock:
            self._is_scheduled = False
            messages, self._messages = self._messages, deque()
            pictures, self._pictures = self._pictures, {}
        for kind, content in messages:
            self._on_message(kind, content)
        for camera, picture in pictures.items():
            self._on_picture(camera, picture)
