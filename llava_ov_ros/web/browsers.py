"""The browsers that watch: bounded queues of events and one picture per camera, so that a slow one costs no memory."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable
from typing import Any

MOST_EVENTS = 500
"""Most events that wait for one browser. A browser with more begins anew with the whole state."""


def event_text(event: dict[str, Any]) -> str:
    """An event as JSON; made once for all browsers."""
    return json.dumps(event, separators=(",", ":"), allow_nan=False)


class Browser:
    """What waits for one browser.

    Attributes:
        wants_pictures: Whether the browser shows the cameras; a hidden page does not.
        dropped: Events that were dropped since the browser last got the whole state.
    """

    def __init__(self) -> None:
        self._events: deque[str] = deque()
        self._pictures: dict[str, bytes] = {}
        self._changed = asyncio.Event()
        self._needs_state = True
        self.wants_pictures = True
        self.dropped = 0

    def put(self, text: str) -> None:
        """Queue an event. If too many wait, all are dropped, and the whole state takes their place."""
        if not self._needs_state:
            self._events.append(text)
        elif self.dropped:
            self.dropped += 1
        if len(self._events) > MOST_EVENTS:
            self.dropped += len(self._events)
            self._events.clear()
            self._needs_state = True
        self._changed.set()

    def put_picture(self, camera: str, picture: bytes) -> None:
        """Keep a camera's newest picture; one that was not sent yet is replaced."""
        if self.wants_pictures:
            self._pictures.pop(camera, None)
            self._pictures[camera] = picture
            self._changed.set()

    async def next(self, state: Callable[[int], dict[str, Any]]) -> str | bytes:
        """Wait for what is to be sent next: the whole state, then events in order, then the newest pictures.

        Args:
            state: Makes the event with the whole state; gets the number of dropped events.
        """
        while True:
            if self._needs_state:
                text = event_text(state(self.dropped))
                self._needs_state, self.dropped = False, 0
                return text
            if self._events:
                return self._events.popleft()
            if self._pictures:
                return self._pictures.pop(next(iter(self._pictures)))
            self._changed.clear()
            await self._changed.wait()


class Browsers:
    """All browsers that watch, bounded in number; everything here runs in the event loop's thread."""

    def __init__(self, most: int, on_watching: Callable[[bool], None]) -> None:
        """Begin without a browser.

        Args:
            most: Most browsers at a time.
            on_watching: Called with whether any browser wants pictures, whenever that may have changed.
        """
        self._most = most
        self._on_watching = on_watching
        self._all: set[Browser] = set()

    def __len__(self) -> int:
        return len(self._all)

    def enter(self) -> Browser | None:
        """Add a browser; None if there are as many as there may be."""
        if len(self._all) >= self._most:
            return None
        browser = Browser()
        self._all.add(browser)
        self.look()
        return browser

    def leave(self, browser: Browser) -> None:
        """Remove a browser with all that waits for it."""
        self._all.discard(browser)
        self.look()

    def look(self) -> None:
        """Tell whether any browser wants pictures; to be called after `wants_pictures` has changed."""
        self._on_watching(any(browser.wants_pictures for browser in self._all))

    def tell(self, event: dict[str, Any]) -> None:
        """Queue an event for every browser."""
        if self._all:
            text = event_text(event)
            for browser in self._all:
                browser.put(text)

    def show(self, camera: str, picture: bytes) -> None:
        """Offer a picture to every browser."""
        for browser in self._all:
            browser.put_picture(camera, picture)
