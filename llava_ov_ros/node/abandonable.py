"""Runs a long call in its own thread, so that the node can end without waiting for the call."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

Made = TypeVar("Made")
TURN_S = 0.05


class AbandonedError(RuntimeError):
    """The node ended before a call returned, and no longer waits for the call."""


def in_own_thread(call: Callable[[], Made], ending: threading.Event, name: str) -> Made:
    """Run a call in a new thread, wait for the call and return its result.

    The new thread ends with the call. A thread that has computed with torch keeps OpenMP threads and a memory arena as
    long as the thread lives, and an executor has many threads.

    Args:
        call: The function to run. Its exceptions are raised here.
        ending: Event that abandons the call: the call goes on, and its result is discarded.
        name: Name of the thread.

    Returns:
        The result of the call.

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
