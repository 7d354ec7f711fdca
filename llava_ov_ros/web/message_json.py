"""Messages of the node as JSON, bounded: a neighbour in the graph may publish a message of any size."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import islice
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

from llava_ov_ros.msg import ActionHint, Answer, Plan, PlanStep

from ..live.message_records import OUTCOMES, SOURCES, STEP_STATUSES
from ..questions import Status

LONGEST_TEXT = 20_000
"""Most characters of a text of a message; the rest is cut off."""
MOST_ENTRIES = 300
"""Most entries of a list of a message; the rest is cut off."""
HINTS = {getattr(ActionHint, name): name for name in ("NONE", "STEP", "DONE", "UNSURE", "CANNOT_TELL")}
STATUSES = {int(status): status.name for status in Status}
LEVELS = {DiagnosticStatus.OK: "OK", DiagnosticStatus.WARN: "WARN", DiagnosticStatus.ERROR: "ERROR"}
STALE = "STALE"
"""Level of diagnostics that nobody renews (diagnostic_msgs)."""


def as_json(value: Any) -> Any:
    """A message, or a field of one, as JSON has it: messages as objects by their fields' names.

    Texts and lists are cut off (`LONGEST_TEXT`, `MOST_ENTRIES`); numbers that are not finite become null.
    """
    if isinstance(value, str):
        return value if len(value) <= LONGEST_TEXT else value[: LONGEST_TEXT - 1] + "…"
    if isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    if hasattr(value, "get_fields_and_field_types"):
        return {name: as_json(getattr(value, name)) for name in value.get_fields_and_field_types()}
    return [as_json(entry) for entry in islice(value, MOST_ENTRIES)]


def answer_json(answer: Answer) -> dict[str, Any]:
    """An answer, with its status by name."""
    return {**as_json(answer), "status": _named(STATUSES, answer.status)}


def step_json(step: PlanStep) -> dict[str, Any]:
    """A step of a plan, with its status by name."""
    return {**as_json(step), "status": _named(STEP_STATUSES, step.status)}


def plan_json(plan: Plan) -> dict[str, Any]:
    """A plan, with its outcome, source and all statuses by name."""
    return {
        **as_json(plan),
        "status": _named(STATUSES, plan.status),
        "outcome": _named(OUTCOMES, plan.outcome),
        "source": _named(SOURCES, plan.source),
        "steps": [step_json(step) for step in islice(plan.steps, MOST_ENTRIES)],
    }


def hint_json(hint: ActionHint) -> dict[str, Any]:
    """A hint, with its kind, source and status by name."""
    return {
        **as_json(hint),
        "status": _named(STATUSES, hint.status),
        "hint": _named(HINTS, hint.hint),
        "source": _named(SOURCES, hint.source),
    }


def _named(names: Mapping[Any, str], number: Any) -> str:
    return names.get(number, str(number))


def diagnostics_json(message: DiagnosticArray, node_name: str) -> dict[str, Any] | None:
    """What a message on /diagnostics says of the node.

    Args:
        message: The message; other nodes publish on the same topic.
        node_name: Fully qualified name of the node.

    Returns:
        The statuses of `model` and `queue`, and those of `cameras` in their order, each with `name`, `topic` and
        `state`; None if the message is about other nodes.
    """
    found: dict[str, Any] = {"cameras": []}
    for status in islice(message.status, MOST_ENTRIES):
        owner, _, part = status.name.partition(": ")
        if owner != node_name:
            continue
        values = {as_json(pair.key): as_json(pair.value) for pair in islice(status.values, MOST_ENTRIES)}
        record = {"level": LEVELS.get(status.level, STALE), "message": as_json(status.message), "values": values}
        if part in ("model", "queue"):
            found[part] = record
        elif part.startswith("camera "):
            record |= {"name": as_json(part.removeprefix("camera ")), "topic": as_json(status.hardware_id)}
            found["cameras"].append(record | {"state": camera_state(record["level"], status.message, values)})
    return found if len(found) > 1 or found["cameras"] else None


def camera_state(level: str, message: str, values: Mapping[str, str]) -> str:
    """One word for the state of a camera: ok, warning, stale, frozen, lost, silent or inactive.

    A `lost` camera has no publisher; from a `silent` one no usable frame has come yet.

    Args:
        level: Level of the camera's diagnostics.
        message: Their message (node/diagnostics.py).
        values: Their values.
    """
    if not values.get("reliability"):
        return "inactive"
    if values.get("publishers") == "0":
        return "lost"
    for state in ("stale", "frozen"):
        if level == "ERROR" and message.startswith(f"{state}: "):
            return state
    return {"OK": "ok", "WARN": "warning"}.get(level, "silent")
