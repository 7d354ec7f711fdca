"""Reads one statement, such as `pick up the mug and go to the desk`, with the patterns of a vocabulary."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import permutations, product

from ..chinese import together
from .phrases import Sequence, before_slots, first_words, parse_phrase, regex
from .plan import Step
from .vocabulary import Action, Vocabulary
from .wording import plain, spaced, without

_BRACKETS = re.compile(r"[()\[\]{}<>:=,|/]")
# Named arguments in any order: of three there are six.
MOST_ORDERED = 3

_SIGNS = re.compile(r"[^\w\s]")
_ENDING = re.compile(r"[\s.!,]+$")
# Not within brackets.
_BETWEEN = re.compile(
    r"(?:\s*,\s*(?:and\s+)?(?:then\s+)?|\s*[.!]\s+|\s+(?:and\s+then|and|then)\s+"
    r"|\s*,?\s*(?:然后|接着|随后|并且|并|再)\s*)(?![^()]*\))"
)


class Unread(StrEnum):
    """Why a statement was not read."""

    NO_ACTION = "no_action"
    UNKNOWN_CLASS = "unknown_class"
    MISSING_ARGUMENT = "missing_argument"
    TOO_MANY_ARGUMENTS = "too_many_arguments"
    AMBIGUOUS = "ambiguous"
    PARTLY = "partly"
    BROKEN_JSON = "broken_json"
    TOO_LONG = "too_long"


@dataclass(frozen=True)
class Obstacle:
    """Why a statement was not read, as a kind and in words."""

    why: Unread
    detail: str


@dataclass(frozen=True)
class Patterns:
    """A vocabulary made ready for reading.

    Attributes:
        vocabulary: The vocabulary.
        nouns: Classes by everything they are called.
        noun: Finds what a class is called, the longest first.
        named: Steps that begin with the name of the action, in whatever brackets.
        said: Steps as people say them; what follows the step is in the group `rest`.
        starts: For each action, how a statement about it begins.
        asides: What may stand before a step, or alone, and says nothing about it.
        stops: Words that `rest` cannot hold, each with a blank behind every word or Han character.
    """

    vocabulary: Vocabulary
    nouns: Mapping[str, tuple[str, ...]]
    noun: re.Pattern[str]
    named: tuple[tuple[Action, re.Pattern[str]], ...]
    said: tuple[tuple[Action, re.Pattern[str]], ...]
    starts: tuple[tuple[Action, re.Pattern[str], frozenset[str]], ...]
    asides: tuple[re.Pattern[str], ...]
    stops: frozenset[str]


@lru_cache(maxsize=16)
def patterns_of(vocabulary: Vocabulary) -> Patterns:
    """Compile the patterns of a vocabulary, once."""
    language = vocabulary.language
    nouns = _nouns(vocabulary)
    noun = "|".join(re.escape(name) for name in sorted(nouns, key=len, reverse=True))
    adjectives = "|".join(re.escape(spaced(one).strip()) for one in language.adjectives)
    before = f"(?:(?:{adjectives}) )*" if adjectives else ""
    details = "|".join(regex(parse_phrase(one), {}) for one in language.details)
    named, said, starts, verbs = [], [], [], set(language.stops)
    for action in vocabulary.actions.values():
        slots = {one.name: f"{before}(?P<{one.name}>{noun})" for one in action.arguments}
        sequences = [parse_phrase(phrase) for phrase in action.says]
        name = _name_regex(action.name, vocabulary.names_of(action.name))
        named += [(action, re.compile(name + order)) for order in _orders(action, slots, sequences)]
        first: set[str] = set()
        # `stop` alone is a step; `stop at the desk` is another one.
        rest = f"(?P<rest>(?:{details}).*)?" if details and action.arguments else "(?P<rest>)"
        for sequence in sequences:
            first |= first_words(sequence)
            said.append((action, re.compile(regex(sequence, slots) + rest)))
        starts.append((action, re.compile(name), frozenset(first)))
        verbs |= first
    return Patterns(
        vocabulary,
        nouns,
        re.compile(rf"(?<!\S)(?:{noun}) "),
        tuple(named),
        tuple(said),
        tuple(starts),
        tuple(re.compile(regex(parse_phrase(one), {})) for one in language.asides),
        # `in the microwave` is no second step, though people also microwave things.
        frozenset(map(spaced, verbs - nouns.keys())),
    )


def _orders(action: Action, slots: Mapping[str, str], sequences: Iterable[Sequence]) -> Iterator[str]:
    """How arguments follow the name of an action: in their order, or each after its own name in any order."""
    leads: dict[str, list[str]] = {one.name: [re.escape(plain(one.name))] for one in action.arguments}
    for sequence in sequences:
        for name, words in before_slots(sequence).items():
            leads[name].append(regex(words, slots))
    yield "".join(f"(?:{'|'.join(leads[one.name])})?{slots[one.name]} " for one in action.arguments)
    if 1 < len(action.arguments) <= MOST_ORDERED:
        for order in permutations(action.arguments):
            yield "".join(f"{re.escape(plain(one.name))}{slots[one.name]} " for one in order)


def _nouns(vocabulary: Vocabulary) -> dict[str, tuple[str, ...]]:
    """Classes by what they are called; a class's own name means that class only."""
    nouns: dict[str, tuple[str, ...]] = {}
    for name, others in vocabulary.classes.items():
        for other in (*others, *vocabulary.names_of(name)):
            key = plain(other).strip()
            if name not in nouns.get(key, ()):
                nouns[key] = (*nouns.get(key, ()), name)
    return nouns | {plain(name).strip(): (name,) for name in vocabulary.classes}


def _name_regex(name: str, others: Iterable[str]) -> str:
    """`PickupObject` is also found as `pickup object` and `pickup_object`, and by its names in other languages."""
    parts = re.sub(r"(?<=[^\W\d_])(?=[A-Z])", " ", name).replace("_", " ").split()
    names = [" ?".join(re.escape(plain(part).strip()) for part in parts) + " "]
    return f"(?:{'|'.join([*names, *(re.escape(plain(other)) for other in others)])})"


def read_statement(patterns: Patterns, statement: str) -> tuple[Step, ...] | Obstacle:
    """Read a folded statement as a whole.

    Args:
        patterns: Those of the vocabulary.
        statement: As `wording.folded` leaves it, without numbering.

    Returns:
        The steps that it says, at least one; or why it was not read.
    """
    statement = _ENDING.sub("", statement)
    steps: list[Step] = []
    whole = _read_clause(patterns, statement)
    if not isinstance(whole, Obstacle):
        steps += whole
    else:
        clauses = [clause for clause in _BETWEEN.split(statement) if clause.strip()]
        if whole.why is Unread.AMBIGUOUS or len(clauses) < 2:
            return whole
        for clause in clauses:
            read = _read_clause(patterns, clause)
            if isinstance(read, Obstacle):
                return Obstacle(read.why, f"in {clause.strip()!r}: {read.detail}")
            steps += read
    return tuple(steps) or Obstacle(Unread.NO_ACTION, "it names no action of the vocabulary")


def _read_clause(patterns: Patterns, clause: str) -> tuple[Step, ...] | Obstacle:
    """One step; none where there are only asides; or why it was not read."""
    ignore = patterns.vocabulary.language.ignore
    words = without(spaced(_ENDING.sub("", clause)), ignore)
    bare = without(spaced(_BRACKETS.sub(" ", clause)), ignore)
    found = _named(patterns, bare) or _said(patterns, words)
    rest = words
    while not found and rest:
        longest = max((aside.end() for one in patterns.asides if (aside := one.match(rest))), default=0)
        if not longest:
            return _obstacle(patterns, words, bare)
        rest = rest[longest:]
        found = _named(patterns, rest) or _said(patterns, rest)
    # Where some reading fits the types of the arguments, those that do not were never meant.
    candidates = [step for step, fits in found.items() if fits] or list(found)
    if len(candidates) > 1:
        return Obstacle(Unread.AMBIGUOUS, "it could mean " + " or ".join(sorted(map(str, candidates))))
    return tuple(candidates)


def _named(patterns: Patterns, words: str) -> dict[Step, bool]:
    """The steps that the words can be, as their action's name with arguments, and whether those fit."""
    found: dict[Step, bool] = {}
    for action, pattern in patterns.named:
        match = pattern.fullmatch(words)
        if match:
            found |= _steps(patterns, action, match)
    return found


def _said(patterns: Patterns, words: str) -> dict[Step, bool]:
    """The steps that the words can be, as people say them, and whether their arguments fit."""
    found: dict[Step, bool] = {}
    for action, pattern in patterns.said:
        match = pattern.fullmatch(words)
        if match and not _stopped(patterns, match["rest"] or ""):
            found |= _steps(patterns, action, match)
    return found


def _stopped(patterns: Patterns, rest: str) -> bool:
    """Whether what follows a step has a word that changes what is said; a word can be several Han characters."""
    return any(f" {stop}" in f" {rest}" for stop in patterns.stops)


def _steps(patterns: Patterns, action: Action, match: re.Match[str]) -> dict[Step, bool]:
    """Every step that a match can mean, and whether its classes are what the action takes."""
    meant = [patterns.nouns[match[argument.name]] for argument in action.arguments]
    steps = [Step(action.name, classes) for classes in product(*meant)]
    return {step: patterns.vocabulary.fault(step) is None for step in steps}


def _obstacle(patterns: Patterns, words: str, bare: str) -> Obstacle:
    """Say what a clause lacks to be a step."""
    for action, name, _ in patterns.starts:
        match = name.match(bare)
        if match:
            known, unknown = _nouns_in(patterns, action, bare[match.end() :])
            return _count(action, known, unknown, exact=True)
    start = words.split(" ", 1)[0]
    actions = [action for action, _, first in patterns.starts if start in first]
    if not actions:
        return Obstacle(Unread.NO_ACTION, "it names no action of the vocabulary")
    known, unknown = _nouns_in(patterns, actions[0], words)
    return _count(actions[0], known, unknown, exact=False)


def _count(action: Action, known: int, unknown: list[str], exact: bool) -> Obstacle:
    wanted = len(action.arguments)
    names = ", ".join(argument.name for argument in action.arguments)
    if known < wanted:
        if exact and unknown:
            return Obstacle(Unread.UNKNOWN_CLASS, f"{together(' '.join(unknown))!r} is no class of the vocabulary")
        return Obstacle(
            Unread.MISSING_ARGUMENT,
            f"{action.name} takes {wanted} ({names}), and {known} of the vocabulary's classes are named",
        )
    if exact and not unknown:
        return Obstacle(Unread.TOO_MANY_ARGUMENTS, f"{action.name} takes {wanted} ({names}), and {known} are named")
    return Obstacle(Unread.PARTLY, f"it seems to say {action.name}, but not only that")


def _nouns_in(patterns: Patterns, action: Action, words: str) -> tuple[int, list[str]]:
    """How many classes are named, and the words that name none."""
    left = patterns.noun.sub("\0 ", spaced(_SIGNS.sub(" ", words))).split()
    language = patterns.vocabulary.language
    known = {*" ".join(map(spaced, language.adjectives)).split(), *(one.name.casefold() for one in action.arguments)}
    return left.count("\0"), [word for word in left if word != "\0" and word not in known]
