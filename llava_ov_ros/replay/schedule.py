"""When the questions of a recording are due: one rule for replays and for live playing."""

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
    """Questions that wait for their time, which counts from the first message and goes on over a loop's jumps.

    Attributes:
        origin_ns: The time that questions count from, on the clock of the messages; 0 before the first message.
    """

    def __init__(self, questions: Sequence[TimedT]) -> None:
        """Take questions in any order; equal times keep theirs."""
        self.origin_ns = 0
        self._waiting = deque(enumerate(sorted(questions, key=lambda question: question.at_ns), 1))
        self._newest_ns = 0
        self._lap: int | None = None

    def take(self, message: BagMessage) -> bool:
        """Note the next message before it is shown; whether its time begins anew (a looped recording)."""
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
        """Number, question and time of each that is to be asked before the message that was taken last is shown."""
        while self._waiting and self.origin_ns + self._waiting[0][1].at_ns < self._newest_ns:
            yield self._next()

    def rest(self) -> Iterator[tuple[int, TimedT, int]]:
        """All that are left after the last message."""
        while self._waiting:
            yield self._next()

    def _next(self) -> tuple[int, TimedT, int]:
        number, question = self._waiting.popleft()
        return number, question, self.origin_ns + question.at_ns
