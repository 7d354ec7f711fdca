"""A circuit breaker: a server that keeps failing is left alone for a while, so that requests need not wait for it."""

from __future__ import annotations

import threading
import time

from .server_error import ServerError

FAILURES = 3
"""Failures in a row after which the server is left alone."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
"""The pause doubles with every trial that fails."""


class Breaker:
    """Counts failures in a row. Any thread may call the methods."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures = 0
        self._pause_s = FIRST_PAUSE_S
        self._until_s = 0.0
        self._is_tried = False
        self._last = ""

    @property
    def is_open(self) -> bool:
        """Whether the server is being left alone."""
        return self._failures >= FAILURES

    def admit(self) -> None:
        """Let a request pass; after the pause, one request as a trial.

        Raises:
            ServerError: The server is left alone for now.
        """
        with self._lock:
            if not self.is_open:
                return
            left_s = self._until_s - time.monotonic()
            if left_s > 0 or self._is_tried:
                when = f"in {left_s:.1f} s" if left_s > 0 else "as soon as the present trial has ended"
                raise ServerError(
                    f"the server was not asked, because it failed {self._failures} times in a row, the last time: "
                    f"{self._last}; the next trial is {when}"
                )
            self._is_tried = True

    def succeeded(self) -> None:
        """Note that the server has answered, if only with a refusal."""
        with self._lock:
            self._failures, self._pause_s, self._is_tried = 0, FIRST_PAUSE_S, False

    def failed(self, reason: str) -> None:
        """Note that the server has failed."""
        with self._lock:
            was_open = self.is_open
            self._failures += 1
            self._last, self._is_tried = reason, False
            if self.is_open:
                self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S) if was_open else FIRST_PAUSE_S
                self._until_s = time.monotonic() + self._pause_s

    def given_up(self) -> None:
        """Note that a request was cancelled before the server had answered: another request may be the trial."""
        with self._lock:
            self._is_tried = False
