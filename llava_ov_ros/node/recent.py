"""What happened lately: warnings of the diagnostics speak of the last while, not of the node's whole life."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass

from ..frames import CameraCounts
from ..questions import Result, Status

MOMENTS = 60
"""Of each window, counters are remembered at so many moments: its length is exact to a sixtieth."""
MOST_ENDS = 1000
"""Ends of requests that are remembered; where more came in one window, it is about the newest of them."""
LONGEST_MESSAGE = 1000
"""Characters kept of the message of an end."""


class RecentCounts:
    """A camera's counters at some moments of the window, to tell what was counted in it. Bounded."""

    def __init__(self, now_s: float) -> None:
        """Begin with counters at zero.

        Args:
            now_s: Seconds of a clock that never goes back.
        """
        self._moments: deque[tuple[float, CameraCounts]] = deque([(now_s, CameraCounts())], maxlen=2 * MOMENTS)

    def update(self, counts: CameraCounts, now_s: float, window_s: float) -> CameraCounts:
        """What was counted in the window that ends now; to be called on a period, which dates what is counted.

        Args:
            counts: The counters now.
            now_s: Seconds of the same clock.
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
    """How a request ended, without the pictures that its result holds.

    Attributes:
        at_s: When, on the monotonic clock.
        status: As the answer has it.
        message: As the answer has it, its beginning where it is long.
        time_to_first_token_s: From the start of work.
        total_s: From the arrival of the request.
        new_tokens: Tokens generated.
        tokens_per_s: Speed of decoding.
    """

    at_s: float
    status: Status
    message: str
    time_to_first_token_s: float
    total_s: float
    new_tokens: int
    tokens_per_s: float


class Ends:
    """How requests have ended: counted since the start, and the newest of them one by one. For any thread; bounded."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(Status, 0)
        self._newest: deque[RequestEnd] = deque(maxlen=MOST_ENDS)

    def note(self, result: Result) -> None:
        """Count an end."""
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
        """How many have ended with each status since the start."""
        with self._lock:
            return dict(self._counts)

    @property
    def last(self) -> RequestEnd | None:
        """The last end, whenever it was."""
        with self._lock:
            return self._newest[-1] if self._newest else None

    def within(self, window_s: float) -> list[RequestEnd]:
        """The ends of the last so many seconds, oldest first."""
        since_s = time.monotonic() - window_s
        with self._lock:
            return [end for end in self._newest if end.at_s >= since_s]
