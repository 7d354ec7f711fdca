"""What ends a command with one line instead of a traceback."""

from __future__ import annotations

USAGE = 2
"""Exit code for a command that cannot be run as it was typed."""


class CommandError(Exception):
    """A command that cannot go on; the text says what is wrong and what to do.

    Attributes:
        code: Exit code of the process.
    """

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code
