"""Handles the signals that end the node's process; imports nothing slow, so that it can run before other imports."""

from __future__ import annotations

import signal
import time
from collections import Counter
from types import FrameType

TURN_S = 0.1
# A terminal and `ros2 launch` may both pass on the same Ctrl-C, launch many seconds later if the machine is busy, and
# launch adds SIGTERM. So two signals of one number may come from one Ctrl-C; only an impatient user sends three.
ENOUGH = 3


class StopSignals:
    """Notes that the process was told to stop.

    The node ends within seconds of the first signal, whatever the model does. The second signal of one number changes
    nothing, and the third ends the process at once.
    """

    def __init__(self) -> None:
        self._told = False
        self._counts: Counter[int] = Counter()

    @property
    def told(self) -> bool:
        """Whether the process was told to stop."""
        return self._told

    def install(self) -> None:
        """Install the handlers of SIGINT, SIGTERM and SIGHUP; call this in the main thread."""
        signal.signal(signal.SIGINT, self._note)
        signal.signal(signal.SIGTERM, self._note)
        # SIGHUP comes from a terminal that is closed. If nohup has made the process ignore SIGHUP, this stays so.
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            signal.signal(signal.SIGHUP, self._note)

    def tell(self) -> None:
        """Tell the process to stop for another reason than a signal; any thread may call this."""
        self._told = True

    def wait(self) -> None:
        """Wait in the main thread until the process is told to stop.

        The main thread sleeps in short turns: Python runs signal handlers in the main thread only, and a signal that
        the kernel delivers to another thread (DDS and torch have many) does not wake the main thread. There is no lock,
        because a handler could wait for a lock that its own thread holds.
        """
        while not self._told:
            time.sleep(TURN_S)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._told = True
        self._counts[number] += 1
        if self._counts[number] >= ENOUGH:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
