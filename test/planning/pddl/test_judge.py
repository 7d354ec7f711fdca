"""The second judge: plans whose verdict is known, and the same verdicts as the simulation on ALFRED's plans."""

from __future__ import annotations

import pytest
from fixtures.mutated_plans import mutated_task

from llava_ov_ros.planning import (
    Goal,
    Plan,
    find_vocabulary,
    from_rows,
    goal_from,
    load_vocabulary,
    split_line,
    validate,
)
from llava_ov_ros.planning.pddl import pddl_verdict

SLICED = frozenset({"sliced"})


def judged(line, vocabulary, goal=None):
    """The verdict of the second judge, after making sure that the simulation gives the same one."""
    plan = split_line(line)
    verdict = pddl_verdict(vocabulary, goal, plan.steps)
    assert validate(plan, vocabulary, goal).accepted == verdict.accepted
    return verdict


def test_written_plans_are_valid(written_rows, alfred):
    for row in written_rows:
        goal = goal_from(row["pddl_params"], row["task_type"], alfred)
        verdict = pddl_verdict(alfred, goal, from_rows(row["gold_plan"]).steps)
        assert verdict.accepted, verdict.reason
        assert len(verdict.actions) == len(row["gold_plan"])


def test_a_verdict_names_instances_and_what_it_assumes(alfred):
    line = "GotoLocation shelf; PickupObject cd; GotoLocation desk; PutObject cd desk; "
    line += "GotoLocation bed; PickupObject cd; GotoLocation desk; PutObject cd desk"
    verdict = judged(line, alfred, Goal("cd", "desk", count=2))
    assert verdict.actions[1:4:2] == ("PickupObject(cd_1)", "PutObject(cd_1, desk_1)")
    assert verdict.actions[5::2] == ("PickupObject(cd_2)", "PutObject(cd_2, desk_1)")
    assert verdict.assumed == (("found", "cd_1", "shelf_1"), ("found", "cd_2", "bed_1"))


@pytest.mark.parametrize(
    ("line", "step"),
    [
        ("PickupObject mug", 1),
        ("GotoLocation desk; PickupObject mug; PickupObject cd", 3),
        ("GotoLocation desk; PutObject mug desk", 2),
        ("GotoLocation fridge; PickupObject egg; HeatObject egg", 3),
        ("GotoLocation desk; PickupObject mug; SliceObject apple", 3),
        ("GotoLocation desk; PickupObject sofa", 2),
        ("GotoLocation desk; Dance", 2),
        ("GotoLocation desk; PickupObject", 2),
        ("GotoLocation desk; PickupObject unicorn", 2),
        ("GotoLocation desk; NoOp; GotoLocation bed", 3),
        ("NoOp", None),
        ("; ".join(["GotoLocation desk"] * 40), None),
    ],
)
def test_plans_that_cannot_be_done(line, step, alfred):
    verdict = judged(line, alfred)
    assert (verdict.accepted, verdict.step) == (False, step)
    assert verdict.reason


def test_goals_are_about_what_the_plan_brings(alfred):
    """What was at the goal's place from the start does not count, and one thing is not two."""
    there = "GotoLocation desk; PickupObject mug; PutObject mug desk"
    assert judged(there, alfred, Goal("mug", "desk")).accepted
    assert not judged("GotoLocation desk", alfred, Goal("mug", "desk")).accepted
    assert not judged(f"{there}; PickupObject mug; PutObject mug desk", alfred, Goal("mug", "desk", count=2)).accepted
    assert not judged(there, alfred, Goal("mug", "desk", states=frozenset({"heated"}))).accepted


def test_one_thing_has_all_states_of_the_goal(alfred):
    line = "GotoLocation knife; PickupObject knife; GotoLocation desk; SliceObject apple; PutObject knife desk; "
    line += "PickupObject apple; GotoLocation microwave; {heat}PutObject apple microwave"
    both = Goal("apple", "microwave", states=frozenset({"sliced", "heated"}))
    assert judged(line.format(heat="HeatObject apple; "), alfred, both).accepted
    assert not judged(line.format(heat=""), alfred, both).accepted


def test_what_a_carrier_holds_from_the_start(alfred):
    line = "GotoLocation cup; PickupObject cup; GotoLocation sinkbasin; PutObject cup sinkbasin"
    goal = Goal("spoon", "sinkbasin", carrier="cup")
    assert judged(line, alfred, goal).assumed == (("within", "spoon_1", "cup_1"),)
    assert not judged(f"GotoLocation desk; PickupObject spoon; PutObject spoon desk; {line}", alfred, goal).accepted


def test_a_carrier_takes_along_what_is_in_it(alfred):
    line = "GotoLocation bed; PickupObject pen; GotoLocation mug; PutObject pen mug; PickupObject mug; "
    line += "GotoLocation box; PutObject mug box; PickupObject box; GotoLocation desk; PutObject box desk"
    for goal in (Goal("pen", "desk"), Goal("pen", "desk", carrier="mug"), Goal("pen", "desk", carrier="box")):
        assert judged(line, alfred, goal).accepted
    taken_out = f"{line}; PickupObject mug; GotoLocation shelf; PutObject mug shelf"
    assert judged(taken_out, alfred, Goal("pen", "shelf")).accepted
    assert not judged(taken_out, alfred, Goal("pen", "desk")).accepted
    assert not judged(
        "GotoLocation desk; PickupObject mug; PutObject mug mug", alfred, Goal("mug", "mug", count=2)
    ).accepted


def test_two_hands():
    delivery = load_vocabulary(find_vocabulary("delivery"))
    both = "DriveTo lobby; Load parcel; Load letter; DriveTo office; GetSignature parcel; Deliver parcel office"
    assert judged(both, delivery, Goal("parcel", "office", states=frozenset({"signed"}))).accepted
    assert judged(both.replace("Load letter", "Load letter; Load letter"), delivery).step == 4
    assert judged(both.replace("GetSignature parcel", "GetSignature parcel; GetSignature parcel"), delivery).step == 6


def test_alfreds_plans(gold_rows, malformed_ids, alfred):
    """A tenth of them, and the two that cannot be done; `test_all_of_alfreds_plans` takes all."""
    check_gold([row for row in gold_rows if row["task_id"] in malformed_ids] + gold_rows[::10], malformed_ids, alfred)


@pytest.mark.long
def test_all_of_alfreds_plans(gold_rows, malformed_ids, alfred):
    assert check_gold(gold_rows, malformed_ids, alfred) == malformed_ids


def check_gold(rows, malformed_ids, vocabulary):
    refused = set()
    for row in rows:
        goal = goal_from(row["pddl_params"], row["task_type"], vocabulary)
        verdict = pddl_verdict(vocabulary, goal, from_rows(row["gold_plan"]).steps)
        if not verdict.accepted:
            refused.add(row["task_id"])
    assert refused == malformed_ids
    return refused


def test_both_judges_agree_on_mutated_plans(gold_rows, alfred):
    agree_on(200, gold_rows, alfred)


@pytest.mark.long
def test_both_judges_agree_on_2000_mutated_plans(gold_rows, alfred):
    agree_on(2000, gold_rows, alfred)


def agree_on(count, rows, vocabulary):
    accepted = 0
    for seed in range(count):
        goal, steps = mutated_task(seed, rows, vocabulary)
        simulated = validate(Plan(steps), vocabulary, goal)
        verdict = pddl_verdict(vocabulary, goal, steps)
        assert simulated.accepted == verdict.accepted, f"seed {seed}: {Plan(steps).rows}, {goal}, {verdict}"
        accepted += verdict.accepted
    # Both kinds are there, or the test says nothing.
    assert count / 20 < accepted < count / 2
