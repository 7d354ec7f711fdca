"""From a goal to a PDDL problem: instances of classes, what is so at the start, and what shall be so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from unified_planning.model import Variable

from ..validate.goal import LIT, Goal
from .domain import PddlDomain
from .ground import Atom

Instances = Mapping[str, tuple[str, ...]]
"""Names of the instances of each class."""


def instances_of(domain: PddlDomain, counts: Mapping[str, int]) -> Instances:
    """Name instances `mug_1`, `mug_2`, ...; of a class that an effect names there is always one.

    Args:
        domain: The domain, none of whose names is taken.
        counts: Number of instances of each class.
    """
    problem = domain.problem
    taken = {one.name.casefold() for one in (*problem.fluents, *problem.actions, *problem.user_types)}
    named = {}
    for kind in {*counts, *domain.constants}:
        names = [f"{kind}_{number}" for number in range(1, counts.get(kind, 0) + 1)]
        fresh = (name + "_" * (name.casefold() in taken) for name in names)
        named[kind] = (domain.constants[kind].name,) if kind in domain.constants else tuple(fresh)
    return named


def initial_atoms(domain: PddlDomain, instances: Instances, facts: Iterable[Atom] = ()) -> frozenset[Atom]:
    """What is so at the start: the classes of instances, where the robot is, and the given facts; nothing else."""
    movable = domain.vocabulary.movable()
    atoms = {(domain.here.name, domain.start.name), *facts}
    for kind, names in instances.items():
        groups = [domain.groups[group] for group, members in domain.vocabulary.groups.items() if kind in members]
        for fluent in (*groups, *([domain.carriable] if kind in movable else [])):
            atoms |= {(fluent.name, name) for name in names}
    return frozenset(atoms)


def problem_of(domain: PddlDomain, goal: Goal | None, instances: Instances, facts: Iterable[Atom] = ()) -> Any:
    """Write a problem of unified-planning.

    Args:
        domain: The domain.
        goal: What shall be so at the end; None: anything.
        instances: The instances that there are, from `instances_of`.
        facts: What is so at the start, such as `("within", "mug_1", "desk_1")`. Besides, the hands are empty, nothing
            has a state, and nothing is anywhere.
    """
    problem = domain.problem.clone()
    constants = {one.name for one in domain.constants.values()}
    for kind, names in instances.items():
        for name in names:
            if name not in constants:
                problem.add_object(name, domain.types[kind])
    for fluent, *objects in sorted(initial_atoms(domain, instances, facts)):
        problem.set_initial_value(problem.fluent(fluent)(*map(problem.object, objects)), True)
    if goal is not None:
        for condition in goal_conditions(domain, goal):
            problem.add_goal(condition)
    return problem


def goal_conditions(domain: PddlDomain, goal: Goal) -> list[Any]:
    """A goal as conditions on instances: some thing, or so many different ones, of which all of it holds."""
    manager = domain.problem.environment.expression_manager

    def variable(name: str, kind: str) -> Any:
        return Variable(name, domain.types[kind], domain.problem.environment)

    def treated(thing: Any) -> list[Any]:
        return [domain.states[state](thing) for state in sorted(goal.states)]

    found = []
    if goal.in_hand:
        thing = variable("thing", goal.thing)
        found.append(manager.Exists(manager.And([domain.held(thing), *treated(thing)]), thing))
    if goal.lit:
        lamp = variable("lamp", goal.lit)
        found.append(manager.Exists(domain.states[LIT](lamp), lamp))
    if goal.place and goal.carrier:
        thing, carrier = variable("thing", goal.thing), variable("carrier", goal.carrier)
        place = variable("where", goal.place)
        inside = [domain.within(thing, carrier), domain.within(carrier, place), *treated(thing)]
        found.append(manager.Exists(manager.And(inside), thing, carrier, place))
    elif goal.place:
        things = [variable(f"thing_{number}", goal.thing) for number in range(1, goal.count + 1)]
        place = variable("where", goal.place)
        # Of several things that must be in such places, each may be in another one.
        there = [
            condition
            for thing in things
            for condition in (manager.Exists(domain.within(thing, place), place), *treated(thing))
        ]
        different = [
            manager.Not(manager.Equals(one, other)) for index, one in enumerate(things) for other in things[:index]
        ]
        found.append(manager.Exists(manager.And([*there, *different]), *things))
    elif not goal.in_hand:
        thing = variable("thing", goal.thing)
        found.append(manager.Exists(manager.And(treated(thing)), thing))
    return found
