"""Signals that end the node's process; imports nothing slow, so that it is there before all else is imported."""

from __future__ import annotations

import signal
import time
from collections import Counter
from types import FrameType

TURN_S = 0.1
# A terminal and `ros2 launch` may each pass on one and the same Ctrl-C, the latter many seconds later where the machine
# is busy, and launch adds SIGTERM. Of one number, two can mean one wish; nobody sends three but an impatient user.
ENOUGH = 3


class StopSignals:
    """Notes that the process was told to stop.

    The node ends within seconds of the first signal, whatever the model does; the second of a number changes nothing,
    and the third ends the process at once.
    """

    def __init__(self) -> None:
        self._told = False
        self._counts: Counter[int] = Counter()

    @property
    def told(self) -> bool:
        """Whether the process shall stop."""
        return self._told

    def install(self) -> None:
        """Take the signals from now on; to be called in the main thread."""
        signal.signal(signal.SIGINT, self._note)
        signal.signal(signal.SIGTERM, self._note)
        # Of a terminal that was closed. Under nohup it is ignored, and stays so.
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            signal.signal(signal.SIGHUP, self._note)

    def tell(self) -> None:
        """Stop for another reason than a signal; to be called from any thread."""
        self._told = True

    def wait(self) -> None:
        """Wait in the main thread until the process is told to stop.

        In short turns: handlers run in the main thread only, and a signal that the kernel gives to another thread (DDS
        and torch have many) does not wake it. Without a lock, which the handler could find taken by its own thread.
        """
        while not self._told:
            time.sleep(TURN_S)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._told = True
        self._counts[number] += 1
        if self._counts[number] >= ENOUGH:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
