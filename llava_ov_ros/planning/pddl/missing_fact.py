"""Names the fact that is missing where a planner has proven that there is no plan.

One fact at a time is granted, and the planner asked again; the first with which there is a plan is the missing one.
Facts come in the order in which plans bring them about, so that a thing that cannot be picked up is told as such, and
not as one that cannot be put anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from ..findings import Finding, Reason
from ..validate.goal import LIT, Goal
from ..vocabulary import Action, Argument, Rule, Vocabulary
from .fast_downward import SearchEnd
from .relevant import relevant_classes
from .start import Start, classes_in
from .task import task_of

_GRANTED = "Granted"


@dataclass(frozen=True)
class _Relaxed:
    """A problem in which one more fact holds, and the words for its absence."""

    reason: Reason
    text: str
    vocabulary: Vocabulary
    goal: Goal
    start: Start


def missing_fact(
    vocabulary: Vocabulary, goal: Goal, start: Start, until_s: float, should_stop: Callable[[], bool]
) -> Finding:
    """Find the one fact with which there would be a plan.

    Args:
        vocabulary: Vocabulary of the steps.
        goal: A goal for which there is no plan.
        start: What is known at the start.
        until_s: When to give up, on the monotonic clock.
        should_stop: Returns whether to give up at once.

    Returns:
        The finding; NO_PLAN if no single fact is missing, or the time was over before it was found.

    Raises:
        PlannerError: The planner failed.
    """
    for one in _relaxations(vocabulary, goal, start):
        task = task_of(one.vocabulary, one.goal, one.start, everywhere=True, spare=1)
        end, _ = task.search(until_s, should_stop)
        if end is SearchEnd.FOUND:
            return Finding(one.reason, f"there is no plan: {one.text}")
        if end is not SearchEnd.NONE:
            return Finding(Reason.NO_PLAN, "there is no plan; the time was over before the missing fact was found")
    return Finding(Reason.NO_PLAN, "there is no plan, and more than one fact is missing")


def _relaxations(vocabulary: Vocabulary, goal: Goal, start: Start) -> Iterator[_Relaxed]:
    def relaxed(
        reason: Reason, text: str, words: Vocabulary = vocabulary, wanted: Goal = goal, known: Start = start
    ) -> _Relaxed:
        return _Relaxed(reason, text, words, wanted, known)

    for kind, most in start.most.items():
        known = replace(start, most={name: number for name, number in start.most.items() if name != kind})
        if most:
            yield relaxed(Reason.TOO_FEW, f"there is no more than {most} {kind}", known=known)
        else:
            yield relaxed(Reason.ABSENT, f"there is no {kind}", known=known)
    world = start.world
    for number in world.held:
        free = replace(world, held=tuple(one for one in world.held if one != number))
        text = f"the {world.things[number].kind} is in the hand, and cannot be put down"
        yield relaxed(Reason.STAYS_HELD, text, known=replace(start, world=free))
    classes = relevant_classes(vocabulary, goal, classes_in(world))
    for kind in classes:
        yield relaxed(Reason.CANNOT_GO, f"no action goes to {kind}", _granting(vocabulary, kind, "go_to"))
    for kind in classes:
        yield relaxed(Reason.CANNOT_HOLD, f"no action picks up {kind}", _granting(vocabulary, kind, "pick_up"))
    more = replace(vocabulary, hands=vocabulary.hands + 1)
    yield relaxed(Reason.TOO_FEW_HANDS, f"it takes more hands than {vocabulary.hands}", more)
    yield from _states(vocabulary, goal, start, classes)
    for place in filter(None, (goal.place, goal.carrier)):
        kind = goal.carrier if goal.carrier and place == goal.place else goal.thing
        text = f"no action puts {kind} in or on {place}"
        yield relaxed(Reason.CANNOT_PUT, text, _granting(vocabulary, kind, "put", place))


def _states(vocabulary: Vocabulary, goal: Goal, start: Start, classes: list[str]) -> Iterator[_Relaxed]:
    """States that nothing brings about: those of the goal, and those that an action requires."""
    wanted = sorted(goal.states)
    for state in wanted:
        others = [one for one in wanted if one != state]
        text = f"no action brings {goal.thing} into the state {state}"
        if others:
            text += f" together with {' and '.join(others)}"
        granted = _granting(vocabulary, goal.thing, "set", state)
        yield _Relaxed(Reason.CANNOT_BE, text, granted, goal, start)
    if goal.lit:
        text = f"no action brings {goal.lit} into the state {LIT}"
        yield _Relaxed(Reason.CANNOT_BE, text, _granting(vocabulary, goal.lit, "set", LIT), goal, start)
    required = {
        rule.names[1] for action in vocabulary.actions.values() for rule in action.requires if rule.kind == "is"
    }
    for state in sorted(required - goal.states):
        for kind in classes:
            text = f"no action brings {kind} into the state {state}"
            yield _Relaxed(Reason.CANNOT_BE, text, _granting(vocabulary, kind, "set", state), goal, start)


def _granting(vocabulary: Vocabulary, kind: str, effect: str, other: str = "") -> Vocabulary:
    """The vocabulary with one more action, which only brings about one fact about things of a class."""
    arguments = (Argument("thing", kind), *([Argument("place", other)] if effect == "put" else []))
    names = {"put": ("thing", "place"), "set": ("thing", other)}.get(effect, ("thing",))
    requires = (Rule("hand_free"),) if effect == "pick_up" else ()
    name = _GRANTED
    while name in vocabulary.actions:
        name += "_"
    granted = Action(name, arguments, requires=requires, effects=(Rule(effect, names),))
    return replace(vocabulary, actions={**vocabulary.actions, name: granted})
