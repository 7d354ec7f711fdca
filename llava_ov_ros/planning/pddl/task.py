"""One planning problem on instances: written in PDDL for a planner, and the planner's actions read back as steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

from unified_planning.io import PDDLWriter
from unified_planning.model import Fluent, Variable

from ..plan_steps import Step
from ..validate.goal import Goal
from ..vocabulary import Vocabulary
from .domain import PddlDomain
from .fast_downward import FoundPlan, SearchEnd, run_fast_downward
from .ground import Atom
from .judge import PddlVerdict, cached_domain, validated
from .known_start import Start, classes_in, counts_of, facts_of
from .problem import Instances, instances_of, problem_of
from .readings import PlanOnInstances
from .relevant import relevant_classes

MOST_INSTANCES = 60
"""More of them are refused: the planner would take more memory and time than it has."""


class TooLargeError(ValueError):
    """A problem has more things than a planner can be given; the message says how many."""


@dataclass(frozen=True)
class PlanningTask:
    """A problem of planning.

    Attributes:
        domain: The domain.
        goal: What shall be so at the end.
        instances: The instances of each class.
        facts: What is so at the start.
        failed: Steps on classes that have just failed: a plan may have them, but not as its first step.
        is_searched: Whether the robot goes to a thing only if nobody knows where the thing is: otherwise the place is
            named, which says more.
    """

    domain: PddlDomain
    goal: Goal
    instances: Instances
    facts: frozenset[Atom]
    failed: tuple[Step, ...] = ()
    is_searched: bool = False

    def texts(self) -> tuple[str, str, PDDLWriter]:
        """The domain and the problem in PDDL, and their writer, which knows the names in these texts."""
        problem = problem_of(self.domain, self.goal, self.instances, self.facts)
        if self.failed:
            self._begin_otherwise(problem)
        self._go_elsewhere(problem)
        if self.is_searched:
            self._put_where_asked(problem)
        writer = PDDLWriter(problem)
        return str(writer.get_domain()), str(writer.get_problem()), writer

    def _begin_otherwise(self, problem: Any) -> None:
        """Let no step that has just failed be the first one."""
        environment = problem.environment
        manager = environment.expression_manager
        name = "began"
        while problem.has_name(name):
            name += "_"
        began = problem.add_fluent(
            Fluent(name, environment.type_manager.BoolType(), environment=environment), default_initial_value=False
        )
        for action in problem.actions:
            action.add_effect(began(), True)
        for step in self.failed:
            action = problem.action(self.domain.actions[step.action].name)
            some = [self.instances.get(kind, ()) for kind in step.arguments]
            for names in product(*some):
                others = [
                    manager.Not(manager.Equals(parameter, problem.object(one)))
                    for parameter, one in zip(action.parameters, names, strict=True)
                ]
                action.add_precondition(manager.Or(began(), *others))

    def _go_elsewhere(self, problem: Any) -> None:
        """Let the robot not go to where it is, to what it holds, and, with `is_searched`, to what has a known place."""
        manager = problem.environment.expression_manager
        for name, action in self.domain.vocabulary.actions.items():
            written = problem.action(self.domain.actions[name].name)
            goes_to = {effect.names[0] for effect in action.effects if effect.kind == "go_to"}
            for argument, parameter in zip(action.arguments, written.parameters, strict=True):
                if argument.name not in goes_to:
                    continue
                thing = manager.ParameterExp(parameter)
                written.add_precondition(manager.Not(self.domain.at(thing)))
                written.add_precondition(manager.Not(self.domain.held(thing)))
                place = Variable("known", self.domain.item_types["item"], problem.environment)
                for fluent in (self.domain.within, self.domain.found) if self.is_searched else ():
                    written.add_precondition(manager.Not(manager.Exists(fluent(thing, place), place)))

    def _put_where_asked(self, problem: Any) -> None:
        """Let the robot put nothing into what can be carried, unless the goal asks for that."""
        manager = problem.environment.expression_manager
        wanted = {*self.instances.get(self.goal.carrier, ()), *self.instances.get(self.goal.place, ())}
        for name, action in self.domain.vocabulary.actions.items():
            written = problem.action(self.domain.actions[name].name)
            places = {effect.names[1] for effect in action.effects if effect.kind == "put"}
            for argument, parameter in zip(action.arguments, written.parameters, strict=True):
                if argument.name in places:
                    place = manager.ParameterExp(parameter)
                    asked = [manager.Equals(place, problem.object(one)) for one in sorted(wanted)]
                    written.add_precondition(manager.Or(manager.Not(self.domain.carriable(place)), *asked))

    def search(self, until_s: float, should_stop: Callable[[], bool]) -> tuple[SearchEnd, tuple[Step, ...]]:
        """Search for a shortest plan; the arguments of its steps are instances.

        Raises:
            PlannerError: The planner is not installed or failed.
        """
        domain, problem, writer = self.texts()
        found: FoundPlan = run_fast_downward(domain, problem, until_s, should_stop)
        actions = {
            writer.get_pddl_name(writer.problem.action(action.name)).casefold(): name
            for name, action in self.domain.actions.items()
        }
        objects = {writer.get_pddl_name(one).casefold(): one.name for one in writer.problem.all_objects}
        steps = tuple(Step(actions[name], tuple(objects[one] for one in names)) for name, *names in found.actions)
        return found.end, steps

    def on_classes(self, steps: tuple[Step, ...]) -> tuple[Step, ...]:
        """Steps whose arguments are the classes of the instances."""
        kinds = {name: kind for kind, some in self.instances.items() for name in some}
        return tuple(Step(step.action, tuple(kinds[name] for name in step.arguments)) for step in steps)

    def verdict(self, steps: tuple[Step, ...]) -> PddlVerdict:
        """What unified-planning's validator says of steps on instances."""
        reading = PlanOnInstances(steps, len(steps), True)
        return validated(self.domain, self.goal, self.instances, tuple(self.facts), reading)


def task_of(
    vocabulary: Vocabulary,
    goal: Goal,
    start: Start,
    everywhere: bool,
    spare: int = 0,
    failed: tuple[Step, ...] = (),
) -> PlanningTask:
    """Make the problem of a goal.

    Args:
        vocabulary: Vocabulary of the steps.
        goal: What shall be so at the end.
        start: What is known.
        everywhere: Whether a thing whose place is unknown may be found anywhere.
        spare: Number of things of the goal's class beyond those that the goal needs.
        failed: Well-formed steps that have just failed.

    Raises:
        NoCounterpartError: The vocabulary cannot be expressed in PDDL.
        TooLargeError: There are too many things.
    """
    domain = cached_domain(vocabulary)
    named = [kind for kind in (*classes_in(start.world), *start.believed.values()) if kind in vocabulary.classes]
    if failed:
        # Another place to go to, from where the plan may go on.
        fixed = vocabulary.members_gone_to() - vocabulary.movable()
        known = [kind for kind in (*start.visited, goal.place) if kind in fixed]
        places = [*known, *sorted(fixed, key=list(vocabulary.classes).index)]
        named += [kind for kind in places if kind not in start.missed and kind != start.world.at][:1]
    classes = relevant_classes(vocabulary, goal, named, start.missed)
    fresh = {kind: goal.count + spare if kind == goal.thing else 1 for kind in classes}
    counts = counts_of(start, fresh, vocabulary)
    instances = instances_of(domain, counts)
    if sum(map(len, instances.values())) > MOST_INSTANCES:
        raise TooLargeError(
            f"the problem has {sum(map(len, instances.values()))} things, and the planner is given {MOST_INSTANCES}"
        )
    return PlanningTask(domain, goal, instances, facts_of(start, domain, instances, everywhere), failed, not everywhere)
