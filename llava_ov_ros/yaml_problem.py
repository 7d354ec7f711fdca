"""What is wrong with a file that is no YAML, said without a word of the file: it may be any file, with any secrets."""

from __future__ import annotations

import re

import yaml

from .yaml_aliases import AliasError

UNREADABLE = (OSError, yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError)
"""What reading a file as YAML may raise: PyYAML lets through what its constructors meet in `!!int ''` or `!!bool x`."""
# PyYAML names aliases, anchors, tags and their handles, all in quotes.
_QUOTED = re.compile(r"""(['"])(.*?)\1""")
_TAB = "found character '\\t' that cannot start any token"
_ADVICE = {
    "mapping values are not allowed here": "look at the indentation, and quote a text that has ': ' in it",
    "expected <block end>": "look at the indentation",
    "expected ',' or": "look for a bracket that is not closed",
    "found unexpected end of stream": "look for a quote that is not closed",
    "could not find expected ':'": "look at the indentation, and for a key without ':'",
}
"""What to do about PyYAML's commonest findings, by how they begin."""


def yaml_problem(error: Exception) -> str:
    """What an error says that was raised while a file was read as YAML, to follow the file's path.

    Args:
        error: One of UNREADABLE.

    Returns:
        The line, where it is known, and the problem: `:3: not YAML: found undefined alias (...)`.
    """
    if isinstance(error, OSError):
        return f": {error.strerror}"
    if isinstance(error, AliasError):
        return f"{f':{error.line}' if error.line else ''}: {error}"
    if isinstance(error, UnicodeDecodeError):
        return f": not text in UTF-8, from byte {error.start} on"
    if isinstance(error, RecursionError):
        return ": not YAML: nested too deeply"
    if isinstance(error, yaml.MarkedYAMLError):
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        return f"{line}: not YAML: {_found(error.problem or 'it cannot be read')}"
    if isinstance(error, yaml.reader.ReaderError):
        return f": not YAML: character {error.position + 1} is none that YAML allows"
    return ": not YAML: a number, date or truth value in it is none"


def _found(problem: str) -> str:
    """A finding of PyYAML without words of the file, and what to do about it where that is known."""
    if problem == _TAB:
        return "found a tab: YAML wants blanks"
    advice = next((text for begin, text in _ADVICE.items() if problem.startswith(begin)), "")
    return _QUOTED.sub(_mark, problem) + (f": {advice}" if advice else "")


def _mark(quoted: re.Match[str]) -> str:
    """What is quoted, where it is no word of the file: a mark such as ':', or a token's name such as '<block end>'."""
    return "(...)" if re.search(r"\w", quoted[2]) and not quoted[2].startswith("<") else quoted[0]
