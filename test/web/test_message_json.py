"""Messages as JSON: complete, and bounded whatever a stranger publishes."""

from __future__ import annotations

import json

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from llava_ov_ros.msg import ActionHint, Answer, Choice, FrameUsed, Plan, PlanStep

from llava_ov_ros.frames import Camera, CameraSettings
from llava_ov_ros.node.camera_subscriptions import Link
from llava_ov_ros.node.diagnostics import camera_status
from llava_ov_ros.settings import Settings
from llava_ov_ros.web.message_json import (
    LONGEST_TEXT,
    MOST_ENTRIES,
    answer_json,
    diagnostics_json,
    hint_json,
    plan_json,
)

S = 1_000_000_000


def test_every_field_is_there_and_statuses_have_their_names():
    made = answer_json(Answer(text="ein Becher", status=Answer.STALE, choices=[Choice(text="ja", probability=0.25)]))
    assert set(made) == set(Answer.get_fields_and_field_types())
    assert (made["status"], made["choices"]) == ("STALE", [{"text": "ja", "probability": 0.25}])
    plan = plan_json(Plan(outcome=Plan.REJECTED, steps=[PlanStep(number=1, status=PlanStep.VIOLATION)]))
    assert (plan["outcome"], plan["status"], plan["steps"][0]["status"]) == ("REJECTED", "OK", "VIOLATION")
    assert hint_json(ActionHint(hint=ActionHint.UNSURE, status=Answer.NO_FRAMES))["hint"] == "UNSURE"


def test_a_hostile_message_stays_small_and_is_json():
    frames = [FrameUsed(camera="c" * 100)] * 5000
    hostile = Answer(text="x" * 10**7, confidence=float("nan"), total_time_s=float("inf"), status=200, frames=frames)
    made = answer_json(hostile)
    text = json.dumps(made, allow_nan=False)
    assert len(made["text"]) == LONGEST_TEXT
    assert len(made["frames"]) == MOST_ENTRIES
    assert (made["confidence"], made["total_time_s"], made["status"]) == (None, None, "200")
    assert len(text) < 200_000
    plan = plan_json(Plan(outcome=99, steps=[PlanStep(status=77)] * 5000))
    assert (plan["outcome"], plan["steps"][0]["status"], len(plan["steps"])) == ("99", "77", MOST_ENTRIES)


def diagnosed(camera, now_ns, publishers=("/driver",), reliability="reliable"):
    link = Link("/front", "sensor_msgs/msg/Image", publishers, len(publishers), reliability)
    status = camera_status("/llava_ov", camera, camera.counts, link, Settings(), now_ns)
    others = [DiagnosticStatus(name="/other: camera front"), DiagnosticStatus(name="something else")]
    return diagnostics_json(DiagnosticArray(status=[*others, status]), "/llava_ov")["cameras"][0]


def test_the_state_of_a_camera_is_that_of_the_nodes_own_diagnostics():
    camera = Camera("front", CameraSettings())
    assert diagnosed(camera, 0, reliability="")["state"] == "inactive"
    assert diagnosed(camera, 0, publishers=())["state"] == "lost"
    assert diagnosed(camera, 0)["state"] == "silent"


@pytest.mark.parametrize(
    ("level", "message", "values", "state"),
    [
        (DiagnosticStatus.OK, "frames come in", {}, "ok"),
        (DiagnosticStatus.WARN, "3 damaged pictures", {}, "warning"),
        (DiagnosticStatus.ERROR, "stale: its newest frame is old", {}, "stale"),
        (DiagnosticStatus.ERROR, "frozen: an identical picture", {}, "frozen"),
        (DiagnosticStatus.ERROR, "nobody publishes /front", {"publishers": "0"}, "lost"),
    ],
)
def test_states_of_cameras(level, message, values, state):
    pairs = {"reliability": "reliable", "publishers": "1", **values}
    keys = [KeyValue(key=key, value=value) for key, value in pairs.items()]
    status = DiagnosticStatus(level=level, name="/llava_ov: camera front", message=message, values=keys)
    found = diagnostics_json(DiagnosticArray(status=[status]), "/llava_ov")
    assert [(one["name"], one["state"]) for one in found["cameras"]] == [("front", state)]


def test_diagnostics_of_others_are_not_the_nodes():
    others = DiagnosticArray(status=[DiagnosticStatus(name="/other: model"), DiagnosticStatus(name="/llava_ov")])
    assert diagnostics_json(others, "/llava_ov") is None
