"""Reads an action vocabulary from YAML and checks all of it, so that a loaded vocabulary can be used."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path

from ..bounds import cited, shortened
from ..share import ACTIONS
from .read.clauses import patterns_of
from .read.goal_sentence import with_goals
from .read.phrases import PhraseError, Sequence, parse_phrase, slot_counts, words_of
from .read.spelling import plain
from .vocabulary import (
    ARGUMENT,
    CONDITIONS,
    EFFECTS,
    PLACE,
    STATE,
    Action,
    Argument,
    Language,
    Rule,
    Vocabulary,
    one_of,
)
from .yaml_entry import Entry, VocabularyError, load_entry

_FIELDS = ("max_steps", "hands", "states", "classes", "groups", "actions", "goals", "language", "names")
_REQUIRED = ("max_steps", "classes", "actions")
_ACTION_FIELDS = ("arguments", "requires", "expects", "effects", "ends", "says")
_GOAL_FIELDS = ("arguments", "effects", "says")
_LANGUAGE_FIELDS = ("ignore", "asides", "adjectives", "details", "stops", "states")
_NAME = re.compile(r"\w[\w.-]*")
_IDENTIFIER = re.compile(r"[^\W\d]\w*")
_LANGUAGE_CODE = re.compile(r"[a-z]{2,3}")


def find_vocabulary(name: str) -> Path:
    """The file of a vocabulary, named by a shipped name such as `alfred` or a path.

    Raises:
        VocabularyError: No vocabulary is shipped under that name, and no such file exists.
    """
    path = ACTIONS.path(name)
    if not path.is_file():
        raise VocabularyError(f"{name}: no such file, and no shipped vocabulary{one_of(name, ACTIONS.shipped())}")
    return path


def load_vocabulary(path: Path) -> Vocabulary:
    """Read and check a vocabulary; docs/planning.md describes the format.

    Its patterns for free text are compiled, too, so that the first plan need not wait for that.

    Raises:
        VocabularyError: An entry of the file cannot be used; the message names the file, line, entry and value.
    """
    root = load_entry(path, _REQUIRED).fields(_FIELDS, _REQUIRED)
    states = _names(root["states"], "state") if "states" in root else ()
    language = _language(root["language"], states) if "language" in root else Language()
    classes = _classes(root["classes"], language)
    groups = _groups(root["groups"], classes) if "groups" in root else {}
    actions = root["actions"]
    types = {**{name: frozenset((name,)) for name in classes}, **groups}
    vocabulary = Vocabulary(
        classes=classes,
        groups=groups,
        states=states,
        actions=_actions(actions, types, states, language),
        goals=_goals(root["goals"], actions.mapping(), types, states, language) if "goals" in root else {},
        max_steps=root["max_steps"].number(),
        hands=root["hands"].number() if "hands" in root else 1,
        language=language,
        names=_translated(root["names"], {*classes, *actions.mapping()}, language) if "names" in root else {},
    )
    # Fills the caches while nobody waits for a plan.
    patterns_of(vocabulary)
    patterns_of(with_goals(vocabulary))
    return vocabulary


def _translated(entry: Entry, words: Collection[str], language: Language) -> dict[str, dict[str, str]]:
    """Names of classes and actions in other languages, by the language's code and the class or action.

    Raises:
        VocabularyError: A key is no language code, a word is no class and no action, or `language.ignore` would remove
            (a part of) a name from text.
    """
    found = {}
    for code, (key, value) in entry.mapping().items():
        if not _LANGUAGE_CODE.fullmatch(code):
            raise key.error(f"{cited(code)} is no code of a language: expected one of ISO 639, such as zh")
        names = value.mapping()
        for word, (key_of_word, name) in names.items():
            if word not in words:
                raise key_of_word.error(f"{cited(word)} is no class and no action{one_of(word, words)}")
            _check_readable(name, language)
        found[code] = {word: name.text() for word, (_, name) in names.items()}
    return found


def _checked_name(entry: Entry, what: str, pattern: re.Pattern[str] = _NAME) -> str:
    name = entry.text()
    if not pattern.fullmatch(name):
        rest = ", and no digit first" if pattern is _IDENTIFIER else ", points and hyphens"
        raise entry.error(f"{cited(name)} is no name for {what}: one word of letters, digits and underscores{rest}")
    return name


def _unique(names: Mapping[str, Entry] | dict[str, Entry], what: str) -> None:
    """Refuse names that differ in upper and lower case only, since free text does not distinguish them."""
    folded: dict[str, str] = {}
    for name, entry in names.items():
        other = folded.setdefault(name.casefold(), name)
        if other != name:
            raise entry.error(f"{cited(name)} and the {what} {cited(other)} differ in upper and lower case only")


def _names(entry: Entry, what: str) -> tuple[str, ...]:
    found: dict[str, Entry] = {}
    for member in entry.list():
        name = _checked_name(member, f"a {what}", _IDENTIFIER)
        if name in found:
            raise member.error(f"the {what} {cited(name)} is there twice")
        found[name] = member
    _unique(found, what)
    return tuple(found)


def _classes(entry: Entry, language: Language) -> dict[str, tuple[str, ...]]:
    found = entry.mapping()
    _unique({name: key for name, (key, _) in found.items()}, "class")
    classes = {}
    for name, (key, value) in found.items():
        _checked_name(key, "a class")
        # `mug:` without a value has no synonyms.
        others = [] if value.is_text and not value.node.value else value.list()
        for member in (key, *others):
            _check_readable(member, language)
        classes[name] = tuple(member.text() for member in others)
    if not classes:
        raise entry.error("there must be at least one class")
    return classes


def _check_readable(entry: Entry, language: Language) -> None:
    """Refuse a name of which `language.ignore` would remove a part, since free text could never contain it."""
    read = plain(entry.text(), language.ignore)
    if not read or read != plain(entry.text()):
        raise entry.error(f"{cited(entry.text())} would be read as {cited(read.strip())}, because of language.ignore")


def _groups(entry: Entry, classes: Collection[str]) -> dict[str, frozenset[str]]:
    found = entry.mapping()
    _unique({name: key for name, (key, _) in found.items()}, "group")
    groups: dict[str, frozenset[str]] = {}

    def members(name: str, path: tuple[str, ...]) -> frozenset[str]:
        if name in groups:
            return groups[name]
        key, value = found[name]
        if name in path:
            raise key.error(f"the group {cited(name)} contains itself: {' -> '.join(map(shortened, (*path, name)))}")
        together: set[str] = set()
        for member in value.list():
            inner = member.text()
            if inner in classes:
                together.add(inner)
            elif inner in found:
                together |= members(inner, (*path, name))
            else:
                raise member.error(f"{cited(inner)} is no class and no group{one_of(inner, [*classes, *found])}")
        if not together:
            raise value.error("the group is empty")
        groups[name] = frozenset(together)
        return groups[name]

    for name, (key, _) in found.items():
        _checked_name(key, "a group", _IDENTIFIER)
        if name in classes:
            raise key.error(f"{cited(name)} is a class: a group needs another name")
        members(name, ())
    return groups


def _goals(
    entry: Entry,
    actions: Collection[str],
    types: Mapping[str, frozenset[str]],
    states: Collection[str],
    language: Language,
) -> dict[str, Action]:
    """Goals that people name, in the form of actions.

    Raises:
        VocabularyError: As of actions; or a goal has the name of an action, or no effect that lasts.
    """
    goals = _actions(entry, types, states, language, _GOAL_FIELDS)
    for name, (key, _) in entry.mapping().items():
        if name in actions:
            raise key.error(f"{cited(name)} is an action: a goal needs another name")
        if all(effect.kind in ("go_to", "clear") for effect in goals[name].effects):
            raise key.error(f"{cited(name)} has no effect that lasts: expected put, pick_up or set")
    return goals


def _actions(
    entry: Entry,
    types: Mapping[str, frozenset[str]],
    states: Collection[str],
    language: Language,
    allowed: Collection[str] = _ACTION_FIELDS,
) -> dict[str, Action]:
    found = entry.mapping()
    _unique({name: key for name, (key, _) in found.items()}, "action")
    actions = {}
    for name, (key, value) in found.items():
        _checked_name(key, "an action")
        if value.is_text and not value.node.value:
            actions[name] = Action(name)
            continue
        fields = value.fields(allowed)
        arguments = _arguments(fields["arguments"], types) if "arguments" in fields else ()
        names = [argument.name for argument in arguments]
        ends = fields["ends"].flag() if "ends" in fields else False
        if ends and arguments:
            raise fields["ends"].error("an action that ends the plan takes no arguments")
        says = fields["says"].list() if "says" in fields else []
        for pattern in says:
            for word in words_of(_check_phrase(pattern, names)):
                if not plain(word, language.ignore):
                    raise pattern.error(f"{cited(word)} is never seen there, because of language.ignore")
        rules = {
            kind: tuple(
                _rule(rule, names, types, states, EFFECTS if kind == "effects" else CONDITIONS)
                for rule in fields[kind].list()
            )
            for kind in ("requires", "expects", "effects")
            if kind in fields
        }
        actions[name] = Action(
            name,
            arguments,
            **rules,
            ends=ends,
            says=tuple(pattern.text() for pattern in says),
        )
    if all(action.ends for action in actions.values()):
        raise entry.error("there must be at least one action that does not end the plan")
    return actions


def _arguments(entry: Entry, types: Collection[str]) -> tuple[Argument, ...]:
    arguments = []
    for name, (key, value) in entry.mapping().items():
        _checked_name(key, "an argument", _IDENTIFIER)
        given = value.text()
        if given not in types:
            raise value.error(f"its type {cited(given)} is no class and no group{one_of(given, types)}")
        arguments.append(Argument(name, given))
    return tuple(arguments)


def _rule(
    entry: Entry,
    arguments: Collection[str],
    types: Mapping[str, frozenset[str]],
    states: Collection[str],
    kinds: Mapping[str, tuple[str, ...]],
) -> Rule:
    """Read one condition or effect: `hand_free`, `{holding: object}` or `{set: [object, heated]}`."""
    what = "effect" if kinds is EFFECTS else "condition"
    if entry.is_text:
        kind, given = entry.text(), []
    else:
        found = entry.mapping()
        if len(found) != 1:
            raise entry.error(f"expected one {what}, such as {next(iter(kinds))}, not {len(found)}")
        ((kind, (_, value)),) = found.items()
        given = [value] if value.is_text else value.list()
    if kind not in kinds:
        raise entry.error(f"{cited(kind)} is no {what}{one_of(kind, kinds)}")
    wanted = kinds[kind]
    if len(given) != len(wanted):
        form = f"{kind}: [{', '.join(wanted)}]" if len(wanted) > 1 else f"{kind}: {wanted[0]}" if wanted else kind
        raise entry.error(f"{kind} has {len(given)} names, expected {cited(form)}")
    names = []
    for member, role in zip(given, wanted, strict=True):
        name = member.text()
        if role == STATE:
            if name not in states:
                raise member.error(f"{kind}: {cited(name)} is no state{one_of(name, states)}")
        elif role == ARGUMENT:
            if name not in arguments:
                raise member.error(f"{kind}: {cited(name)} is no argument of the action{one_of(name, arguments)}")
        elif role == PLACE and name not in arguments and types.get(name) != frozenset((name,)):
            raise member.error(
                f"{kind}: {cited(name)} is no argument of the action and no class{one_of(name, arguments)}"
            )
        elif name not in arguments and name not in types:
            choices = [*arguments, *types]
            raise member.error(f"{kind}: {cited(name)} is no argument, class or group{one_of(name, choices)}")
        names.append(name)
    return Rule(kind, tuple(names))


def _check_phrase(entry: Entry, arguments: Collection[str]) -> Sequence:
    """Read a pattern, and check that each of its alternatives names each argument exactly once.

    Raises:
        VocabularyError: The pattern cannot be read, or names an argument twice, not at all, or an unknown one.
    """
    try:
        sequence = parse_phrase(entry.text())
    except PhraseError as error:
        raise entry.error(str(error)) from None
    wanted = dict.fromkeys(arguments, 1)
    for way in slot_counts(sequence):
        for name in way:
            if name not in wanted:
                choices = one_of(name, arguments) if arguments else "; there are none here"
                raise entry.error(f"{{{shortened(name)}}} is no argument of the action{choices}")
        if way != wanted:
            raise entry.error(
                f"the pattern {cited(entry.text())} must name each argument once: "
                f"{', '.join(map(shortened, arguments))}"
            )
    return sequence


def _language(entry: Entry, states: Collection[str]) -> Language:
    fields = entry.fields(_LANGUAGE_FIELDS)
    found: dict[str, tuple[str, ...]] = {}
    for name, value in fields.items():
        if name == "states":
            continue
        members = value.list()
        for member in members:
            if name in ("ignore", "asides", "details"):
                _check_phrase(member, ())
            elif len(member.text().split()) != 1:
                raise member.error(f"{cited(member.text())} is more than one word")
        found[name] = tuple(member.text().casefold() for member in members)
    return Language(**found, states=_said_states(fields["states"], states) if "states" in fields else {})


def _said_states(entry: Entry, states: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Words for each state.

    Raises:
        VocabularyError: A key is no state.
    """
    found = {}
    for state, (key, value) in entry.mapping().items():
        if state not in states:
            raise key.error(f"{cited(state)} is no state{one_of(state, states)}")
        found[state] = tuple(plain(member.text()).strip() for member in value.list())
    return found
