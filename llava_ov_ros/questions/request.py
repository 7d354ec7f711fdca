"""A request: one query from its arrival to its end, whoever asks it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from ..frames import Clip
from ..no_op import no_op
from .query import Query, Result, Status


@dataclass(eq=False)
class Request:
    """A query that somebody waits for. Whoever works on the request calls `end` exactly once, from any thread.

    Attributes:
        query: The question with every default filled in.
        on_result: Called once with the result.
        on_start: Called with the clips when the model starts.
        on_text: Called with each piece of the answer.
        arrived_s: Time of arrival, on the monotonic clock.
        cancelled: Set by whoever no longer wants the answer.
        text: The pieces of the answer that the model has given so far.
    """

    query: Query
    on_result: Callable[[Result], None]
    on_start: Callable[[tuple[Clip, ...]], None] = no_op
    on_text: Callable[[str], None] = no_op
    arrived_s: float = field(default_factory=time.monotonic)
    cancelled: threading.Event = field(default_factory=threading.Event)
    text: str = field(default="", init=False)

    @property
    def waited_s(self) -> float:
        """Seconds since arrival."""
        return time.monotonic() - self.arrived_s

    def should_stop(self) -> str | None:
        """Why work on the request should end now: "cancelled", "deadline" or None."""
        if self.cancelled.is_set():
            return "cancelled"
        return "deadline" if self.waited_s > self.query.deadline_s else None

    def hear(self, piece: str) -> None:
        """Take the next piece of the answer from the model."""
        self.text += piece
        self.on_text(piece)

    def end(self, result: Result) -> None:
        """Give the result to whoever waits, with the time since arrival as its `total_s`."""
        self.on_result(replace(result, total_s=self.waited_s))

    def refuse(self, status: Status, message: str) -> None:
        """End the request without an answer."""
        self.end(Result(self.query, status, message))
