"""The first module of `llava-ov`: installs the signal handling before the first slow import."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType


def main() -> int:
    """Run the command line of this process and return the exit code.

    Before the command runs and after it has ended, Ctrl-C ends the process with one line. Without this, Python would
    print a traceback of an import or of its own shutdown.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)
    from .main import main as run

    return run()


def _end(number: int, frame: FrameType | None) -> None:
    os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, b"llava-ov: error: stopped\n")
    os._exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
