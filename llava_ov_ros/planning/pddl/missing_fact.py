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
from ..validate.reachability import Reached, reached_in
from ..vocabulary import Action, Argument, Rule, Vocabulary
from .fast_downward import SearchEnd
from .known_start import Start, classes_in
from .relevant import relevant_classes
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
    for kind, most in start.most.items():
        known = replace(start, most={name: number for name, number in start.most.items() if name != kind})
        reason = Reason.TOO_FEW if most else Reason.ABSENT
        text = f"there is no more than {most} {kind}" if most else f"there is no {kind}"
        yield _Relaxed(reason, text, vocabulary, goal, known)
    world = start.world
    for number in world.held:
        free = replace(world, held=tuple(one for one in world.held if one != number))
        text = f"the {world.things[number].kind} is in the hand, and cannot be put down"
        yield _Relaxed(Reason.STAYS_HELD, text, vocabulary, goal, replace(start, world=free))
    reached = reached_in(vocabulary)
    facts = list(_facts(vocabulary, goal, relevant_classes(vocabulary, goal, classes_in(world))))
    # A fact that an action brings about, as far as one action at a time can tell, is hardly the missing one.
    # Of those it is a state that excludes another one.
    facts.sort(key=lambda one: (one.is_in(reached), one.is_in(reached) and one.effect != "set"))
    needs = sum(not one.is_in(reached) and one.effect in ("go_to", "pick_up") for one in facts)
    granted = [_Relaxed(one.reason, one.text(goal), _granting(vocabulary, one), goal, start) for one in facts]
    yield from granted[:needs]
    more = replace(vocabulary, hands=vocabulary.hands + 1)
    yield _Relaxed(Reason.TOO_FEW_HANDS, f"it takes more hands than {vocabulary.hands}", more, goal, start)
    yield from granted[needs:]


@dataclass(frozen=True)
class _Fact:
    """A fact that an action would have to bring about: its effect, the thing, and the place or the state."""

    effect: str
    kind: str
    other: str = ""

    @property
    def reason(self) -> Reason:
        return {
            "go_to": Reason.CANNOT_GO,
            "pick_up": Reason.CANNOT_HOLD,
            "set": Reason.CANNOT_BE,
            "put": Reason.CANNOT_PUT,
        }[self.effect]

    def text(self, goal: Goal) -> str:
        if self.effect == "go_to":
            return f"no action goes to {self.kind}"
        if self.effect == "pick_up":
            return f"no action picks up {self.kind}"
        if self.effect == "put":
            return f"no action puts {self.kind} in or on {self.other}"
        others = sorted(goal.states - {self.other}) if self.kind == goal.thing and self.other in goal.states else []
        together = f" together with {' and '.join(others)}" if others else ""
        return f"no action brings {self.kind} into the state {self.other}{together}"

    def is_in(self, reached: Reached) -> bool:
        if self.effect == "go_to":
            return self.kind in reached.at
        if self.effect == "pick_up":
            return self.kind in reached.held
        if self.effect == "put":
            return self.other in reached.within.get(self.kind, ())
        return self.kind in reached.states[self.other]


def _facts(vocabulary: Vocabulary, goal: Goal, classes: list[str]) -> Iterator[_Fact]:
    """The facts that may be missing, in the order in which plans bring them about; states that exclude others last."""
    yield from (_Fact("go_to", kind) for kind in classes)
    held = {rule.names[0] for one in vocabulary.actions.values() for rule in one.requires if rule.kind == "holding"}
    tools = {
        kind
        for name in held
        if name in vocabulary.classes or name in vocabulary.groups
        for kind in classes
        if kind in vocabulary.members(name)
    }
    yield from (_Fact("pick_up", kind) for kind in classes if kind in {goal.thing, goal.carrier, *tools})
    required = {rule.names[1] for one in vocabulary.actions.values() for rule in one.requires if rule.kind == "is"}
    yield from (_Fact("set", kind, state) for state in sorted(required - goal.states) for kind in classes)
    yield from (_Fact("set", goal.thing, state) for state in sorted(goal.states))
    if goal.lit:
        yield _Fact("set", goal.lit, LIT)
    if goal.carrier:
        yield _Fact("put", goal.thing, goal.carrier)
    if goal.place:
        yield _Fact("put", goal.carrier or goal.thing, goal.place)


def _granting(vocabulary: Vocabulary, fact: _Fact) -> Vocabulary:
    """The vocabulary with one more action, which only brings about one fact."""
    arguments = (Argument("thing", fact.kind), *([Argument("place", fact.other)] if fact.effect == "put" else []))
    names = {"put": ("thing", "place"), "set": ("thing", fact.other)}.get(fact.effect, ("thing",))
    requires = (Rule("hand_free"),) if fact.effect == "pick_up" else ()
    name = _GRANTED
    while name in vocabulary.actions:
        name += "_"
    granted = Action(name, arguments, requires=requires, effects=(Rule(fact.effect, names),))
    return replace(vocabulary, actions={**vocabulary.actions, name: granted})
