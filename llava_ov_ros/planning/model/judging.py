"""Has the judges of plans look at a result, and a planner take over where they do not accept it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from ...settings.allowed_values import Validator
from ..findings import Finding, Reason
from ..plan_steps import Plan
from ..validate.goal import Goal, GoalError
from ..validate.simulation import Validation, names_of, validate
from ..vocabulary import Vocabulary
from .results import PlanResult, StepSource


def judged(result: PlanResult, vocabulary: Vocabulary, validators: Sequence[Validator]) -> PlanResult:
    """Add which judges accept the steps. Where they disagree, that is a violation, and the plan is not accepted.

    Args:
        result: A plan that the simulation has looked at.
        vocabulary: Vocabulary of the steps.
        validators: The judges; `pddl` needs the extra `planner`.
    """
    if result.cannot_tell:
        return result
    simulated = result.validation.accepted
    accepted_by = ["simulation"] if simulated else []
    if "pddl" in validators:
        # The extra is imported only where somebody asks for it.
        from ..pddl import NoCounterpartError, UndecidedError, pddl_verdict

        try:
            verdict = pddl_verdict(vocabulary, result.wanted, result.validation.plan.steps)
        except (NoCounterpartError, UndecidedError) as error:
            text = f"PDDL cannot judge the plan: {error}"
            return replace(result.with_findings([Finding(Reason.NOT_DECIDED, text)]), accepted_by=tuple(accepted_by))
        accepted_by += ["pddl"] if verdict.accepted else []
        if verdict.accepted != simulated:
            one, other = ("simulation", "PDDL") if simulated else ("PDDL", "simulation")
            why = f": {verdict.reason}" if verdict.reason else ""
            text = f"the judges disagree: {one} accepts the plan, {other} does not{why}"
            result = result.with_findings([Finding(Reason.JUDGES_DISAGREE, text)])
    return replace(result, accepted_by=tuple(accepted_by))


def goal_conditions_of(goal: str, vocabulary: Vocabulary) -> tuple[Goal | None, tuple[Finding, ...]]:
    """The conditions of a goal in words; without them, the finding that says why there are none."""
    from ..read.goal_sentence import read_goal

    try:
        return read_goal(goal, vocabulary), ()
    except GoalError as error:
        text = (
            f"the goal was not read as conditions ({error}), so no plan can be certified: say it in the vocabulary's "
            "words, or as conditions such as in(mug, desk)"
        )
        return None, (Finding(Reason.GOAL_UNREAD, text),)


def planned_instead(
    result: PlanResult, vocabulary: Vocabulary, until_s: float, should_stop: Callable[[], bool]
) -> PlanResult:
    """Have the planner find a plan in place of one that was not accepted.

    Args:
        result: The model's result, with the goal as conditions.
        vocabulary: Vocabulary of the steps.
        until_s: When to give up, on the monotonic clock.
        should_stop: Returns whether to give up at once.

    Returns:
        The planner's plan, or the model's result with the finding that says why there is none.
    """
    from ..pddl import NoCounterpartError, PlannerError, Start, TooLargeError, certified_plan

    assert result.wanted is not None, "a planner needs the goal as conditions"
    began_s = time.monotonic()
    try:
        start = Start(believed=believed_places(result.validation.plan, vocabulary))
        found = certified_plan(vocabulary, result.wanted, [start], until_s, should_stop)
    except (NoCounterpartError, PlannerError, TooLargeError) as error:
        return replace(result.with_findings([Finding(Reason.NOT_DECIDED, f"no planner's plan: {error}")]))
    if found.steps is None:
        assert found.finding is not None, "without a plan there is a reason"
        if result.cannot_tell and found.proven:
            # A proof is an answer, also where the model could not tell.
            result = replace(result, cannot_tell=False, validation=Validation(Plan(()), ()))
        return result.with_findings([found.finding])
    why = "it said that it cannot tell" if result.cannot_tell else "; ".join(result.unread)
    why = why or next((str(one) for one in result.validation.violations), "the judges do not accept it")
    remark = f"the planner's plan ({time.monotonic() - began_s:.1f} s) stands for the model's: {why}"
    plan = validate(Plan(found.steps), vocabulary, result.wanted)
    return replace(
        result,
        validation=plan,
        cannot_tell=False,
        unread=(),
        confidence=0.0,
        probability=0.0,
        remarks=(*result.remarks, remark),
        accepted_by=("simulation", "pddl"),
        source=StepSource.PLANNER,
    )


def believed_places(plan: Plan, vocabulary: Vocabulary) -> dict[str, str]:
    """Where the model believes things to be: the last place that its plan goes to before a thing is picked up."""
    places: dict[str, str] = {}
    at = ""
    for step in plan.steps:
        if not vocabulary.fits(step):
            continue
        action = vocabulary.actions[step.action]
        named = names_of(action, step)
        for effect in action.effects:
            name = named.get(effect.names[0], effect.names[0])
            if effect.kind == "go_to":
                at = name
            elif effect.kind == "pick_up" and at and at != name:
                places.setdefault(name, at)
    return places
