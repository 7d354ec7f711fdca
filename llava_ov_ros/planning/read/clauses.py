"""Reads one statement, such as `pick up the mug and go to the desk`, with the patterns of a vocabulary."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import permutations, product

from ...questions.chinese import together
from ..plan_steps import Step
from ..vocabulary import Action, Vocabulary
from .matching import Lexicon, Match, WordSequence, ends_at, indexed, lexicon, matches
from .phrases import Alternation, Sequence, Slot, before_slots, first_words, parse_phrase
from .spelling import plain, spaced, without

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
        names: Everything that classes are called.
        called: Actions by their names at the beginning of a statement, in whatever spelling; of one action's names the
            long ones come first.
        named: What can follow the name of an action: its arguments, in whatever brackets.
        said: Steps as people say them, in the order of the vocabulary.
        details: What can begin a closer description of a complete step.
        starts: For each action, the words with which a statement about it begins.
        asides: What may stand before a step, or alone, and says nothing about it.
        stops: Words that no closer description can hold, by their first ones: one can be several Han characters.
    """

    vocabulary: Vocabulary
    names: Lexicon
    called: tuple[tuple[Action, re.Pattern[str]], ...]
    named: Mapping[str, tuple[Sequence, ...]]
    said: tuple[tuple[Action, Sequence], ...]
    details: tuple[Sequence, ...]
    starts: tuple[tuple[Action, frozenset[str]], ...]
    asides: tuple[Sequence, ...]
    stops: Mapping[str, tuple[WordSequence, ...]]


@lru_cache(maxsize=16)
def patterns_of(vocabulary: Vocabulary) -> Patterns:
    """Make a vocabulary ready for reading, once; loading one does so.

    The work grows with the number of names and with that of patterns, not with their product.
    """
    language = vocabulary.language
    nouns = _nouns(vocabulary)
    called, said, starts, verbs = [], [], [], set(map(_words, language.stops))
    named: dict[str, tuple[Sequence, ...]] = {}
    for action in vocabulary.actions.values():
        sequences = [parse_phrase(phrase) for phrase in action.says]
        named[action.name] = tuple(_orders(action, sequences))
        called += [(action, name) for name in _name_regexes(action.name, vocabulary.names_of(action.name))]
        first: set[str] = set()
        for sequence in sequences:
            first |= first_words(sequence)
            said.append((action, sequence))
        starts.append((action, frozenset(first)))
        verbs |= {(word,) for word in first}
    return Patterns(
        vocabulary,
        lexicon(nouns, frozenset(map(plain, language.adjectives))),
        tuple(called),
        named,
        tuple(said),
        tuple(map(parse_phrase, language.details)),
        tuple(starts),
        tuple(map(parse_phrase, language.asides)),
        # `in the microwave` is no second step, though people also microwave things.
        indexed(verb for verb in verbs if " ".join(verb) not in nouns),
    )


def _orders(action: Action, sequences: Iterable[Sequence]) -> Iterator[Sequence]:
    """How arguments follow the name of an action: in their order, or each after its own name in any order."""
    leads: dict[str, list[Sequence]] = {one.name: [_words(one.name)] for one in action.arguments}
    for sequence in sequences:
        for name, words in before_slots(sequence).items():
            leads[name].append(words)
    yield tuple(
        item
        for one in action.arguments
        for item in (Alternation(tuple(leads[one.name]), optional=True), Slot(one.name))
    )
    if 1 < len(action.arguments) <= MOST_ORDERED:
        for order in permutations(action.arguments):
            yield tuple(item for one in order for item in _led(one.name))


def _nouns(vocabulary: Vocabulary) -> dict[str, tuple[str, ...]]:
    """Classes by what they are called; a class's own name means that class only."""
    nouns: dict[str, tuple[str, ...]] = {}
    for name, others in vocabulary.classes.items():
        for other in (*others, *vocabulary.names_of(name)):
            key = plain(other).strip()
            if name not in nouns.get(key, ()):
                nouns[key] = (*nouns.get(key, ()), name)
    return nouns | {plain(name).strip(): (name,) for name in vocabulary.classes}


def _words(text: str) -> WordSequence:
    return tuple(plain(text).split())


def _led(argument: str) -> Sequence:
    """An argument after its own name."""
    return (*_words(argument), Slot(argument))


def _name_regexes(name: str, others: Iterable[str]) -> Iterator[re.Pattern[str]]:
    """`PickupObject` is also found as `pickup object` and `pickup_object`, and by its names in other languages."""
    parts = re.sub(r"(?<=[^\W\d_])(?=[A-Z])", " ", name).replace("_", " ").split()
    own = " ?".join(re.escape(plain(part).strip()) for part in parts) + " "
    # One for each, so that where 拿 and 拿起 are names of one action either can be meant; the longer one is first.
    for one in sorted((own, *(re.escape(plain(other)) for other in others)), key=len, reverse=True):
        yield re.compile(one)


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
    said = without(spaced(_ENDING.sub("", clause)), ignore)
    bare = without(spaced(_BRACKETS.sub(" ", clause)), ignore)
    words = tuple(said.split())
    found = _named(patterns, bare) or _said(patterns, words)
    rest = words
    while not found and rest:
        ends = [next(matches(one, rest, 0, patterns.names), None) for one in patterns.asides]
        longest = max((aside.end for aside in ends if aside is not None), default=0)
        if not longest:
            return _obstacle(patterns, words, bare)
        rest = rest[longest:]
        found = _named(patterns, "".join(f"{word} " for word in rest)) or _said(patterns, rest)
    # Where some reading fits the types of the arguments, those that do not were never meant.
    candidates = [step for step, fits in found.items() if fits] or list(found)
    if len(candidates) > 1:
        return Obstacle(Unread.AMBIGUOUS, "it could mean " + " or ".join(sorted(map(str, candidates))))
    return tuple(candidates)


def _named(patterns: Patterns, text: str) -> dict[Step, bool]:
    """The steps that spaced words can be, as their action's name with arguments, and whether those fit."""
    found: dict[Step, bool] = {}
    for action, name in patterns.called:
        start = name.match(text)
        if start is None:
            continue
        words = tuple(text[start.end() :].split())
        for order in patterns.named[action.name]:
            for match in matches(order, words, 0, patterns.names):
                if match.end == len(words):
                    found |= _steps(patterns, action, match)
                    break
    return found


def _said(patterns: Patterns, words: WordSequence) -> dict[Step, bool]:
    """The steps that the words can be, as people say them, and whether their arguments fit."""
    found: dict[Step, bool] = {}
    for action, sequence in patterns.said:
        for match in matches(sequence, words, 0, patterns.names):
            if match.end == len(words) or (action.arguments and _is_detail(patterns, words, match.end)):
                if not any(ends_at(patterns.stops, words, place) for place in range(match.end, len(words))):
                    found |= _steps(patterns, action, match)
                break
    return found


def _is_detail(patterns: Patterns, words: WordSequence, start: int) -> bool:
    """Whether a closer description begins there. `stop` alone is a step; `stop at the desk` is another one."""
    return any(next(matches(detail, words, start, patterns.names), None) for detail in patterns.details)


def _steps(patterns: Patterns, action: Action, match: Match) -> dict[Step, bool]:
    """Every step that a match can mean, and whether its classes are what the action takes."""
    meant = [patterns.names.meant[match.names[argument.name]] for argument in action.arguments]
    steps = [Step(action.name, classes) for classes in product(*meant)]
    return {step: patterns.vocabulary.fits(step) for step in steps}


def _obstacle(patterns: Patterns, words: WordSequence, bare: str) -> Obstacle:
    """Say what a clause lacks to be a step."""
    for action, name in patterns.called:
        match = name.match(bare)
        if match:
            known, unknown = _nouns_in(patterns, action, bare[match.end() :])
            return _count(action, known, unknown, exact=True)
    actions = [action for action, first in patterns.starts if words[0] in first]
    if not actions:
        return Obstacle(Unread.NO_ACTION, "it names no action of the vocabulary")
    known, unknown = _nouns_in(patterns, actions[0], " ".join(words))
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


def _nouns_in(patterns: Patterns, action: Action, text: str) -> tuple[int, list[str]]:
    """How many classes are named, and the words that name none."""
    words = tuple(spaced(_SIGNS.sub(" ", text)).split())
    arguments = indexed(_words(one.name) for one in action.arguments)
    known, unknown, start = 0, [], 0
    while start < len(words):
        _, end = next(patterns.names.names_at(words, start), ("", start))
        if end > start:
            known += 1
        else:
            passed = (*ends_at(patterns.names.adjectives, words, start), *ends_at(arguments, words, start))
            end = max(passed, default=start)
        if end == start:
            unknown.append(words[start])
        start = max(end, start + 1)
    return known, unknown
