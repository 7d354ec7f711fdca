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
from .calls import Call, find_call, spells, verbs_of
from .matching import Lexicon, Match, WordSequence, ends_at, indexed, lexicon, matches
from .phrases import Alternation, Sequence, Slot, before_slots, first_words, parse_phrase
from .spelling import plain, spaced, without

_BRACKETS = re.compile(r"[()\[\]{}<>:=,|/]")
# Most arguments that may follow in any order, each after its name: three have six orders.
MOST_ORDERED = 3

_SIGNS = re.compile(r"[^\w\s]")
_ENDING = re.compile(r"[\s.!,]+$")
# Separators of clauses, except within brackets.
_BETWEEN = re.compile(
    r"(?:\s*,\s*(?:and\s+)?(?:then\s+)?|\s*[.!]\s+|\s+(?:and\s+then|and|then)\s+"
    r"|\s*,?\s*(?:然后|接着|随后|并且|并|再)\s*)(?![^()]*\))"
)


class Unread(StrEnum):
    """Code of the reason why a statement was not read."""

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
    """The reason why a statement was not read, as a code and in words."""

    why: Unread
    detail: str


@dataclass(frozen=True)
class Patterns:
    """The patterns of a vocabulary, compiled for reading statements.

    Attributes:
        vocabulary: The vocabulary.
        names: Names and synonyms of all classes.
        called: Actions with a pattern of their name at the beginning of a statement, in any spelling; longer names of
            one action come first.
        named: For each action, patterns of the arguments that may follow its name.
        said: Patterns of sentences with which people name an action, in the order of the vocabulary.
        verbs: The words of these sentences that can name a function which does the action.
        details: Patterns that may begin a detail after a complete step.
        starts: For each action, the words with which its sentences begin.
        asides: Patterns that may stand before a step, or alone, without meaning.
        stops: Words that no detail may contain, indexed by their first word: one may be several Han characters.
    """

    vocabulary: Vocabulary
    names: Lexicon
    called: tuple[tuple[Action, re.Pattern[str]], ...]
    named: Mapping[str, tuple[Sequence, ...]]
    said: tuple[tuple[Action, Sequence], ...]
    verbs: tuple[tuple[Action, Sequence], ...]
    details: tuple[Sequence, ...]
    starts: tuple[tuple[Action, frozenset[str]], ...]
    asides: tuple[Sequence, ...]
    stops: Mapping[str, tuple[WordSequence, ...]]


@lru_cache(maxsize=16)
def patterns_of(vocabulary: Vocabulary) -> Patterns:
    """Compile the patterns of a vocabulary; the result is cached, and `load_vocabulary` fills the cache.

    The work grows with the number of names plus the number of patterns, not with their product.
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
        tuple((action, verb) for action, sequence in said for verb in verbs_of(sequence)),
        tuple(map(parse_phrase, language.details)),
        tuple(starts),
        tuple(map(parse_phrase, language.asides)),
        # Verbs that are nouns, too, are no stops: `in the microwave` is no second step.
        indexed(verb for verb in verbs if " ".join(verb) not in nouns),
    )


def _orders(action: Action, sequences: Iterable[Sequence]) -> Iterator[Sequence]:
    """Patterns of the arguments after an action's name: in the action's order, or in any order each after its name."""
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
    """Classes by each of their names and synonyms; the name of a class is never a synonym of another."""
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
    """The pattern of an argument after its name, such as `receptacle desk`."""
    return (*_words(argument), Slot(argument))


def _name_regexes(name: str, others: Iterable[str]) -> Iterator[re.Pattern[str]]:
    """Patterns of an action's names: `PickupObject`, `pickup object`, `pickup_object`, and names in other languages."""
    parts = re.sub(r"(?<=[^\W\d_])(?=[A-Z])", " ", name).replace("_", " ").split()
    own = " ?".join(re.escape(plain(part).strip()) for part in parts) + " "
    # One pattern for each name: where both 拿 and 拿起 are names of one action, the text may mean either.
    for one in sorted((own, *(re.escape(plain(other)) for other in others)), key=len, reverse=True):
        yield re.compile(one)


def read_statement(patterns: Patterns, statement: str) -> tuple[Step, ...] | Obstacle:
    """Read a statement of one or several clauses; either every clause is read or none.

    Args:
        patterns: Patterns of the vocabulary.
        statement: The statement in the form of `spelling.folded`, without numbering.

    Returns:
        The steps of the statement, at least one; or the reason why it was not read.
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
    """Read one clause: one step, no step for a clause of asides only, or the reason why it was not read."""
    ignore = patterns.vocabulary.language.ignore
    call = find_call(clause)
    if call is not None:
        clause = f"{call.name} {call.arguments}"
    said = without(spaced(_ENDING.sub("", clause)), ignore)
    bare = without(spaced(_BRACKETS.sub(" ", clause)), ignore)
    words = tuple(said.split())
    found = _named(patterns, bare) or _said(patterns, words)
    if call is not None and not found:
        found = _called(patterns, call)
    rest = words
    while not found and rest:
        ends = [next(matches(one, rest, 0, patterns.names), None) for one in patterns.asides]
        longest = max((aside.end for aside in ends if aside is not None), default=0)
        if not longest:
            return _obstacle(patterns, words, bare)
        rest = rest[longest:]
        found = _named(patterns, "".join(f"{word} " for word in rest)) or _said(patterns, rest)
    # Readings whose arguments have the wrong class count only if no reading has the right ones.
    candidates = [step for step, fits in found.items() if fits] or list(found)
    if len(candidates) > 1:
        return Obstacle(Unread.AMBIGUOUS, "it could mean " + " or ".join(sorted(map(str, candidates))))
    return tuple(candidates)


def _named(patterns: Patterns, text: str) -> dict[Step, bool]:
    """Read words in the form of `spelling.spaced` as an action's name with arguments.

    Returns:
        All steps that the words can mean, each with whether its arguments have the right classes.
    """
    found: dict[Step, bool] = {}
    for action, name in patterns.called:
        start = name.match(text)
        if start is None:
            continue
        found |= _with_arguments(patterns, action, tuple(text[start.end() :].split()))
    return found


def _called(patterns: Patterns, call: Call) -> dict[Step, bool]:
    """Read a call whose function has the name of a verb, with arguments as an action takes them: `put(mug, fridge)`.

    Returns:
        All steps that the call can mean, each with whether its arguments have the right classes.
    """
    words = tuple(without(spaced(_BRACKETS.sub(" ", call.arguments)), patterns.vocabulary.language.ignore).split())
    found: dict[Step, bool] = {}
    for action, verb in patterns.verbs:
        if spells(verb, call.name):
            found |= _with_arguments(patterns, action, words)
    return found


def _with_arguments(patterns: Patterns, action: Action, words: WordSequence) -> dict[Step, bool]:
    """Every step that an action's name with these words after it can mean, each with whether the classes fit."""
    found: dict[Step, bool] = {}
    for order in patterns.named[action.name]:
        for match in matches(order, words, 0, patterns.names):
            if match.end == len(words):
                found |= _steps(patterns, action, match)
                break
    return found


def _said(patterns: Patterns, words: WordSequence) -> dict[Step, bool]:
    """Read words with the action's sentence patterns (`Action.says`).

    Returns:
        All steps that the words can mean, each with whether its arguments have the right classes.
    """
    found: dict[Step, bool] = {}
    for action, sequence in patterns.said:
        for match in matches(sequence, words, 0, patterns.names):
            if match.end == len(words) or (action.arguments and _is_detail(patterns, words, match.end)):
                if not any(ends_at(patterns.stops, words, place) for place in range(match.end, len(words))):
                    found |= _steps(patterns, action, match)
                break
    return found


def _is_detail(patterns: Patterns, words: WordSequence, start: int) -> bool:
    """Whether a detail, such as `from the shelf`, begins at a word."""
    return any(next(matches(detail, words, start, patterns.names), None) for detail in patterns.details)


def _steps(patterns: Patterns, action: Action, match: Match) -> dict[Step, bool]:
    """Every step that a match can mean, each with whether its arguments have the right classes."""
    meant = [patterns.names.meant[match.names[argument.name]] for argument in action.arguments]
    steps = [Step(action.name, classes) for classes in product(*meant)]
    return {step: patterns.vocabulary.fits(step) for step in steps}


def _obstacle(patterns: Patterns, words: WordSequence, bare: str) -> Obstacle:
    """The reason why a clause cannot be read as a step."""
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
    """Number of classes that a text names, and its words that belong to no class, adjective or argument's name."""
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
