"""Statements in the form of a call, such as `robot.pick_up('mug')`: the name of the function and its arguments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from .phrases import Alternation, Sequence, Slot, slot_counts

# `arm = await robot.left.pick_up(mug)  # a comment`, with the marks that `spelling.folded` leaves.
_CALL = re.compile(
    r"\s*(?:[^\W\d]\w*\s*=(?!=)\s*)?(?:await\s+)?(?:[^\W\d]\w*\s*\.\s*)*(?P<name>[^\W\d]\w*)\s*"
    r"\((?P<arguments>[^()]*)\)\s*(?:#.*)?"
)


@dataclass(frozen=True)
class Call:
    """A call, without the object that it is made on, and without a comment after it.

    Attributes:
        name: Name of the function.
        arguments: The text between the brackets.
    """

    name: str
    arguments: str


def find_call(statement: str) -> Call | None:
    """The call that a folded statement consists of; None if the statement is something else."""
    found = _CALL.fullmatch(statement)
    return Call(found["name"], found["arguments"]) if found else None


def verbs_of(sequence: Sequence) -> tuple[Sequence, ...]:
    """The words of a pattern that can name a function: `put` and `put in` of `put {object} in {receptacle}`.

    Returns:
        The words before the first argument, and these with the words between the arguments. Nothing, if these words do
        not name the action: the pattern begins with an argument, or words that it needs follow the last one, such as
        `on` of `turn {lamp} on`.
    """
    places = [place for place, item in enumerate(sequence) if any(slot_counts((item,)))]
    if not places or places[0] == 0 or not all(isinstance(sequence[place], Slot) for place in places):
        return ()
    after = sequence[places[-1] + 1 :]
    if not all(isinstance(item, Alternation) and item.optional for item in after):
        return ()
    before = sequence[: places[0]]
    between = tuple(item for item in sequence[places[0] : places[-1]] if not isinstance(item, Slot))
    return (before, before + between) if between else (before,)


def spells(verb: Sequence, name: str) -> bool:
    """Whether a function's name consists of the words of a verb: `pick_up` and `pickUp` of `(pick|take) up`."""
    return any(not rest for rest in _rests(verb, name.casefold().replace("_", "")))


def _rests(verb: Sequence, name: str) -> Iterator[str]:
    """What is left of a name after the words of a verb, for each way through the verb's alternatives."""
    if not verb:
        yield name
        return
    item, *others = verb
    if isinstance(item, str):
        if name.startswith(item):
            yield from _rests(tuple(others), name[len(item) :])
    elif isinstance(item, Alternation):
        for one in item.sequences:
            for rest in _rests(one, name):
                yield from _rests(tuple(others), rest)
        if item.optional:
            yield from _rests(tuple(others), name)
