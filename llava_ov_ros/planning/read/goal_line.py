"""Typed goals in one line, such as `in(mug, fridge); is(mug, heated)`: their conditions, and the goal of these."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ...bounds import quoted
from ..validate.goal import LIT, Goal, GoalError
from ..vocabulary import Vocabulary, one_of

GOAL_SEPARATOR = "; "
MOST_COUNT = 2
_KINDS = {"in": 2, "holding": 1, "is": 2}
_FORM = re.compile(r"\s*(\w+)\s*\(([^()]*)\)\s*")


@dataclass(frozen=True)
class GoalCondition:
    """One condition of a goal.

    Attributes:
        kind: `in` (names a thing and a place), `holding` (a thing) or `is` (a thing and a state).
        names: Classes, and for `is` a state.
        count: Number of things of which it must hold.
    """

    kind: str
    names: tuple[str, ...]
    count: int = 1

    def __str__(self) -> str:
        names = (*self.names, *([str(self.count)] if self.count > 1 else []))
        return f"{self.kind}({', '.join(names)})"


def is_goal_line(text: str) -> bool:
    """Whether a text has the form of a typed goal, right or wrong."""
    return all(_FORM.fullmatch(part) for part in text.strip().rstrip(";.").split(";"))


def parse_goal_line(text: str, vocabulary: Vocabulary) -> Goal:
    """Read a typed goal.

    Raises:
        GoalError: The text is no typed goal, has an unknown name, or is about more than one thing.
    """
    found = []
    for part in text.strip().rstrip(";.").split(";"):
        form = _FORM.fullmatch(part)
        if form is None:
            raise GoalError(f"{quoted(part.strip())} is no condition: expected in(mug, desk), is(mug, heated), ...")
        kind, names = form.group(1), [name.strip() for name in form.group(2).split(",")]
        if kind not in _KINDS:
            raise GoalError(f"{quoted(kind)} is no kind of condition{one_of(kind, _KINDS)}")
        count = 1
        if kind == "in" and len(names) == 3:
            number = names.pop()
            if number not in map(str, range(1, MOST_COUNT + 1)):
                raise GoalError(f"{quoted(number)} is no number of things: expected 1 to {MOST_COUNT}")
            count = int(number)
        if len(names) != _KINDS[kind]:
            raise GoalError(f"{quoted(part.strip())} has {len(names)} names, expected {_KINDS[kind]}")
        for name in names[:1] if kind == "is" else names:
            if name not in vocabulary.classes:
                raise GoalError(f"{quoted(name)} is no class{one_of(name, vocabulary.classes)}")
        if kind == "is" and names[1] not in vocabulary.states:
            raise GoalError(f"{quoted(names[1])} is no state{one_of(names[1], vocabulary.states)}")
        found.append(GoalCondition(kind, tuple(names), count))
    return goal_of(found)


def goal_of(conditions: Sequence[GoalCondition]) -> Goal:
    """The goal of which these are the conditions.

    Raises:
        GoalError: They are about more than one thing (beside a carrier, or a lamp), or there are none.
    """
    conditions = tuple(dict.fromkeys(conditions))
    places = [one for one in conditions if one.kind == "in"]
    held = [one.names[0] for one in conditions if one.kind == "holding"]
    states = [one.names for one in conditions if one.kind == "is"]
    thing = place = carrier = ""
    if len(places) == 2 and {one.count for one in places} == {1}:
        inner = next((one for one in places for other in places if one.names[1] == other.names[0]), None)
        outer = next((one for one in places if inner is not None and one.names[0] == inner.names[1]), None)
        if inner is None or outer is None or inner is outer:
            raise GoalError("the goal is about more than one thing")
        thing, carrier, place = inner.names[0], inner.names[1], outer.names[1]
    elif len(places) == 1:
        thing, place = places[0].names
    elif places:
        raise GoalError("the goal is about more than one thing")
    thing = thing or next(iter(held), "")
    lit = [kind for kind, state in states if state == LIT and thing and kind != thing]
    thing = thing or next((kind for kind, _ in states), "")
    if not thing:
        raise GoalError("the goal has no condition: expected in(mug, desk), is(mug, heated), holding(mug), ...")
    own = {state for kind, state in states if kind == thing}
    foreign = [kind for kind, state in states if kind != thing and kind not in lit]
    if foreign or len(set(lit)) > 1 or set(held) - {thing} or (lit and (place or not held)) or (held and place):
        raise GoalError("the goal is about more than one thing")
    return Goal(
        thing,
        place,
        carrier,
        lit[0] if lit else "",
        frozenset(own),
        places[0].count if len(places) == 1 else 1,
        bool(held) and not lit,
    )


def goal_line(goal: Goal) -> str:
    """A goal as a typed line, which `parse_goal_line` reads back."""
    found = []
    if goal.carrier:
        found += [GoalCondition("in", (goal.thing, goal.carrier)), GoalCondition("in", (goal.carrier, goal.place))]
    elif goal.place:
        found.append(GoalCondition("in", (goal.thing, goal.place), goal.count))
    if goal.in_hand:
        found.append(GoalCondition("holding", (goal.thing,)))
    found += [GoalCondition("is", (goal.thing, state)) for state in sorted(goal.states)]
    if goal.lit:
        found.append(GoalCondition("is", (goal.lit, LIT)))
    return GOAL_SEPARATOR.join(map(str, found))
