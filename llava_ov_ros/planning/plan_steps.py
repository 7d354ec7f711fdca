"""Steps and plans, as one line `PickupObject mug; PutObject mug desk` and as rows `[["PickupObject", "mug"], ...]`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

STEP_SEPARATOR = "; "
_WORD = re.compile(r"[^\s;]+")


class PlanError(ValueError):
    """Something that is no plan; the text says what, where and what is expected."""


@dataclass(frozen=True)
class Step:
    """One action with its arguments, in the order of the vocabulary.

    Nothing is checked here, so that a malformed step can be held and reported: see `validate`.
    """

    action: str
    arguments: tuple[str, ...] = ()

    def __str__(self) -> str:
        return " ".join((self.action, *self.arguments))


@dataclass(frozen=True)
class Plan:
    """Steps in the order in which they are to be done."""

    steps: tuple[Step, ...]

    @property
    def line(self) -> str:
        """The one-line form.

        Raises:
            PlanError: A name or argument is empty or holds a blank or a semicolon, so that it cannot be read back.
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
    """Cut the one-line form into steps without asking what the words mean.

    Raises:
        PlanError: Steps are not parted by `; ` or words not by one blank, or a step is empty.
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
    """Read ALFRED's form; empty arguments are kept, since they are a fault that `validate` reports.

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
