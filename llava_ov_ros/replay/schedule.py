"""Says when the questions of a recording are due; replays and live playing use the same rule."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Generic, Protocol, TypeVar

from .bag import BagMessage


class Timed(Protocol):
    """Something that is due at a time."""

    @property
    def at_ns(self) -> int:
        """Nanoseconds after the first message."""
        ...


TimedT = TypeVar("TimedT", bound=Timed)


class Schedule(Generic[TimedT]):
    """Questions that wait for their time.

    Time counts from the first message. In a looped recording, whose stamps jump back, it goes on.

    Attributes:
        origin_ns: The time that questions count from, on the clock of the messages; 0 before the first message.
    """

    def __init__(self, questions: Sequence[TimedT]) -> None:
        """Hold questions, given in any order; questions of the same time keep their order."""
        self.origin_ns = 0
        self._waiting = deque(enumerate(sorted(questions, key=lambda question: question.at_ns), 1))
        self._newest_ns = 0
        self._lap: int | None = None

    def take(self, message: BagMessage) -> bool:
        """Note the next message before a camera gets it; returns whether its stamps begin anew (a looped recording)."""
        begins_anew = self._lap is not None and message.lap > self._lap
        if self._lap is None:
            self.origin_ns = self._newest_ns = message.time_ns
        elif begins_anew:
            self.origin_ns += message.time_ns - self._newest_ns
            self._newest_ns = message.time_ns
        self._lap = message.lap
        self._newest_ns = max(self._newest_ns, message.time_ns)
        return begins_anew

    def due(self) -> Iterator[tuple[int, TimedT, int]]:
        """Yield number, question and time of each question that is due before a camera gets the message taken last."""
        while self._waiting and self.origin_ns + self._waiting[0][1].at_ns < self._newest_ns:
            yield self._next()

    def rest(self) -> Iterator[tuple[int, TimedT, int]]:
        """Yield number, question and time of each question that is left after the last message."""
        while self._waiting:
            yield self._next()

    def _next(self) -> tuple[int, TimedT, int]:
        number, question = self._waiting.popleft()
        return number, question, self.origin_ns + question.at_ns
