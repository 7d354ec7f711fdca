"""Reads a YAML file and the line of each value, so that a message can name the line of a fault."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ...yaml_aliases import read_checked
from ...yaml_problem import UNREADABLE, yaml_problem

Place = tuple[str | int, ...]
"""Keys and indices that lead to a value, such as ("bags", 0, "questions", 2, "at_s")."""


class FileError(ValueError):
    """A file cannot be read; the text names the file and, if known, the line."""


@dataclass(frozen=True)
class YamlFile:
    """The values of a file and their lines.

    Attributes:
        path: Path of the file.
        content: The values.
        lines: The line, from 1, of every key and every member of a list.
        twice: Places of keys that the file has twice.
    """

    path: Path
    content: Any
    lines: dict[Place, int]
    twice: tuple[Place, ...]

    def line(self, place: Sequence[str | int]) -> int:
        """The line of a value; if it has none, the line of the nearest enclosing value."""
        known = tuple(place)
        while known and known not in self.lines:
            known = known[:-1]
        return self.lines.get(known, 1)

    def problem(self, place: Sequence[str | int], text: str) -> str:
        """Format a fault as one line: file, line, field, text."""
        return f"{self.path}:{self.line(place)}: {field_name(place)}{': ' if place else ''}{text}"


def field_name(place: Iterable[str | int]) -> str:
    """Format a place as a field name, such as `bags[0].questions[2].at_s`."""
    name = ""
    for part in place:
        name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else part
    return name


def read_yaml(path: Path) -> YamlFile:
    """Read a YAML file; JSON is YAML too.

    Raises:
        FileError: The file is missing, or is not YAML.
    """
    try:
        node, content = read_checked(path.read_text(encoding="utf-8"))
        lines: dict[Place, int] = {}
        twice: list[Place] = []
        _walk(node, (), lines, twice)
    except UNREADABLE as error:
        raise FileError(f"{path}{yaml_problem(error)}") from None
    return YamlFile(path, content, lines, tuple(twice))


def _walk(node: yaml.Node | None, place: Place, lines: dict[Place, int], twice: list[Place]) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*place, str(key.value))
            if inner in lines:
                twice.append(inner)
            lines[inner] = key.start_mark.line + 1
            _walk(value, inner, lines, twice)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            inner = (*place, number)
            lines[inner] = value.start_mark.line + 1
            _walk(value, inner, lines, twice)


def one_of(given: str, allowed: Iterable[str]) -> str:
    """Make the end of a message about a wrong word: the nearest allowed word, or else all allowed words."""
    words = list(allowed)
    near = difflib.get_close_matches(given, words, n=1)
    return f": did you mean {near[0]!r}?" if near else f": there are {', '.join(words)}"
