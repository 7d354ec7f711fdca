"""Reads a plan on classes as a plan on instances: follows all of its readings in PDDL, step by step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from ..plan_steps import Step
from ..validate.goal import Goal
from ..vocabulary import Action
from .domain import PddlDomain, found_arguments
from .ground import Atom, State, condition_of
from .problem import Instances, goal_conditions, initial_atoms

MOST_STATES = 5000
"""States that are followed after one step; more of them end in an error, not in a verdict."""


class UndecidedError(RuntimeError):
    """There are too many ways to read a plan's names as instances."""


@dataclass(frozen=True)
class PlanOnInstances:
    """A plan on instances, as far as it can be done.

    Attributes:
        steps: The steps, whose arguments are instances.
        number: Number of steps that can be done.
        complete: Whether all steps can be done, and the goal holds then.
    """

    steps: tuple[Step, ...]
    number: int
    complete: bool


class Readings:
    """Follows plans from the start where everything can be found everywhere.

    No condition asks that something is not found, so a plan that is valid from any start is valid from this one.
    `needed` says which of these facts a plan needs.
    """

    def __init__(
        self, domain: PddlDomain, goal: Goal | None, instances: Instances, facts: tuple[Atom, ...] = ()
    ) -> None:
        self.domain, self.instances = domain, instances
        movable = domain.vocabulary.movable()
        names = tuple(name for some in instances.values() for name in some)
        self.names = (*names, domain.start.name)
        self.objects = {
            "item": self.names,
            "fixed": (
                *(name for kind, some in instances.items() if kind not in movable for name in some),
                self.names[-1],
            ),
            "movable": tuple(name for kind, some in instances.items() if kind in movable for name in some),
        }
        self.objects = {domain.item_types[name].name: some for name, some in self.objects.items()}
        self.objects |= {domain.types[kind].name: some for kind, some in instances.items()}
        inside = {name for _, name, *_ in facts}
        everywhere = [(domain.found.name, name, place) for name in names if name not in inside for place in self.names]
        self.start = initial_atoms(domain, instances, (*facts, *everywhere))
        self.goal = [condition_of(one) for one in goal_conditions(domain, goal)] if goal else []

    def of(self, steps: Sequence[Step]) -> PlanOnInstances:
        """The first reading that reaches the goal, else one that comes as far as any.

        Raises:
            UndecidedError: More than MOST_STATES states can be reached with one step.
        """
        states: dict[object, tuple[State, tuple[Step, ...]]] = {None: (self.start, ())}
        for number, step in enumerate(steps):
            after: dict[object, tuple[State, tuple[Step, ...]]] = {}
            for state, taken in states.values():
                for chosen, new in self.ways(state, step):
                    after.setdefault(self.key(new), (new, (*taken, chosen)))
            if len(after) > MOST_STATES:
                raise UndecidedError(f"step {number + 1}, {step}, can lead to more than {MOST_STATES} states")
            if not after:
                return PlanOnInstances(next(iter(states.values()))[1], number, False)
            states = after
        for state, taken in states.values():
            if all(condition(state, {}, self.objects) for condition in self.goal):
                return PlanOnInstances(taken, len(steps), True)
        return PlanOnInstances(next(iter(states.values()))[1], len(steps), False)

    def needed(self, reading: PlanOnInstances) -> Iterator[Atom]:
        """The facts about the start that a plan on instances needs: where each thing was found before it was moved."""
        domain, state, seen = self.domain, self.start, set[Atom]()
        for step in reading.steps:
            action = domain.vocabulary.actions[step.action]
            here = [name for name in self.names if (domain.here.name, name) in state]
            place = next((name for name in here if (domain.at.name, name) in state), here[0])
            for name in (step.arguments[index] for index in self.found(action)):
                lying = (name, *(one for one in self.names if (domain.within.name, name, one) in state))
                for one in lying:
                    fact = (domain.found.name, one, place)
                    if fact in state and one not in here and fact not in seen:
                        seen.add(fact)
                        yield fact
            state = self.after(state, step)

    def after(self, state: State, step: Step) -> State:
        """The state after a step on instances."""
        ground = self.domain.grounded[step.action]
        return ground.after(state, dict(zip(ground.parameters, step.arguments, strict=True)), self.objects)

    def ways(self, state: State, step: Step) -> Iterator[tuple[Step, State]]:
        """All ways to do a step: the instances that it may be about, and the state afterwards.

        A name is about a thing that the plan has put in reach, if there is one with which the step can be done.
        """
        action, ground = self.domain.vocabulary.actions[step.action], self.domain.grounded[step.action]
        choices = [self.different(state, self.instances[kind]) for kind in step.arguments]
        possible = [
            chosen
            for chosen in product(*choices)
            if ground.possible(state, dict(zip(ground.parameters, chosen, strict=True)), self.objects)
        ]
        for index in self.found(action):
            preferred = {chosen[index] for chosen in possible if self.was_put_here(state, chosen[index])}
            if preferred:
                possible = [chosen for chosen in possible if chosen[index] in preferred]
        for chosen in possible:
            taken = Step(step.action, chosen)
            yield taken, self.after(state, taken)

    def found(self, action: Action) -> list[int]:
        """Indices of the arguments that are things which the robot finds, and does not hold."""
        names = found_arguments(action, self.domain.vocabulary)
        return [index for index, argument in enumerate(action.arguments) if argument.name in names]

    def was_put_here(self, state: State, name: str) -> bool:
        """Whether the plan has put an instance at a place that is in reach, or into something there."""
        within, here = self.domain.within.name, self.domain.here.name
        return any((within, name, place) in state and (here, place) in state for place in self.names)

    def different(self, state: State, names: Sequence[str]) -> list[str]:
        """One of each set of instances of a class that differ in nothing but their names."""
        if len(names) < 2:
            return list(names)
        seen: dict[object, str] = {}
        for name, situation in zip(names, self.situations(state, names), strict=True):
            seen.setdefault(situation, name)
        return list(seen.values())

    def situations(self, state: State, names: Sequence[str]) -> list[frozenset[Atom]]:
        """For each instance all that is true of it, with a sign for its name."""
        return [
            frozenset(
                tuple("*" if word == name else word for word in atom)
                for atom in state
                if name in atom[1:] and atom[0] != self.domain.found.name
            )
            | {("found",) * ((self.domain.found.name, name, self.domain.start.name) in state)}
            for name in names
        ]

    def key(self, state: State) -> object:
        """All that is true in a state, apart from the names of instances of one class in like situations."""
        alike: dict[str, str] = {}
        for kind, names in self.instances.items():
            if len(names) > 1:
                order = sorted(zip(map(sorted, self.situations(state, names)), names, strict=True))
                alike |= {name: f"{kind} {number}" for number, (_, name) in enumerate(order)}
        return frozenset(tuple(alike.get(word, word) for word in atom) for atom in state)
