"""A circuit breaker: a server that keeps failing is left alone for a while, so that requests need not wait for it."""

from __future__ import annotations

import threading
import time

from .server_error import ServerError

FAILURES = 3
"""Failures in a row after which the server is left alone."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 10.0
"""The pause doubles with every trial that fails."""


class Admission:
    """A request that the breaker has let pass. Its end is told by `succeeded`, `failed` or `given_up`."""

    def __init__(self, breaker: Breaker, failures: int) -> None:
        self._breaker = breaker
        self._failures = failures

    def begun(self) -> None:
        """Note that an answer has begun: if this is the trial, others need not wait for its end."""
        self._breaker._begun(self)

    def succeeded(self) -> None:
        """Note that the server has answered, if only with a refusal."""
        self._breaker._succeeded()

    def failed(self, reason: str) -> None:
        """Note that the server has failed."""
        self._breaker._failed(self, reason)

    def given_up(self) -> None:
        """Note that the request was cancelled before the server had answered: another request may be the trial."""
        self._breaker._given_up(self)


class Breaker:
    """Counts failures in a row; what fails together counts once. Any thread may call the methods."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures = 0
        self._pause_s = FIRST_PAUSE_S
        self._until_s = 0.0
        self._trial: Admission | None = None
        self._last = ""

    @property
    def is_open(self) -> bool:
        """Whether the server is being left alone."""
        return self._failures >= FAILURES

    def admit(self) -> Admission:
        """Let a request pass; after the pause, one request as a trial.

        Raises:
            ServerError: The server is left alone for now.
        """
        with self._lock:
            self._check()
            admission = Admission(self, self._failures)
            if self.is_open:
                self._trial = admission
            return admission

    def missed(self, reason: str) -> None:
        """Note that a request has ended at its deadline while the server was silent: a failure of its own."""
        with self._lock:
            if self.is_open:
                self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)
            self._failures += 1
            self._last = reason
            if self.is_open:
                self._until_s = time.monotonic() + self._pause_s

    def check(self) -> None:
        """Raise the ServerError that `admit` would raise now."""
        with self._lock:
            self._check()

    def _check(self) -> None:
        if not self.is_open:
            return
        left_s = self._until_s - time.monotonic()
        if left_s > 0 or self._trial is not None:
            when = f"in {left_s:.1f} s" if left_s > 0 else "as soon as the present trial has ended"
            raise ServerError(
                f"the server was not asked, because it failed {self._failures} times in a row, the last time: "
                f"{self._last}; the next trial is {when}",
                is_down=True,
            )

    def _begun(self, admission: Admission) -> None:
        if self._trial is admission:
            self._succeeded()

    def _succeeded(self) -> None:
        # Whichever request brings it: a server that answers is not down.
        with self._lock:
            self._failures, self._pause_s, self._trial = 0, FIRST_PAUSE_S, None

    def _failed(self, admission: Admission, reason: str) -> None:
        with self._lock:
            was_open, was_trial = self.is_open, self._trial is admission
            self._last = reason
            # Requests that were under way at the same time fail together: that is one failure of the server.
            if admission._failures < self._failures and not was_trial:
                return
            self._failures += 1
            if was_trial:
                self._trial = None
                self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)
            # A request from before the breaker opened neither ends the trial nor lengthens the pause.
            if was_trial or (self.is_open and not was_open):
                self._until_s = time.monotonic() + self._pause_s

    def _given_up(self, admission: Admission) -> None:
        with self._lock:
            if self._trial is admission:
                self._trial = None
