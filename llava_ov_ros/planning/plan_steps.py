"""Steps and plans, as a line `PickupObject mug; PutObject mug desk` or as rows `[["PickupObject", "mug"], ...]`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

STEP_SEPARATOR = "; "
_WORD = re.compile(r"[^\s;]+")


class PlanError(ValueError):
    """A text or value cannot be read as a plan; the message names the step, the value and the expected form."""


@dataclass(frozen=True)
class Step:
    """One action with its arguments, in the order in which the vocabulary lists them.

    A step may be malformed, so that `validate` can report it: the class checks nothing.
    """

    action: str
    arguments: tuple[str, ...] = ()

    def __str__(self) -> str:
        return " ".join((self.action, *self.arguments))


@dataclass(frozen=True)
class Plan:
    """Steps in the order of their execution."""

    steps: tuple[Step, ...]

    @property
    def line(self) -> str:
        """The one-line form.

        Raises:
            PlanError: An action or argument is empty or contains a blank or a semicolon, so that the line could not be
                read back.
        """
        for number, step in enumerate(self.steps, 1):
            for word in (step.action, *step.arguments):
                if not _WORD.fullmatch(word):
                    raise PlanError(f"step {number}: {word!r} cannot be written in one line: it is not one word")
        return STEP_SEPARATOR.join(map(str, self.steps))

    @property
    def rows(self) -> list[list[str]]:
        """ALFRED's form of `gold_plan`: `[["GotoLocation", "desk"], ...]`."""
        return [[step.action, *step.arguments] for step in self.steps]


def split_line(line: str) -> Plan:
    """Split the one-line form into steps; actions and arguments are not checked.

    Raises:
        PlanError: Steps are not separated by `; ` or words not by one blank, or a step is empty.
    """
    steps = []
    for number, text in enumerate(line.split(STEP_SEPARATOR), 1):
        words = text.split(" ")
        if not all(_WORD.fullmatch(word) for word in words):
            raise PlanError(
                f"step {number} is {text!r}: expected an action and its arguments, parted by one blank each, "
                f"and {STEP_SEPARATOR!r} between steps"
            )
        steps.append(Step(words[0], tuple(words[1:])))
    return Plan(tuple(steps))


def from_rows(rows: Iterable[Sequence[str]]) -> Plan:
    """Read ALFRED's form of a plan; empty arguments are kept, and `validate` reports them.

    Raises:
        PlanError: A row is not a list of texts that begins with the action.
    """
    steps = []
    for number, row in enumerate(rows, 1):
        if isinstance(row, str) or not isinstance(row, Sequence) or not all(isinstance(word, str) for word in row):
            raise PlanError(f"step {number} is {row!r}: expected a list of texts such as ['PickupObject', 'mug']")
        if not row:
            raise PlanError(f"step {number} is an empty list: expected a list such as ['PickupObject', 'mug']")
        steps.append(Step(row[0], tuple(row[1:])))
    return Plan(tuple(steps))
