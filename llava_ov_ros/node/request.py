"""A request on its way through the node. No ROS types, so that the worker can be tested alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from ..frames import Clip
from ..no_op import no_op
from ..questions import Asked, Query, Result, Status


@dataclass(eq=False)
class Request:
    """A query that somebody waits for; `on_done` is called exactly once, from any thread.

    Attributes:
        query: What is asked.
        on_done: Called once with the result.
        on_start: Called with the clips when the model starts.
        on_text: Called with each piece of the answer.
        arrived_s: When the request came, on the monotonic clock.
        cancelled: Set by whoever no longer wants the answer.
    """

    query: Query
    on_done: Callable[[Result], None]
    on_start: Callable[[tuple[Clip, ...]], None] = no_op
    on_text: Callable[[str], None] = no_op
    arrived_s: float = field(default_factory=time.monotonic)
    cancelled: threading.Event = field(default_factory=threading.Event)

    @property
    def waited_s(self) -> float:
        """Seconds since arrival."""
        return time.monotonic() - self.arrived_s

    def should_stop(self) -> str | None:
        """Why work on this request should end now: "cancelled", "deadline" or None."""
        if self.cancelled.is_set():
            return "cancelled"
        return "deadline" if self.waited_s > self.query.deadline_s else None

    def as_asked(self, end: Callable[[Request, Result], None]) -> Asked:
        """The form that the tasks layer works on; its result goes to `end`, the time of waiting included."""
        return Asked(
            self.query,
            lambda result: end(self, replace(result, total_s=self.waited_s)),
            on_start=self.on_start,
            on_text=self.on_text,
            should_stop=self.should_stop,
        )

    def refuse(self, status: Status, message: str) -> None:
        """End the request without an answer."""
        self.on_done(Result(self.query, status, message, total_s=self.waited_s))
