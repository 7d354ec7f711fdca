"""What the actions of a vocabulary can bring about: actions that can never be done, and goals that nothing achieves.

The check leaves out what actions undo (the delete relaxation: Bonet and Geffner, Planning as heuristic search, 2001),
so whatever it names is impossible indeed; a contradiction that only the order of steps shows is not found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..vocabulary import Action, Rule, Vocabulary


@dataclass(frozen=True)
class Impossible:
    """Something that no plan in a vocabulary does or brings about.

    Attributes:
        what: Name of the action, or the goal in words, such as `mug in state heated`.
        reason: The condition that never holds, or that no action has the effect.
        goal: Whether it is a goal.
    """

    what: str
    reason: str
    goal: bool


@dataclass
class Reached:
    """Classes of places that the robot can be at, of things that it can hold, and of things in states and at places."""

    at: set[str] = field(default_factory=set)
    held: set[str] = field(default_factory=set)
    states: dict[str, set[str]] = field(default_factory=dict)
    within: dict[str, set[str]] = field(default_factory=dict)

    def size(self) -> int:
        """Number of facts; when it stays the same, nothing more can be reached."""
        rest = (*self.states.values(), *self.within.values())
        return len(self.at) + len(self.held) + sum(map(len, rest))


def impossible_in(vocabulary: Vocabulary) -> list[Impossible]:
    """Find the actions that can never be done, and the goals that nothing achieves.

    The goals are something in each state, and each class of things that can be picked up put somewhere.
    """
    reached = reached_in(vocabulary)
    found = [
        Impossible(action.name, reason, False)
        for action in vocabulary.actions.values()
        if (reason := _obstacle(action, reached, vocabulary))
    ]
    return [*found, *_goals(reached, vocabulary)]


def reached_in(vocabulary: Vocabulary) -> Reached:
    """Everything that the actions may bring about, if nothing is ever undone."""
    reached = Reached(states={state: set() for state in vocabulary.states})
    size = -1
    while size != reached.size():
        size = reached.size()
        for action in vocabulary.actions.values():
            if not _obstacle(action, reached, vocabulary):
                _do(action, reached, vocabulary)
    return reached


def _goals(reached: Reached, vocabulary: Vocabulary) -> list[Impossible]:
    found = []
    for state in vocabulary.states:
        if not reached.states[state]:
            setters = _with_effect(vocabulary, ("set", "flip"), state)
            reason = f"{' and '.join(setters)} can never be done" if setters else "no action sets it"
            found.append(Impossible(f"anything in state {state}", reason, True))
    for kind in vocabulary.classes:
        if kind in vocabulary.movable() and not reached.within.get(kind):
            reason = "no action that can be done puts it anywhere"
            if kind not in reached.held:
                reason = "no action that can be done picks it up"
            found.append(Impossible(f"{kind} at any place", reason, True))
    return found


def _with_effect(vocabulary: Vocabulary, kinds: tuple[str, ...], state: str) -> list[str]:
    return [
        action.name
        for action in vocabulary.actions.values()
        if any(effect.kind in kinds and effect.names[1] == state for effect in action.effects)
    ]


def _obstacle(action: Action, reached: Reached, vocabulary: Vocabulary) -> str:
    """Why an action cannot be done with what is reached; empty if it can."""
    for argument in action.arguments:
        if not _possible(action, argument.name, reached, vocabulary):
            own = [rule for rule in action.requires if rule.names[:1] == (argument.name,)]
            never = [rule for rule in own if not _holding(rule, vocabulary.members(argument.type), reached)]
            return (
                _never(never[0], argument.type) if never else f"no {argument.type} fulfils all its conditions at once"
            )
    types = {argument.name for argument in action.arguments}
    for rule in action.requires:
        if rule.kind == "near" and not reached.at:
            return "near: no action goes anywhere"
        if rule.kind in ("holding", "at") and rule.names[0] not in types:
            members = vocabulary.members(rule.names[0])
            if not _holding(rule, members, reached):
                return _never(rule, rule.names[0])
    return _contradiction(action, vocabulary)


def _possible(action: Action, name: str, reached: Reached, vocabulary: Vocabulary) -> set[str]:
    """Classes that an argument can have so that each condition on it can hold."""
    types: Mapping[str, str] = {argument.name: argument.type for argument in action.arguments}
    found = set(vocabulary.members(types[name]))
    for rule in action.requires:
        if rule.names[:1] == (name,):
            found = _holding(rule, frozenset(found), reached)
    return found


def _holding(rule: Rule, members: frozenset[str], reached: Reached) -> set[str]:
    """The classes for which a condition can hold."""
    if rule.kind == "holding":
        return set(members & reached.held)
    if rule.kind == "at":
        return set(members & reached.at)
    if rule.kind == "is":
        return set(members & reached.states[rule.names[1]])
    return set(members)


def _never(rule: Rule, kind: str) -> str:
    if rule.kind == "at":
        return f"at: no action goes to {kind}"
    if rule.kind == "holding":
        return f"holding: no action picks up {kind}"
    return f"is: no action brings {kind} into the state {rule.names[1]}"


def _contradiction(action: Action, vocabulary: Vocabulary) -> str:
    """Why the conditions of an action exclude each other; empty if they need not."""
    types = {argument.name: argument.type for argument in action.arguments}

    def members(rule: Rule) -> frozenset[str]:
        return vocabulary.members(types.get(rule.names[0], rule.names[0]))

    apart: dict[str, list[Rule]] = {"at": [], "holding": []}
    for rule in action.requires:
        if rule.kind in apart and all(members(rule).isdisjoint(members(other)) for other in apart[rule.kind]):
            apart[rule.kind].append(rule)
    if len(apart["at"]) > 1:
        return f"at: the robot cannot be at {' and '.join(rule.names[0] for rule in apart['at'])} at once"
    hands = len(apart["holding"]) + any(rule.kind == "hand_free" for rule in action.requires)
    if hands > vocabulary.hands:
        return f"holding: it takes {hands} hands, and there are {vocabulary.hands}"
    states = {rule.names for rule in action.requires if rule.kind == "is"}
    for rule in action.requires:
        if rule.kind == "is_not" and rule.names in states:
            return f"is: {rule.names[0]} must be {rule.names[1]} and must not"
    return ""


def _do(action: Action, reached: Reached, vocabulary: Vocabulary) -> None:
    """Add what an action can bring about."""
    choices = {one.name: _possible(action, one.name, reached, vocabulary) for one in action.arguments}
    for effect in action.effects:
        first = choices.get(effect.names[0], {effect.names[0]})
        if effect.kind == "go_to":
            reached.at |= first
        elif effect.kind == "pick_up":
            reached.held |= first
        elif effect.kind == "put":
            for kind in first:
                reached.within.setdefault(kind, set()).update(choices.get(effect.names[1], {effect.names[1]}))
        elif effect.kind in ("set", "flip"):
            reached.states[effect.names[1]] |= first
