"""The second judge of plans: whether some initial state that agrees with what is known makes a plan valid in PDDL.

A plan names classes, PDDL names instances. `pddl_verdict` looks for instances and for facts about the start; the plan
validator of unified-planning has the last word on what it finds. docs/planning.md states the mapping.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from unified_planning.engines import SequentialPlanValidator
from unified_planning.engines.results import ValidationResultStatus
from unified_planning.plans import ActionInstance, SequentialPlan

from ..plan_steps import Step
from ..validate.goal import Goal
from ..vocabulary import Vocabulary
from .domain import PddlDomain, bound_arguments, domain_of, found_arguments
from .ground import Atom
from .problem import Instances, instances_of, problem_of
from .readings import PlanOnInstances, Readings


@dataclass(frozen=True)
class PddlVerdict:
    """What the second judge says of a plan.

    Attributes:
        accepted: Whether some initial state makes the plan valid.
        reason: Why not; empty if it is accepted.
        step: Number of the step that cannot be done, from 1; None if there is none.
        actions: The plan on instances, such as `PutObject(mug_1, desk_1)`; empty if it is not accepted.
        assumed: Facts about the start that make these actions valid, no more of them than needed, such as
            `("found", "mug_1", "desk_1")`.
    """

    accepted: bool
    reason: str = ""
    step: int | None = None
    actions: tuple[str, ...] = ()
    assumed: tuple[Atom, ...] = ()


def pddl_verdict(vocabulary: Vocabulary, goal: Goal | None, steps: Sequence[Step]) -> PddlVerdict:
    """Judge a plan in PDDL.

    Args:
        vocabulary: The vocabulary, whose domain is kept for the next plan.
        goal: What shall be so at the end; None: the steps alone are judged.
        steps: Any steps, also malformed ones.

    Raises:
        NoCounterpartError: The vocabulary cannot be expressed in PDDL.
        UndecidedError: The names can be read in too many ways.
    """
    domain = cached_domain(vocabulary)
    acting = sum(not (step.action in vocabulary.actions and vocabulary.actions[step.action].ends) for step in steps)
    if not 1 <= acting <= vocabulary.max_steps:
        return PddlVerdict(False, f"the plan has {acting} steps, expected 1 to {vocabulary.max_steps}")
    for number, step in enumerate(steps, 1):
        wrong = _inexpressible(step, domain)
        if wrong:
            return PddlVerdict(False, f"{step}: {wrong}", number)
    counts = _counts(vocabulary, goal, steps)
    instances = instances_of(domain, counts)
    readings = Readings(domain, goal, instances)
    reading = readings.of(steps)
    facts: tuple[Atom, ...] = ()
    if not reading.complete and reading.number == len(steps):
        for extended, facts in _contents(domain, goal, steps, counts):
            other = Readings(domain, goal, extended, facts)
            tried = other.of(steps)
            if tried.complete:
                instances, readings, reading = extended, other, tried
                break
    if not reading.complete:
        if reading.number == len(steps):
            return PddlVerdict(False, "the goal does not hold at the end")
        return PddlVerdict(False, f"{steps[reading.number]}: it can be about no instance", reading.number + 1)
    assumed = (*facts, *readings.needed(reading))
    return validated(domain, goal, instances, assumed, reading)


@lru_cache(maxsize=8)
def cached_domain(vocabulary: Vocabulary) -> PddlDomain:
    """The domain of a vocabulary, which is made once."""
    return domain_of(vocabulary)


def _inexpressible(step: Step, domain: PddlDomain) -> str:
    """Why a step is no ground action at all: its name, or the number or types of its arguments; else empty."""
    if step.action not in domain.actions:
        return "PDDL has no such action"
    parameters = domain.actions[step.action].parameters
    if len(step.arguments) != len(parameters):
        return f"the action has {len(parameters)} parameters, not {len(step.arguments)}"
    for given, parameter in zip(step.arguments, parameters, strict=True):
        if given not in domain.types:
            return f"there is no type {given!r}"
        if parameter.type not in domain.types[given].ancestors:
            return f"{given} is no {parameter.type.name}"
    return ""


def _counts(vocabulary: Vocabulary, goal: Goal | None, steps: Sequence[Step]) -> dict[str, int]:
    """As many instances of each class as a plan can tell apart: one for each step that may be about another one."""
    counts: Counter[str] = Counter()
    gone_to: set[str] = set()
    for step in steps:
        action = vocabulary.actions[step.action]
        found = found_arguments(action, vocabulary)
        for argument, kind in zip(action.arguments, step.arguments, strict=True):
            if argument.name in found:
                counts[kind] += 1
            else:
                gone_to.add(kind)
    named = {*counts, *gone_to} | ({goal.place, goal.lit} - {""} if goal else set())
    movable = vocabulary.movable()
    return {kind: counts[kind] + (kind in gone_to) if kind in movable else 1 for kind in sorted(named)}


def _contents(
    domain: PddlDomain, goal: Goal | None, steps: Sequence[Step], counts: dict[str, int]
) -> Iterator[tuple[Instances, tuple[Atom, ...]]]:
    """What a carrier may hold from the start: a thing of the goal's class, if no step is about one."""
    vocabulary = domain.vocabulary
    if goal is None or not goal.carrier:
        return
    for step in steps:
        action = vocabulary.actions[step.action]
        bound = bound_arguments(action, vocabulary)
        if any(
            argument.name in bound and kind == goal.thing
            for argument, kind in zip(action.arguments, step.arguments, strict=True)
        ):
            return
    instances = instances_of(domain, {**counts, goal.thing: counts.get(goal.thing, 0) + 1})
    for carrier in instances.get(goal.carrier, ()):
        yield instances, ((domain.within.name, instances[goal.thing][-1], carrier),)


def validated(
    domain: PddlDomain, goal: Goal | None, instances: Instances, facts: tuple[Atom, ...], reading: PlanOnInstances
) -> PddlVerdict:
    """What the plan validator of unified-planning says of a plan on instances, from the given facts."""
    problem = problem_of(domain, goal, instances, facts)
    written = {name: problem.action(action.name) for name, action in domain.actions.items()}
    # It looks through all actions several times; those that the plan does not take change nothing.
    problem.clear_actions()
    problem.add_actions({written[step.action] for step in reading.steps})
    actions = [
        ActionInstance(
            written[step.action],
            tuple(problem.environment.expression_manager.ObjectExp(problem.object(name)) for name in step.arguments),
        )
        for step in reading.steps
    ]
    validator = SequentialPlanValidator()
    validator.skip_checks = True
    result = validator.validate(problem, SequentialPlan(actions))
    if result.status != ValidationResultStatus.VALID:
        reason = "; ".join(one.message for one in result.log_messages or ())
        return PddlVerdict(False, f"unified-planning: {reason}")
    return PddlVerdict(True, actions=tuple(map(str, actions)), assumed=facts)
