"""A parser whose commands may have commands of their own, and whose errors suggest what was meant."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

SHORTEST_PREFIX = 3
"""Letters of a word that begins another, for it to be taken for a form of that."""


class CommandParser(argparse.ArgumentParser):
    """A parser that suggests the nearest known name for a misspelt option, command or choice.

    argparse suggests names only from Python 3.14 on, and not for options. argparse's sub-parsers take every first word
    for a command. `add_command` hands the rest of the line to a command only if the first word is the command's name,
    so that the first word can also be the name of a bag.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.suggest_on_error = False
        self._commands: dict[str, argparse.ArgumentParser] = {}
        self._words: list[str] = []
        self.option_of_words = ""
        """The option that a word without one may have been meant for, where a command takes no such words."""

    def add_command(self, name: str, **kwargs: Any) -> argparse.ArgumentParser:
        """Add a command and return its parser; the arguments are those of argparse.ArgumentParser."""
        self._commands[name] = CommandParser(prog=f"{self.prog} {name}", **kwargs)
        return self._commands[name]

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse the arguments like argparse, but end with an error for unknown ones.

        The error comes from the parser of the command that was typed, and not from that of `llava-ov`.
        """
        words = sys.argv[1:] if args is None else list(args)
        if words and words[0] in self._commands:
            return self._commands[words[0]].parse_known_args(words[1:], namespace)
        self._words = words
        found, unknown = super().parse_known_args(words, namespace)
        if unknown:
            is_word = self.option_of_words and not any(word.startswith("-") for word in unknown)
            meant = f"; did you mean {self.option_of_words} {unknown[0]}?" if is_word else ""
            self.error(f"unrecognized arguments: {' '.join(unknown)}{meant}")
        return found, unknown

    def error(self, message: str) -> NoReturn:
        """End the process with exit code 2 and suggest the nearest known name for each unknown word."""
        known = list(self._option_string_actions)
        hints = []
        for word in self._words:
            option = word.partition("=")[0]
            is_known = any(name.startswith(option) for name in known)
            if option.startswith("--") and option != "--" and not is_known:
                hints.append(_meant(option, known) if option in message else _unknown(option, known))
        if self._words and self._words[0] not in known and not Path(self._words[0]).exists():
            word = self._words[0]
            meant = _meant(word, self._commands)
            hints.append(meant if word in message or not meant else _unknown(word, self._commands))
        super().error(message + "".join(dict.fromkeys(hints)))

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            error.message += _meant(str(value), map(str, action.choices or ()))
            raise


def _unknown(word: str, known: Iterable[str]) -> str:
    """Return `; --gaol is not known here: did you mean --goal?` for a word that argparse's own message leaves out."""
    return f"; {word} is not known here" + _meant(word, known).replace(";", ":", 1)


def _meant(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean --model?`, or an empty text if no known name is similar to the word."""
    names = list(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.7)
    if not near and len(word) >= SHORTEST_PREFIX:
        # A longer or shorter form of the same word, such as evaluate and eval.
        near = [name for name in names if len(name) >= SHORTEST_PREFIX and _one_begins_other(word, name)]
    return f"; did you mean {near[0]}?" if near else ""


def _one_begins_other(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)
