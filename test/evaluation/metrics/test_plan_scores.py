"""Plans beside the right ones."""

from __future__ import annotations

import pytest

from llava_ov_ros.evaluation.metrics import plan_scores as plans
from llava_ov_ros.planning import Plan, find_vocabulary, from_rows, goal_from, load_vocabulary, split_line, validate

MUG = "GotoLocation shelf; PickupObject mug; GotoLocation desk; PutObject mug desk"


@pytest.fixture(scope="module")
def alfred():
    return load_vocabulary(find_vocabulary("alfred"))


def goal(alfred, thing, place="", task_type="", **more):
    return goal_from({"object_target": thing, "parent_target": place, **more}, task_type, alfred)


def test_the_right_plan(alfred):
    found = plans.score(f"{MUG}; NoOp", split_line(MUG), alfred, goal(alfred, "Mug", "Desk"))
    assert found == plans.PlanScore(True, 1.0, True, 1, 1, True, 4, 4)
    assert found.weighted_success == 1
    assert found.goal_conditions == 1


def test_a_detour_reaches_the_goal_at_a_price(alfred):
    found = plans.score(f"GotoLocation bed; {MUG}", split_line(MUG), alfred, goal(alfred, "Mug", "Desk"))
    assert (found.exact, found.valid, found.success) == (False, True, True)
    assert found.step_f1 == pytest.approx(2 * (4 / 5) * 1 / (4 / 5 + 1))
    assert found.weighted_success == pytest.approx(4 / 5)


def test_a_shorter_plan_gains_nothing(alfred):
    found = plans.score(MUG, split_line(f"GotoLocation bed; {MUG}"), alfred, goal(alfred, "Mug", "Desk"))
    assert found.weighted_success == 1


def test_steps_in_another_order_are_the_same_bag(alfred):
    found = plans.score(
        "PickupObject mug; GotoLocation shelf; PutObject mug desk; GotoLocation desk", split_line(MUG), alfred
    )
    assert (found.exact, found.step_f1, found.valid) == (False, 1.0, False)
    assert (found.success, found.conditions, found.weighted_success, found.goal_conditions) == (None, 0, None, None)


@pytest.mark.parametrize("text", ["", "I cannot tell.", "."])
def test_no_plan(alfred, text):
    found = plans.score(text, split_line(MUG), alfred, goal(alfred, "Mug", "Desk"))
    assert found == plans.PlanScore(False, 0.0, False, 0, 1, False, 0, 4)
    assert found.weighted_success == 0


def test_what_was_not_read_is_no_right_plan(alfred):
    found = plans.score(f"{MUG}; then juggle", split_line(MUG), alfred, goal(alfred, "Mug", "Desk"))
    assert (found.exact, found.step_f1, found.valid, found.success) == (False, 1.0, False, False)
    assert found.goal_conditions == 1


def test_conditions_are_counted_as_alfred_counts_them(alfred):
    gold = split_line(
        "GotoLocation fridge; PickupObject egg; GotoLocation microwave; HeatObject egg; "
        "GotoLocation countertop; PutObject egg countertop"
    )
    wanted = goal(alfred, "Egg", "CounterTop", "pick_heat_then_place_in_recep")
    raw = Plan(tuple(step for step in gold.steps if step.action != "HeatObject"))
    kept = Plan(gold.steps[:4])
    another = Plan((*kept.steps, *split_line("GotoLocation diningtable; PutObject egg diningtable").steps))
    reached = {
        name: plans.score(plan, gold, alfred, wanted).conditions_met
        for name, plan in {"all": gold, "not heated": raw, "not put down": kept, "elsewhere": another}.items()
    }
    assert reached == {"all": 3, "not heated": 1, "not put down": 1, "elsewhere": 1}


def test_two_things_and_slices(alfred):
    once = "GotoLocation desk; PickupObject cd; GotoLocation safe; PutObject cd safe"
    two = goal(alfred, "CD", "Safe", "pick_two_obj_and_place")
    gold = split_line(f"{once}; GotoLocation shelf; PickupObject cd; GotoLocation safe; PutObject cd safe")
    assert plans.score(gold, gold, alfred, two).goal_conditions == 1
    half = plans.score(once, gold, alfred, two)
    assert (half.conditions_met, half.conditions, half.success) == (1, 2, False)
    sliced = goal(alfred, "Tomato", "SinkBasin", "pick_cool_then_place_in_recep", object_sliced=True)
    whole = plans.score("GotoLocation fridge; PickupObject tomato; CoolObject tomato", gold, alfred, sliced)
    assert (whole.conditions_met, whole.conditions) == (0, 4)


def test_all_of_a_goal_holds_exactly_where_its_plan_is_accepted(alfred, gold_rows):
    for row in gold_rows:
        wanted = goal_from(row["pddl_params"], row["task_type"], alfred)
        whole = from_rows(row["gold_plan"])
        for plan in (whole, Plan(whole.steps[:-2]), Plan(whole.steps[2:])):
            found = plans.score(plan, whole, alfred, wanted)
            missed = [one for one in validate(plan, alfred, wanted).violations if one.reason.startswith("goal_")]
            assert (found.conditions_met == found.conditions) == (not missed), (row["task_id"], plan.line)


def test_summary(alfred):
    wanted = goal(alfred, "Mug", "Desk")
    heat = goal(alfred, "Egg", "CounterTop", "pick_heat_then_place_in_recep")
    eggs = split_line(
        "GotoLocation fridge; PickupObject egg; GotoLocation microwave; HeatObject egg; "
        "GotoLocation countertop; PutObject egg countertop"
    )
    scores = [
        plans.score(f"GotoLocation bed; {MUG}", split_line(MUG), alfred, wanted),
        plans.score(Plan(eggs.steps[:4]), eggs, alfred, heat),
    ]
    found = plans.summarised(scores)
    assert found["plan_exact"] == 0
    assert found["plan_valid"] == 1
    assert found["plan_success"] == 0.5
    # One condition of one, and one of three; four fifths of four steps of ten.
    assert found["plan_goal_conditions"] == pytest.approx(2 / 4)
    assert found["plan_weighted_success"] == pytest.approx(0.8 * 4 / 10)
    assert "plan_success" not in plans.summarised([plans.score(MUG, split_line(MUG), alfred)])
