"""The service and the action `~/plan`: checked plans, steps while they are decoded, and every way not to get one."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from action_msgs.msg import GoalStatus
from llava_ov_ros.msg import ActionHint, Answer, Plan, PlanStep
from llava_ov_ros.srv import SetGoal

from llava_ov_ros.ask_error import AskError
from llava_ov_ros.frames import stamp_ns

GOOD = "GotoLocation shelf; PickupObject mug; GotoLocation desk; PutObject mug desk"
BROKEN = "GotoLocation shelf; PutObject mug desk"
ASKED = "Goal: put the mug on the desk. Plan?"


def planner(*plans, absent=()):
    """A model that gives these plans one after another, the last one again and again."""
    left = list(plans)

    def script(clips, question, on_text, should_stop):
        if question.startswith("Is there"):
            return "no" if any(thing in question for thing in absent) else "yes"
        text = left.pop(0) if len(left) > 1 else left[0]
        for letter in text:
            on_text(letter)
        return text

    return script


def test_a_plan_is_checked_and_rests_on_frames(rig, scripted):
    robot = rig(load=scripted(planner(GOOD)))
    stamps = robot.feed()
    plans, answers = robot.listen(Plan, "plans"), robot.listen(Answer, "answers")
    plan = robot.plan(" put the mug on the desk. ", request_id="mine")
    assert (plan.status, plan.outcome, plan.message) == (Answer.OK, Plan.ACCEPTED, "")
    assert [(step.number, step.action, list(step.arguments), step.status) for step in plan.steps] == [
        (1, "GotoLocation", ["shelf"], PlanStep.OK),
        (2, "PickupObject", ["mug"], PlanStep.OK),
        (3, "GotoLocation", ["desk"], PlanStep.OK),
        (4, "PutObject", ["mug", "desk"], PlanStep.OK),
    ]
    assert plan.probability == pytest.approx(0.25)
    assert plan.confidence == pytest.approx(0.5)
    assert (plan.goal, plan.request_id, plan.text) == ("put the mug on the desk.", "mine", GOOD)
    assert (plan.model, plan.vocabulary, plan.prompts) == ("scripted", "alfred", "plain/2")
    assert [stamp_ns(frame.header.stamp) for frame in plan.frames] == stamps
    assert stamp_ns(plan.header.stamp) == stamps[-1]
    assert plans.wait() == plan
    assert robot.ask("after it").status == Answer.OK
    assert [answer.question for answer in answers.wait_for_count(1)] == ["after it"]


def test_a_plan_and_a_hint_from_a_covered_camera_say_so(rig, scripted):
    robot = rig(load=scripted(planner(GOOD)), hint_period_s=0.05)
    hints = robot.listen(ActionHint, "action_hint")
    robot.cameras["front"].send(time.time_ns(), np.zeros((48, 64, 3), np.uint8))
    robot.wait_until_received("front")
    plan = robot.plan()
    assert (plan.status, plan.outcome) == (Answer.OK, Plan.ACCEPTED)
    robot.tell(SetGoal.Request(goal="put the mug on the desk"))
    for message in (plan.message, robot.plan(decoding="decompose").message, hints.wait().message):
        assert message.startswith("camera 'front': 1 of 1 frames used show next to nothing: the one stamped")
        assert "has one grey level (0); look at value_range, the exposure and the lens" in message


def test_a_broken_plan_says_what_is_wrong_and_was_given_back_once(rig, scripted):
    robot = rig(load=scripted(planner(BROKEN)))
    robot.feed()
    plan = robot.plan()
    assert (plan.status, plan.outcome, plan.repairs) == (Answer.OK, Plan.REJECTED, 1)
    assert [step.status for step in plan.steps] == [PlanStep.OK, PlanStep.VIOLATION]
    assert list(plan.steps[1].reasons) == ["not_holding"]
    assert "pick that up first" in plan.steps[1].message


def test_a_plan_is_repaired_and_all_its_questions_are_about_the_same_frames(rig, scripted):
    asked = []
    answer = planner(BROKEN, GOOD, absent=["shelf"])

    def script(clips, question, on_text, should_stop):
        asked.append((question, tuple(frame.stamp_ns for clip in clips for frame in clip.frames)))
        if len(asked) == 1:
            # The scene goes on while the first plan is made.
            robot.feed(count=1)
        return answer(clips, question, on_text, should_stop)

    robot = rig(load=scripted(script))
    robot.feed()
    plan = robot.plan()
    assert (plan.outcome, plan.repairs) == (Plan.ACCEPTED, 1)
    questions, frames = zip(*asked, strict=True)
    assert questions[0] == ASKED
    assert "expected mug; pick that up first" in questions[1]
    assert questions[2:] == ("Is there a shelf?", "Is there a mug?", "Is there a desk?")
    assert len(set(frames)) == 1
    assert [list(step.reasons) for step in plan.steps] == [["not_seen"], [], [], []]
    assert plan.steps[0].status == PlanStep.WARNING


def test_parameters_of_plans_take_effect_at_once(rig, scripted):
    robot = rig(load=scripted(planner(BROKEN, absent=["mug"])))
    robot.feed()
    assert robot.set(plan_repairs=0, plan_grounding=False).successful
    plan = robot.plan()
    assert (plan.repairs, list(plan.steps[1].reasons)) == (0, ["not_holding"])


def test_free_plans_are_read_and_what_was_not_read_is_said(rig, scripted):
    robot = rig(load=scripted(planner("1. Go to the shelf.\n2. Pick up the mug.\n3. Frobnicate.")))
    robot.feed()
    plan = robot.plan(decoding="free")
    assert plan.outcome == Plan.REJECTED
    assert [step.action for step in plan.steps] == ["GotoLocation", "PickupObject"]
    assert len(plan.unread) == 1 and "Frobnicate" in plan.unread[0]


def test_cannot_tell_is_a_clear_no(rig, scripted):
    robot = rig(load=scripted(planner("cannot tell")))
    robot.feed()
    plan = robot.plan()
    assert (plan.status, plan.outcome, list(plan.steps)) == (Answer.OK, Plan.CANNOT_TELL, [])


def test_steps_come_while_they_are_decoded(rig, scripted):
    more = threading.Event()

    def script(clips, question, on_text, should_stop):
        if question.startswith("Is there"):
            return "yes"
        on_text("GotoLocation shelf; PickupObject mug; Goto")
        assert more.wait(40)
        on_text("Location desk; PutObject mug desk")
        return GOOD

    robot = rig(load=scripted(script))
    robot.feed()
    goal = robot.plan_goal()
    early = goal.feedback.wait_for_count(2)
    assert [(one.attempt, one.step.number, one.step.action) for one in early] == [
        (0, 1, "GotoLocation"),
        (0, 2, "PickupObject"),
    ]
    assert not goal.is_done()
    more.set()
    status, plan = goal.result()
    assert (status, plan.outcome) == (GoalStatus.STATUS_SUCCEEDED, Plan.ACCEPTED)


def test_a_plan_is_cancelled_in_the_middle(rig, scripted):
    def script(clips, question, on_text, should_stop):
        on_text("GotoLocation shelf; Pickup")
        pause = threading.Event()
        while should_stop() is None:
            pause.wait(0.005)
        return "GotoLocation shelf; Pickup"

    robot = rig(load=scripted(script))
    stamps = robot.feed()
    goal = robot.plan_goal()
    goal.feedback.wait()
    assert goal.cancel() == 1
    status, plan = goal.result()
    assert (status, plan.status, plan.outcome) == (GoalStatus.STATUS_CANCELED, Answer.CANCELLED, Plan.NONE)
    assert [step.action for step in plan.steps] == ["GotoLocation"]
    assert any("was cut off" in text for text in plan.unread)
    assert stamp_ns(plan.header.stamp) == stamps[-1]
    late = robot.plan(deadline_s=0.2)
    assert (late.status, late.outcome) == (Answer.DEADLINE, Plan.NONE)
    assert "deadline_s 0.2" in late.message


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RuntimeError("too hot"), "MODEL_ERROR: RuntimeError: too hot"),
        (AskError("the prompt has 9 tokens"), "INVALID: the prompt has 9 tokens"),
    ],
)
def test_a_plan_survives_a_question_that_it_can_do_without(rig, scripted, error, reason):
    def script(clips, question, on_text, should_stop):
        if question.startswith("Is there"):
            raise error
        return GOOD

    robot = rig(load=scripted(script))
    robot.feed()
    plan = robot.plan()
    assert (plan.status, plan.outcome) == (Answer.OK, Plan.ACCEPTED)
    assert f"not asked whether its things are there: {reason}" in plan.message


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"goal": " "}, "goal is empty"),
        ({"goal": "x" * 501}, "goal has 501 characters"),
        ({"decoding": "guess"}, "decoding is 'guess': allowed are constrained, free"),
        ({"cameras": ["rear"]}, "there is no camera 'rear'"),
        ({"mode": "3d"}, "mode is '3d'"),
    ],
)
def test_an_unusable_request_is_told_what_to_change(rig, scripted, fields, message):
    robot = rig(load=scripted(planner(GOOD)))
    robot.feed()
    plan = robot.plan(**fields)
    assert (plan.status, plan.outcome, list(plan.steps)) == (Answer.INVALID, Plan.NONE, [])
    assert message in plan.message


def test_no_plan_without_pictures_or_from_an_inactive_node(rig, scripted):
    robot = rig(load=scripted(planner(GOOD)), active=False)
    plan = robot.plan()
    assert (plan.status, plan.outcome) == (Answer.INACTIVE, Plan.NONE)
    robot.start()
    goal = robot.plan_goal()
    status, plan = goal.result()
    assert (status, plan.status) == (GoalStatus.STATUS_ABORTED, Answer.NO_FRAMES)
    assert plan.message
    _, values = robot.diagnostic("queue")
    assert values["ended_no_frames"] == "1"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "actions",
            "max_steps: 3\nclasses: {mug: []}\nactions: {Go: {argument: {x: mug}}}\n",
            "mine.yaml:3: actions.Go",
        ),
        ("actions", None, "parameter actions: "),
        ("prompts", "version: 1\nname: mine\n", "parameter prompts: "),
        ("prompts", None, "no shipped set (alfred, llava_onevision, plain, zh)"),
    ],
)
def test_a_file_that_cannot_be_used_fails_configure_and_says_why(rig, scripted, tmp_path, name, content, message):
    file = tmp_path / "mine.yaml"
    if content is not None:
        file.write_text(content)
    robot = rig(load=scripted(planner(GOOD)), active=False, **{name: str(file)})
    assert not robot.transition("configure")
    status, _ = robot.diagnostic("model", lambda status, values: status.level == status.ERROR)
    assert message in status.message
    assert robot.set(**{name: "delivery" if name == "actions" else "plain"}).successful
    assert robot.transition("configure")


def test_a_real_model_is_held_to_the_vocabulary(rig, nano):
    robot = rig(model=nano, actions="delivery", plan_grounding=False)
    robot.feed()
    plan = robot.plan("bring the parcel to the lab")
    assert plan.status == Answer.OK, plan.message
    assert list(plan.unread) == []
    assert plan.steps or plan.outcome == Plan.CANNOT_TELL
    assert not {reason for step in plan.steps for reason in step.reasons} & {"unknown_action", "unknown_class"}
    assert 0 < plan.probability <= plan.confidence <= 1


def test_deactivation_ends_a_plan_in_work(rig, scripted):
    working = threading.Event()

    def script(clips, question, on_text, should_stop):
        working.set()
        pause = threading.Event()
        while should_stop() is None:
            pause.wait(0.005)
        return ""

    robot = rig(load=scripted(script))
    robot.feed()
    future = robot.plan_later()
    assert working.wait(40)
    assert robot.transition("deactivate")
    plan = robot.outcome(future).plan
    assert (plan.status, plan.outcome, list(plan.steps)) == (Answer.CANCELLED, Plan.NONE, [])


def test_a_plan_is_asked_for_in_its_turn(rig, scripted):
    robot = rig(load=scripted(planner(GOOD)), queue_size=1)
    robot.feed()
    plans = [robot.plan_later(request_id=f"{number}") for number in range(6)]
    ended = [robot.outcome(future).plan for future in plans]
    assert {plan.status for plan in ended} <= {Answer.OK, Answer.QUEUE_FULL}
    assert all((plan.outcome == Plan.ACCEPTED) == (plan.status == Answer.OK) for plan in ended)
    assert any(plan.status == Answer.OK for plan in ended)


def test_a_goal_in_the_models_own_words_has_no_typed_steps(rig, scripted):
    asked = []

    def script(clips, question, on_text, should_stop):
        asked.append(question)
        for letter in (text := "1. go to the shelf\n2. PickupObject mug\nGood luck!"):
            on_text(letter)
        return text

    robot = rig(load=scripted(script), prompts="llava_onevision")
    stamps = robot.feed()
    plan = robot.plan(decoding="decompose")
    assert (plan.status, plan.outcome, list(plan.steps)) == (Answer.OK, Plan.DECOMPOSED, [])
    assert list(plan.sentences) == ["go to the shelf", "PickupObject mug"]
    assert list(plan.unread) == ["'Good luck!' is no step with the number 3"]
    assert asked == ["High-Level Task: put the mug on the desk\n\nLow-Level Action Steps:"]
    assert (plan.prompts, plan.repairs, list(plan.problems)) == ("llava_onevision/3", 0, [])
    assert [stamp_ns(frame.header.stamp) for frame in plan.frames] == stamps
    goal = robot.plan_goal(decoding="decompose")
    status, plan = goal.result()
    assert (status, plan.outcome, goal.feedback.messages) == (GoalStatus.STATUS_SUCCEEDED, Plan.DECOMPOSED, [])


@pytest.mark.parametrize(("said", "outcome"), [("Just do it.", Plan.REJECTED), ("cannot tell", Plan.CANNOT_TELL)])
def test_own_words_that_are_no_steps(rig, scripted, said, outcome):
    robot = rig(load=scripted(lambda *_: said))
    robot.feed()
    plan = robot.plan(decoding="decompose")
    assert (plan.status, plan.outcome, list(plan.sentences), list(plan.steps)) == (Answer.OK, outcome, [], [])


def test_own_words_that_are_cancelled_keep_whole_lines(rig, scripted):
    def script(clips, question, on_text, should_stop):
        begun.set()
        pause = threading.Event()
        while should_stop() is None:
            pause.wait(0.005)
        return "1. go to the shelf\n2. take the"

    begun = threading.Event()
    robot = rig(load=scripted(script))
    robot.feed()
    goal = robot.plan_goal(decoding="decompose")
    assert begun.wait(40)
    goal.cancel()
    status, plan = goal.result()
    assert (status, plan.status, plan.outcome) == (GoalStatus.STATUS_CANCELED, Answer.CANCELLED, Plan.NONE)
    assert (list(plan.sentences), list(plan.unread)) == (["go to the shelf"], ["'2. take the' was cut off"])
