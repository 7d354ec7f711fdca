"""Decides when the questions about a recording are due, by one rule for replays and for live playing."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Generic, Protocol, TypeVar

from .bag import BagMessage


class Timed(Protocol):
    """A question or a goal that is due at a time of the recording."""

    @property
    def at_ns(self) -> int:
        """Due time, in nanoseconds after the first message."""
        ...


TimedT = TypeVar("TimedT", bound=Timed)


class Schedule(Generic[TimedT]):
    """Questions that wait for their times. Time counts from the first message, and goes on when a loop's stamps jump.

    Attributes:
        origin_ns: Time from which the questions' times count, in nanoseconds on the clock of the messages; 0 before the
            first message.
    """

    def __init__(self, questions: Sequence[TimedT]) -> None:
        """Take questions in any order; questions of equal times keep their order."""
        self.origin_ns = 0
        self._waiting = deque(enumerate(sorted(questions, key=lambda question: question.at_ns), 1))
        self._newest_ns = 0
        self._lap: int | None = None

    def take(self, message: BagMessage) -> bool:
        """Note the time of the next message, before a camera gets this message.

        Returns:
            Whether the message begins a new lap, as the stamps of a looped recording jump back.
        """
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
        """Yield number, question and time (ns) of each question to be asked before a camera gets the last message."""
        while self._waiting and self.origin_ns + self._waiting[0][1].at_ns < self._newest_ns:
            yield self._next()

    def rest(self) -> Iterator[tuple[int, TimedT, int]]:
        """Yield number, question and time (ns) of each question that is left after the recording's last message."""
        while self._waiting:
            yield self._next()

    def _next(self) -> tuple[int, TimedT, int]:
        number, question = self._waiting.popleft()
        return number, question, self.origin_ns + question.at_ns
