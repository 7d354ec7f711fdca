"""Checks a model's next step against what was reported and against the goal's conditions; else a planner gives it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ..findings import Finding, Reason
from ..plan_steps import Step
from ..validate.goal import Goal, unmet
from ..validate.known_world import World
from ..validate.reports import Situation
from ..validate.simulation import carried_out, names_of
from ..vocabulary import Vocabulary
from .results import Hint, NextStep, StepSource


def is_reached(goal: Goal, situation: Situation) -> bool:
    """Whether the goal holds in a world that the reports can have led to."""
    return _missing(goal, situation.worlds) == 0


def doubt_about(step: NextStep, goal: Goal, situation: Situation, vocabulary: Vocabulary) -> str:
    """Why a model's answer cannot be the hint; empty if it can.

    Args:
        step: The answer, with its findings after the reported steps.
        goal: The goal's conditions.
        situation: What is known from the reports.
        vocabulary: Vocabulary of the steps.
    """
    reached = is_reached(goal, situation)
    if step.hint is Hint.DONE:
        return "" if reached else "the model says DONE, and the goal does not hold after what was reported"
    if reached:
        return "the goal holds after what was reported"
    if step.hint is not Hint.STEP or step.step is None:
        return "the model is not sure" if step.hint is Hint.UNSURE else "the model cannot tell"
    violations = [finding.text for finding in step.findings if not finding.warning]
    if violations:
        return violations[0]
    action = vocabulary.actions[step.step.action]
    after, _ = carried_out(action, step.step, situation.worlds, vocabulary)
    if {world.key() for world in after} <= {world.key() for world in situation.worlds}:
        return f"{step.step} changes nothing: its effects hold already"
    if _missing(goal, after) > _missing(goal, situation.worlds):
        return f"{step.step} undoes what the goal asks for"
    return ""


def certified_hint(
    step: NextStep,
    goal: Goal,
    situation: Situation,
    vocabulary: Vocabulary,
    until_s: float,
    should_stop: Callable[[], bool] = lambda: False,
) -> NextStep:
    """Return the model's answer if it can be the hint, else the first step of the planner's plan for the rest.

    Args:
        step: The answer, with its findings after the reported steps.
        goal: The goal's conditions.
        situation: What is known from the reports.
        vocabulary: Vocabulary of the steps.
        until_s: When to give up, on the monotonic clock.
        should_stop: Returns whether to give up at once.

    Returns:
        The hint. It is UNSURE, without a step, if the planner has proven that there is no plan, or found none in time.
    """
    doubt = doubt_about(step, goal, situation, vocabulary)
    if not doubt:
        return step
    instead = replace(step, step=None, findings=(), unread=(doubt,), confidence=0.0, source=StepSource.PLANNER)
    if is_reached(goal, situation):
        return replace(instead, hint=Hint.DONE)
    found = _planned(goal, situation, vocabulary, until_s, should_stop)
    if isinstance(found, Finding):
        return replace(instead, hint=Hint.UNSURE, findings=(found,))
    return replace(instead, hint=Hint.STEP, step=found)


def _planned(
    goal: Goal, situation: Situation, vocabulary: Vocabulary, until_s: float, should_stop: Callable[[], bool]
) -> Step | Finding:
    # The extra is imported only where somebody asks for it.
    from ..pddl import NoCounterpartError, PlannerError, Start, TooLargeError, certified_plan

    believed = places_of_changes(situation.done, vocabulary)
    missed = missed_classes(situation.missed, vocabulary)
    starts = [Start(world, believed, missed=missed) for world in situation.worlds]
    last = situation.done[-1] if situation.done else None
    try:
        found = certified_plan(vocabulary, goal, starts, until_s, should_stop, situation.failed, last)
    except (NoCounterpartError, PlannerError, TooLargeError) as error:
        return Finding(Reason.NOT_DECIDED, f"no planner's plan: {error}")
    if found.steps:
        return found.steps[0]
    return found.finding or Finding(Reason.NOT_DECIDED, "the planner and the simulation differ in what holds")


def places_of_changes(done: Sequence[Step], vocabulary: Vocabulary) -> dict[str, str]:
    """Where things are that were changed where they lay: the last place gone to before that."""
    places: dict[str, str] = {}
    at = ""
    for step in done:
        action = vocabulary.actions[step.action]
        named = names_of(action, step)
        held = {rule.names[0] for rule in action.requires if rule.kind == "holding"}
        for effect in action.effects:
            name = named.get(effect.names[0], effect.names[0])
            if effect.kind == "go_to":
                at = name
            elif effect.kind in ("set", "clear", "flip") and effect.names[0] not in held and at not in ("", name):
                places[name] = at
    return places


def missed_classes(missed: Sequence[Step], vocabulary: Vocabulary) -> frozenset[str]:
    """Classes to which the robot could not go: perhaps they are not there."""
    found = set()
    for step in missed:
        action = vocabulary.actions[step.action]
        named = names_of(action, step)
        found |= {named.get(one.names[0], one.names[0]) for one in action.effects if one.kind == "go_to"}
    return frozenset(found)


def _missing(goal: Goal, worlds: tuple[World, ...]) -> int:
    """The fewest conditions of a goal that do not hold in one of the worlds."""
    return min(sum(not finding.warning for finding in unmet(goal, world)) for world in worlds)
