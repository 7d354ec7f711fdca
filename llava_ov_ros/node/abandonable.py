"""Long calls in threads of their own, which the node need not wait for when it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

Made = TypeVar("Made")
TURN_S = 0.05


class AbandonedError(RuntimeError):
    """The node ends, and did not wait for a call."""


def in_own_thread(call: Callable[[], Made], ending: threading.Event, name: str) -> Made:
    """Make a call in a thread of its own, which ends with it, and wait for what it returns.

    A thread of its own, since every thread that has computed with torch keeps OpenMP threads and an arena of memory
    while it lives, and an executor has many threads.

    Args:
        call: Its exceptions are raised here.
        ending: Once it is set, the call is abandoned: it goes on, and nobody gets what it returns.
        name: Of the thread.

    Raises:
        AbandonedError: `ending` was set before the call returned.
    """
    made: list[Made] = []
    raised: list[BaseException] = []
    done = threading.Event()

    def run() -> None:
        try:
            made.append(call())
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            raised.append(error)
        finally:
            done.set()

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    while not done.wait(TURN_S):
        if ending.is_set():
            raise AbandonedError("the node ended meanwhile")
    thread.join()
    if raised:
        raise raised[0]
    return made[0]
