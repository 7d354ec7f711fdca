"""The request to correct a plan."""

from __future__ import annotations

import pytest

from llava_ov_ros.planning import Plan, repair_prompt, split_line, validate


def test_it_says_what_is_wrong_and_what_is_allowed(alfred):
    validation = validate(split_line("GotoLocation fridge; PickupObject egg; HeatObject egg; PutObject egg"), alfred)
    assert repair_prompt("heat the egg", validation, alfred).splitlines() == [
        "Goal: heat the egg",
        "This plan does not work:",
        "1. GotoLocation fridge",
        "2. PickupObject egg",
        "3. HeatObject egg",
        "4. PutObject egg",
        "What is wrong with it:",
        "- step 3: HeatObject egg: the last place gone to is fridge, expected microwave",
        "- step 4: 'PutObject egg' has too few arguments, expected 'PutObject <thing> <receptacle>'",
        "Allowed steps, at most 24: GotoLocation <place>; PickupObject <object>; PutObject <object> <receptacle>; "
        "HeatObject <object>; CoolObject <object>; CleanObject <object>; SliceObject <object>; ToggleObject <lamp>; "
        "NoOp",
        "Write the whole corrected plan in one line, steps separated by semicolons, and nothing else.",
    ]


def test_its_length_is_bounded(alfred):
    text = repair_prompt("dance", validate(split_line("; ".join(["Dance"] * 24)), alfred), alfred)
    assert text.count("'Dance' is no action") == 8
    assert "- and 16 more, which may follow from these" in text


def test_warnings_are_no_reason_to_repair(alfred):
    warned = validate(split_line("GotoLocation desk; PickupObject mug; PutObject mug shelf"), alfred)
    assert warned.warnings
    with pytest.raises(ValueError, match="nothing to repair"):
        repair_prompt("put the mug on the shelf", warned, alfred)


def test_an_empty_plan(alfred):
    assert "(no steps)" in repair_prompt("dance", validate(Plan(()), alfred), alfred)
