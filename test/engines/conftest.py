"""Engines that do what a test says: at the model's boundary, in the place of a server and of models."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from llava_ov_ros.asking import Ask, Generated, stop_wish, weighed
from llava_ov_ros.frames import Clip, Frame


class ScriptedEngine:
    """Gives for each question what a function of the question returns: a text, a Generated or an error.

    Attributes:
        asked: The questions, in the order in which they came.
    """

    at_once = 1

    def __init__(self, name: str, say: Callable[[Ask], Any], memory: int = 0) -> None:
        self.name = name
        self.asked: list[str] = []
        self.closed = 0
        self._say = say
        self._memory = memory
        self._lock = threading.Lock()

    def stream(self, clips: Any, asks: Any, *, mode: str) -> Iterator[tuple[int, Any]]:
        """Answer the questions one after the other."""
        for number, ask in enumerate(asks):
            with self._lock:
                self.asked.append(ask.question)
            said = self._say(ask)
            yield number, answer(said, ask) if isinstance(said, str) else said

    def prepare(self, clips: Any, *, mode: str) -> bool:
        """Has nothing to prepare."""
        return False

    def memory_bytes(self) -> int:
        """As many bytes as the test says."""
        return self._memory

    def may_hold(self) -> dict[str, int]:
        """The same bytes, as weights."""
        return {"weights": self._memory} if self._memory else {}

    def counted(self) -> dict[str, int | str]:
        """The number of questions."""
        return {f"{self.name}_asked": len(self.asked)}

    def close(self) -> None:
        """Count how often it is closed."""
        self.closed += 1


def answer(text: str, ask: Ask, confidence: float = 0.5) -> Generated:
    """An answer in the words of a script; of choices the likeliest."""
    choices = ()
    if ask.choices:
        choices = weighed(ask.choices, [0.0 if choice == text else -3.0 for choice in ask.choices])
    return Generated(text, (1,), (confidence,), stop_wish(ask) or "stop", 10, 0.1, 0.2, choices=choices)


@pytest.fixture(name="engine")
def engine_fixture() -> type[ScriptedEngine]:
    """The class of scripted engines."""
    return ScriptedEngine


@pytest.fixture(name="given")
def given_fixture() -> Callable[..., Generated]:
    """The function that makes a scripted answer."""
    return answer


def until(condition: Callable[[], Any], what: str) -> None:
    """Wait for a condition; fail with `what` if it does not come about within a minute."""
    end_s = time.monotonic() + 60.0
    while not condition():
        assert time.monotonic() < end_s, f"not within a minute: {what}"
        time.sleep(0.005)


@pytest.fixture
def wait_until() -> Callable[..., None]:
    """The function that waits: `wait_until(condition, what)`."""
    return until


@pytest.fixture
def clip() -> Clip:
    """A clip of two frames."""
    pictures = np.random.default_rng(0).integers(0, 256, (2, 48, 64, 3), dtype=np.uint8)
    return Clip("front", tuple(Frame("front", number, "", picture) for number, picture in enumerate(pictures)))
