"""What a robot can do, and with what: actions, classes of things and places, conditions and effects."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ..bounds import cited, shortened
from .findings import Finding, Reason
from .plan_steps import Step

# What a word in a rule must be: an argument of the action; that or a class; that or a class or a group; a state.
ARGUMENT, PLACE, NAME, STATE = "argument", "place", "name", "state"

CONDITIONS: Mapping[str, tuple[str, ...]] = {
    "hand_free": (),
    "holding": (NAME,),
    "at": (NAME,),
    "near": (NAME,),
    "is": (ARGUMENT, STATE),
    "is_not": (ARGUMENT, STATE),
}
EFFECTS: Mapping[str, tuple[str, ...]] = {
    "go_to": (PLACE,),
    "pick_up": (ARGUMENT,),
    "put": (ARGUMENT, PLACE),
    "set": (ARGUMENT, STATE),
    "clear": (ARGUMENT, STATE),
    "flip": (ARGUMENT, STATE),
}


@dataclass(frozen=True)
class Rule:
    """A condition or an effect: one of CONDITIONS or EFFECTS, and the names it is about."""

    kind: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Argument:
    """What an action is done to: `type` is a class, or a group that its class must be in."""

    name: str
    type: str


@dataclass(frozen=True)
class Action:
    """Something that the robot can do.

    Attributes:
        name: As plans write it.
        arguments: What it is done to, in the order in which plans write them.
        requires: Conditions without which it fails.
        expects: Conditions without which it is unusual.
        effects: What is so afterwards, in the order in which it comes about.
        ends: It may end a plan, and nothing may follow it.
        says: How people say it, as patterns; see phrases.py.
    """

    name: str
    arguments: tuple[Argument, ...] = ()
    requires: tuple[Rule, ...] = ()
    expects: tuple[Rule, ...] = ()
    effects: tuple[Rule, ...] = ()
    ends: bool = False
    says: tuple[str, ...] = ()


@dataclass(frozen=True)
class Language:
    """What else people say around steps; see phrases.py for patterns.

    Attributes:
        ignore: Patterns that mean nothing wherever they stand.
        asides: Patterns of whole clauses that are no step.
        adjectives: Words that may stand before the name of a class.
        details: Patterns that begin a closer description after a complete step, such as `from` in `from the shelf`.
        stops: Words that no such description can hold, because they change what is said.
    """

    ignore: tuple[str, ...] = ()
    asides: tuple[str, ...] = ()
    adjectives: tuple[str, ...] = ()
    details: tuple[str, ...] = ()
    stops: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Everything that a plan can say. Two are equal only when they are the same object, so that one can be a key.

    Attributes:
        classes: Classes of things and places, each with the other names people have for it.
        groups: Names of sets of classes.
        states: What a thing can be; nothing is any of them at the start.
        actions: By name.
        max_steps: The longest plan, an action that ends it not counted.
        hands: How many things can be held.
        language: What free text may hold besides steps.
        names: What classes and actions are called in other languages than their own, by the language's code (`zh`).
    """

    classes: Mapping[str, tuple[str, ...]]
    groups: Mapping[str, frozenset[str]]
    states: tuple[str, ...]
    actions: Mapping[str, Action]
    max_steps: int
    hands: int = 1
    language: Language = Language()
    names: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def called(self, word: str, language: str) -> str | None:
        """What a class or an action is called in a language; None: it has no name of its own there."""
        return self.names.get(language, {}).get(word)

    def names_of(self, word: str) -> tuple[str, ...]:
        """What a class or an action is called in all other languages."""
        return tuple(names[word] for names in self.names.values() if word in names)

    def members(self, name: str) -> frozenset[str]:
        """The classes in a group; of a class, itself.

        Raises:
            KeyError: There is no class or group of that name.
        """
        return frozenset((name,)) if name in self.classes else self.groups[name]

    def choices(self, argument: Argument) -> tuple[str, ...]:
        """The classes that an argument may be, in the order of `classes`."""
        allowed = self.members(argument.type)
        return tuple(name for name in self.classes if name in allowed)

    def movable(self) -> frozenset[str]:
        """The classes that some action picks up."""
        found: set[str] = set()
        for action in self.actions.values():
            types = {argument.name: argument.type for argument in action.arguments}
            for effect in action.effects:
                if effect.kind == "pick_up":
                    found |= self.members(types[effect.names[0]])
        return frozenset(found)

    def fits(self, step: Step) -> bool:
        """Whether a step is well-formed: `fault` finds nothing wrong with it."""
        action = self.actions.get(step.action)
        if action is None or len(step.arguments) != len(action.arguments):
            return False
        pairs = zip(action.arguments, step.arguments, strict=True)
        return all(given in self.members(argument.type) for argument, given in pairs)

    def fault(self, step: Step) -> Finding | None:
        """What is wrong with a step whatever stands before it; None: it is well-formed."""
        action = self.actions.get(step.action)
        if action is None:
            return Finding(Reason.UNKNOWN_ACTION, f"{step.action!r} is no action{one_of(step.action, self.actions)}")
        form = " ".join((action.name, *(f"<{argument.type}>" for argument in action.arguments)))
        for argument, given in zip(action.arguments, step.arguments, strict=False):
            if not given.strip():
                return Finding(
                    Reason.MISSING_ARGUMENT, f"{action.name}: the {argument.name} is empty, expected {form!r}"
                )
        if len(step.arguments) != len(action.arguments):
            fewer = len(step.arguments) < len(action.arguments)
            reason = Reason.MISSING_ARGUMENT if fewer else Reason.TOO_MANY_ARGUMENTS
            count = "too few" if fewer else "too many"
            return Finding(reason, f"{str(step)!r} has {count} arguments, expected {form!r}")
        for argument, given in zip(action.arguments, step.arguments, strict=True):
            if given not in self.classes:
                choices = self.choices(argument)
                return Finding(
                    Reason.UNKNOWN_CLASS,
                    f"{action.name}: the {argument.name} is {given!r}, which is no class{one_of(given, choices)}",
                )
            if given not in self.members(argument.type):
                choices = self.choices(argument)
                return Finding(
                    Reason.WRONG_CLASS,
                    f"{action.name}: the {argument.name} is {given!r}, which is no {argument.type}"
                    f"{one_of(given, choices)}",
                )
        return None


def one_of(given: str, names: Iterable[str], most: int = 12) -> str:
    """`; did you mean ...?` or `; expected one of ...`, to end a message with."""
    names = list(names)
    folded = {name.casefold(): name for name in names}
    close = difflib.get_close_matches(given.casefold(), folded, n=1, cutoff=0.75)
    if close:
        return f"; did you mean {cited(folded[close[0]])}?"
    return f"; expected one of {', '.join(map(shortened, names[:most]))}{', ...' if len(names) > most else ''}"
