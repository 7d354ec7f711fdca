"""The vocabulary of a robot's plans: actions with conditions and effects, classes of things and places, states."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ..bounds import cited, shortened
from .findings import Finding, Reason
from .plan_steps import Step

# Types of names in a rule. ARGUMENT: an argument of the action; PLACE: an argument or a class; NAME: an argument, a
# class or a group; STATE: a state.
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
    """A condition or an effect of an action: a key of CONDITIONS or EFFECTS, and the names that it applies to."""

    kind: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Argument:
    """An argument of an action; `type` is the class that it must be, or a group that contains its class."""

    name: str
    type: str


@dataclass(frozen=True)
class Action:
    """An action of the robot.

    Attributes:
        name: Name of the action in plans.
        arguments: Arguments, in the order of plans.
        requires: Conditions without which the action fails; a broken one is a violation.
        expects: Conditions without which the action is unusual; a broken one is a warning.
        effects: Changes of the world by the action, applied in this order.
        ends: Whether the action marks the end of a plan; no step may follow.
        says: Patterns of sentences with which people name the action; see `read/phrases.py`.
    """

    name: str
    arguments: tuple[Argument, ...] = ()
    requires: tuple[Rule, ...] = ()
    expects: tuple[Rule, ...] = ()
    effects: tuple[Rule, ...] = ()
    ends: bool = False
    says: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Language:
    """Words around the steps in free text, as patterns (see `read/phrases.py`) or single words.

    Attributes:
        ignore: Patterns without meaning, removed wherever they occur.
        asides: Patterns of clauses that are no step and may precede one.
        adjectives: Words that may stand before the name of a class.
        details: Patterns that begin a detail after a complete step, such as `from` in `from the shelf`.
        stops: Words that no detail may contain, because they change the meaning of the step.
        states: Words before a thing with which people say that it is in a state, by the state: `clean` for cleaned.
    """

    ignore: tuple[str, ...] = ()
    asides: tuple[str, ...] = ()
    adjectives: tuple[str, ...] = ()
    details: tuple[str, ...] = ()
    stops: tuple[str, ...] = ()
    states: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The actions, classes and states that plans of a robot may name.

    Vocabularies are compared and hashed by identity, so that caches can use them as keys.

    Attributes:
        classes: Classes of things and places, each with its synonyms.
        groups: Sets of classes by the group's name.
        states: States that a thing can have, such as heated; at the start of a plan no thing has any.
        actions: Actions by name.
        max_steps: Most steps of a plan, not counting an action that ends it.
        hands: Number of things that the robot can hold at once.
        language: Words that free text may contain besides steps.
        names: Names of classes and actions in other languages, by the language's code (`zh`) and the class or action.
        goals: What people ask for in words that name no step, in the form of actions: their effects are the conditions
            of the goal. No plan has such an action.
    """

    classes: Mapping[str, tuple[str, ...]]
    groups: Mapping[str, frozenset[str]]
    states: tuple[str, ...]
    actions: Mapping[str, Action]
    max_steps: int
    hands: int = 1
    language: Language = Language()
    names: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    goals: Mapping[str, Action] = field(default_factory=dict)

    def called(self, word: str, language: str) -> str | None:
        """Name of a class or an action in a language; None if the vocabulary gives none."""
        return self.names.get(language, {}).get(word)

    def names_of(self, word: str) -> tuple[str, ...]:
        """Names of a class or an action in all other languages."""
        return tuple(names[word] for names in self.names.values() if word in names)

    def members(self, name: str) -> frozenset[str]:
        """The classes of a group; for a class, the class itself.

        Raises:
            KeyError: There is no class or group of that name.
        """
        return frozenset((name,)) if name in self.classes else self.groups[name]

    def choices(self, argument: Argument) -> tuple[str, ...]:
        """The classes that an argument may name, in the order of `classes`."""
        allowed = self.members(argument.type)
        return tuple(name for name in self.classes if name in allowed)

    def movable(self) -> frozenset[str]:
        """The classes that some action can pick up."""
        return self._affected("pick_up", 0)

    def members_put_into(self) -> frozenset[str]:
        """The classes in or on which some action can put something."""
        return self._affected("put", 1)

    def members_gone_to(self) -> frozenset[str]:
        """The classes that some action goes to."""
        return self._affected("go_to", 0)

    def _affected(self, kind: str, position: int) -> frozenset[str]:
        """The classes that an effect of that kind can name at a position."""
        found: set[str] = set()
        for action in self.actions.values():
            types = {argument.name: argument.type for argument in action.arguments}
            for effect in action.effects:
                if effect.kind == kind:
                    name = effect.names[position]
                    found |= self.members(types.get(name, name))
        return frozenset(found)

    def fits(self, step: Step) -> bool:
        """Whether `fault` finds a step well-formed; cheaper than `fault`, since no message is built."""
        action = self.actions.get(step.action)
        if action is None or len(step.arguments) != len(action.arguments):
            return False
        pairs = zip(action.arguments, step.arguments, strict=True)
        return all(given in self.members(argument.type) for argument, given in pairs)

    def fault(self, step: Step) -> Finding | None:
        """Check the action, the number and the classes of arguments of one step, apart from the rest of its plan.

        Returns:
            A violation without a step number; None if the step is well-formed.
        """
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
    """The end of an error message: `; did you mean ...?` if a name is similar, else `; expected one of ...`.

    Args:
        given: The wrong name.
        names: The allowed names.
        most: Most names that the message lists.
    """
    names = list(names)
    folded = {name.casefold(): name for name in names}
    close = difflib.get_close_matches(given.casefold(), folded, n=1, cutoff=0.75)
    if close:
        return f"; did you mean {cited(folded[close[0]])}?"
    return f"; expected one of {', '.join(map(shortened, names[:most]))}{', ...' if len(names) > most else ''}"
