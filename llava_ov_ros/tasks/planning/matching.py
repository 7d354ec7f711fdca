"""Matches the patterns of phrases.py against words; the names of classes are looked up, not written into the patterns.

So making a vocabulary ready costs one entry for each name and one sequence for each pattern. A regular expression
would hold every name once for each place of every pattern.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .phrases import Sequence, Slot

Words = tuple[str, ...]


@dataclass(frozen=True)
class Lexicon:
    """Everything that classes are called.

    Attributes:
        meant: The classes that each name can mean; the words of a name are parted by one blank.
        starting: The names as words by their first word, the longest first.
        adjectives: Words that may stand before a name.
    """

    meant: Mapping[str, tuple[str, ...]]
    starting: Mapping[str, tuple[Words, ...]]
    adjectives: frozenset[str]

    def names_at(self, words: Words, start: int) -> Iterator[tuple[str, int]]:
        """The names that stand at a word, the longest first, each with the number of the word after it."""
        if start < len(words):
            for name in self.starting.get(words[start], ()):
                if words[start : start + len(name)] == name:
                    yield " ".join(name), start + len(name)

    def described_at(self, words: Words, start: int) -> Iterator[tuple[str, int]]:
        """The names that stand at a word or behind adjectives there, each with the number of the word after it.

        As many adjectives as can be are passed over first: some are names too.
        """
        last = start
        while last < len(words) and words[last] in self.adjectives:
            last += 1
        for begin in range(last, start - 1, -1):
            yield from self.names_at(words, begin)


@dataclass(frozen=True)
class Match:
    """One way to read words by a pattern.

    Attributes:
        end: Number of the word after those that the pattern takes.
        names: What stands for each argument: one of the names of a class.
    """

    end: int
    names: Mapping[str, str]


def lexicon(meant: Mapping[str, tuple[str, ...]], adjectives: frozenset[str]) -> Lexicon:
    """Make names ready for looking up.

    Args:
        meant: The classes that each name can mean.
        adjectives: Words that may stand before a name.
    """
    starting: dict[str, list[Words]] = {}
    for name in meant:
        words = tuple(name.split(" "))
        starting.setdefault(words[0], []).append(words)
    return Lexicon(
        meant, {first: tuple(sorted(names, key=len, reverse=True)) for first, names in starting.items()}, adjectives
    )


def matches(sequence: Sequence, words: Words, start: int, names: Lexicon) -> Iterator[Match]:
    """Every way to read words by a pattern, in the order in which the pattern prefers them.

    Alternatives come as they are listed, optional words before none, and long names before short ones.

    Args:
        sequence: The pattern, as `phrases.parse_phrase` reads it.
        words: A text's words.
        start: Number of the word that the pattern begins with.
        names: What can stand for arguments.
    """
    return _matches(sequence, 0, words, Match(start, {}), names)


def _matches(sequence: Sequence, number: int, words: Words, so_far: Match, names: Lexicon) -> Iterator[Match]:
    """The ways to go on with the item of that number."""
    while number < len(sequence) and isinstance(item := sequence[number], str):
        if so_far.end >= len(words) or words[so_far.end] != item:
            return
        so_far = Match(so_far.end + 1, so_far.names)
        number += 1
    if number == len(sequence):
        yield so_far
        return
    item = sequence[number]
    assert not isinstance(item, str)
    if isinstance(item, Slot):
        for name, end in names.described_at(words, so_far.end):
            yield from _matches(sequence, number + 1, words, Match(end, {**so_far.names, item.name: name}), names)
        return
    for one in item.sequences:
        for inner in _matches(one, 0, words, so_far, names):
            yield from _matches(sequence, number + 1, words, inner, names)
    if item.optional:
        yield from _matches(sequence, number + 1, words, so_far, names)
