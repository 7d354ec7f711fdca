"""An engine with a second model in its shadow, which answers the same questions only to be compared."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ..asking import AnswersQuestions, Ask, Generated, may_hold_together
from ..frames import Clip
from ..no_op import no_op
from .agreement import AgreementLog, compared

MOST_WAITING = 16
"""Most questions that wait for the shadow; later ones are skipped and counted."""
MOST_BYTES = 64 * 2**20
"""Most bytes of the pictures that questions which wait for the shadow keep in memory, the first question aside."""
LONGEST_S = 120.0
"""Seconds after which an answer of the shadow is given up."""
WHOLE = ("stop", "length")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Answered:
    """A question with the answer that counts."""

    clips: tuple[Clip, ...]
    ask: Ask
    mode: str
    answer: Generated

    @property
    def nbytes(self) -> int:
        """Bytes of its pictures."""
        return sum(frame.picture.nbytes for clip in self.clips for frame in clip.frames)


class ShadowedEngine:
    """Answers as the first engine does. A thread asks the second one afterwards, while the first one has nothing to do.

    Nothing of the second engine reaches a caller: neither its answers nor its errors nor its pieces of text.
    """

    def __init__(self, engine: AnswersQuestions, shadow: AnswersQuestions, log: AgreementLog) -> None:
        """Start the thread.

        Args:
            engine: The engine whose answers count.
            shadow: The engine that is compared; a model on this machine is interrupted by every question to the first.
            log: Takes the comparisons.
        """
        self._engine = engine
        self._shadow = shadow
        self._log = log
        # A model on this machine would take the processor, or the GPU, from the first engine.
        self._yields = shadow.memory_bytes() > 0
        self._changed = threading.Condition()
        self._waiting: deque[_Answered] = deque()
        self._asked = 0
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="llava_ov_shadow", daemon=True)
        self._thread.start()

    @property
    def name(self) -> str:
        """Name of the model whose answers count."""
        return self._engine.name

    @property
    def at_once(self) -> int:
        """How many threads may call `stream` at the same time."""
        return self._engine.at_once

    def stream(
        self, clips: Sequence[Clip], asks: Sequence[Ask], *, mode: str
    ) -> Iterator[tuple[int, Generated | Exception]]:
        """Answer several questions about the same clips as the first engine does."""
        with self._changed:
            self._asked += 1
        try:
            for number, outcome in self._engine.stream(clips, asks, mode=mode):
                yield number, outcome
                if isinstance(outcome, Generated) and outcome.finish in WHOLE:
                    self._add(_Answered(tuple(clips), asks[number], mode, outcome))
        finally:
            with self._changed:
                self._asked -= 1
                self._changed.notify()

    def _add(self, answered: _Answered) -> None:
        with self._changed:
            held = sum(one.nbytes for one in self._waiting)
            if len(self._waiting) >= MOST_WAITING or (self._waiting and held + answered.nbytes > MOST_BYTES):
                self._log.skip()
                return
            self._waiting.append(answered)
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing or (self._waiting and not self._must_yield()))
                if self._closing:
                    return
                answered = self._waiting.popleft()
            try:
                if not self._compare(answered):
                    with self._changed:
                        self._waiting.appendleft(answered)
            except Exception as error:  # noqa: BLE001 - the shadow must not disturb what is answered
                _log.debug("shadow_model failed", exc_info=error)
                self._log.fail()

    def _must_yield(self) -> bool:
        return self._yields and self._asked > 0

    def _compare(self, answered: _Answered) -> bool:
        """Ask the shadow and note the comparison; return False if the first engine was asked meanwhile."""
        until_s = time.monotonic() + LONGEST_S

        def should_stop() -> str | None:
            if self._closing or self._must_yield():
                return "cancelled"
            return "deadline" if time.monotonic() > until_s else None

        ask = replace(answered.ask, on_text=no_op, should_stop=should_stop)
        ((_, outcome),) = self._shadow.stream(answered.clips, [ask], mode=answered.mode)
        if isinstance(outcome, Generated) and outcome.finish in WHOLE:
            names = self._engine.name, self._shadow.name
            self._log.add(compared(ask, answered.clips, answered.mode, names, answered.answer, outcome))
        elif isinstance(outcome, Generated) and outcome.finish == "cancelled":
            return False
        else:
            self._log.fail()
        return True

    def prepare(self, clips: Sequence[Clip], *, mode: str) -> bool:
        """Prepare the first engine for a question; the shadow is never prepared."""
        return self._engine.prepare(clips, mode=mode)

    def memory_bytes(self) -> int:
        """Bytes in use by both engines."""
        return self._engine.memory_bytes() + self._shadow.memory_bytes()

    def may_hold(self) -> dict[str, int]:
        """Most bytes that both engines may take."""
        return may_hold_together(self._engine, self._shadow)

    def counted(self) -> dict[str, int | str]:
        """What the first engine has counted, and how far the shadow agrees."""
        return {**self._engine.counted(), "shadow_model": self._shadow.name, **self._log.counted()}

    def close(self) -> None:
        """End the thread and close both engines."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()
        self._log.close()
        self._shadow.close()
        self._engine.close()
