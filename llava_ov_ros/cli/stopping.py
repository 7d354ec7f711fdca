"""Let a command that is told to stop (Ctrl-C, SIGTERM of timeout, a closed terminal) clean up and end."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_AGAIN_S, _LOST_S = 0.02, 0.5


@contextmanager
def leaving_in_order() -> Iterator[None]:
    """Turn signals into exceptions during the `with` block, so that cleanup code runs: no node and no half file stays.

    Ctrl-C raises KeyboardInterrupt as usual; SIGTERM and SIGHUP raise SystemExit with 128 + 15 and 128 + 1. An
    exception that is raised while a module is imported can get lost, because compiled modules may discard errors;
    during an import the exception waits for the end of the import. Python's own files discard some errors too while
    they are read; if the work goes on after an exception, the signal is sent again. If SIGHUP is ignored, as under
    nohup, it stays ignored. Outside the main thread nothing changes, because Python delivers signals to the main thread
    only.
    """
    main = threading.get_ident()
    ended, left = threading.Event(), threading.Event()
    waiting: set[int] = set()
    senders: list[threading.Thread] = []

    def send(sender: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=sender, args=arguments, daemon=True)
        thread.start()
        senders.append(thread)

    def send_again(number: int) -> None:
        # To the thread itself, so that it wakes from whatever it waits for, until the import is over.
        while not ended.wait(_AGAIN_S):
            signal.pthread_kill(main, number)

    def send_if_lost(number: int) -> None:
        if not left.wait(_LOST_S) and not _is_leaving(main):
            signal.pthread_kill(main, number)

    begun = False

    def leave(number: int, frame: FrameType | None) -> None:
        nonlocal begun
        if begun:
            # One that is sent again may come before this has started its thread, in which another would wait for ever.
            return
        begun = True
        try:
            if _imports(frame):
                if number not in waiting:
                    waiting.add(number)
                    send(send_again, number)
                return
            ended.set()
            send(send_if_lost, number)
        finally:
            begun = False
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, leave) for number in numbers}
    try:
        yield
    finally:
        ended.set()
        left.set()
        for number, handler in before.items():
            signal.signal(number, handler)
        # None of them meets the end of the interpreter, which may abort the process.
        for thread in senders:
            thread.join()


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
