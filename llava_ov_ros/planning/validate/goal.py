"""Goals of plans in ALFRED's form (pddl_params, task_type), and the check whether a world fulfils one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..findings import Finding, Reason
from ..vocabulary import Vocabulary, one_of
from .known_world import World

# ALFRED's task types (askforalfred/alfred, gen/constants.py) with the state that each requires of the thing.
TREATMENTS = {
    "pick_heat_then_place_in_recep": "heated",
    "pick_cool_then_place_in_recep": "cooled",
    "pick_clean_then_place_in_recep": "cleaned",
}
PAIRS = "pick_two_obj_and_place"
TASK_TYPES = (
    *TREATMENTS,
    PAIRS,
    "pick_and_place_simple",
    "pick_and_place_with_movable_recep",
    "look_at_obj_in_light",
)
SLICED, LIT = "sliced", "on"
_CLASSES = ("object_target", "parent_target", "mrecep_target", "toggle_target")


class GoalError(ValueError):
    """A goal cannot be checked; the message says which part and why."""


@dataclass(frozen=True)
class Goal:
    """The conditions that must hold at the end of a plan.

    Attributes:
        thing: Class of the thing that the goal is about.
        place: Class of the place where the thing must be; empty if none is required.
        carrier: Class of the movable receptacle that must contain the thing at that place; empty if none.
        lit: Class of the thing that must be switched on while the robot holds `thing`; empty if none.
        states: States that the thing must have, such as heated.
        count: Number of such things that must be at the place.
        held: Whether the robot must hold the thing; `lit` asks for that too.
    """

    thing: str
    place: str = ""
    carrier: str = ""
    lit: str = ""
    states: frozenset[str] = frozenset()
    count: int = 1
    held: bool = False

    @property
    def in_hand(self) -> bool:
        """Whether the thing must be in the hand at the end."""
        return self.held or bool(self.lit)


def goal_from(params: Mapping[str, Any], task_type: str, vocabulary: Vocabulary) -> Goal:
    """Read a goal from ALFRED's pddl_params; a missing key counts as empty.

    Args:
        params: Classes in object_target, parent_target, mrecep_target and toggle_target, in upper or lower case; and
            the bool object_sliced.
        task_type: One of TASK_TYPES: it tells a required state and number of things, which pddl_params do not; empty if
            the goal has neither.
        vocabulary: Vocabulary that must have the goal's classes and states.

    Raises:
        GoalError: A key, class, state or the task type is unknown, or object_target or both of parent_target and
            toggle_target are missing.
    """
    for key in params:
        if key not in (*_CLASSES, "object_sliced"):
            raise GoalError(f"the goal has {key!r}{one_of(key, (*_CLASSES, 'object_sliced'))}")
    if task_type and task_type not in TASK_TYPES:
        raise GoalError(f"the task type is {task_type!r}{one_of(task_type, TASK_TYPES)}")
    names = {name.casefold(): name for name in vocabulary.classes}
    found = {}
    for key in _CLASSES:
        given = params.get(key) or ""
        if not isinstance(given, str):
            raise GoalError(f"the goal's {key} is {given!r}, expected the name of a class")
        if given and given.casefold() not in names:
            raise GoalError(f"the goal's {key} is {given!r}, which is no class{one_of(given, names.values())}")
        found[key] = names[given.casefold()] if given else ""
    sliced = params.get("object_sliced", False)
    if not isinstance(sliced, bool):
        raise GoalError(f"the goal's object_sliced is {sliced!r}, expected true or false")
    if not found["object_target"]:
        raise GoalError("the goal has no object_target: it must say what it is about")
    if not found["parent_target"] and not found["toggle_target"]:
        raise GoalError("the goal has neither a parent_target nor a toggle_target: it must say what shall be so")
    states = {state for state, wanted in ((TREATMENTS.get(task_type, ""), True), (SLICED, sliced)) if state and wanted}
    for state in (*states, *([LIT] if found["toggle_target"] else [])):
        if state not in vocabulary.states:
            raise GoalError(f"the goal asks for the state {state!r}{one_of(state, vocabulary.states)}")
    return Goal(
        thing=found["object_target"],
        place=found["parent_target"],
        carrier=found["mrecep_target"],
        lit=found["toggle_target"],
        states=frozenset(states),
        count=2 if task_type == PAIRS else 1,
    )


def unmet(goal: Goal, world: World) -> list[Finding]:
    """The conditions of a goal that a world does not fulfil (violations), or fulfils only by assumption (warnings).

    A thing is where the plan has put it or the thing that contains it. Nothing is assumed about things that the plan
    never touches, with one exception: a carrier that the plan has brought to its place may contain the thing already.
    """
    found: list[Finding] = []
    ours = [number for number, thing in enumerate(world.things) if thing.kind == goal.thing]
    if goal.in_hand:
        held = [number for number in ours if number in world.held]
        if not held:
            found.append(_missed(Reason.GOAL_HOLDING, f"no {goal.thing} is held in the end"))
        elif not any(goal.states <= world.things[number].states for number in held):
            found.append(_missed(Reason.GOAL_STATE, f"the {goal.thing} held in the end {_lacks(goal, world, held)}"))
        if goal.lit and not any(thing.kind == goal.lit and LIT in thing.states for thing in world.things):
            found.append(_missed(Reason.GOAL_STATE, f"the {goal.lit} is not {LIT} in the end"))
    if goal.place and goal.carrier:
        found += _unmet_in_carrier(goal, world, ours)
    elif goal.place:
        there = [number for number in ours if world.is_at(number, goal.place)]
        right = [number for number in there if goal.states <= world.things[number].states]
        if not there:
            found.append(_missed(Reason.GOAL_PLACE, f"no {goal.thing} is put in or on the {goal.place}"))
        elif len(there) < goal.count:
            text = f"{len(there)} {goal.thing} is put in or on the {goal.place}, expected {goal.count}"
            found.append(_missed(Reason.GOAL_COUNT, text))
        elif len(right) < goal.count:
            text = f"the {goal.thing} in or on the {goal.place} {_lacks(goal, world, there)}"
            found.append(_missed(Reason.GOAL_STATE, text))
    elif not goal.in_hand and not any(goal.states <= world.things[number].states for number in ours):
        found.append(_missed(Reason.GOAL_STATE, f"no {goal.thing} is {' and '.join(sorted(goal.states))} in the end"))
    return found


def conditions(goal: Goal, world: World) -> tuple[bool, ...]:
    """Whether each of the goal's conditions holds in a world, with ALFRED's list of conditions (env/tasks.py).

    All of them hold if `unmet` returns no violation.
    """
    ours = [number for number, thing in enumerate(world.things) if thing.kind == goal.thing]
    met: list[bool] = []
    if SLICED in goal.states:
        # In ALFRED a sliced thing is another class, so from here on only sliced things count.
        ours = [number for number in ours if SLICED in world.things[number].states]
        met += [len(ours) > already for already in range(goal.count)]
    treated = [number for number in ours if goal.states <= world.things[number].states]
    if goal.in_hand:
        met.append(any(number in world.held for number in treated))
    if goal.lit:
        met.append(any(thing.kind == goal.lit and LIT in thing.states for thing in world.things))
    if not goal.place:
        return tuple(met) if goal.in_hand else (*met, bool(treated))
    there = [number for number in ours if world.is_at(number, goal.place)]
    if goal.carrier:
        carriers = [
            number
            for number, thing in enumerate(world.things)
            if thing.kind == goal.carrier and world.is_at(number, goal.place)
        ]
        inside = any(world.is_in(number, carrier) for number in treated for carrier in carriers)
        assumed = not any(thing.kind == goal.thing for thing in world.things) and not goal.states and bool(carriers)
        return (*met, bool(there) or assumed, bool(carriers), inside or assumed)
    met += [len(there) > already for already in range(goal.count)]
    if goal.states - {SLICED}:
        met += [bool(treated), any(number in treated for number in there)]
    return tuple(met)


def _unmet_in_carrier(goal: Goal, world: World, ours: list[int]) -> list[Finding]:
    carriers = [
        number
        for number, thing in enumerate(world.things)
        if thing.kind == goal.carrier and world.is_at(number, goal.place)
    ]
    if not carriers:
        return [_missed(Reason.GOAL_PLACE, f"no {goal.carrier} is put in or on the {goal.place}")]
    inside = [number for number in ours if any(world.is_in(number, carrier) for carrier in carriers)]
    if any(goal.states <= world.things[number].states for number in inside):
        return []
    if inside:
        text = f"the {goal.thing} in the {goal.carrier} {_lacks(goal, world, inside)}"
        return [_missed(Reason.GOAL_STATE, text)]
    if ours or goal.states:
        text = f"no {goal.thing} is put into the {goal.carrier} that is put in or on the {goal.place}"
        return [_missed(Reason.GOAL_CARRIER, text)]
    text = f"the plan touches no {goal.thing}: the {goal.carrier} must hold one from the start"
    return [Finding(Reason.GOAL_ASSUMED, f"goal: {text}", warning=True)]


def _lacks(goal: Goal, world: World, numbers: list[int]) -> str:
    """`is not heated`: the fewest required states that one of the things lacks."""
    missing = min((goal.states - world.things[number].states for number in numbers), key=len)
    return f"is not {' and '.join(sorted(missing))}"


def _missed(reason: Reason, text: str) -> Finding:
    return Finding(reason, f"goal: {text}")
