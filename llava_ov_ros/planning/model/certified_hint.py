"""Checks a model's next step against what was reported and against the goal's conditions; else a planner gives it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from ..findings import Finding, Reason
from ..plan_steps import Step
from ..validate.goal import Goal, unmet
from ..validate.known_world import World
from ..validate.reports import Report, Situation, gone_to
from ..validate.simulation import carried_out, names_of
from ..vocabulary import Vocabulary
from .results import Hint, NextStep, StepSource

MOST_WAYS_AROUND = 3
"""After so many further steps that failed in a row, a step that has failed is worth another try."""


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


def needs_planner(step: NextStep, goal: Goal, situation: Situation, vocabulary: Vocabulary) -> bool:
    """Whether `certified_hint` asks a planner: of every answer but a DONE that can stand.

    A step that can be done may still lead away from the goal, which only the length of a plan for the rest tells.
    """
    return step.hint is not Hint.DONE or bool(doubt_about(step, goal, situation, vocabulary))


def certified_hint(
    step: NextStep,
    goal: Goal,
    situation: Situation,
    vocabulary: Vocabulary,
    until_s: float,
    should_stop: Callable[[], bool] = lambda: False,
) -> NextStep:
    """Return the model's answer if it can be the hint, else the first step of the planner's plan for the rest.

    The model's step can be the hint if it can be done, and if the plan for the rest is shorter after it. A step that
    goes somewhere new may leave the plan as long as it is, because the model sees where things are and the planner
    does not.

    Args:
        step: The answer, with its findings after the reported steps.
        goal: The goal's conditions.
        situation: What is known from the reports.
        vocabulary: Vocabulary of the steps.
        until_s: When to give up, on the monotonic clock.
        should_stop: Returns whether to give up at once.

    Returns:
        The hint. It is UNSURE, without a step, if the planner has proven that there is no plan, or found none in time
        for an answer that cannot stand.
    """
    doubt = doubt_about(step, goal, situation, vocabulary)
    if not doubt and step.hint is Hint.DONE:
        return step
    if is_reached(goal, situation):
        return _instead(step, doubt, hint=Hint.DONE)

    def planned(known: Situation) -> tuple[Step, ...] | Finding:
        return _planned(goal, known, vocabulary, until_s, should_stop)

    now = planned(situation)
    if isinstance(now, Finding):
        if not doubt and now.reason is Reason.NOT_DECIDED:
            return step
        return _instead(step, doubt or now.text, hint=Hint.UNSURE, findings=(now,))
    doubt = doubt or _astray(step, now, goal, situation, vocabulary, planned)
    return _instead(step, doubt, hint=Hint.STEP, step=now[0]) if doubt else step


def _instead(answer: NextStep, doubt: str, **given: Any) -> NextStep:
    """The planner's hint in place of a model's, and why."""
    blank = replace(answer, step=None, findings=(), unread=(doubt,), confidence=0.0, source=StepSource.PLANNER)
    return replace(blank, **given)


def _astray(
    step: NextStep,
    now: tuple[Step, ...],
    goal: Goal,
    situation: Situation,
    vocabulary: Vocabulary,
    planned: Callable[[Situation], tuple[Step, ...] | Finding],
) -> str:
    """Why a step that can be done is none towards the goal; empty if it is one, or nobody knows."""
    assert step.step is not None, "what can be done is a step"
    if step.step == now[0]:
        return ""
    after, _ = situation.after(Report(step.step), vocabulary)
    if is_reached(goal, after):
        return ""
    rest = planned(after)
    if isinstance(rest, Finding):
        return "" if rest.reason is Reason.NOT_DECIDED else f"after {step.step} {rest.text}"
    effects = vocabulary.actions[step.step.action].effects
    searches = all(effect.kind == "go_to" for effect in effects) and step.step not in situation.done
    if len(rest) < len(now) or (len(rest) == len(now) and searches):
        return ""
    return f"{step.step} leads away from the goal: {len(rest)} steps are left after it, {len(now)} are now"


def _planned(
    goal: Goal, situation: Situation, vocabulary: Vocabulary, until_s: float, should_stop: Callable[[], bool]
) -> tuple[Step, ...] | Finding:
    # The extra is imported only where somebody asks for it.
    from ..pddl import NoCounterpartError, PlannerError, Start, TooLargeError, certified_plan

    believed = places_of_changes(situation.done, vocabulary) | dict(situation.dropped)
    # Perhaps what nobody could go to is not there.
    missed = tuple(gone_to(situation.missed, vocabulary))
    visited = tuple(dict.fromkeys(gone_to(situation.done, vocabulary)))
    starts = [Start(world, believed, missed=missed, visited=visited) for world in situation.worlds]
    last = situation.done[-1] if situation.done else None
    failed: tuple[Step, ...] = ()
    if situation.failed:
        failed = (*situation.failed[-MOST_WAYS_AROUND:], *_to_what_is_held(situation, vocabulary))
    try:
        found = certified_plan(vocabulary, goal, starts, until_s, should_stop, failed, last)
    except (NoCounterpartError, PlannerError, TooLargeError) as error:
        return Finding(Reason.NOT_DECIDED, f"no planner's plan: {error}")
    if found.steps:
        return found.steps
    return found.finding or Finding(Reason.NOT_DECIDED, "the planner and the simulation differ in what holds")


def _to_what_is_held(situation: Situation, vocabulary: Vocabulary) -> Iterator[Step]:
    """Steps that go to another thing of a class that is in the hand: no way around a step that has failed."""
    kinds = {world.things[number].kind for world in situation.worlds for number in world.held}
    for action in vocabulary.actions.values():
        names = [argument.name for argument in action.arguments]
        if [(effect.kind, list(effect.names)) for effect in action.effects] == [("go_to", names)]:
            steps = (Step(action.name, (kind,)) for kind in sorted(kinds))
            yield from (step for step in steps if vocabulary.fits(step))


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


def _missing(goal: Goal, worlds: tuple[World, ...]) -> int:
    """The fewest conditions of a goal that do not hold in one of the worlds."""
    return min(sum(not finding.warning for finding in unmet(goal, world)) for world in worlds)
