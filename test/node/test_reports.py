"""What robots report of their steps: typed, done, failed or undone; turns; asking once; what who comes late reads."""

from __future__ import annotations

import pytest
from llava_ov_ros.msg import ActionHint, Answer, Plan, PlanStep
from llava_ov_ros.srv import NextStep, ReportStep, SetGoal
from rclpy.qos import DurabilityPolicy, QoSProfile

GOAL = "put the mug on the desk"
DONE, FAILED, UNDONE = ReportStep.Request.DONE, ReportStep.Request.FAILED, ReportStep.Request.UNDONE


def report(action: str, *arguments: str, **fields) -> ReportStep.Request:
    return ReportStep.Request(action=action, arguments=list(arguments), **fields)


@pytest.fixture
def start(rig, scripted):
    """A robot whose model answers with a script, and what its hints are; by default it wants to put the mug down."""

    def started(script=lambda *_: "PutObject mug desk", **parameters):
        # What the script says is no answer to the questions about a plan's things.
        settings = {"hint_period_s": 0.05, "hint_confidence": 0.2, "plan_grounding": False}
        robot = rig(load=scripted(script), **settings, **parameters)
        robot.feed()
        return robot, robot.listen(ActionHint, "action_hint")

    return started


def test_a_step_that_is_done_is_a_fact_also_where_it_was_not_expected(start):
    robot, hints = start()
    assert robot.tell(SetGoal.Request(goal=GOAL)).turn == 1
    assert list(hints.wait(lambda hint: hint.turn == 1).reasons) == ["not_holding"]
    response = robot.tell(report("PickupObject", "mug"))
    assert (response.success, response.message, response.turn) == (True, "1 done", 2)
    assert [text.partition(":")[0] for text in response.unexpected] == ["PickupObject mug"]
    assert "has not gone anywhere yet" in response.unexpected[0]
    # The robot has the mug, whatever the simulation knew: it can be put down.
    hint = hints.wait(lambda hint: hint.turn == 2)
    assert (list(hint.done), list(hint.violations)) == (["PickupObject mug"], [])
    assert robot.tell(ReportStep.Request(step="PutObject mug desk")).unexpected == []


def test_text_and_types_are_the_same_report(start):
    robot, hints = start()
    steps = [PlanStep(action="GotoLocation", arguments=["shelf"]), PlanStep(action="PickupObject", arguments=["mug"])]
    response = robot.tell(SetGoal.Request(goal=GOAL, done=["GotoLocation desk"], done_steps=steps, plan_id="plan 7"))
    hint = hints.wait(lambda hint: hint.turn == response.turn)
    assert list(hint.done) == ["GotoLocation desk", "GotoLocation shelf", "PickupObject mug"]
    assert hint.plan_id == "plan 7"
    robot.tell(ReportStep.Request(step="GotoLocation desk"))
    robot.tell(report("GotoLocation", "fridge"))
    hint = hints.wait(lambda hint: len(hint.done) == 5)
    assert (list(hint.done[3:]), hint.plan_id) == (["GotoLocation desk", "GotoLocation fridge"], "plan 7")


def test_a_failed_step_is_not_hinted_again_until_something_was_done(start):
    robot, hints = start(plan_decoding="free")
    robot.tell(SetGoal.Request(goal=GOAL, done=["GotoLocation desk", "PickupObject mug"]))
    assert hints.wait().hint == ActionHint.STEP
    turn = robot.tell(report("PutObject", "mug", "desk", outcome=FAILED)).turn
    hint = hints.wait(lambda hint: hint.turn == turn)
    # Free text can be anything, so it is said of the step; a grammar leaves it out (test_plan_grammar.py).
    assert (hint.hint, list(hint.failed)) == (ActionHint.UNSURE, ["PutObject mug desk"])
    assert hint.reasons[0] == "just_failed"
    assert list(hint.done) == ["GotoLocation desk", "PickupObject mug"]
    turn = robot.tell(ReportStep.Request(step="GotoLocation desk")).turn
    hint = hints.wait(lambda hint: hint.turn == turn)
    assert (hint.hint, list(hint.failed), list(hint.reasons)) == (ActionHint.STEP, [], [])


def test_an_undone_step_counts_as_not_done_and_ends_done(start):
    robot, hints = start(lambda clips, question, *_: "DONE" if "PutObject" in question else "PutObject mug desk")
    done = ["GotoLocation desk", "PickupObject mug", "PutObject mug desk"]
    robot.tell(SetGoal.Request(goal=GOAL, done=done))
    hints.wait(lambda hint: hint.hint == ActionHint.DONE)
    response = robot.tell(report("PutObject", "mug", "desk", outcome=UNDONE))
    assert (response.message, response.unexpected) == ("2 done", [])
    hint = hints.wait(lambda hint: hint.turn == response.turn)
    assert (hint.hint, list(hint.done), list(hint.reasons)) == (ActionHint.STEP, done[:2], ["not_holding"])
    response = robot.tell(report("PutObject", "apple", "desk", outcome=UNDONE))
    assert "PutObject apple desk: it was not reported done before" in response.unexpected


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (ReportStep.Request(), "name the step once"),
        (ReportStep.Request(step="PickupObject mug", action="PickupObject", arguments=["mug"]), "name the step once"),
        (report("PickupObject", "mug", outcome=3), "outcome is 3: allowed are DONE 0, FAILED 1, UNDONE 2"),
        (report("Dance"), "'Dance' is no action"),
        (report("PickupObject", "mug desk"), "which is no class"),
        (report("PickupObject", *["mug"] * 1000), "step has 4012 characters: allowed are 200"),
        (report("PickupObject", "mug", turn=99), "turn is 99, and hints are at turn 1"),
    ],
)
def test_reports_that_are_refused_change_nothing(start, request_, message):
    robot, hints = start()
    assert robot.tell(SetGoal.Request(goal=GOAL)).turn == 1
    response = robot.tell(request_)
    assert (response.success, response.turn) == (False, 1)
    assert message in response.message
    heard = len(hints.messages)
    assert {hint.turn for hint in hints.wait_for_count(heard + 2)} == {1}


def test_a_report_of_the_turn_that_is_over_is_refused(start):
    robot, hints = start()
    turn = robot.tell(SetGoal.Request(goal=GOAL)).turn
    assert robot.tell(report("GotoLocation", "desk", turn=turn)).success
    # The same report once more, as a client sends that missed the response.
    again = robot.tell(report("GotoLocation", "desk", turn=turn))
    assert (again.success, again.turn) == (False, turn + 1)
    assert len(hints.wait(lambda hint: hint.turn == turn + 1).done) == 1


def test_the_next_step_is_asked_for_once(start):
    robot, hints = start()
    refused = robot.tell(NextStep.Request()).hint
    assert (refused.hint, refused.status) == (ActionHint.NONE, Answer.INVALID)
    assert "no goal is set" in refused.message
    alone = robot.tell(NextStep.Request(goal=f"{GOAL}.", done=["GotoLocation desk", "PickupObject mug"])).hint
    assert (alone.hint, alone.goal, alone.turn, alone.action) == (ActionHint.STEP, GOAL, 0, "PutObject")
    assert (list(alone.violations), len(alone.frames)) == ([], 4)
    assert hints.messages == []
    assert "is no action" in robot.tell(NextStep.Request(goal=GOAL, done=["Dance"])).hint.message
    turn = robot.tell(SetGoal.Request(goal=GOAL, done=["PickupObject mug"])).turn
    set_ = robot.tell(NextStep.Request()).hint
    assert (set_.turn, list(set_.done)) == (turn, ["PickupObject mug"])
    assert "done is about a goal of its own" in robot.tell(NextStep.Request(done=["PickupObject mug"])).hint.message


def test_an_inactive_node_refuses_to_name_a_step(rig, scripted):
    robot = rig(load=scripted(lambda *_: "DONE"), active=False)
    assert "the node is not configured" in robot.tell(NextStep.Request(goal=GOAL)).hint.message
    assert robot.transition("configure")
    assert robot.tell(NextStep.Request(goal=GOAL)).hint.status == Answer.INACTIVE


@pytest.mark.parametrize(("kind", "topic"), [(Answer, "answers"), (Plan, "plans"), (ActionHint, "action_hint")])
def test_who_comes_late_reads_the_last_message(start, kind, topic, wait_until):
    robot, hints = start()
    robot.ask("first")
    robot.ask("last")
    robot.plan("the first goal")
    robot.plan("the last goal")
    robot.tell(SetGoal.Request(goal=GOAL))
    hints.wait()
    if kind is ActionHint:
        # Nothing more is published on it.
        assert robot.transition("deactivate")
    read = []
    qos = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    robot.node.create_subscription(kind, f"{robot.name}/{topic}", read.append, qos)
    last = {Answer: "last", Plan: "the last goal", ActionHint: GOAL}[kind]
    # Those before it may come first, if the subscription's executor is quick.
    wait_until(
        lambda: read and (read[-1].question if kind is Answer else read[-1].goal) == last, f"the last of {topic}"
    )
