"""Evaluates the conditions and effects of a unified-planning problem on instances, in microseconds.

unified-planning's own simulator takes milliseconds for each condition, and a plan on classes has up to thousands of
readings on instances. A state is the set of atoms that are true, such as `("within", "mug_1", "desk_1")`. A test
compares the states with those of unified-planning's simulator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

Atom = tuple[str, ...]
State = frozenset[Atom]
Binding = Mapping[str, str]
"""Names of instances by the names of parameters and variables."""
Objects = Mapping[str, tuple[str, ...]]
"""Names of instances by the name of their type, those of its subtypes included."""
Condition = Callable[[State, Binding, Objects], bool]
Term = Callable[[Binding], str]


@dataclass(frozen=True)
class GroundAction:
    """An action of unified-planning, ready to be evaluated.

    Attributes:
        parameters: Names of its parameters, in order.
        possible: Whether it can be done in a state.
        changes: Its changes: the atoms, each with whether it becomes true.
    """

    parameters: tuple[str, ...]
    possible: Condition
    changes: Callable[[State, Binding, Objects], Iterator[tuple[Atom, bool]]]

    def after(self, state: State, binding: Binding, objects: Objects) -> State:
        """The state afterwards; an atom that becomes false and true is true, as in PDDL."""
        added, removed = set[Atom](), set[Atom]()
        for atom, value in self.changes(state, binding, objects):
            (added if value else removed).add(atom)
        return (state - removed) | added


def ground_action(action: Any) -> GroundAction:
    """Prepare an action of unified-planning (InstantaneousAction)."""
    conditions = [condition_of(one) for one in action.preconditions]
    effects = [
        (_atom_of(one.fluent), bool(one.value.bool_constant_value()), condition_of(one.condition), tuple(one.forall))
        for one in action.effects
    ]

    def possible(state: State, binding: Binding, objects: Objects) -> bool:
        return all(condition(state, binding, objects) for condition in conditions)

    def changes(state: State, binding: Binding, objects: Objects) -> Iterator[tuple[Atom, bool]]:
        for atom, value, condition, variables in effects:
            for extended in _extensions(binding, variables, objects):
                if condition(state, extended, objects):
                    yield atom(extended), value

    return GroundAction(tuple(one.name for one in action.parameters), possible, changes)


def condition_of(expression: Any) -> Condition:
    """Prepare a condition (an FNode of type bool).

    Raises:
        ValueError: It has an operator that `domain_of` does not write.
    """
    if expression.is_bool_constant():
        constant = bool(expression.bool_constant_value())
        return lambda state, binding, objects: constant
    if expression.is_fluent_exp():
        atom = _atom_of(expression)
        return lambda state, binding, objects: atom(binding) in state
    if expression.is_equals():
        one, other = map(_term_of, expression.args)
        return lambda state, binding, objects: one(binding) == other(binding)
    parts = [condition_of(one) for one in expression.args]
    if expression.is_not():
        (part,) = parts
        return lambda state, binding, objects: not part(state, binding, objects)
    if expression.is_and():
        return lambda state, binding, objects: all(part(state, binding, objects) for part in parts)
    if expression.is_or():
        return lambda state, binding, objects: any(part(state, binding, objects) for part in parts)
    if expression.is_exists():
        (part,), variables = parts, tuple(expression.variables())
        return lambda state, binding, objects: any(
            part(state, extended, objects) for extended in _extensions(binding, variables, objects)
        )
    raise ValueError(f"{expression}: there is no evaluation of {expression.node_type}")


def _extensions(binding: Binding, variables: tuple[Any, ...], objects: Objects) -> Iterator[Binding]:
    if not variables:
        yield binding
        return
    names = [one.name for one in variables]
    for chosen in product(*(objects.get(one.type.name, ()) for one in variables)):
        yield {**binding, **dict(zip(names, chosen, strict=True))}


def _atom_of(expression: Any) -> Callable[[Binding], Atom]:
    name, terms = expression.fluent().name, [_term_of(one) for one in expression.args]
    if len(terms) == 1:
        (only,) = terms
        return lambda binding: (name, only(binding))
    return lambda binding: (name, *(term(binding) for term in terms))


def _term_of(expression: Any) -> Term:
    if expression.is_object_exp():
        constant = str(expression.object().name)
        return lambda binding: constant
    name = str(expression.variable().name if expression.is_variable_exp() else expression.parameter().name)
    return lambda binding: binding[name]
