"""The classes that a planning problem needs: those of the goal, and those without which its actions cannot be done."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..validate.goal import LIT, Goal
from ..vocabulary import Action, Vocabulary


def relevant_classes(
    vocabulary: Vocabulary, goal: Goal, named: Iterable[str] = (), missed: Sequence[str] = ()
) -> list[str]:
    """Find the classes of which a planning problem needs instances.

    Classes are alike if they are in the same groups and no condition or effect names one of them. Of alike classes that
    an action may need, and of which neither the goal nor the start has one, the first stands for all.

    Args:
        vocabulary: The vocabulary.
        goal: The goal.
        named: Further classes, such as those that are known to be there.
        missed: Classes that come last where there are others, the last one at the end.
    """
    classes = dict.fromkeys(filter(None, (goal.thing, goal.carrier, goal.place, goal.lit, *named)))
    # Kinds of effects that are wanted, those on a state with the state.
    wanted = {("set", state) for state in (*goal.states, *([LIT] if goal.lit else []))}
    sizes = (-1, -1)
    while sizes != (len(classes), len(wanted)):
        sizes = len(classes), len(wanted)
        for action in vocabulary.actions.values():
            if _is_useful(action, vocabulary, set(classes), wanted):
                wanted |= {("set", rule.names[1]) for rule in action.requires if rule.kind == "is"}
                wanted |= {("clear", rule.names[1]) for rule in action.requires if rule.kind == "is_not"}
                classes |= dict.fromkeys(_needed(action, vocabulary, set(classes), missed))
    return list(classes)


def _is_useful(action: Action, vocabulary: Vocabulary, classes: set[str], wanted: set[tuple[str, str]]) -> bool:
    """Whether the action changes a thing of one of the classes, in a way that may be wanted."""
    types = {argument.name: argument.type for argument in action.arguments}
    for effect in action.effects:
        about = vocabulary.members(types.get(effect.names[0], effect.names[0]))
        if effect.kind in ("set", "clear", "flip"):
            kinds = ("set", "clear") if effect.kind == "flip" else (effect.kind,)
            if about & classes and any((kind, effect.names[1]) in wanted for kind in kinds):
                return True
        elif about & classes or effect.kind == "go_to":
            return True
    return False


def _needed(action: Action, vocabulary: Vocabulary, classes: set[str], missed: Sequence[str]) -> Iterable[str]:
    """Classes to be added so that the action can be done."""
    arguments = {argument.name for argument in action.arguments}
    fixed = vocabulary.classes.keys() - vocabulary.movable()
    puts = {effect.names[1] for effect in action.effects if effect.kind == "put"}
    for argument in action.arguments:
        members = vocabulary.members(argument.type)
        if argument.name in puts:
            # What is put down is best put onto what stays where it is, and one such place will do.
            members = members & fixed or members
            if not members & classes:
                yield next(kind for kind in _in_order(vocabulary, missed) if kind in members)
        elif not members & classes:
            yield from _one_of_each(members, vocabulary, classes, missed)
    for rule in (*action.requires, *action.expects, *action.effects):
        on_state = rule.kind in ("is", "is_not", "set", "clear", "flip")
        for name in rule.names[:1] if on_state else rule.names:
            if name not in arguments and rule.kind != "near":
                yield from _one_of_each(vocabulary.members(name), vocabulary, classes, missed)


def _in_order(vocabulary: Vocabulary, missed: Sequence[str]) -> list[str]:
    """The classes of the vocabulary, and then those missed: where all are missed, what was tried last comes last."""
    places = {kind: place for place, kind in enumerate(missed, 1)}
    return sorted(vocabulary.classes, key=lambda kind: places.get(kind, 0))


def _one_of_each(
    members: Iterable[str], vocabulary: Vocabulary, classes: set[str], missed: Sequence[str]
) -> Iterable[str]:
    """One of each set of alike classes: one that is there already, else the first of the vocabulary."""
    rules = [
        rule for action in vocabulary.actions.values() for rule in (*action.requires, *action.expects, *action.effects)
    ]
    single = {name for rule in rules for name in rule.names}
    seen = set()
    allowed = set(members)
    order = _in_order(vocabulary, missed)
    for kind in (*(one for one in order if one in classes and one not in missed), *order):
        groups = frozenset(name for name, some in vocabulary.groups.items() if kind in some)
        sign = (groups, kind if kind in single else "")
        if kind in allowed and sign not in seen:
            seen.add(sign)
            yield kind
