"""What docs/interfaces.md and README.md say of interfaces, parameters and diagnostics is all of it, and no more."""

from __future__ import annotations

import json
import os
import re
from dataclasses import fields
from pathlib import Path

import pytest
import rclpy
from llava_ov_ros.msg import Answer

from llava_ov_ros.cli.parameters import markdown_table, parameter_rows
from llava_ov_ros.engines import ShadowedEngine
from llava_ov_ros.engines.agreement import AgreementLog
from llava_ov_ros.engines.with_fallback import EngineWithFallback
from llava_ov_ros.frames import Camera, CameraSettings
from llava_ov_ros.node import diagnostics, request_bounds
from llava_ov_ros.node.camera_subscriptions import Link
from llava_ov_ros.node.hint_turn import MOST_DONE
from llava_ov_ros.node.model import Model
from llava_ov_ros.node.node import LlavaOvNode
from llava_ov_ros.node.recent import Ends
from llava_ov_ros.onevision import load_engine
from llava_ov_ros.planning.model.plan_prompt import LONGEST_GOAL, LONGEST_STEP
from llava_ov_ros.questions import Query, Result, Status
from llava_ov_ros.remote import RemoteEngine
from llava_ov_ros.settings import Settings
from llava_ov_ros.settings.described import MOST_ENTRIES

pytestmark = pytest.mark.ros

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = (ROOT / "docs" / "interfaces.md").read_text()
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
INTERFACES = [file for folder in ("msg", "srv", "action") for file in sorted((ROOT / folder).iterdir())]


def section(title: str) -> str:
    """What stands below a heading, up to the next heading of whatever level."""
    found = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#+ |\Z)", DOCUMENT, flags=re.DOTALL | re.MULTILINE)
    assert found, f"docs/interfaces.md has no section {title!r}"
    return found.group(1)


def rows(text: str) -> list[list[str]]:
    """Cells of the table rows whose first cell is code, the backticks of that cell removed."""
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]
    return [[first.strip("`"), *others] for first, *others in cells]


def members(text: str) -> list[tuple[str, str]]:
    """Names and types of the fields in a part of an interface file; constants left out."""
    lines = [line.partition("#")[0].split() for line in text.splitlines()]
    return [(words[1], words[0]) for words in lines if len(words) == 2 and "=" not in words[1]]


@pytest.mark.parametrize("file", INTERFACES, ids=lambda file: file.name)
def test_fields_of_interfaces(file):
    documented = [(name, kind) for name, kind, _ in rows(section(f"{file.parent.name}/{file.stem}"))]
    parts = [members(part) for part in re.split(r"^---$", file.read_text(), flags=re.MULTILINE)]
    if file.parent.name == "action":
        goal, result, feedback = parts
        request, response, *_ = (ROOT / "srv" / f"{file.stem}.srv").read_text().split("---")
        assert goal == members(request), "docs/interfaces.md says that goal and request have the same fields"
        assert result == members(response), "docs/interfaces.md says that result and response have the same fields"
        parts = [feedback]
    assert documented == [member for part in parts for member in part]


def test_statuses():
    documented = {name: int(number) for name, number, _ in rows(section("Statuses"))}
    assert documented == {status.name: int(status) for status in Status}
    assert documented == {name: getattr(Answer, name) for name in documented}


def keys(status) -> list[str]:
    return [value.key for value in status.values]


def test_diagnostics_keys():
    ends = Ends()
    ends.note(Result(Query("Where is the mug?", ("front",)), Status.OK))
    model = diagnostics.model_status("/node", Model(lambda: load_engine("rooms")), "", Settings(), ends)
    queue = diagnostics.queue_status("/node", None, Settings(), ends)
    link = Link("/front", "sensor_msgs/msg/Image", ("/driver",), 1, "reliable")
    front = Camera("front", CameraSettings())
    camera = diagnostics.camera_status("/node", front, front.counts, link, Settings(), 0)
    for title, status in (("NAME: model", model), ("NAME: queue", queue), ("NAME: camera CAMERA", camera)):
        documented = rows(section(title))
        assert [row[0] for row in documented] == keys(status)
        assert [row[0] for row in documented if len(row) < 2 or not row[1]] == [], "a key needs a unit"


def test_diagnostics_keys_of_a_model_on_a_server():
    # Nothing is sent: nobody has asked.
    server = RemoteEngine("http://127.0.0.1:9/v1")
    both = EngineWithFallback(server, load_engine("rooms"))
    shadowed = ShadowedEngine(both, load_engine("rooms"), AgreementLog(None))
    try:
        alone, all_keys, local = server.counted(), list(shadowed.counted()), list(load_engine("rooms").counted())
        documented = [row[0] for row in rows(section("NAME: model, on a server"))]
        assert documented == [name for name in all_keys if name not in local]
        assert documented[: len(alone)] == list(alone)
    finally:
        shadowed.close()


@pytest.fixture(scope="module")
def node():
    context = rclpy.Context()
    rclpy.init(context=context)
    made = LlavaOvNode(namespace=f"test_interfaces_{os.getpid()}", context=context)
    yield made
    made.destroy_node()
    rclpy.shutdown(context=context)


def own(node, names_and_types) -> dict[str, str]:
    """The entities of this package and /diagnostics, `~` for the node's name.

    What every node has is left out, and what is hidden (a part of the name begins with `_`).
    """
    prefix = node.get_fully_qualified_name()
    of_every_node = ("/rosout", "/parameter_events", f"{prefix}/transition_event")
    return {
        name.replace(prefix, "~", 1): types[0]
        for name, types in names_and_types
        if name not in of_every_node and "/_" not in name
    }


def test_bounds_of_requests():
    text = section("What a request may hold")
    lines = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in text.splitlines() if line[:1] == "|"]
    documented = {what: [int(n.replace(",", "")) for n in re.findall(r"[\d,]*\d", most)] for what, most in lines[2:]}
    assert documented == {
        "question, each text of history": [request_bounds.LONGEST_TEXT],
        "texts of history": [request_bounds.MOST_HISTORY],
        "choices": [request_bounds.MOST_CHOICES, request_bounds.LONGEST_CHOICE],
        "question, history and choices together": [request_bounds.LONGEST_TOGETHER],
        "cameras": [request_bounds.MOST_CAMERAS],
        "`request_id`, `plan_id`": [request_bounds.LONGEST_ID],
        "goal": [LONGEST_GOAL],
        "steps of `done`, steps that are reported for one goal": [MOST_DONE],
        "a step": [LONGEST_STEP],
        "entries of a list parameter": [MOST_ENTRIES],
        "a text of a parameter": [request_bounds.LONGEST_TEXT],
    }


def test_topics(node):
    published = node.get_publisher_names_and_types_by_node(node.get_name(), node.get_namespace())
    # The messages for Foxglove and RViz are there: `make setup` builds the former, the wheels have the latter.
    told = rows(section("Topics") + section("In Foxglove and RViz"))
    documented = {name: kind.strip("`") for name, kind, *_ in told}
    assert documented == own(node, published)


def test_service_and_action(node):
    documented = {(name, kind.strip("`")) for name, kind, _ in rows(section("Service and action"))}
    services = own(node, node.get_service_names_and_types_by_node(node.get_name(), node.get_namespace()))
    asked = {(name, kind) for name, kind in services.items() if kind.startswith("llava_ov_ros/")}
    actions = rclpy.action.get_action_server_names_and_types_by_node(node, node.get_name(), node.get_namespace())
    prefix = node.get_fully_qualified_name()
    assert documented == asked | {(name.replace(prefix, "~", 1), types[0]) for name, types in actions}


def test_parameter_table_is_the_generated_one():
    assert DOCUMENT.endswith(markdown_table(parameter_rows())), (
        "docs/interfaces.md must end with the output of `llava-ov parameters --markdown`"
    )


def test_readme_parameters_exist_with_these_defaults():
    text = (ROOT / "README.md").read_text()
    table = text[text.index("## Parameters") : text.index("## Real checkpoints")]
    documented = {name: json.loads(default.strip("`")) for name, default, _ in rows(table)}
    defaults = Settings()
    assert documented
    assert documented == {name: getattr(defaults, name, None) for name in documented}


def test_readme_interfaces_are_those_of_the_document():
    text = (ROOT / "README.md").read_text()
    table = text[text.index("## Interfaces") : text.index("## Parameters")]
    short = {(name, kind.split("`")[1]) for name, kind, _ in rows(table)}
    whole = {(name, kind.strip("`")) for name, kind, *_ in rows(section("Topics") + section("Service and action"))}
    assert short == whole


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_parameters_that_documents_name_exist(document):
    known = {entry.name for entry in fields(Settings)}
    named = re.findall(r"\bparameters? `(\w+)`", document.read_text())
    assert [name for name in named if name not in known] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_launch_arguments_that_documents_name_exist(document):
    declared = {
        name
        for file in (ROOT / "launch").glob("*.launch.py")
        for name in re.findall(r'DeclareLaunchArgument\(\s*"(\w+)"', file.read_text())
    }
    named = re.findall(r"\b(\w+):=", document.read_text())
    assert [name for name in named if name not in declared] == []
