"""Matches the patterns of phrases.py against words; the names of classes are looked up, not written into the patterns.

So making a vocabulary ready costs one entry for each name and one sequence for each pattern. A regular expression
would hold every name once for each place of every pattern.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from .phrases import Sequence, Slot

WordSequence = tuple[str, ...]
"""Of a text as `wording.spaced` leaves it: every Han character is one of them."""
Index = Mapping[str, tuple[WordSequence, ...]]
"""Names, each one or several words, by their first words; the longest first."""


@dataclass(frozen=True)
class Lexicon:
    """Everything that classes are called.

    Attributes:
        meant: The classes that each name can mean; the words of a name are parted by one blank.
        starting: The names.
        adjectives: What may stand before a name.
    """

    meant: Mapping[str, tuple[str, ...]]
    starting: Index
    adjectives: Index

    def names_at(self, words: WordSequence, start: int) -> Iterator[tuple[str, int]]:
        """The names that stand at a word, the longest first, each with the number of the word after it."""
        for end in ends_at(self.starting, words, start):
            yield " ".join(words[start:end]), end

    def described_at(self, words: WordSequence, start: int) -> Iterator[tuple[str, int]]:
        """The names that stand at a word or behind adjectives there, each with the number of the word after it.

        As many adjectives as can be are passed over first: some are names too.
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
    """One way to read words by a pattern.

    Attributes:
        end: Number of the word after those that the pattern takes.
        names: What stands for each argument: one of the names of a class.
    """

    end: int
    names: Mapping[str, str]


def lexicon(meant: Mapping[str, tuple[str, ...]], adjectives: Collection[str]) -> Lexicon:
    """Make names ready for looking up.

    Args:
        meant: The classes that each name can mean.
        adjectives: What may stand before a name; as in names, blanks part words.
    """
    return Lexicon(
        meant, indexed(tuple(name.split()) for name in meant), indexed(tuple(one.split()) for one in adjectives)
    )


def indexed(names: Iterable[WordSequence]) -> Index:
    """Names by their first words, the longest first; those without words are left out."""
    starting: dict[str, list[WordSequence]] = {}
    for name in filter(None, names):
        starting.setdefault(name[0], []).append(name)
    return {first: tuple(sorted(those, key=len, reverse=True)) for first, those in starting.items()}


def ends_at(index: Index, words: WordSequence, start: int) -> list[int]:
    """Where the names that stand at a word end, the longest first: the numbers of the words after them."""
    if start >= len(words):
        return []
    return [start + len(name) for name in index.get(words[start], ()) if words[start : start + len(name)] == name]


def matches(sequence: Sequence, words: WordSequence, start: int, names: Lexicon) -> Iterator[Match]:
    """Every way to read words by a pattern, in the order in which the pattern prefers them.

    Alternatives come as they are listed, optional words before none, and long names before short ones.

    Args:
        sequence: The pattern, as `phrases.parse_phrase` reads it.
        words: A text's words.
        start: Number of the word that the pattern begins with.
        names: What can stand for arguments.
    """
    return _matches(sequence, 0, words, Match(start, {}), names)


def _matches(sequence: Sequence, number: int, words: WordSequence, so_far: Match, names: Lexicon) -> Iterator[Match]:
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
