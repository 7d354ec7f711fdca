"""The effects of an action, which a vocabulary applies one after the other, as changes that happen at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..vocabulary import Action, Vocabulary


@dataclass(frozen=True)
class Folded:
    """What an action changes.

    Attributes:
        goes_to: The argument or class that the robot is at afterwards; empty if it stays.
        reaches: Arguments or classes of places that come into reach besides.
        moved: For each argument that is picked up or put: None if it is held afterwards, else its place.
        states: For each argument and state: the state afterwards, or None if it is the opposite of the state before.
        clash: Why the effects cannot happen at once; empty if they can.
    """

    goes_to: str
    reaches: tuple[str, ...]
    moved: Mapping[str, str | None]
    states: Mapping[tuple[str, str], bool | None]
    clash: str


def fold(action: Action, vocabulary: Vocabulary) -> Folded:
    """Find the changes by an action's effects, which are applied in their order."""
    goes_to, reaches = "", list[str]()
    moved: dict[str, str | None] = {}
    states: dict[tuple[str, str], bool | None] = {}
    for effect in action.effects:
        if effect.kind == "go_to":
            goes_to, reaches = effect.names[0], []
        elif effect.kind == "pick_up":
            moved[effect.names[0]] = None
        elif effect.kind == "put":
            moved[effect.names[0]] = effect.names[1]
            reaches.append(effect.names[1])
        elif effect.kind == "flip":
            key = effect.names[0], effect.names[1]
            before = states.get(key)
            if key in states and before is None:
                del states[key]
            else:
                states[key] = None if before is None else not before
        else:
            states[effect.names[0], effect.names[1]] = effect.kind == "set"
    return Folded(goes_to, tuple(reaches), moved, states, _clash(action, vocabulary, moved, states))


def _clash(
    action: Action,
    vocabulary: Vocabulary,
    moved: Mapping[str, str | None],
    states: Mapping[tuple[str, str], bool | None],
) -> str:
    """Two arguments that may be one thing, of which the effects say different things."""
    types = {argument.name: vocabulary.members(argument.type) for argument in action.arguments}
    changes: list[tuple[str, str, str | bool | None]] = [(name, "the place", where) for name, where in moved.items()]
    changes += [(name, state, value) for (name, state), value in states.items()]
    for index, (name, what, value) in enumerate(changes):
        for other, same, another in changes[:index]:
            if name != other and what == same and types[name] & types[other] and (value != another or value is None):
                return (
                    f"{other} and {name} may be the same thing, and {what} is changed for both: PDDL has no order of "
                    "effects; give them classes of their own, or make two actions of it"
                )
    return ""
