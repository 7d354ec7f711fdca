"""Simulates a plan: checks whether each step can be executed, and whether the goal holds at the end.

At the start the hands are empty and no thing has any state; nothing else is known. If a step can refer to several
things (an apple that an earlier step named, or another one), all possible worlds are followed. A step is a violation if
it fails in every world that the earlier steps can have led to; the goal is missed if it holds in none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ..findings import Finding, Reason
from ..plan_steps import Plan, Step
from ..vocabulary import Action, Rule, Vocabulary
from .goal import Goal, unmet
from .known_world import KnownThing, World

# Sensible plans lead to about a dozen worlds; the limit bounds the work on other plans.
MOST_WORLDS = 256


@dataclass(frozen=True)
class Validation:
    """The result of simulating a plan.

    Attributes:
        plan: The plan.
        findings: Violations and warnings: first those of steps, in order, then those of the whole plan and its goal.
        worlds: All worlds that the steps can have led to; a step with a violation has changed none of them.
    """

    plan: Plan
    findings: tuple[Finding, ...]
    worlds: tuple[World, ...] = ()

    @property
    def violations(self) -> tuple[Finding, ...]:
        """The findings that make the plan unusable."""
        return tuple(finding for finding in self.findings if not finding.warning)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The findings that are unusual but leave the plan usable."""
        return tuple(finding for finding in self.findings if finding.warning)

    @property
    def accepted(self) -> bool:
        """Whether the plan has no violation: every step can be executed, and the goal, if given, is reached."""
        return not self.violations

    def of_step(self, number: int) -> tuple[Finding, ...]:
        """The findings about one step, numbered from 1; empty if the step is valid."""
        return tuple(finding for finding in self.findings if finding.step == number)


def validate(
    plan: Plan, vocabulary: Vocabulary, goal: Goal | None = None, start: Sequence[World] = (World(),)
) -> Validation:
    """Simulate a plan, and collect violations and warnings.

    A step with a violation changes nothing, and the simulation continues with the next step. At the first step beyond
    `vocabulary.max_steps` it stops, and the goal is not checked.

    Args:
        plan: Any steps, also malformed ones.
        vocabulary: Vocabulary with the conditions and effects of the actions.
        goal: Goal that must hold at the end; None checks the steps only.
        start: All worlds in which the plan may begin, at least one.

    Returns:
        The findings, and the worlds at the end.
    """
    findings: list[Finding] = []
    worlds = tuple(start)
    acting, ended = 0, False
    for number, step in enumerate(plan.steps, 1):
        ends = step.action in vocabulary.actions and vocabulary.actions[step.action].ends
        acting += not ends
        if acting > vocabulary.max_steps:
            text = f"{step} is one step too many: a plan has at most {vocabulary.max_steps}"
            return Validation(plan, (*findings, Finding(Reason.TOO_LONG, text, number)), worlds)
        fault = vocabulary.fault(step)
        if ended:
            fault = Finding(Reason.AFTER_END, f"{step} comes after the end of the plan")
        if fault is not None:
            findings.append(replace(fault, step=number))
            continue
        ended = ends
        worlds, found = carried_out(vocabulary.actions[step.action], step, worlds, vocabulary)
        findings += [replace(finding, step=number) for finding in found]
    if not acting:
        findings.append(Finding(Reason.EMPTY_PLAN, "the plan has no steps"))
    if goal is not None:
        missing = [unmet(goal, world) for world in worlds]
        best = min(missing, key=lambda one: (sum(not finding.warning for finding in one), len(one)))
        findings += best
    return Validation(plan, tuple(findings), worlds)


def carried_out(
    action: Action, step: Step, worlds: Sequence[World], vocabulary: Vocabulary
) -> tuple[tuple[World, ...], tuple[Finding, ...]]:
    """Simulate one step.

    Args:
        action: The step's action, with its conditions and effects.
        step: A well-formed step.
        worlds: All worlds in which the step may be executed, at least one.
        vocabulary: Vocabulary of the step.

    Returns:
        All worlds that the step can have led to, MOST_WORLDS at most, and the warnings about the step. If it fails in
        every world: the worlds as they were, and the violation.
    """
    outcomes = [outcome for world in worlds for outcome in _outcomes(world, action, step, vocabulary)]
    possible = [outcome for outcome in outcomes if all(finding.warning for finding in outcome.findings)]
    shown = min(possible or outcomes, key=lambda outcome: len(outcome.findings))
    if not possible:
        return tuple(worlds), shown.findings
    return different(outcome.world for outcome in possible), shown.findings


def different(worlds: Iterable[World]) -> tuple[World, ...]:
    """The first of each set of like worlds, MOST_WORLDS at most."""
    found: dict[object, World] = {}
    for world in worlds:
        found.setdefault(world.key(), world)
    return tuple(found.values())[:MOST_WORLDS]


@dataclass(frozen=True)
class _Outcome:
    """One possible result of a step: the new world, or after a violation the unchanged one, and the findings."""

    world: World
    findings: tuple[Finding, ...]


def _outcomes(world: World, action: Action, step: Step, vocabulary: Vocabulary) -> Iterator[_Outcome]:
    """All possible results of a well-formed step, the most likely interpretation first."""
    named = names_of(action, step)
    for rule in action.requires:
        finding = broken(rule, world, step, named, vocabulary)
        if finding is not None:
            yield _Outcome(world, (finding,))
            return
    unusual = [broken(rule, world, step, named, vocabulary) for rule in action.expects]
    possible = False
    for bound, things in _bindings(world, action, named, vocabulary):
        possible = True
        states = [
            _wrong_state(rule, step, things.things[bound[rule.names[0]]])
            for rule in action.expects
            if is_on_state(rule)
        ]
        warnings = tuple(replace(one, warning=True) for one in (*unusual, *states) if one is not None)
        for after in _after(things, action, named, bound):
            yield _Outcome(after, warnings)
    if not possible:
        yield _Outcome(world, (_nothing_fits(action, step, named),))


def _nothing_fits(action: Action, step: Step, named: Mapping[str, str]) -> Finding:
    """The violation of a step for which the world can have no suitable thing."""
    for rule in action.requires:
        if is_on_state(rule):
            state = "not " * (rule.kind == "is") + rule.names[1]
            text = f"{step}: the {named[rule.names[0]]} is {state} by then, expected the opposite"
            return Finding(Reason.WRONG_STATE, text)
    return Finding(Reason.NOT_HOLDING, f"{step}: it takes two different things, and only one is held")


def broken(rule: Rule, world: World, step: Step, named: Mapping[str, str], vocabulary: Vocabulary) -> Finding | None:
    """The violation if a condition on hands or place does not hold, else None; conditions on states are skipped."""
    if rule.kind == "hand_free":
        if len(world.held) >= vocabulary.hands:
            held = " and ".join(world.things[number].kind for number in world.held)
            return Finding(Reason.HAND_FULL, f"{step}: no hand is free, {held} is held; put it down first")
        return None
    if is_on_state(rule):
        return None
    name = rule.names[0]
    wanted = frozenset((named[name],)) if name in named else vocabulary.members(name)
    expected = " or ".join(sorted(wanted)) if len(wanted) < 5 else f"one of {name}"
    if rule.kind == "holding":
        kinds = [world.things[number].kind for number in world.held]
        if wanted.isdisjoint(kinds):
            now = " and ".join(kinds) or "nothing"
            return Finding(Reason.NOT_HOLDING, f"{step}: {now} is held, expected {expected}; pick that up first")
    elif world.at is None:
        return Finding(Reason.NO_PLACE, f"{step}: the plan has not gone anywhere yet; go to {expected} first")
    elif rule.kind == "at" and world.at not in wanted:
        text = f"{step}: the last place gone to is {world.at}, expected {expected}"
        return Finding(Reason.WRONG_PLACE, text)
    return None


def names_of(action: Action, step: Step) -> dict[str, str]:
    """The class that a well-formed step names for each argument of its action."""
    return {argument.name: given for argument, given in zip(action.arguments, step.arguments, strict=True)}


def is_on_state(rule: Rule) -> bool:
    """Whether a condition is about a state of a thing, which depends on the thing that the step refers to."""
    return rule.kind in ("is", "is_not")


def _fits(rule: Rule, thing: KnownThing) -> bool:
    return (rule.names[1] in thing.states) == (rule.kind == "is")


def _wrong_state(rule: Rule, step: Step, thing: KnownThing) -> Finding | None:
    if _fits(rule, thing):
        return None
    state = rule.names[1] if rule.kind == "is" else f"not {rule.names[1]}"
    return Finding(Reason.WRONG_STATE, f"{step}: the {thing.kind} is not as expected, which is {state}")


def _bindings(
    world: World, action: Action, named: Mapping[str, str], vocabulary: Vocabulary
) -> Iterator[tuple[dict[str, int], World]]:
    """All ways to bind the names of a step to things.

    Yields:
        Numbers of things by argument (or class of a fixed place), and the world, extended by newly met things.
    """
    movable = vocabulary.movable()
    about: dict[str, str] = {}
    for rule in (*action.requires, *action.expects, *action.effects):
        if is_on_state(rule) or rule.kind in ("pick_up", "put", "set", "clear", "flip"):
            about[rule.names[0]] = named[rule.names[0]]
        if rule.kind == "put":
            place = named.get(rule.names[1], rule.names[1])
            if place in movable:
                about[rule.names[1]] = place
    in_hand = {rule.names[0] for rule in action.requires if rule.kind == "holding"}
    ways: list[tuple[dict[str, int], World]] = [({}, world)]
    for name, kind in about.items():
        wanted = [rule for rule in action.requires if is_on_state(rule) and rule.names[0] == name]
        ways = [
            (bound | {name: number}, after)
            for bound, before in ways
            for number, after in _candidates(before, kind, wanted, name in in_hand, kind in movable)
        ]
    puts = [rule.names for rule in action.effects if rule.kind == "put" and rule.names[1] in about]
    for bound, after in ways:
        if not any(
            bound[thing] == bound[carrier] or after.is_in(bound[carrier], bound[thing]) for thing, carrier in puts
        ):
            yield bound, after


def _candidates(
    world: World, kind: str, wanted: Sequence[Rule], in_hand: bool, movable: bool
) -> list[tuple[int, World]]:
    """Numbers of the things of a class that a step can refer to, each with the world, extended by a newly met thing.

    Things that the plan has put within reach take precedence over all others. Of a fixed class there is one thing; of a
    movable class there may always be another thing that the plan has not named yet.
    """
    of_kind = [number for number, thing in enumerate(world.things) if thing.kind == kind]
    known = [number for number in of_kind if all(_fits(rule, world.things[number]) for rule in wanted)]
    if in_hand:
        return [(number, world) for number in known if number in world.held]
    known = [number for number in known if number not in world.held]
    put_here = [number for number in known if world.was_put_here(number)]
    if put_here:
        return [(number, world) for number in put_here]
    found = [(number, world) for number in known if world.may_be_here(number)]
    new = KnownThing(kind)
    if (movable or not of_kind) and all(_fits(rule, new) for rule in wanted):
        found.append((len(world.things), replace(world, things=(*world.things, new))))
    return found


def _after(world: World, action: Action, named: Mapping[str, str], bound: Mapping[str, int]) -> list[World]:
    """The worlds that the effects of an action can lead to: the robot may go to one thing of a class or to another."""
    worlds = [world]
    for effect in action.effects:
        place = named.get(effect.names[-1], effect.names[-1])
        if effect.kind == "go_to":
            worlds = [after for before in worlds for after in _gone_to(before, place)]
        else:
            worlds = [_changed(before, effect, place, bound) for before in worlds]
    return worlds


def _gone_to(world: World, place: str) -> Iterator[World]:
    """The worlds where the robot is at a place: at a thing that the plan has touched, or at what is not known yet."""
    for number, thing in enumerate(world.things):
        if thing.kind == place and number not in world.held:
            yield replace(world, at=place, here=frozenset((place,)) | world.around(number))
    yield replace(world, at=place, here=frozenset((place,)))


def _changed(world: World, effect: Rule, place: str, bound: Mapping[str, int]) -> World:
    """The world after an effect on a thing; `place` is the class of the last name of the effect."""
    number = bound[effect.names[0]]
    thing = world.things[number]
    if effect.kind == "pick_up":
        return replace(world.with_thing(number, replace(thing, where=None)), held=(*world.held, number))
    if effect.kind == "put":
        where = bound.get(effect.names[1], place)
        held = tuple(one for one in world.held if one != number)
        return replace(world.with_thing(number, replace(thing, where=where)), held=held, here=world.here | {where})
    state = frozenset((effect.names[1],))
    set_it = effect.kind == "set" or (effect.kind == "flip" and not state <= thing.states)
    return world.with_thing(number, replace(thing, states=thing.states | state if set_it else thing.states - state))
