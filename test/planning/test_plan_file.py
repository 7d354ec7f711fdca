"""Files of plans."""

from __future__ import annotations

import pytest

from llava_ov_ros.planning import Goal, PlanRow, RowError, read_rows, split_line

MUG = "GotoLocation desk; PickupObject mug"


def test_both_kinds_of_rows(tmp_path, alfred):
    file = tmp_path / "plans.jsonl"
    file.write_text(
        f'{{"id": "a", "plan": "{MUG}"}}\n'
        "\n"
        '{"plan": [["GotoLocation", "desk"], ["PickupObject", "mug"]], "goal": null, "remark": "left alone"}\n'
        f'{{"id": 7, "plan": "{MUG}", "goal": {{"object_target": "mug", "parent_target": "Desk"}},'
        ' "task_type": "pick_heat_then_place_in_recep"}\n'
        '{"task_id": "t", "gold_plan": [["GotoLocation", "desk"], ["PickupObject", "mug"]], "task_type":'
        ' "look_at_obj_in_light", "pddl_params": {"object_target": "Mug", "toggle_target": "DeskLamp",'
        ' "object_sliced": false, "parent_target": "", "mrecep_target": ""}}\n'
    )
    plan = split_line(MUG)
    assert list(read_rows(file, alfred)) == [
        PlanRow("a", "line 1", plan, None),
        PlanRow("line 3", "line 3", plan, None),
        PlanRow("7", "line 4", plan, Goal("mug", "desk", states=frozenset({"heated"}))),
        PlanRow("t", "line 5", plan, Goal("mug", lit="desklamp")),
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not JSON"),
        ("[1]", "no object, but '\\[1\\]'; expected an object on each line"),
        ("{}", "expected one of the keys 'plan' and 'gold_plan', found 0"),
        ('{"plan": "", "gold_plan": []}', "found 2 of them"),
        ('{"plan": 3}', "plan is 3, expected a text"),
        ('{"plan": "GotoLocation  desk"}', "step 1 is 'GotoLocation  desk'"),
        ('{"plan": [["GotoLocation", 1]]}', "step 1 is \\['GotoLocation', 1\\]"),
        ('{"plan": "NoOp", "id": []}', "id is \\[\\], expected text"),
        ('{"plan": "NoOp", "task_type": 1}', "task_type is 1"),
        ('{"plan": "NoOp", "goal": "tidy up"}', "goal is 'tidy up', expected an object"),
        ('{"plan": "NoOp", "goal": {"object_target": "unicorn"}}', "'unicorn', which is no class"),
        ("[" * 5000, "not JSON"),
    ],
)
def test_what_is_wrong_with_a_line_is_named(line, message, tmp_path, alfred):
    file = tmp_path / "plans.jsonl"
    file.write_text(f'{{"plan": "{MUG}"}}\n{line}\n')
    with pytest.raises(RowError, match=rf"plans\.jsonl:2: .*{message}"):
        list(read_rows(file, alfred))


def test_files_that_cannot_be_read(tmp_path, alfred):
    with pytest.raises(RowError, match=r"nothing\.jsonl: No such file"):
        list(read_rows(tmp_path / "nothing.jsonl", alfred))
    (tmp_path / "binary.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(RowError, match="not text in UTF-8"):
        list(read_rows(tmp_path / "binary.jsonl", alfred))
