"""Refuses YAML files whose aliases stand for too many values, before anything expands them."""

from __future__ import annotations

from typing import Any

import yaml

MOST_REPEATED = 100_000
"""Most values of a file that has aliases, with every alias counted as the values that it stands for."""


class AliasError(ValueError):
    """The aliases of a YAML file stand for too many values, or one of them contains itself.

    Attributes:
        line: Line of the error, from 1; 0 if it concerns the whole file.
    """

    def __init__(self, text: str, line: int = 0) -> None:
        super().__init__(text)
        self.line = line


def read_checked(text: str) -> tuple[yaml.Node | None, Any]:
    """Read a YAML text whose aliases have been checked.

    Returns:
        The composed node (with line numbers) and the plain values; both None if the text is empty.

    Raises:
        AliasError: The aliases stand for too many values; they have not been expanded.
        Exception: The text cannot be read; one of `yaml_problem.UNREADABLE`.
    """
    loader = yaml.SafeLoader(text)
    node = loader.get_single_node()
    check_aliases(node)
    return node, None if node is None else loader.construct_document(node)


def check_aliases(root: yaml.Node | None) -> None:
    """Check that the aliases of a YAML file do not expand to more values than memory can hold.

    Args:
        root: The file's composed node, in which an alias is the same object as the node that it stands for; None for
            an empty file.

    Raises:
        AliasError: With its aliases expanded the file has more than `MOST_REPEATED` values, or an alias contains
            itself.
    """
    sizes: dict[int, int] = {}
    # A file without aliases has as many values as nodes, and may be of any size.
    if root is not None and _size(root, sizes) > max(MOST_REPEATED, len(sizes)):
        raise AliasError(f"its aliases repeat more than {MOST_REPEATED} values: write out what is meant")


def _size(node: yaml.Node, sizes: dict[int, int]) -> int:
    """Number of values of a node, aliases expanded.

    `sizes` maps the id of each node to its number of values, or to 0 while that node is being counted.
    """
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
