"""The command `llava-ov parameters`: list the node's parameters as text, as Markdown, or as a parameters file."""

from __future__ import annotations

import argparse
import json
import textwrap
from dataclasses import fields
from typing import Any, NamedTuple

from ..settings import DEFAULTS, Described, Settings, about

_DESCRIPTION = """\
The parameters of the node: name, type, default, what is allowed, whether a change takes effect while the node runs
(live) or at the next configure, and what it means.
"""

_EPILOG = """\
examples:
  llava-ov parameters
  llava-ov parameters --yaml > my_robot.yaml      a parameters file to edit, for
  ros2 run llava_ov_ros llava_ov_node --ros-args --params-file my_robot.yaml

exit codes: 0 fine; 2 wrong usage; 130 Ctrl-C
"""

_YAML_HEAD = """\
# The parameters of llava_ov_node with their defaults (made by `llava-ov parameters --yaml`).
# live: a change takes effect while the node runs; the others are read at configure.
/**:
  ros__parameters:
"""
YAML_WIDTH = 110


class ParameterRow(NamedTuple):
    """One parameter as the lists show it."""

    name: str
    type: str
    default: str
    allowed: str
    live: str
    text: str


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "parameters",
        help="list the node's parameters, or write a parameters file",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--markdown", action="store_true", help="as a table in Markdown")
    form.add_argument("--yaml", action="store_true", help="as a commented parameters file with the defaults")


def run(args: argparse.Namespace) -> int:
    """Run the command and return the exit code."""
    rows = parameter_rows()
    print(yaml_file(rows) if args.yaml else markdown_table(rows) if args.markdown else plain_list(rows), end="")
    return 0


def parameter_rows() -> list[ParameterRow]:
    """Return all parameters of the node, in the order of its table."""
    rows = []
    for entry in fields(Settings):
        rule, default = about(entry), getattr(DEFAULTS, entry.name)
        live = "live" if rule.live else "configure"
        rows.append(
            ParameterRow(entry.name, _type(entry.type), json.dumps(default), _allowed(rule, default), live, rule.text)
        )
    return rows


def _type(annotation: Any) -> str:
    """Return the ROS name of a Python type, such as string_array."""
    names = {"str": "string", "int": "integer", "float": "double", "bool": "bool"}
    inner = str(annotation).removeprefix("list[").removesuffix("]")
    return names[inner] + ("_array" if inner != annotation else "")


def _allowed(rule: Described, default: object) -> str:
    if rule.choices:
        return "one of " + ", ".join(str(choice) for choice in rule.choices)
    if rule.low is not None and rule.high is not None:
        if isinstance(default, int):
            return f"{rule.low:.0f} to {rule.high:.0f}"
        return f"{rule.low:.9g} to {rule.high:.9g}"
    return ""


def plain_list(rows: list[ParameterRow]) -> str:
    """Return the list for people: a block of lines for each parameter."""
    width = max(len(row.name) for row in rows)
    blocks = []
    for row in rows:
        facts = f"{row.type}, {row.live}" + (f", {row.allowed}" if row.allowed else "")
        blocks.append(f"{row.name:<{width}}  {row.default}\n{'':4}{row.text}\n{'':4}({facts})\n")
    return "".join(blocks)


def markdown_table(rows: list[ParameterRow]) -> str:
    """Return the table for the documentation."""
    lines = ["| parameter | type | default | allowed | takes effect | meaning |", "|---|---|---|---|---|---|"]
    lines += [
        f"| `{row.name}` | {row.type} | `{row.default}` | {row.allowed} | "
        f"{'at once' if row.live == 'live' else 'at configure'} | {row.text} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def yaml_file(rows: list[ParameterRow]) -> str:
    """Return the text of config/llava_ov.yaml."""
    parts = [_YAML_HEAD]
    for row in rows:
        facts = ", ".join(filter(None, (row.type, "live" if row.live == "live" else "", row.allowed)))
        comment = textwrap.wrap(f"{row.text} ({facts})", YAML_WIDTH)
        parts += [f"    # {line}\n" for line in comment]
        # JSON is YAML, and quotes what YAML would take for something else.
        parts.append(f"    {row.name}: {row.default}\n")
    return "".join(parts)
