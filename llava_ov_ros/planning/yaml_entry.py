"""YAML entries that know their file and line, so that errors about a vocabulary can name them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import yaml

from ..bounds import cited, shortened
from ..yaml_problem import UNREADABLE, yaml_problem
from .vocabulary import one_of


class VocabularyError(ValueError):
    """A vocabulary cannot be used; the message names the file, line, entry and value, and what was expected."""


@dataclass(frozen=True)
class Entry:
    """One node of a YAML file.

    Attributes:
        node: The node.
        file: The file's name.
        where: Path of keys to the node, such as `actions.PutObject.requires`.
    """

    node: yaml.Node
    file: str
    where: str = ""

    def error(self, text: str) -> VocabularyError:
        """Create an error that names this entry's file, line and path; the caller raises it."""
        line = self.node.start_mark.line + 1
        return VocabularyError(f"{self.file}:{line}: {self.where + ': ' if self.where else ''}{text}")

    @property
    def is_text(self) -> bool:
        """Whether the entry is a single value, not a list or mapping."""
        return isinstance(self.node, yaml.ScalarNode)

    def text(self) -> str:
        """The single value as text, as the file writes it (`on` stays `on`, not True).

        Raises:
            VocabularyError: The entry is a list, a mapping or empty.
        """
        if not isinstance(self.node, yaml.ScalarNode) or not self.node.value.strip():
            raise self.error(f"expected a word or text, not {self._kind()}")
        value = self.node.value
        assert isinstance(value, str)
        return value.strip()

    def number(self) -> int:
        """The value as an integer from 1 to 999999.

        Raises:
            VocabularyError: The entry is no such integer.
        """
        text = self.text()
        if not text.isdecimal() or len(text) > 6 or int(text) < 1:
            raise self.error(f"{cited(text)} is no whole number from 1 to 999999")
        return int(text)

    def flag(self) -> bool:
        """The value as a bool.

        Raises:
            VocabularyError: The entry is neither `true` nor `false`.
        """
        text = self.text().casefold()
        if text not in ("true", "false"):
            raise self.error(f"{cited(self.text())} is neither true nor false")
        return text == "true"

    def list(self) -> list[Entry]:
        """The members of the list.

        Raises:
            VocabularyError: The entry is no list.
        """
        if not isinstance(self.node, yaml.SequenceNode):
            raise self.error(f"expected a list, not {self._kind()}")
        return [Entry(node, self.file, self.where) for node in self.node.value]

    def mapping(self) -> dict[str, tuple[Entry, Entry]]:
        """The mapping by key, each with the entry of the key (for errors about it) and the entry of its value.

        Raises:
            VocabularyError: The entry is no mapping, or has a key twice.
        """
        if not isinstance(self.node, yaml.MappingNode):
            raise self.error(f"expected a mapping (name: value), not {self._kind()}")
        found: dict[str, tuple[Entry, Entry]] = {}
        for key_node, value_node in self.node.value:
            key = Entry(key_node, self.file, self.where)
            name = key.text()
            if name in found:
                line = found[name][0].node.start_mark.line + 1
                raise key.error(f"{cited(name)} is there twice, first in line {line}")
            where = f"{self.where}.{shortened(name)}" if self.where else shortened(name)
            found[name] = Entry(key_node, self.file, where), Entry(value_node, self.file, where)
        return found

    def fields(self, allowed: Collection[str], required: Collection[str] = ()) -> dict[str, Entry]:
        """The values of a mapping with known keys.

        Raises:
            VocabularyError: The entry is no mapping, has a key that is not allowed, or lacks a required one.
        """
        found = self.mapping()
        for name, (key, _) in found.items():
            if name not in allowed:
                raise key.error(f"{cited(name)} is not known here{one_of(name, allowed)}")
        for name in required:
            if name not in found:
                raise self.error(f"{cited(name)} is missing")
        return {name: value for name, (_, value) in found.items()}

    def _kind(self) -> str:
        if isinstance(self.node, yaml.MappingNode):
            return "a mapping"
        if isinstance(self.node, yaml.SequenceNode):
            return "a list"
        return cited(self.node.value) if self.node.value else "nothing"


def load_entry(path: Path, keys: Collection[str]) -> Entry:
    """Read the YAML file of a vocabulary.

    Args:
        path: The file. Whoever names it may not be allowed to read it, so errors cite no text of a file that is no
            vocabulary.
        keys: Keys that every vocabulary has. A file with fewer than two of them is no vocabulary; a vocabulary that
            lacks one may have it misspelt, which `Entry.fields` reports.

    Raises:
        VocabularyError: The file is missing, is no YAML, is empty, or is no vocabulary.
    """
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except UNREADABLE as error:
        raise VocabularyError(f"{path}{yaml_problem(error)}") from None
    if node is None:
        raise VocabularyError(f"{path}: the file is empty: it needs {', '.join(keys)}")
    there = [key.value for key, _ in node.value] if isinstance(node, yaml.MappingNode) else []
    if sum(key in there for key in keys) < 2:
        raise VocabularyError(f"{path}: it is no vocabulary, which is a mapping with the keys {', '.join(keys)}")
    return Entry(node, str(path))
