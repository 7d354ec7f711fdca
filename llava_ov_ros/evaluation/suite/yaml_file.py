"""A YAML file whose values know their lines, so that a message can say where something is wrong."""

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
"""Keys and numbers that lead to a value, such as ("bags", 0, "questions", 2, "at_s")."""


class FileError(ValueError):
    """A file that cannot be read at all; the text names it, and the line where there is one."""


@dataclass(frozen=True)
class YamlFile:
    """What a file says, and where.

    Attributes:
        path: The file.
        content: Its values.
        lines: The line, from 1, of every key and every member of a list.
        twice: Keys that are there twice.
    """

    path: Path
    content: Any
    lines: dict[Place, int]
    twice: tuple[Place, ...]

    def line(self, place: Sequence[str | int]) -> int:
        """The line of a value, or of what holds it where it has none."""
        known = tuple(place)
        while known and known not in self.lines:
            known = known[:-1]
        return self.lines.get(known, 1)

    def problem(self, place: Sequence[str | int], text: str) -> str:
        """One line for people: file, line, field, and what is wrong with it."""
        return f"{self.path}:{self.line(place)}: {field_name(place)}{': ' if place else ''}{text}"


def field_name(place: Iterable[str | int]) -> str:
    """A place as people write it, such as `bags[0].questions[2].at_s`."""
    name = ""
    for part in place:
        name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else part
    return name


def read_yaml(path: Path) -> YamlFile:
    """Read a file of YAML, or of JSON, which is YAML too.

    Raises:
        FileError: It is missing, or is neither.
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
    """What a wrong word may have been meant to be, for the end of a message."""
    words = list(allowed)
    near = difflib.get_close_matches(given, words, n=1)
    return f": did you mean {near[0]!r}?" if near else f": there are {', '.join(words)}"
