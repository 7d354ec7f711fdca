"""Plans as one line and as rows; the strict reading accepts exactly the canonical form."""

from __future__ import annotations

import pytest

from llava_ov_ros.planning import Plan, PlanError, Step, from_rows, parse_line, split_line

LINE = "GotoLocation desk; PickupObject mug; PutObject mug fridge; NoOp"
PLAN = Plan(
    (
        Step("GotoLocation", ("desk",)),
        Step("PickupObject", ("mug",)),
        Step("PutObject", ("mug", "fridge")),
        Step("NoOp"),
    )
)
ROWS = [["GotoLocation", "desk"], ["PickupObject", "mug"], ["PutObject", "mug", "fridge"], ["NoOp"]]


def test_both_forms_say_the_same(alfred):
    assert PLAN.line == LINE
    assert PLAN.rows == ROWS
    assert parse_line(LINE, alfred) == split_line(LINE) == from_rows(ROWS) == PLAN


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "step 1 is ''"),
        ("GotoLocation  desk", "step 1 is 'GotoLocation  desk'"),
        (" GotoLocation desk", "step 1 is ' GotoLocation desk'"),
        ("GotoLocation desk ", "step 1 is 'GotoLocation desk '"),
        ("GotoLocation desk\n", "step 1 is"),
        ("GotoLocation desk;", "step 1 is 'GotoLocation desk;'"),
        ("GotoLocation desk; ", "step 2 is ''"),
        ("GotoLocation desk;PickupObject mug", "step 1 is 'GotoLocation desk;PickupObject mug'"),
        ("GotoLocation desk;  PickupObject mug", "step 2 is ' PickupObject mug'"),
        ("gotolocation desk", "'gotolocation' is no action; did you mean 'GotoLocation'"),
        ("GotoLocation Desk", "'Desk', which is no class; did you mean 'desk'"),
        ("GotoLocation(desk)", r"'GotoLocation\(desk\)' is no action"),
        ("GotoLocation the desk", "'GotoLocation the desk' has too many arguments, expected 'GotoLocation <place>'"),
        ("PutObject mug", "'PutObject mug' has too few arguments, expected 'PutObject <thing> <receptacle>'"),
        ("PutObject fridge mug", "the object is 'fridge', which is no thing"),
        ("NoOp", "the plan has 0 steps"),
        ("NoOp; GotoLocation desk", "comes after the end"),
        ("GotoLocation desk; NoOp; NoOp", "comes after the end"),
        ("; ".join(["GotoLocation desk"] * 25), "the plan has 25 steps"),
    ],
)
def test_the_strict_reading_accepts_nothing_else(line, message, alfred):
    with pytest.raises(PlanError, match=message):
        parse_line(line, alfred)


def test_the_longest_plan_and_its_end(alfred):
    assert len(parse_line("; ".join(["GotoLocation desk"] * 24 + ["NoOp"]), alfred).steps) == 25


@pytest.mark.parametrize("word", ["", "a b", "a;b", "a\nb", "\u3000"])
def test_what_cannot_be_read_back_is_not_written(word):
    with pytest.raises(PlanError, match=r"step 1: .* cannot be written in one line"):
        _ = Plan((Step("PickupObject", (word,)),)).line


@pytest.mark.parametrize("rows", [["PickupObject mug"], [["PickupObject", 1]], [[]], [None], [{"action": "NoOp"}]])
def test_rows_that_are_no_steps(rows):
    with pytest.raises(PlanError, match="step 1 is "):
        from_rows(rows)


def test_alfreds_plans_come_back(gold_rows, malformed_ids, alfred):
    for row in gold_rows:
        plan = from_rows(row["gold_plan"])
        assert plan.rows == row["gold_plan"]
        if row["task_id"] not in malformed_ids:
            assert parse_line(plan.line, alfred) == plan
