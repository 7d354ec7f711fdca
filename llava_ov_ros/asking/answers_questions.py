"""What callers need of an engine, wherever the engine computes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from ..frames import Clip
from .ask import Ask
from .generated import Generated


class AnswersQuestions(Protocol):
    """What node, replays and evaluations need of an engine.

    `onevision.Engine` computes on this machine, `remote.RemoteEngine` asks a server.
    """

    @property
    def name(self) -> str:
        """Name of the model, as answers carry it."""
        ...

    @property
    def at_once(self) -> int:
        """How many threads may call `stream` at the same time."""
        ...

    def stream(
        self, clips: Sequence[Clip], asks: Sequence[Ask], *, mode: str
    ) -> Iterator[tuple[int, Generated | Exception]]:
        """Answer several questions about the same clips; yields number and outcome as they end."""
        ...

    def prepare(self, clips: Sequence[Clip], *, mode: str) -> bool:
        """Encode or prefill one more piece of these clips ahead of a question; return False once all is prepared."""
        ...

    def memory_bytes(self) -> int:
        """Bytes in use on the model's device."""
        ...

    def may_hold(self) -> dict[str, int]:
        """Most bytes that weights, caches, ... may come to take on this machine, by name; empty: not planned."""
        ...

    def counted(self) -> dict[str, int | str]:
        """What the engine has counted since it was made, by name, for the diagnostics."""
        ...

    def close(self) -> None:
        """Give the memory back."""
        ...


def answers_in_order(
    engine: AnswersQuestions, clips: Sequence[Clip], asks: Sequence[Ask], *, mode: str
) -> list[Generated]:
    """Answer several questions about the same clips, and return the answers in the order of the questions.

    Raises:
        Exception: The first error of a question; see the engine's `stream`.
    """
    answers: dict[int, Generated] = {}
    for number, outcome in engine.stream(clips, asks, mode=mode):
        if isinstance(outcome, Exception):
            raise outcome
        answers[number] = outcome
    return [answers[number] for number in range(len(asks))]


def may_hold_together(*engines: AnswersQuestions) -> dict[str, int]:
    """Most bytes that several engines may take on this machine, by name."""
    total: dict[str, int] = {}
    for engine in engines:
        for name, size in engine.may_hold().items():
            total[name] = total.get(name, 0) + size
    return total
