"""The JSON bodies of requests, bounded and checked, as requests to the node."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request

from llava_ov_ros.action import Ask as AskAction
from llava_ov_ros.action import Plan as PlanAction
from llava_ov_ros.srv import ReportStep, SetGoal

from ..bounds import quoted, shown
from ..node.messages import LONGEST_S
from ..node.request_bounds import LONGEST_ID, LONGEST_TOGETHER, beyond_bounds
from ..questions import new_request_id

MOST_BODY_BYTES = 12 * LONGEST_TOGETHER + 8 * 1024
"""A character of the longest question takes up to 12 bytes in JSON: two escaped halves."""
BODY_S = 10.0
"""Seconds in which a body must have come."""
MOST_TEXTS = 100
LONGEST_NAME = 500
OUTCOMES = {name: getattr(ReportStep.Request, name) for name in ("DONE", "FAILED", "UNDONE")}


class BodyError(ValueError):
    """A body cannot be used; the text names the field and says what is allowed.

    Attributes:
        status: The HTTP status of the refusal.
    """

    def __init__(self, reason: str, status: int = 422) -> None:
        super().__init__(reason)
        self.status = status


async def read_body(request: Request) -> dict[str, Any]:
    """Read the JSON object of a request.

    Raises:
        BodyError: The body is too large, does not come in time, or is no JSON object.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise BodyError(f"Content-Type is {quoted(kind)}: send application/json", 415)
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:15]) > MOST_BODY_BYTES:
        raise BodyError(f"the body has {declared[:15]} bytes: allowed are {MOST_BODY_BYTES}", 413)
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for part in request.stream():
                body += part
                if len(body) > MOST_BODY_BYTES:
                    raise BodyError(f"the body has more than {MOST_BODY_BYTES} bytes", 413)
    except TimeoutError:
        raise BodyError(f"the body did not come within {BODY_S:g} s", 408) from None
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise BodyError("the body is no JSON", 400) from None
    if not isinstance(found, dict):
        raise BodyError("the body is no JSON object", 400)
    return found


class Fields:
    """The fields of a body; every method returns one, or its default where it is missing."""

    def __init__(self, body: Mapping[str, Any], known: Sequence[str]) -> None:
        """Check the names.

        Raises:
            BodyError: There is a field of another name.
        """
        unknown = [name for name in body if name not in known]
        if unknown:
            raise BodyError(f"there is no field {quoted(unknown[0])}: fields are {', '.join(known)}")
        self._body = body

    def text(self, name: str, longest: int | None = LONGEST_NAME) -> str:
        """A text; empty where it is missing. `longest` None: whoever uses the text bounds it."""
        return self._text(name, self._body.get(name, ""), longest)

    def _text(self, name: str, value: Any, longest: int | None) -> str:
        if not isinstance(value, str):
            raise BodyError(f"{name} is {shown(repr(value))}: it must be a text")
        if longest is not None and len(value) > longest:
            raise BodyError(f"{name} has {len(value)} characters: allowed are up to {longest}")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise BodyError(f"{name} has half of a surrogate pair: send whole characters") from None
        if "\0" in value:
            raise BodyError(f"{name} has a NUL character, which no ROS text can hold")
        return value

    def texts(self, name: str, longest: int | None = LONGEST_NAME) -> list[str]:
        """A list of texts; empty where it is missing."""
        value = self._body.get(name, [])
        if not isinstance(value, list) or len(value) > MOST_TEXTS:
            raise BodyError(f"{name} must be a list of at most {MOST_TEXTS} texts")
        return [self._text(name, one, longest) for one in value]

    def seconds(self, name: str) -> float:
        """Seconds from 0 to a million; 0 where they are missing."""
        value = self._body.get(name, 0)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LONGEST_S:
            raise BodyError(f"{name} is {shown(repr(value))}: it must be up to {LONGEST_S:g} seconds, or 0")
        return float(value)

    def whole(self, name: str) -> int:
        """A whole number of 32 bits; 0 where it is missing."""
        value = self._body.get(name, 0)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**32:
            raise BodyError(f"{name} is {shown(repr(value))}: it must be a whole number from 0")
        return value


def ask_of(body: Mapping[str, Any]) -> AskAction.Goal:
    """The question of a body, with a request id of its own; raises BodyError if a field cannot be used."""
    names = ("question", "kind", "choices", "history", "cameras", "mode", "window_s", "deadline_s")
    fields = Fields(body, names)
    goal = AskAction.Goal(
        question=fields.text("question", None),
        kind=fields.text("kind"),
        choices=fields.texts("choices", None),
        history=fields.texts("history", None),
        cameras=fields.texts("cameras"),
        mode=fields.text("mode"),
        window_s=fields.seconds("window_s"),
        deadline_s=fields.seconds("deadline_s"),
        request_id=new_request_id(),
    )
    if reason := beyond_bounds(goal):
        raise BodyError(reason)
    return goal


def plan_of(body: Mapping[str, Any]) -> PlanAction.Goal:
    """The goal of a plan, with a request id of its own; raises BodyError if a field cannot be used."""
    fields = Fields(body, ("goal", "decoding", "cameras", "mode", "window_s", "deadline_s"))
    return PlanAction.Goal(
        goal=fields.text("goal"),
        decoding=fields.text("decoding"),
        cameras=fields.texts("cameras"),
        mode=fields.text("mode"),
        window_s=fields.seconds("window_s"),
        deadline_s=fields.seconds("deadline_s"),
        request_id=new_request_id(),
    )


def goal_of(body: Mapping[str, Any]) -> SetGoal.Request:
    """The goal of the hints; raises BodyError if a field cannot be used."""
    fields = Fields(body, ("goal", "done", "plan_id"))
    return SetGoal.Request(
        goal=fields.text("goal"), done=fields.texts("done"), plan_id=fields.text("plan_id", LONGEST_ID)
    )


def report_of(body: Mapping[str, Any]) -> ReportStep.Request:
    """What became of a step; raises BodyError if a field cannot be used."""
    fields = Fields(body, ("step", "action", "arguments", "outcome", "turn"))
    outcome = fields.text("outcome") or "DONE"
    if outcome not in OUTCOMES:
        raise BodyError(f"outcome is {quoted(outcome)}: allowed are {', '.join(OUTCOMES)}")
    return ReportStep.Request(
        step=fields.text("step"),
        action=fields.text("action"),
        arguments=fields.texts("arguments"),
        outcome=OUTCOMES[outcome],
        turn=fields.whole("turn"),
    )
