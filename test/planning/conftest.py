"""The shipped vocabulary, plans that reach their goals, and where ALFRED's plans lie."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llava_ov_ros.planning import Vocabulary, find_vocabulary, load_vocabulary

ALFRED = Path(__file__).resolve().parents[3] / "shared" / "data" / "alfred" / "alfred_valid_plans.jsonl"
MALFORMED = {"trial_T20190906_181501_970690", "trial_T20190918_161337_246067"}
"""The two of ALFRED's plans that cannot be done."""


def goal(thing: str, place: str = "", carrier: str = "", lamp: str = "", sliced: bool = False) -> dict[str, Any]:
    return {
        "object_target": thing,
        "parent_target": place,
        "mrecep_target": carrier,
        "toggle_target": lamp,
        "object_sliced": sliced,
    }


# One plan of every task type, and sliced ones: task type, goal, plan.
WRITTEN = [
    (
        "pick_and_place_simple",
        goal("Mug", "Desk"),
        "GotoLocation shelf; PickupObject mug; GotoLocation desk; PutObject mug desk",
    ),
    (
        "look_at_obj_in_light",
        goal("Book", lamp="DeskLamp"),
        "GotoLocation bed; PickupObject book; GotoLocation desklamp; ToggleObject desklamp",
    ),
    (
        "pick_two_obj_and_place",
        goal("CD", "Safe"),
        "GotoLocation desk; PickupObject cd; GotoLocation safe; PutObject cd safe; "
        "GotoLocation shelf; PickupObject cd; GotoLocation safe; PutObject cd safe",
    ),
    (
        "pick_and_place_with_movable_recep",
        goal("Spoon", "SinkBasin", carrier="Cup"),
        "GotoLocation drawer; PickupObject spoon; GotoLocation cup; PutObject spoon cup; "
        "PickupObject cup; GotoLocation sinkbasin; PutObject cup sinkbasin",
    ),
    (
        "pick_clean_then_place_in_recep",
        goal("Cloth", "Drawer"),
        "GotoLocation bathtubbasin; PickupObject cloth; GotoLocation sinkbasin; CleanObject cloth; "
        "GotoLocation drawer; PutObject cloth drawer",
    ),
    (
        "pick_cool_then_place_in_recep",
        goal("Tomato", "SinkBasin", sliced=True),
        "GotoLocation countertop; PickupObject knife; GotoLocation tomato; SliceObject tomato; "
        "GotoLocation sinkbasin; PutObject knife sinkbasin; GotoLocation diningtable; PickupObject tomato; "
        "GotoLocation fridge; CoolObject tomato; GotoLocation sinkbasin; PutObject tomato sinkbasin",
    ),
    (
        "pick_heat_then_place_in_recep",
        goal("Egg", "CounterTop"),
        "GotoLocation fridge; PickupObject egg; GotoLocation microwave; HeatObject egg; "
        "GotoLocation countertop; PutObject egg countertop; NoOp",
    ),
]


@pytest.fixture(scope="session")
def alfred() -> Vocabulary:
    """The vocabulary that is shipped as `alfred`."""
    return load_vocabulary(find_vocabulary("alfred"))


@pytest.fixture(scope="session")
def written_rows() -> list[dict[str, Any]]:
    """Rows as ALFRED has them, of the plans above."""
    return [
        {
            "task_id": task_type,
            "task_type": task_type,
            "pddl_params": params,
            "gold_plan": [step.split(" ") for step in plan.split("; ")],
        }
        for task_type, params, plan in WRITTEN
    ]


@pytest.fixture(scope="session")
def gold_file() -> Path:
    """The file of ALFRED's plans; skips the test where it is not there."""
    if not ALFRED.exists():
        pytest.skip(f"ALFRED's plans ({ALFRED}) are not on this machine")
    return ALFRED


@pytest.fixture(scope="session")
def gold_rows(gold_file: Path) -> list[dict[str, Any]]:
    """ALFRED's 506 rows."""
    return [json.loads(line) for line in gold_file.read_text().splitlines()]


@pytest.fixture(scope="session")
def malformed_ids() -> set[str]:
    """Names of ALFRED's plans that cannot be done."""
    return MALFORMED
