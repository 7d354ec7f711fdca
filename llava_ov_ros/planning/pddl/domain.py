"""From a vocabulary to a PDDL domain, as a problem of unified-planning without objects.

docs/planning.md says how the two correspond, and what of a vocabulary has no counterpart in PDDL.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from unified_planning.environment import get_environment
from unified_planning.io import PDDLWriter
from unified_planning.model import Fluent, InstantaneousAction, Problem, Variable

from ..vocabulary import Action, Argument, Rule, Vocabulary
from .folded_effects import fold
from .ground import GroundAction, ground_action

MOST_HANDS = 3
"""A free hand is expressed by the things that are held, each tuple of them: with more hands there are too many."""


class NoCounterpartError(ValueError):
    """A part of a vocabulary cannot be expressed in PDDL; the message names it and says what to change."""


@dataclass(frozen=True)
class PddlDomain:
    """A vocabulary as a domain; the fields are objects of unified-planning, which has no types for mypy.

    Attributes:
        vocabulary: The vocabulary.
        problem: Problem with all types, fluents and actions, and the object `start`.
        types: Type of the instances of each class.
        at: Fluent: the robot has gone to this thing or place last.
        here: Fluent: the thing or place is where the robot has gone to, or was put onto since.
        held: Fluent: the thing is in a hand.
        found: Fluent of a thing and a place: the thing, which no action has moved, is in reach at this place.
        within: Fluent of a thing and what it is in or on, directly or inside something else.
        states: Fluent of each state.
        groups: Fluent of each group: the instance's class is in the group.
        carriable: Fluent: some action can pick the instance up.
        constants: The one instance of each class that an effect names.
        start: Object: where the robot is before it has gone anywhere.
        item_types: The types above those of classes: `item`, and below it `fixed` and `movable`.
        actions: Action of unified-planning by the action's name in the vocabulary.
        grounded: The same actions, ready to be evaluated.
    """

    vocabulary: Vocabulary
    problem: Any
    types: Mapping[str, Any]
    at: Any
    here: Any
    held: Any
    found: Any
    within: Any
    states: Mapping[str, Any]
    groups: Mapping[str, Any]
    carriable: Any
    constants: Mapping[str, Any]
    start: Any
    item_types: Mapping[str, Any]
    actions: Mapping[str, Any]
    grounded: Mapping[str, GroundAction]


def domain_of(vocabulary: Vocabulary, name: str = "robot") -> PddlDomain:
    """Express a vocabulary as a PDDL domain.

    Args:
        vocabulary: Any vocabulary.
        name: Name of the domain.

    Raises:
        NoCounterpartError: A part of the vocabulary cannot be expressed.
    """
    return _Writer(vocabulary, name).domain()


def domain_text(vocabulary: Vocabulary, name: str = "robot") -> str:
    """A vocabulary as the text of a PDDL domain; the instances that it needs are its constants.

    Raises:
        NoCounterpartError: A part of the vocabulary cannot be expressed.
    """
    domain = domain_of(vocabulary, name)
    return str(PDDLWriter(domain.problem).get_domain())


def bound_arguments(action: Action, vocabulary: Vocabulary) -> tuple[str, ...]:
    """The arguments that stand for a single thing which the action finds or changes.

    The others name a place to go to, or what must be held.
    """
    movable = vocabulary.movable()
    types = {argument.name: argument.type for argument in action.arguments}
    found: dict[str, None] = {}
    for rule in (*action.requires, *action.expects, *action.effects):
        if rule.kind in ("is", "is_not", "pick_up", "put", "set", "clear", "flip"):
            found[rule.names[0]] = None
        if rule.kind == "put" and rule.names[1] in types and vocabulary.members(types[rule.names[1]]) & movable:
            found[rule.names[1]] = None
    return tuple(found)


def found_arguments(action: Action, vocabulary: Vocabulary) -> tuple[str, ...]:
    """The bound arguments that the robot does not hold, so that they must be in reach."""
    held = in_hand(action)
    return tuple(name for name in bound_arguments(action, vocabulary) if name not in held)


def in_hand(action: Action) -> frozenset[str]:
    """The arguments that the action requires to hold."""
    names = {argument.name for argument in action.arguments}
    return frozenset(rule.names[0] for rule in action.requires if rule.kind == "holding" and rule.names[0] in names)


class _Writer:
    """Makes the parts of one domain; a name that is taken gets a number."""

    def __init__(self, vocabulary: Vocabulary, name: str) -> None:
        if vocabulary.hands > MOST_HANDS:
            raise NoCounterpartError(f"hands is {vocabulary.hands}: PDDL is written for at most {MOST_HANDS} hands")
        self.vocabulary = vocabulary
        self.taken: set[str] = set()
        # The one that all share: the simulator grounds actions in no other.
        environment = get_environment()
        self.manager = environment.expression_manager
        self.environment = environment
        self.problem = Problem(self.free(name), environment)
        self.item = self.user_type("item")
        self.fixed = self.user_type("fixed", self.item)
        self.movable = self.user_type("movable", self.item)
        movable = vocabulary.movable()
        self.types = {
            kind: self.user_type(kind, self.movable if kind in movable else self.fixed) for kind in vocabulary.classes
        }
        self.at = self.fluent("at", thing=self.item)
        self.here = self.fluent("here", thing=self.item)
        self.held = self.fluent("held", thing=self.item)
        self.found = self.fluent("found", thing=self.item, place=self.item)
        self.within = self.fluent("within", thing=self.item, place=self.item)
        self.carriable = self.fluent("carriable", thing=self.item)
        self.ended = self.fluent("ended")
        self.acted = self.fluent("acted")
        self.constants: dict[str, Any] = {}
        self.states = {state: self.fluent(state, thing=self.item) for state in vocabulary.states}
        self.groups = {group: self.fluent(group, thing=self.item) for group in vocabulary.groups}

    def domain(self) -> PddlDomain:
        actions = {name: self.action(action) for name, action in self.vocabulary.actions.items()}
        for action in actions.values():
            self.problem.add_action(action)
        # Where the robot is before it has gone anywhere.
        start = self.problem.add_object(self.free("start"), self.fixed)
        self.problem.set_initial_value(self.here(start), True)
        return PddlDomain(
            self.vocabulary,
            self.problem,
            self.types,
            self.at,
            self.here,
            self.held,
            self.found,
            self.within,
            self.states,
            self.groups,
            self.carriable,
            self.constants,
            start,
            {"item": self.item, "fixed": self.fixed, "movable": self.movable},
            actions,
            {name: ground_action(action) for name, action in actions.items()},
        )

    def free(self, name: str) -> str:
        """The name, or the name with a number; PDDL does not distinguish upper and lower case."""
        number, found = 0, name
        while found.casefold() in self.taken:
            number += 1
            found = f"{name}_{number}"
        self.taken.add(found.casefold())
        return found

    def user_type(self, name: str, father: Any = None) -> Any:
        # The type must be among the problem's own also where no fluent or object has it.
        kind = self.environment.type_manager.UserType(self.free(name), father)
        self.problem._add_user_type(kind)
        return kind

    def fluent(self, name: str, **parameters: Any) -> Any:
        fluent = Fluent(
            self.free(name), self.environment.type_manager.BoolType(), environment=self.environment, **parameters
        )
        return self.problem.add_fluent(fluent, default_initial_value=False)

    def variable(self, name: str, kind: Any) -> Any:
        return Variable(name, kind, self.environment)

    def any_of(self, kind: Any, condition: Any) -> Any:
        """Some instance of a type for which `condition` (a function of it) holds."""
        one = self.variable("any", kind)
        return self.manager.Exists(condition(one), one)

    def action(self, action: Action) -> Any:
        parameters = {self.argument_name(one): self.type_of(one) for one in action.arguments}
        written = InstantaneousAction(self.free(action.name), parameters, self.environment)
        by_name = {
            one.name: self.manager.ParameterExp(written.parameter(self.argument_name(one))) for one in action.arguments
        }
        for condition in self.preconditions(action, by_name):
            written.add_precondition(condition)
        self.add_effects(written, action, by_name)
        return written

    def argument_name(self, argument: Argument) -> str:
        """A name apart from those of variables, which may stand beside it."""
        return f"the_{argument.name}"

    def type_of(self, argument: Argument) -> Any:
        if argument.type in self.types:
            return self.types[argument.type]
        members, movable = self.vocabulary.members(argument.type), self.vocabulary.movable()
        return self.movable if members <= movable else self.fixed if not members & movable else self.item

    def preconditions(self, action: Action, named: Mapping[str, Any]) -> Iterable[Any]:
        manager = self.manager
        yield manager.Not(self.ended())
        for argument in action.arguments:
            if argument.type not in self.types:
                yield self.groups[argument.type](named[argument.name])
        for rule in action.requires:
            yield self.condition(rule, named)
        holding = in_hand(action)
        puts = [rule.names for rule in action.effects if rule.kind == "put"]
        bound = bound_arguments(action, self.vocabulary)
        places = {place for _, place in puts}
        for name in bound:
            one = named[name]
            if name in holding:
                continue
            free = manager.And(manager.Not(self.held(one)), self.in_reach(one))
            only_place = name in places and all(
                name not in rule.names[:1]
                for rule in (*action.requires, *action.expects, *action.effects)
                if rule.kind in ("is", "is_not", "pick_up", "put", "set", "clear", "flip")
            )
            # Something can be put at a place that is not in reach, but only into a thing that is.
            yield manager.Or(manager.Not(self.carriable(one)), free) if only_place else free
        for thing, place in puts:
            if place in bound:
                into, what = named[place], named[thing]
                yield manager.Not(manager.Equals(into, what))
                yield manager.Not(self.within(into, what))

    def condition(self, rule: Rule, named: Mapping[str, Any]) -> Any:
        manager = self.manager
        if rule.kind == "hand_free":
            held = [self.variable(f"held_{number}", self.item) for number in range(self.vocabulary.hands)]
            return manager.Not(manager.Exists(manager.And([*map(self.held, held), *self.all_different(held)]), *held))
        if rule.kind in ("is", "is_not"):
            is_so = self.states[rule.names[1]](named[rule.names[0]])
            return is_so if rule.kind == "is" else manager.Not(is_so)
        if rule.kind == "near":
            return self.any_of(self.item, self.at)
        fluent, name = self.held if rule.kind == "holding" else self.at, rule.names[0]
        if name in named:
            return fluent(named[name])
        if name in self.types:
            return self.any_of(self.types[name], fluent)
        return self.any_of(self.item, lambda one: manager.And(fluent(one), self.groups[name](one)))

    def all_different(self, variables: list[Any]) -> list[Any]:
        manager = self.manager
        return [
            manager.Not(manager.Equals(one, other))
            for index, one in enumerate(variables)
            for other in variables[:index]
        ]

    def in_reach(self, thing: Any) -> Any:
        """Whether the robot can get at a thing that it does not hold: the thing, or what it is in, is here."""
        manager = self.manager
        place, holder, carrier = (
            self.variable(name, kind)
            for name, kind in (("place", self.item), ("holder", self.item), ("carrier", self.movable))
        )

        def found_here(one: Any) -> Any:
            return manager.Exists(manager.And(self.here(place), self.found(one, place)), place)

        return manager.Or(
            self.here(thing),
            found_here(thing),
            manager.Exists(
                manager.And(self.within(thing, holder), manager.Or(self.held(holder), self.here(holder))), holder
            ),
            # Where a desk is, is what its name says; where a box is that no action has moved, nobody knows.
            manager.Exists(manager.And(self.within(thing, carrier), found_here(carrier)), carrier),
        )

    def add_effects(self, written: Any, action: Action, named: Mapping[str, Any]) -> None:
        """Add the effects as PDDL has them: all at once, and what becomes true wins over what becomes false."""
        folded = fold(action, self.vocabulary)
        if folded.clash:
            raise NoCounterpartError(f"actions.{action.name}.effects: {folded.clash}")
        where = self.variable("where", self.item)
        if folded.goes_to:
            self.for_all(written, self.at(where), False, where)
            self.for_all(written, self.here(where), False, where)
            place = self.place(folded.goes_to, named)
            written.add_effect(self.at(place), True)
            written.add_effect(self.here(place), True)
            self.for_all(written, self.here(where), True, where, condition=self.within(place, where))
        for name in folded.reaches:
            written.add_effect(self.here(self.place(name, named)), True)
        for name, result in folded.moved.items():
            thing = named[name]
            written.add_effect(self.held(thing), result is None)
            self.leave(written, thing)
            if result is not None:
                self.arrive(written, thing, self.place(result, named))
        for (name, state), value in folded.states.items():
            fluent = self.states[state](named[name])
            if value is None:
                written.add_effect(fluent, False, fluent)
                written.add_effect(fluent, True, self.manager.Not(fluent))
            else:
                written.add_effect(fluent, value)
        if not action.effects:
            # To the simulator an action that changes nothing is none.
            written.add_effect(self.acted(), True)
        if action.ends:
            written.add_effect(self.ended(), True)

    def place(self, name: str, named: Mapping[str, Any]) -> Any:
        """The argument of that name, or the one instance of the class."""
        if name in named:
            return named[name]
        if name in self.vocabulary.movable():
            raise NoCounterpartError(
                f"an effect names the class {name!r}, of which there can be several things: in PDDL it must be an "
                f"argument, such as {{place: {name}}}"
            )
        if name not in self.constants:
            self.constants[name] = self.problem.add_object(self.free(f"{name}_1"), self.types[name])
        return self.manager.ObjectExp(self.constants[name])

    def leave(self, written: Any, thing: Any) -> None:
        """A thing, with what is in it, is no longer where it was."""
        where, inside = self.variable("where", self.item), self.variable("inside", self.movable)
        self.for_all(written, self.found(thing, where), False, where)
        self.for_all(written, self.within(thing, where), False, where)
        both = self.manager.And(self.within(inside, thing), self.within(thing, where))
        self.for_all(written, self.within(inside, where), False, inside, where, condition=both)

    def arrive(self, written: Any, thing: Any, place: Any) -> None:
        """A thing, with what is in it, comes to be in or on a place, and in what that is in."""
        outer, inside = self.variable("where", self.item), self.variable("inside", self.movable)
        written.add_effect(self.within(thing, place), True)
        self.for_all(written, self.within(inside, place), True, inside, condition=self.within(inside, thing))
        self.for_all(written, self.within(thing, outer), True, outer, condition=self.within(place, outer))
        both = self.manager.And(self.within(inside, thing), self.within(place, outer))
        self.for_all(written, self.within(inside, outer), True, inside, outer, condition=both)

    def for_all(self, written: Any, fluent: Any, value: bool, *variables: Any, condition: Any = True) -> None:
        written.add_effect(fluent, value, condition, forall=variables)
