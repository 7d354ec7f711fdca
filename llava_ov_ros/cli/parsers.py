"""A parser for commands that do something by themselves and have commands of their own too."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any


class CommandParser(argparse.ArgumentParser):
    """Gives the rest of the line to a command of its own where the first word names one.

    argparse's sub-parsers take every first word for a command, so that none could be the name of a bag.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._commands: dict[str, argparse.ArgumentParser] = {}

    def add_command(self, name: str, **kwargs: Any) -> argparse.ArgumentParser:
        """Add a command of its own; arguments are those of argparse.ArgumentParser."""
        self._commands[name] = CommandParser(prog=f"{self.prog} {name}", **kwargs)
        return self._commands[name]

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """As argparse has it."""
        words = sys.argv[1:] if args is None else list(args)
        if words and words[0] in self._commands:
            return self._commands[words[0]].parse_known_args(words[1:], namespace)
        return super().parse_known_args(words, namespace)
