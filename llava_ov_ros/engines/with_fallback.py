"""A model on a server, and a model on this machine that answers where the server does not."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ..asking import AnswersQuestions, Ask, Generated, may_hold_together, stop_wish
from ..bounds import shortened
from ..frames import Clip
from ..remote import ProbeError, RemoteEngine, ServerError

TURN_S = 0.05
"""Longest time between two looks at whether somebody still wants an answer."""


class EngineWithFallback:
    """Asks the server, and the other model about each question of which the server has given nothing.

    Text that has been streamed cannot be taken back, so the other model does not begin an answer again that broke off.
    Questions that the server refuses are not asked again either: they are wrong, or the server lacks an ability.
    """

    def __init__(self, server: RemoteEngine, other: AnswersQuestions) -> None:
        """Take both engines.

        Args:
            server: The model on a server; it need not be connected yet.
            other: The model that steps in.
        """
        self._server = server
        self._other = other
        # The other engine, on this machine, answers the questions of one thread at a time.
        self._turn = threading.Semaphore(other.at_once)
        self._counting = threading.Lock()
        self._answers = 0

    @property
    def name(self) -> str:
        """Name of the model on the server; answers of the other model carry its own name."""
        return self._server.name

    @property
    def at_once(self) -> int:
        """How many threads may call `stream` at the same time."""
        return self._server.at_once

    def stream(
        self, clips: Sequence[Clip], asks: Sequence[Ask], *, mode: str
    ) -> Iterator[tuple[int, Generated | Exception]]:
        """Answer several questions about the same clips; every answer names the model that gave it.

        Yields:
            The question's index in `asks`, and its answer or the error that prevented it, as `RemoteEngine.stream` and
            the other engine's `stream` do.
        """
        spoken = [False] * len(asks)

        def noted(number: int, ask: Ask) -> Ask:
            def on_text(piece: str) -> None:
                spoken[number] = True
                ask.on_text(piece)

            return replace(ask, on_text=on_text)

        left: dict[int, Exception] = {}
        heard = [noted(number, ask) for number, ask in enumerate(asks)]
        for number, outcome in self._server.stream(clips, heard, mode=mode):
            if isinstance(outcome, ServerError | ProbeError) and not spoken[number]:
                left[number] = outcome
            elif isinstance(outcome, Generated):
                yield number, replace(outcome, model=self._server.name)
            else:
                yield number, outcome
        if left:
            yield from self._step_in(clips, asks, left, mode)

    def _step_in(
        self, clips: Sequence[Clip], asks: Sequence[Ask], left: dict[int, Exception], mode: str
    ) -> Iterator[tuple[int, Generated | Exception]]:
        while not self._turn.acquire(timeout=TURN_S):
            for number in list(left):
                if (wish := stop_wish(asks[number])) is not None:
                    remark = f"{self._server.name} did not answer: {shortened(str(left.pop(number)))}"
                    yield number, Generated("", (), (), wish, 0, 0.0, 0.0, tuple(clips), remark)
            if not left:
                return
        try:
            numbers = list(left)
            for index, outcome in self._other.stream(clips, [asks[number] for number in numbers], mode=mode):
                number = numbers[index]
                yield number, self._named(outcome, left[number]) if isinstance(outcome, Generated) else outcome
        finally:
            self._turn.release()

    def _named(self, generated: Generated, error: Exception) -> Generated:
        """An answer of the other model, which says so."""
        why = f"{self._server.name} did not answer: {shortened(str(error))}"
        if generated.text or generated.finish in ("stop", "length"):
            why = f"answered by {self._other.name}, because {why}"
            with self._counting:
                self._answers += 1
        remark = "; ".join(filter(None, (why, generated.remark)))
        return replace(generated, model=self._other.name, remark=remark)

    def prepare(self, clips: Sequence[Clip], *, mode: str) -> bool:
        """Encode one more picture for the server ahead of a question; return False once all are encoded."""
        return self._server.prepare(clips, mode=mode)

    def memory_bytes(self) -> int:
        """Bytes in use on the other model's device."""
        return self._other.memory_bytes()

    def may_hold(self) -> dict[str, int]:
        """Most bytes that the other model and the pictures for the server may take."""
        return may_hold_together(self._other, self._server)

    def counted(self) -> dict[str, int | str]:
        """The counts of both engines by name, and how many answers the other model has given."""
        ours: dict[str, int | str] = {"fallback_model": self._other.name, "fallback_answers": self._answers}
        return {**self._other.counted(), **self._server.counted(), **ours}

    def close(self) -> None:
        """Close both engines."""
        self._server.close()
        self._other.close()
