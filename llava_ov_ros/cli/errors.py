"""The error that ends a command with one line instead of a traceback."""

from __future__ import annotations

FAILED = 1
"""Exit code where a file, model, bag or device cannot be used, or the outcome is not as asked."""
USAGE = 2
"""Exit code for a command that cannot be run as it was typed."""
INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it (128 + 2); after SIGTERM 143, after SIGHUP 129."""


class CommandError(Exception):
    """A command cannot go on; the text says what is wrong and what to do.

    Attributes:
        code: Exit code of the process.
    """

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code
