"""Let a command that is told to stop (Ctrl-C, SIGTERM of timeout, a closed terminal) clean up and end."""

from __future__ import annotations

import contextlib
import math
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# Between two sendings of a signal: before its exception was raised, and after it seems to be forgotten.
_AGAIN_S, _LOST_S = 0.02, 0.5
_STOP = b"\0"


class _Watch(threading.Thread):
    """Sends a signal to the main thread again until Python has raised its exception and the command is leaving.

    Three signals would be lost otherwise: one that comes during an import, whose exception compiled modules may forget;
    one whose exception is forgotten by a file of Python's own; and one that comes just before a blocking call, of which
    Python hears only after the call. Of each signal the kernel tells this thread through a pipe.

    Attributes:
        pipe: Its writing end, for `signal.set_wakeup_fd`.
        raised: Set once the exception of a signal has been raised.
    """

    def __init__(self) -> None:
        super().__init__(name="signals", daemon=True)
        self._reads, self.pipe = os.pipe()
        os.set_blocking(self.pipe, False)
        self._main = threading.get_ident()
        self.raised = threading.Event()

    def run(self) -> None:
        number = 0
        while True:
            again_s = None if not number else _LOST_S if self.raised.is_set() else _AGAIN_S
            if select.select([self._reads], [], [], again_s)[0]:
                told = os.read(self._reads, 64)
                if _STOP in told:
                    return
                number = told[-1]
            elif not (self.raised.is_set() and _is_leaving(self._main)):
                # To the thread itself, so that it wakes from whatever it waits for.
                signal.pthread_kill(self._main, number)

    def tell(self, number: int) -> None:
        """Note a signal, should somebody else have taken over the signals' pipe."""
        with contextlib.suppress(BlockingIOError):
            os.write(self.pipe, bytes([number]))

    def close(self) -> None:
        """End the thread; it does not meet the end of the interpreter, which may abort the process."""
        os.set_blocking(self.pipe, True)
        os.write(self.pipe, _STOP)
        self.join()
        os.close(self._reads)
        os.close(self.pipe)


@contextmanager
def leaving_in_order() -> Iterator[None]:
    """Turn signals into exceptions during the `with` block, so that cleanup code runs: no node and no half file stays.

    Ctrl-C raises KeyboardInterrupt as usual; SIGTERM and SIGHUP raise SystemExit with 128 + 15 and 128 + 1. During an
    import the exception waits for the end of the import. If SIGHUP is ignored, as under nohup, it stays ignored. In
    other threads than the main one nothing changes, because Python delivers signals to the main thread only.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    watch = _Watch()
    raised_s = -math.inf

    def leave(number: int, frame: FrameType | None) -> None:
        nonlocal raised_s
        watch.tell(number)
        # One that was sent again before this one had been heard is the same signal.
        if _imports(frame) or time.monotonic() - raised_s < _LOST_S / 2:
            return
        raised_s = time.monotonic()
        watch.raised.set()
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    watch.start()
    before = {number: signal.signal(number, leave) for number in numbers}
    pipe_before = signal.set_wakeup_fd(watch.pipe, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(pipe_before)
        for number, handler in before.items():
            signal.signal(number, handler)
        watch.close()


def _is_leaving(thread: int) -> bool:
    """Whether a thread is in a handler, a `finally` or the end of a `with` block because of what `leave` raised."""
    found: object = sys._current_exceptions().get(thread)
    # Python 3.11 has type, exception and traceback; later versions have the exception.
    error = found[1] if isinstance(found, tuple) else found
    while isinstance(error, BaseException):
        if isinstance(error, KeyboardInterrupt | SystemExit):
            return True
        error = error.__context__
    return False


def _imports(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
