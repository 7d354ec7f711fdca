"""How much the aliases of a YAML file repeat, found before anything goes through all of it."""

from __future__ import annotations

from typing import Any

import yaml

MOST_REPEATED = 100_000
"""Values, with all that aliases repeat, of a file that has aliases."""


class AliasError(ValueError):
    """Aliases that nobody writes by hand.

    Attributes:
        line: Where, from 1; 0 where it is the file as a whole.
    """

    def __init__(self, text: str, line: int = 0) -> None:
        super().__init__(text)
        self.line = line


def read_checked(text: str) -> tuple[yaml.Node | None, Any]:
    """A text of YAML as its composed node and as plain values; both None where the text is empty.

    Raises:
        AliasError: Its aliases repeat too much; nothing has gone through all that they stand for.
        Exception: One of `yaml_problem.UNREADABLE`, where it cannot be read.
    """
    loader = yaml.SafeLoader(text)
    node = loader.get_single_node()
    check_aliases(node)
    return node, None if node is None else loader.construct_document(node)


def check_aliases(root: yaml.Node | None) -> None:
    """Refuses aliases that stand for so many values that whoever reads, checks or prints them takes all memory.

    Args:
        root: The file's composed node, in which an alias is the very node that it stands for.

    Raises:
        AliasError: They stand for more than `MOST_REPEATED` values, or one contains itself.
    """
    sizes: dict[int, int] = {}
    # A file without aliases has as many values as nodes, and may be of any size.
    if root is not None and _size(root, sizes) > max(MOST_REPEATED, len(sizes)):
        raise AliasError(f"its aliases repeat more than {MOST_REPEATED} values: write out what is meant")


def _size(node: yaml.Node, sizes: dict[int, int]) -> int:
    """How many values a node stands for; `sizes` has those of the nodes that were counted, 0 while they are."""
    known = sizes.get(id(node))
    if known is None:
        sizes[id(node)] = 0
        members: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            members = [one for pair in node.value for one in pair]
        elif isinstance(node, yaml.SequenceNode):
            members = node.value
        known = sizes[id(node)] = 1 + sum(_size(member, sizes) for member in members)
    if known == 0:
        raise AliasError("what an alias stands for contains the alias itself", node.start_mark.line + 1)
    return known
