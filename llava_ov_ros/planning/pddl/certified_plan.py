"""Has the planner find a plan for a goal that both judges accept, or prove that there is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from ..findings import Finding, Reason
from ..plan_steps import Plan, Step
from ..validate.goal import Goal, unmet
from ..validate.known_world import World
from ..validate.simulation import validate
from ..vocabulary import Vocabulary
from .fast_downward import SearchEnd
from .judge import pddl_verdict
from .known_start import Start
from .missing_fact import missing_fact
from .task import PlanningTask, task_of

MOST_WORLDS = 4
"""Of the worlds that reports may have led to, so many are tried."""


@dataclass(frozen=True)
class CertifiedPlan:
    """What the planner found.

    Attributes:
        steps: A plan that both judges accept; None if there is none, or none was found. No step: the goal holds.
        finding: Why there is no plan: with `proven` the fact that is missing, else what kept the planner from knowing.
        proven: Whether the planner has proven that there is no plan.
    """

    steps: tuple[Step, ...] | None
    finding: Finding | None = None
    proven: bool = False


def certified_plan(
    vocabulary: Vocabulary,
    goal: Goal,
    starts: Sequence[Start],
    until_s: float,
    should_stop: Callable[[], bool] = lambda: False,
    failed: tuple[Step, ...] = (),
    last: Step | None = None,
) -> CertifiedPlan:
    """Find a shortest plan for a goal, or prove that there is none.

    Args:
        vocabulary: Vocabulary of the steps.
        goal: What shall be so at the end.
        starts: All worlds in which the plan may begin, at least one; the first MOST_WORLDS are tried. Where nothing is
            known, this is `[Start()]`.
        until_s: When to give up, on the monotonic clock.
        should_stop: Returns whether to give up at once.
        failed: Well-formed steps that have just failed, and with which the plan does not begin.
        last: The step that was done last: a plan that begins with it is taken only if no other world has another one.

    Raises:
        NoCounterpartError: The vocabulary cannot be expressed in PDDL.
        TooLargeError: There are too many things.
        PlannerError: The planner is not installed or failed.
    """
    worlds = tuple(start.world for start in starts)
    likely = sorted(starts, key=lambda start: len(unmet(goal, start.world)))[:MOST_WORLDS]
    found: list[CertifiedPlan] = []
    for start in likely:
        found.append(_from(vocabulary, goal, start, worlds, until_s, should_stop, failed))
        if found[-1].steps is not None and (last is None or found[-1].steps[:1] != (last,)):
            return found[-1]
    plans = [one for one in found if one.steps is not None]
    if plans:
        return plans[0]
    undecided = [one for one in found if not one.proven]
    if undecided:
        return undecided[0]
    # Proven for every world that was tried: name what is missing in the likeliest one.
    if len(starts) > len(likely):
        return CertifiedPlan(None, Finding(Reason.NO_PLAN, f"in none of {len(likely)} possible worlds is there a plan"))
    if found[0].finding is not None and found[0].finding.reason is Reason.TOO_LONG:
        return found[0]
    return replace(found[0], finding=missing_fact(vocabulary, goal, likely[0], until_s, should_stop))


def _from(
    vocabulary: Vocabulary,
    goal: Goal,
    start: Start,
    worlds: tuple[World, ...],
    until_s: float,
    should_stop: Callable[[], bool],
    failed: tuple[Step, ...],
) -> CertifiedPlan:
    refused = ""
    for everywhere in (False, True):
        # First a plan without warnings, in which things are found where one would look for them.
        words = vocabulary if everywhere else cautious(vocabulary)
        task = task_of(words, goal, start, everywhere, spare=int(everywhere), failed=failed)
        end, found = task.search(until_s, should_stop)
        if end is SearchEnd.NONE:
            if everywhere and not refused:
                return CertifiedPlan(None, Finding(Reason.NO_PLAN, "there is no plan"), proven=True)
            continue
        if end is not SearchEnd.FOUND:
            text = "the search for a plan was not finished in time"
            if end is SearchEnd.MEMORY:
                text = "the search for a plan took more memory than it has"
            return CertifiedPlan(None, Finding(Reason.NOT_DECIDED, text))
        steps = task.on_classes(found)
        if len(steps) > vocabulary.max_steps:
            if everywhere:
                text = f"the shortest plan has {len(steps)} steps, and a plan has at most {vocabulary.max_steps}"
                return CertifiedPlan(None, Finding(Reason.TOO_LONG, text), proven=not refused)
            continue
        refused = _refused(vocabulary, task, found, steps, worlds)
        if not refused:
            return CertifiedPlan(steps)
    text = f"the planner's plans are not accepted: {refused}"
    return CertifiedPlan(None, Finding(Reason.JUDGES_DISAGREE, text))


def _refused(
    vocabulary: Vocabulary,
    task: PlanningTask,
    found: tuple[Step, ...],
    steps: tuple[Step, ...],
    worlds: tuple[World, ...],
) -> str:
    """Why one of the judges does not accept a plan; empty if both do."""
    if not steps:
        return ""
    simulated = validate(Plan(steps), vocabulary, task.goal, worlds)
    if not simulated.accepted:
        return f"simulation: {simulated.violations[0]}"
    verdict = pddl_verdict(vocabulary, task.goal, steps) if worlds == (World(),) else task.verdict(found)
    return "" if verdict.accepted else f"PDDL: {verdict.reason}"


@lru_cache(maxsize=8)
def cautious(vocabulary: Vocabulary) -> Vocabulary:
    """The vocabulary in which a step that would be unusual cannot be done."""
    actions = {
        name: replace(action, requires=(*action.requires, *action.expects), expects=())
        for name, action in vocabulary.actions.items()
    }
    return replace(vocabulary, actions=actions)
