"""Describes why a file cannot be read as YAML without citing it: whoever names a file may not be allowed to read it."""

from __future__ import annotations

import re

import yaml

from .yaml_aliases import AliasError

UNREADABLE = (OSError, yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError)
"""Errors that reading a YAML file may raise. PyYAML passes on those of its constructors, as for `!!int ''`."""
# PyYAML's messages cite aliases, anchors, tags and their handles, all in quotes.
_QUOTED = re.compile(r"""(['"])(.*?)\1""")
_TAB = "found character '\\t' that cannot start any token"
_ADVICE = {
    "mapping values are not allowed here": "look at the indentation, and quote a text that has ': ' in it",
    "expected <block end>": "look at the indentation",
    "expected ',' or": "look for a bracket that is not closed",
    "found unexpected end of stream": "look for a quote that is not closed",
    "could not find expected ':'": "look at the indentation, and for a key without ':'",
}
"""Remedies for the commonest errors of PyYAML, by the beginning of its message."""


def yaml_problem(error: Exception) -> str:
    """Describe an error of reading a YAML file, for a message: the text follows the file's path without a blank.

    Args:
        error: An instance of one of UNREADABLE.

    Returns:
        The line, if it is known, and the problem, such as `:3: not YAML: found undefined alias (...)`.
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
    """A message of PyYAML without words of the file, and the remedy if one is known."""
    if problem == _TAB:
        return "found a tab: YAML wants blanks"
    advice = next((text for begin, text in _ADVICE.items() if problem.startswith(begin)), "")
    return _QUOTED.sub(_mark, problem) + (f": {advice}" if advice else "")


def _mark(quoted: re.Match[str]) -> str:
    """Replacement for a quoted part of PyYAML's message: `(...)` for words of the file.

    A mark such as ':' and a token's name such as '<block end>' stay.
    """
    return "(...)" if re.search(r"\w", quoted[2]) and not quoted[2].startswith("<") else quoted[0]
