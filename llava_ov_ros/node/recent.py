"""Recent counts of cameras and ends of requests: warnings of the diagnostics are about a window of time only."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass

from ..frames import CameraCounts
from ..questions import Result, Status

MOMENTS = 60
"""Number of moments per window at which counters are kept, so that the window's length is exact to a sixtieth."""
MOST_ENDS = 1000
"""Most ends of requests that are kept; if a window has more, warnings are about the newest ends."""
LONGEST_MESSAGE = 1000
"""Most characters that are kept of the message of a request's end."""


class RecentCounts:
    """A camera's counters at several moments, which give the counts within a recent window. Memory is bounded."""

    def __init__(self, now_s: float) -> None:
        """Begin with counters at zero.

        Args:
            now_s: Time in seconds on a clock that never goes back.
        """
        self._moments: deque[tuple[float, CameraCounts]] = deque([(now_s, CameraCounts())], maxlen=2 * MOMENTS)

    def update(self, counts: CameraCounts, now_s: float, window_s: float) -> CameraCounts:
        """Note the current counters and return the counts within the window that ends now.

        Call this on a period: an event gets the time of the call that first counts the event.

        Args:
            counts: The camera's counters now.
            now_s: Time in seconds on the same clock.
            window_s: Length of the window in seconds.
        """
        while len(self._moments) > 1 and self._moments[1][0] <= now_s - window_s:
            self._moments.popleft()
        recent = counts.since(self._moments[0][1])
        if now_s - self._moments[-1][0] >= window_s / MOMENTS:
            self._moments.append((now_s, counts))
        return recent


@dataclass(frozen=True)
class RequestEnd:
    """The end of a request, without the pictures that the request's result holds.

    Attributes:
        at_s: Time of the end, in seconds of the monotonic clock.
        status: Status of the answer.
        message: Message of the answer; only the beginning of a long message.
        time_to_first_token_s: Seconds from the start of work to the first token.
        total_s: Seconds from the arrival of the request to its end.
        new_tokens: Number of generated tokens.
        tokens_per_s: Decoded tokens per second.
    """

    at_s: float
    status: Status
    message: str
    time_to_first_token_s: float
    total_s: float
    new_tokens: int
    tokens_per_s: float


class Ends:
    """The ends of requests: numbers since the start, and the newest ends. Thread-safe; memory is bounded."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(Status, 0)
        self._newest: deque[RequestEnd] = deque(maxlen=MOST_ENDS)

    def note(self, result: Result) -> None:
        """Count and keep the end of a request."""
        end = RequestEnd(
            time.monotonic(),
            result.status,
            result.message[:LONGEST_MESSAGE],
            result.time_to_first_token_s,
            result.total_s,
            result.new_tokens,
            result.tokens_per_s,
        )
        with self._lock:
            self._counts[result.status] += 1
            self._newest.append(end)

    @property
    def counts(self) -> dict[Status, int]:
        """Number of requests that have ended with each status since the start."""
        with self._lock:
            return dict(self._counts)

    @property
    def last(self) -> RequestEnd | None:
        """The newest end, however old; None: no request has ended yet."""
        with self._lock:
            return self._newest[-1] if self._newest else None

    def within(self, window_s: float) -> list[RequestEnd]:
        """Return the ends of the last `window_s` seconds, oldest first."""
        since_s = time.monotonic() - window_s
        with self._lock:
            return [end for end in self._newest if end.at_s >= since_s]
