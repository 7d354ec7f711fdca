"""Lets a command that is told to stop (Ctrl-C, SIGTERM of CI and timeout) leave in order, with nothing left behind."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_AGAIN_S = 0.02


@contextmanager
def leaving_in_order() -> Iterator[None]:
    """Turn signals into exceptions, so that what cleans up behind itself does: no node and no half file stays.

    Ctrl-C raises KeyboardInterrupt as ever, SIGTERM raises SystemExit with 128 + 15. What is raised while a module is
    being imported can get lost, since compiled modules may forget errors; there it waits until the import is over.
    """
    main = threading.get_ident()
    again: list[threading.Timer] = []

    def leave(number: int, frame: FrameType | None) -> None:
        if _imports(frame):
            # To the thread itself, so that it wakes from whatever it waits for.
            again.append(threading.Timer(_AGAIN_S, signal.pthread_kill, (main, number)))
            again[-1].daemon = True
            again[-1].start()
        elif number == signal.SIGINT:
            raise KeyboardInterrupt
        else:
            raise SystemExit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for timer in again:
            timer.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)


def _imports(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
