"""The document of the API: valid by an independent validator, and what the server really does."""

from __future__ import annotations

import json
import re

import pytest
from llava_ov_ros.msg import ActionHint, Answer, Choice, FrameUsed, Plan, PlanStep
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from llava_ov_ros.web.access import COOKIE, Access
from llava_ov_ros.web.app import STATIC, WebApp
from llava_ov_ros.web.board import Board
from llava_ov_ros.web.browsers import Browsers
from llava_ov_ros.web.message_json import answer_json, as_json, hint_json, plan_json, step_json
from llava_ov_ros.web.request_bodies import ask_of, goal_of, plan_of, report_of

DOCUMENT = json.loads((STATIC / "openapi.json").read_text())
SCHEMAS = DOCUMENT["components"]["schemas"]


def check(name, value):
    """Check a value against a schema of the document."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": SCHEMAS}}
    OAS31Validator(schema).validate(value)


def test_the_document_is_valid():
    validate(DOCUMENT, cls=OpenAPIV31SpecValidator)


def test_it_has_the_servers_routes_and_no_others():
    board = Board("/llava_ov")
    app = WebApp(board, Browsers(1, lambda _: None), None, Access("127.0.0.1", None)).asgi()
    routes = set()
    for route in app._app.routes:
        path = re.sub(r":\w+}", "}", route.path)
        if path.startswith("/api/"):
            routes |= {(path, method) for method in getattr(route, "methods", {"GET"}) if method != "HEAD"}
    documented = {(path, method.upper()) for path, entry in DOCUMENT["paths"].items() for method in entry}
    assert documented == routes
    assert DOCUMENT["components"]["securitySchemes"]["session"]["name"] == COOKIE


@pytest.mark.parametrize(
    ("name", "read"), [("AskBody", ask_of), ("PlanBody", plan_of), ("GoalBody", goal_of), ("StepBody", report_of)]
)
def test_the_fields_of_bodies_are_those_that_are_read(name, read):
    kinds = {"string": "x", "array": ["x"], "number": 1.5, "integer": 3}
    body = {
        field: kinds[schema["type"]] if "type" in schema else schema["enum"][-1]
        for field, schema in SCHEMAS[name]["properties"].items()
    }
    check(name, body)
    request = read(body)
    for field, value in body.items():
        if field != "outcome":
            assert getattr(request, field) == value, field
    with pytest.raises(ValueError, match="there is no field 'more'"):
        read({**body, "more": 1})


def test_the_state_and_every_event_are_as_documented():
    frames = [FrameUsed(camera="front")]
    answer = answer_json(Answer(request_id="a", choices=[Choice(text="yes", probability=0.5)], frames=frames))
    step = step_json(PlanStep(action="PickupObject", arguments=["mug"]))
    plan = plan_json(Plan(request_id="p", steps=[PlanStep(number=1)], frames=frames))
    hint = hint_json(ActionHint(hint=ActionHint.STEP, frames=frames))
    part = {"level": "OK", "message": "", "values": {"a": "b"}}
    camera = {**part, "name": "front", "topic": "/front", "state": "ok"}
    board = Board("/llava_ov")
    taken = [
        ("node", {"name": "/llava_ov", "up": True, "message": ""}),
        ("diagnostics", {"cameras": [camera], "model": part, "queue": part}),
        ("asked", {"request_id": "b", "question": "What?", "kind": ""}),
        ("chunk", {"request_id": "b", "index": 0, "text": "a", "done": False}),
        ("answer", answer),
        ("plan_asked", {"request_id": "q", "goal": "tidy up"}),
        ("plan_step", {"request_id": "q", "attempt": 0, "step": step}),
        ("plan", plan),
        ("hint", hint),
        ("standing", ["Is the door open?"]),
        ("evidence", {"stamp": as_json(Answer().answered_at), "jpeg": b"\xff\xd8"}),
    ]
    events = [board.take(kind, content) for kind, content in taken]
    check("State", board.state())
    events += [{"event": "state", "dropped": 0, "state": board.state()}]
    events += [board.take("ask_lost", {"request_id": "b", "message": "gone"}), board.take("goal_cleared", None)]
    for event in events:
        check("Event", event)
    documented = {one["properties"]["event"]["const"] for one in SCHEMAS["Event"]["oneOf"]}
    assert {event["event"] for event in events} == documented
