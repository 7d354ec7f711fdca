"""Reads plans with their goals from files of JSON lines, in ALFRED's or this project's form."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .plan_steps import Plan, PlanError, from_rows, split_line
from .validate.goal import Goal, GoalError, goal_from
from .vocabulary import Vocabulary

# Keys of the plan, its name and its goal, in each of the two forms.
_ALFRED = ("gold_plan", "task_id", "pddl_params")
_OURS = ("plan", "id", "goal")


FORM = 'expected an object on each line, such as {"plan": "GotoLocation shelf; PickupObject mug"}'


class RowError(ValueError):
    """A file of plans cannot be read, or a line has no plan; the message names file, line and expected form."""


@dataclass(frozen=True)
class PlanRow:
    """A plan of a file, not validated yet.

    Attributes:
        name: The plan's name in the file, or its line, such as `line 7`.
        line: Line of the file, such as `line 7`.
        plan: The plan, which may be malformed.
        goal: Goal of the plan; None if the file gives none.
    """

    name: str
    line: str
    plan: Plan
    goal: Goal | None


def read_rows(path: Path, vocabulary: Vocabulary) -> Iterator[PlanRow]:
    """Read a file of plans; see `rows_in`.

    Raises:
        RowError: The file cannot be read, or a line has neither form.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise RowError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise RowError(f"{path}: not text in UTF-8: {error}") from None
    yield from rows_in(text, str(path), vocabulary)


def rows_in(text: str, name: str, vocabulary: Vocabulary) -> Iterator[PlanRow]:
    """Read plans from text with one JSON object per line; blank lines and other keys are ignored.

    A line is `{"id": ..., "plan": "PickupObject mug; ..." or [["PickupObject", "mug"], ...], "goal": pddl_params,
    "task_type": ...}`, where only the plan is required, or ALFRED's `{"task_id", "gold_plan", "pddl_params",
    "task_type"}`.

    Args:
        text: The lines.
        name: Name of the file, for errors.
        vocabulary: Vocabulary with the classes and states of the goals.

    Raises:
        RowError: A line has neither form.
    """
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield _row(line, f"{name}:{number}", f"line {number}", vocabulary)


def _row(line: str, where: str, name: str, vocabulary: Vocabulary) -> PlanRow:
    try:
        content = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RowError(f"{where}: not JSON: {error}; {FORM}") from None
    if not isinstance(content, dict):
        raise RowError(f"{where}: no object, but {line.strip()[:60]!r}; {FORM}")
    found = [keys for keys in (_ALFRED, _OURS) if keys[0] in content]
    if len(found) != 1:
        raise RowError(f"{where}: expected one of the keys 'plan' and 'gold_plan', found {len(found)} of them")
    plan_key, name_key, goal_key = found[0]
    given = content.get(name_key, name)
    if not isinstance(given, str | int):
        raise RowError(f"{where}: {name_key} is {given!r}, expected text")
    task_type = content.get("task_type") or ""
    if not isinstance(task_type, str):
        raise RowError(f"{where}: task_type is {task_type!r}, expected text")
    try:
        plan = _plan(content[plan_key], plan_key)
        goal = _goal(content.get(goal_key), goal_key, task_type, vocabulary)
    except (PlanError, GoalError) as error:
        raise RowError(f"{where}: {error}") from None
    return PlanRow(str(given), name, plan, goal)


def _plan(value: Any, key: str) -> Plan:
    if isinstance(value, str):
        return split_line(value) if value.strip() else Plan(())
    if not isinstance(value, list):
        raise PlanError(f"{key} is {value!r}, expected a text 'PickupObject mug; ...' or a list of lists")
    return from_rows(value)


def _goal(value: Any, key: str, task_type: str, vocabulary: Vocabulary) -> Goal | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise GoalError(f"{key} is {value!r}, expected an object such as {{'object_target': 'Mug', ...}}")
    return goal_from(value, task_type, vocabulary)
