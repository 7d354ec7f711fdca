"""Plans and steps in the fields of plansys2_msgs/PlanItem and hri_actions_msgs/Intent."""

from __future__ import annotations

import json

import pytest

from llava_ov_ros.planning import Plan, Step, find_vocabulary, load_vocabulary, split_line
from llava_ov_ros.planning.exchange import intent_fields, plansys2_items


def test_a_plan_as_a_planner_of_plansys2_gives_it(alfred):
    plan = split_line("GotoLocation coffeetable; PickupObject mug; PutObject mug coffeetable; NoOp")
    assert plansys2_items(plan, alfred) == [
        {"time": 0.0, "action": "(gotolocation coffeetable)", "duration": 1.0},
        {"time": 1.0, "action": "(pickupobject mug)", "duration": 1.0},
        {"time": 2.0, "action": "(putobject mug coffeetable)", "duration": 1.0},
    ]
    assert plansys2_items(Plan(()), alfred) == []
    for item in plansys2_items(plan, alfred):
        # rclpy aborts the process where a float field holds anything else.
        assert (type(item["time"]), type(item["duration"])) == (float, float)


@pytest.mark.parametrize(
    ("step", "intent", "data"),
    [
        ("GotoLocation desk", "__intent_move_to__", {"goal": "desk"}),
        ("PickupObject mug", "__intent_grab_object__", {"object": "mug"}),
        ("PutObject mug desk", "__intent_place_object__", {"object": "mug", "recipient": "desk"}),
        ("SliceObject bread", "SliceObject", {"object": "bread"}),
        ("HeatObject mug", "HeatObject", {"object": "mug"}),
        ("ToggleObject desklamp", "ToggleObject", {"object": "desklamp"}),
    ],
)
def test_a_step_as_an_intent(alfred, step, intent, data):
    fields = intent_fields(split_line(step).steps[0], 0.5, alfred)
    assert json.loads(fields.pop("data")) == data
    assert fields == {
        "intent": intent,
        "source": "__myself__",
        "modality": "__modality_internal__",
        "priority": 128,
        "confidence": 0.5,
    }
    assert type(fields["confidence"]) is float


def test_what_ends_a_plan_is_no_intent(alfred):
    assert intent_fields(Step("NoOp"), 1.0, alfred) is None


def test_what_is_no_step_is_refused(alfred):
    with pytest.raises(ValueError, match="'Dance' is no action"):
        intent_fields(Step("Dance"), 1.0, alfred)


def test_an_action_that_does_several_things_keeps_its_name_and_tells_all_roles(tmp_path):
    file = tmp_path / "robot.yaml"
    file.write_text(
        "max_steps: 4\nstates: [signed]\nclasses: {parcel: [], lab: [], ann: []}\n"
        "groups: {item: [parcel], room: [lab], person: [ann]}\nactions:\n"
        "  Bring:\n    arguments: {item: item, room: room, person: person}\n"
        "    effects: [{pick_up: item}, {go_to: room}, {put: [item, room]}, {set: [item, signed]}]\n"
        "  Home: {effects: [{go_to: lab}]}\n"
    )
    robot = load_vocabulary(file)
    fields = intent_fields(Step("Bring", ("parcel", "lab", "ann")), 1.0, robot)
    assert fields["intent"] == "Bring"
    assert json.loads(fields["data"]) == {
        "object": "parcel",
        "goal": "lab",
        "recipient": "lab",
        "other_data": {"person": "ann"},
    }
    home = intent_fields(Step("Home"), 1.0, robot)
    assert (home["intent"], json.loads(home["data"])) == ("__intent_move_to__", {"goal": "lab"})


def test_every_step_of_the_shipped_vocabularies_has_an_intent():
    for name in ("alfred", "delivery"):
        robot = load_vocabulary(find_vocabulary(name))
        for action in robot.actions.values():
            step = Step(action.name, tuple(robot.choices(argument)[0] for argument in action.arguments))
            fields = intent_fields(step, 1.0, robot)
            assert (fields is None) == action.ends
            if fields is not None:
                told = json.loads(fields["data"])
                assert set(told) <= {"goal", "object", "recipient", "other_data"}
                values = [*(v for k, v in told.items() if k != "other_data"), *told.get("other_data", {}).values()]
                assert set(step.arguments) <= set(values)
