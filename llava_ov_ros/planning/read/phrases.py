"""Patterns of sentences: words, alternatives `(either|or)`, optional `[perhaps]` and `{argument}`.

matching.py matches them. Every Han character is a word. A pattern without arguments can also become a regular
expression for text in the form of `spelling.spaced`: lower-case words with one blank after each, the last included.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...bounds import cited, shortened
from ...questions.chinese import apart

_TOKEN = re.compile(r"\s*([()\[\]|]|\{\s*\w+\s*\}|[^\s()\[\]|{}]+)")


class PhraseError(ValueError):
    """A pattern cannot be read; the message says why."""


@dataclass(frozen=True)
class Slot:
    """The place of an argument in a pattern."""

    name: str


@dataclass(frozen=True)
class Alternation:
    """Alternatives of a pattern: exactly one of them occurs, or, if `optional`, at most one."""

    sequences: tuple[Sequence, ...]
    optional: bool


Sequence = tuple[str | Slot | Alternation, ...]


def parse_phrase(text: str) -> Sequence:
    """Read a pattern.

    Raises:
        PhraseError: A bracket is not closed or not opened, or an alternative is empty.
    """
    tokens, position = [], 0
    text = text.strip()
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            raise PhraseError(f"the pattern {cited(text)} cannot be read from {cited(text[position:])} on")
        tokens.append(found.group(1))
        position = found.end()
    sequence, rest = _sequence(tokens, text)
    if rest:
        raise PhraseError(f"the pattern {cited(text)} has a {cited(rest[0])} too many")
    return sequence


def _sequence(tokens: list[str], text: str) -> tuple[Sequence, list[str]]:
    items: list[str | Slot | Alternation] = []
    while tokens and tokens[0] not in ")]|":
        token, tokens = tokens[0], tokens[1:]
        if token in "([":
            sequences = []
            while True:
                inner, tokens = _sequence(tokens, text)
                sequences.append(inner)
                if not tokens or tokens[0] != "|":
                    break
                tokens = tokens[1:]
            closing = ")" if token == "(" else "]"
            if not tokens or tokens[0] != closing:
                raise PhraseError(
                    f"the pattern {cited(text)} has a {cited(token)} that is not closed by {cited(closing)}"
                )
            tokens = tokens[1:]
            items.append(Alternation(tuple(sequences), optional=token == "["))
        elif token.startswith("{"):
            items.append(Slot(token.strip("{} ")))
        else:
            items.extend(apart(token.casefold()).split())
    if not items:
        raise PhraseError(f"the pattern {cited(text)} has a place without words")
    return tuple(items), tokens


def regex(sequence: Sequence) -> str:
    """The regular expression of a pattern without arguments.

    Raises:
        PhraseError: The pattern has an argument; use `matching.matches` for such patterns.
    """
    parts = []
    for item in sequence:
        if isinstance(item, Slot):
            raise PhraseError(f"the pattern names {{{shortened(item.name)}}}: an argument has no regular expression")
        if isinstance(item, str):
            parts.append(re.escape(item) + " ")
        else:
            inner = "|".join(map(regex, item.sequences))
            parts.append(f"(?:{inner})" + "?" * item.optional)
    return "".join(parts)


def slot_counts(sequence: Sequence) -> list[dict[str, int]]:
    """For each way through the alternatives of a pattern, how often each argument occurs."""
    ways: list[dict[str, int]] = [{}]
    for item in sequence:
        if isinstance(item, str):
            continue
        if isinstance(item, Slot):
            steps: list[dict[str, int]] = [{item.name: 1}]
        else:
            steps = [way for one in item.sequences for way in slot_counts(one)] + [{}] * item.optional
        together = [
            {name: way.get(name, 0) + step.get(name, 0) for name in way | step} for way in ways for step in steps
        ]
        ways = [dict(one) for one in {tuple(sorted(way.items())) for way in together}]
    return ways


def first_words(sequence: Sequence) -> set[str]:
    """The words with which a match of the pattern can begin."""
    words: set[str] = set()
    for item in sequence:
        if isinstance(item, str):
            return words | {item}
        if isinstance(item, Slot):
            return words
        for one in item.sequences:
            words |= first_words(one)
        if not item.optional:
            return words
    return words


def words_of(sequence: Sequence) -> set[str]:
    """All words of a pattern."""
    words: set[str] = set()
    for item in sequence:
        if isinstance(item, str):
            words.add(item)
        elif isinstance(item, Alternation):
            words.update(*(words_of(one) for one in item.sequences))
    return words


def before_slots(sequence: Sequence) -> dict[str, Sequence]:
    """The part of a pattern before each argument, back to the previous argument or to the pattern's first word.

    The first word itself is excluded. Arguments within alternatives are omitted, and a part never spans alternatives
    that contain an argument.
    """
    found: dict[str, Sequence] = {}
    start = 1
    for position, item in enumerate(sequence):
        if isinstance(item, Slot):
            if start < position:
                found[item.name] = sequence[start:position]
            start = position + 1
        elif isinstance(item, Alternation) and any(slot_counts((item,))):
            start = position + 1
    return found
