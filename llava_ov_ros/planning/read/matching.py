"""Matches the patterns of phrases.py against words, and looks up the names of classes in an index.

Compiling a vocabulary then costs one entry per name and one sequence per pattern. Regular expressions would repeat
every name in each slot of every pattern.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from .phrases import Sequence, Slot

WordSequence = tuple[str, ...]
"""WordSequence of a text in the form of `spelling.spaced`; every Han character is a word."""
Index = Mapping[str, tuple[WordSequence, ...]]
"""Names of one or several words, by their first word, the longest name first."""


@dataclass(frozen=True)
class Lexicon:
    """The names and synonyms of classes.

    Attributes:
        meant: The classes that each name can mean; the words of a name are separated by one blank.
        starting: The names by their first word.
        adjectives: The adjectives that may stand before a name, by their first word.
    """

    meant: Mapping[str, tuple[str, ...]]
    starting: Index
    adjectives: Index

    def names_at(self, words: WordSequence, start: int) -> Iterator[tuple[str, int]]:
        """The names that begin at word `start`, the longest first, each with the index of the word after it."""
        for end in ends_at(self.starting, words, start):
            yield " ".join(words[start:end]), end

    def described_at(self, words: WordSequence, start: int) -> Iterator[tuple[str, int]]:
        """The names that begin at word `start` or after adjectives there, each with the index of the word after it.

        Readings with more adjectives come first, since some adjectives are names, too.
        """
        begins, place, last = {start}, start, start
        while place <= last:
            if place in begins:
                ends = ends_at(self.adjectives, words, place)
                begins.update(ends)
                last = max([last, *ends])
            place += 1
        for begin in sorted(begins, reverse=True):
            yield from self.names_at(words, begin)


@dataclass(frozen=True)
class Match:
    """One match of a pattern.

    Attributes:
        end: Index of the word after the match.
        names: For each argument, the name of a class that the text gives.
    """

    end: int
    names: Mapping[str, str]


def lexicon(meant: Mapping[str, tuple[str, ...]], adjectives: Collection[str]) -> Lexicon:
    """Index names and adjectives by their first words.

    Args:
        meant: The classes that each name can mean; the words of a name are separated by blanks.
        adjectives: Adjectives that may stand before a name; their words are separated by blanks.
    """
    return Lexicon(
        meant, indexed(tuple(name.split()) for name in meant), indexed(tuple(one.split()) for one in adjectives)
    )


def indexed(names: Iterable[WordSequence]) -> Index:
    """Names by their first word, the longest first; empty names are omitted."""
    starting: dict[str, list[WordSequence]] = {}
    for name in filter(None, names):
        starting.setdefault(name[0], []).append(name)
    return {first: tuple(sorted(those, key=len, reverse=True)) for first, those in starting.items()}


def ends_at(index: Index, words: WordSequence, start: int) -> list[int]:
    """Indices of the words after each name that begins at word `start`, the longest name first."""
    if start >= len(words):
        return []
    return [start + len(name) for name in index.get(words[start], ()) if words[start : start + len(name)] == name]


def matches(sequence: Sequence, words: WordSequence, start: int, names: Lexicon) -> Iterator[Match]:
    """All matches of a pattern at word `start`, in order of preference.

    Alternatives are tried in their order, optional words before their omission, and long names before short ones.

    Args:
        sequence: The pattern, from `phrases.parse_phrase`.
        words: Words of a text.
        start: Index of the word with which the match begins.
        names: Names of classes, which fill the slots.
    """
    return _matches(sequence, 0, words, Match(start, {}), names)


def _matches(sequence: Sequence, number: int, words: WordSequence, so_far: Match, names: Lexicon) -> Iterator[Match]:
    """All ways to continue a match with the pattern's item `number`."""
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
