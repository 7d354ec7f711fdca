"""Writes what a replay has read and answered into files: the messages of the cameras, and answers at their time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, Self

from ..questions import Result
from .bag import BagMessage, MalformedMessage
from .bag_error import BagError
from .plan_replay import Planned


class Sink(Protocol):
    """A file of one format that is written while a bag is replayed."""

    def message(self, message: BagMessage) -> None:
        """Write a message of a camera."""
        ...

    def malformed(self, message: MalformedMessage) -> None:
        """Write, or leave out, a message whose bytes are not of its type."""
        ...

    def answer(self, result: Result, now_ns: int, recorded_ns: int, model: str) -> None:
        """Write the answer or the refusal of a question, and the evidence picture if the result has frames.

        Args:
            result: The end of the question.
            now_ns: Time of the question in nanoseconds, on the clock of the frames' stamps.
            recorded_ns: The same time on the clock of the bag's record times.
            model: Name of the model that was asked.
        """
        ...

    def plan(self, planned: Planned, recorded_ns: int, model: str, vocabulary: str, prompts: str) -> None:
        """Write the plan of a goal, or why there is none, and the evidence picture if there are frames.

        Args:
            planned: The goal and its plan.
            recorded_ns: Time of the goal on the clock of the bag's record times.
            model: Name of the model that was asked.
            vocabulary: Name of the vocabulary.
            prompts: Name and version of the set of prompts.
        """
        ...

    def close(self) -> None:
        """Finish the file; it may be called again."""
        ...

    def told(self) -> str:
        """A line for the user: the file, and how much is in it."""
        ...


class Recorder:
    """Writes a replay into files. Use it in a `with` statement, which finishes the files."""

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._sinks = tuple(sinks)
        self._reached_ns = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for sink in self._sinks:
            sink.close()

    def passing(self, messages: Iterable[BagMessage]) -> Iterator[BagMessage]:
        """Write every message of a replay before the replay takes the message.

        An answer that is given while a message waits was asked before the message came, and is written with the record
        time of the message before.
        """
        for message in messages:
            for sink in self._sinks:
                sink.message(message)
            # No question is asked before the first message.
            self._reached_ns = self._reached_ns or message.stored.recorded_ns
            yield message
            self._reached_ns = max(self._reached_ns, message.stored.recorded_ns)

    def malformed(self, message: MalformedMessage) -> None:
        """Pass a malformed message on to the files."""
        for sink in self._sinks:
            sink.malformed(message)

    def answer(self, result: Result, now_ns: int, model: str) -> None:
        """Write the answer or the refusal of a question.

        Args:
            result: The end of the question.
            now_ns: Time of the question in nanoseconds, on the clock of the frames' stamps.
            model: Name of the model that was asked.
        """
        for sink in self._sinks:
            sink.answer(result, now_ns, self._reached_ns or now_ns, model)

    def plan(self, planned: Planned, model: str, vocabulary: str, prompts: str) -> None:
        """Write the plan of a goal; the arguments are those of `Sink.plan`."""
        for sink in self._sinks:
            sink.plan(planned, self._reached_ns or planned.now_ns, model, vocabulary, prompts)

    def told(self) -> list[str]:
        """A line for the user about each file."""
        return [sink.told() for sink in self._sinks]


def new_file(path: Path, suffix: str) -> BinaryIO:
    """Begin a file, with the folders above it.

    Raises:
        BagError: The file exists, has another suffix, or cannot be written.
    """
    if path.suffix != suffix:
        raise BagError(f"{path}: the name of the recording must end in {suffix}")
    if path.exists():
        raise BagError(f"{path} exists: name a new file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("xb")
    except OSError as error:
        raise BagError(f"{path} cannot be written: {error.strerror or error}") from None
