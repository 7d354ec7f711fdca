"""The closed loop: a goal, steps reported done, and hints that belong to the goal that is set."""

from __future__ import annotations

import threading
import time

import pytest
from llava_ov_ros.msg import ActionHint, Answer
from llava_ov_ros.srv import ClearGoal, ReportStep, SetGoal
from std_msgs.msg import String

from llava_ov_ros.frames import stamp_ns
from llava_ov_ros.onevision import Generated
from llava_ov_ros.planning import Step, find_vocabulary, load_vocabulary

GOAL = "put the mug on the desk"
S = 1_000_000_000


def follower(clips, question, on_text, should_stop):
    """Goes to the shelf, takes the mug, and says DONE then."""
    done = question.partition("Done: ")[2].count(";") + ("nothing" not in question)
    return ["GotoLocation shelf", "PickupObject mug", "DONE"][min(done, 2)]


def start(rig, scripted, script=follower, **parameters):
    parameters = {"hint_period_s": 0.05, "hint_confidence": 0.2, **parameters}
    robot = rig(load=scripted(script), **parameters)
    return robot, robot.listen(ActionHint, "action_hint")


def test_from_goal_to_done(rig, scripted):
    robot, hints = start(rig, scripted)
    stamps = robot.feed()
    response = robot.tell(SetGoal.Request(goal=f"{GOAL}."))
    assert (response.success, response.message) == (True, f"goal: {GOAL}")
    first = hints.wait()
    assert (first.goal, first.hint, first.action, list(first.arguments)) == (
        GOAL,
        ActionHint.STEP,
        "GotoLocation",
        ["shelf"],
    )
    assert first.confidence == pytest.approx(0.25)
    assert (first.status, list(first.violations), list(first.done)) == (Answer.OK, [], [])
    assert [stamp_ns(frame.header.stamp) for frame in first.frames] == stamps
    assert (stamp_ns(first.header.stamp), first.model) == (stamps[-1], "scripted")
    assert robot.tell(ReportStep.Request(step="GotoLocation shelf")).success
    second = hints.wait(lambda hint: hint.action == "PickupObject")
    assert list(second.done) == ["GotoLocation shelf"]
    assert robot.tell(ReportStep.Request(step="PickupObject mug")).success
    last = hints.wait(lambda hint: hint.hint == ActionHint.DONE)
    assert (last.action, list(last.done)) == ("", ["GotoLocation shelf", "PickupObject mug"])


def test_done_stays_until_the_goal_changes(rig, scripted):
    asked = []

    def script(clips, question, on_text, should_stop):
        asked.append(question)
        return "DONE" if len(asked) == 1 else "PickupObject mug"

    robot, hints = start(rig, scripted, script)
    robot.feed()
    robot.tell(SetGoal.Request(goal=GOAL))
    seen = hints.wait_for_count(4)
    assert {hint.hint for hint in seen} == {ActionHint.DONE}
    assert len(asked) == 1
    robot.tell(SetGoal.Request(goal=GOAL))
    hints.wait(lambda hint: hint.action == "PickupObject")


def test_below_the_threshold_it_is_unsure(rig, scripted):
    robot, hints = start(rig, scripted, hint_confidence=0.3)
    robot.feed()
    robot.tell(SetGoal.Request(goal=GOAL))
    hint = hints.wait()
    assert (hint.hint, hint.action) == (ActionHint.UNSURE, "GotoLocation")
    assert robot.set(hint_confidence=0.2).successful
    hints.wait(lambda hint: hint.hint == ActionHint.STEP)


@pytest.mark.parametrize(
    ("text", "expected", "message"),
    [("cannot tell", ActionHint.CANNOT_TELL, ""), ("Dance!", ActionHint.UNSURE, "was not read")],
)
def test_what_is_no_step(rig, scripted, text, expected, message):
    robot, hints = start(rig, scripted, lambda *_: text, plan_decoding="free")
    robot.feed()
    robot.tell(SetGoal.Request(goal=GOAL))
    hint = hints.wait()
    assert (hint.hint, hint.action) == (expected, "")
    assert message in hint.message


def test_a_step_that_cannot_be_done_says_why(rig, scripted):
    robot, hints = start(rig, scripted, lambda *_: "PutObject mug desk")
    robot.feed()
    robot.tell(SetGoal.Request(goal=GOAL))
    hint = hints.wait()
    assert hint.hint == ActionHint.STEP
    assert "nothing is held, expected mug" in hint.violations[0]


def test_another_goal_ends_what_is_in_work_for_the_old_one(rig, scripted):
    working, stopped = threading.Event(), []

    def script(clips, question, on_text, should_stop):
        if "old" in question:
            working.set()
            pause = threading.Event()
            until_s = time.monotonic() + 40
            while should_stop() is None and time.monotonic() < until_s:
                pause.wait(0.005)
            stopped.append(should_stop())
        return "PickupObject mug"

    robot, hints = start(rig, scripted, script)
    robot.feed()
    robot.tell(SetGoal.Request(goal="the old goal"))
    assert working.wait(40)
    robot.tell(SetGoal.Request(goal="the new goal"))
    hints.wait_for_count(2)
    assert {hint.goal for hint in hints.messages} == {"the new goal"}
    assert stopped == ["cancelled"]


def test_without_a_goal_nothing_is_hinted(rig, scripted):
    robot, hints = start(rig, scripted)
    robot.feed()
    assert robot.tell(ClearGoal.Request()).message == "there was no goal"
    robot.tell(SetGoal.Request(goal=GOAL))
    hints.wait()
    response = robot.tell(ClearGoal.Request())
    assert (response.success, response.message) == (True, f"no longer: {GOAL}")
    robot.ask("a question after the last hint")
    count = len(hints.messages)
    for _ in range(3):
        robot.diagnostic("queue")
    assert len(hints.messages) == count


def test_goals_and_steps_by_topic(rig, scripted, wait_until):
    robot, hints = start(rig, scripted)
    robot.feed()
    goals = robot.node.create_publisher(String, f"{robot.name}/goal", 10)
    steps = robot.node.create_publisher(String, f"{robot.name}/step_done", 10)
    for publisher in (goals, steps):
        wait_until(publisher.get_subscription_count, f"the node's subscription of {publisher.topic_name}")
    goals.publish(String(data=GOAL))
    assert hints.wait().goal == GOAL
    steps.publish(String(data="nonsense"))
    steps.publish(String(data="GotoLocation shelf"))
    assert list(hints.wait(lambda hint: hint.action == "PickupObject").done) == ["GotoLocation shelf"]
    goals.publish(String(data=""))
    wait_until(
        lambda: robot.tell(ReportStep.Request(step="PickupObject mug")).message == "there is no goal: set one first",
        "the goal being cleared",
    )


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (SetGoal.Request(goal=" "), "goal is empty"),
        (SetGoal.Request(goal=GOAL, done=["Fly mug"]), "'Fly' is no action"),
        (SetGoal.Request(goal=GOAL, done=["NoOp"] * 101), "done has 101 steps"),
        (ReportStep.Request(step="PickupObject mug"), "there is no goal: set one first"),
    ],
)
def test_what_cannot_be_set_changes_nothing(rig, scripted, request_, message):
    robot, _ = start(rig, scripted)
    response = robot.tell(request_)
    assert not response.success
    assert message in response.message
    assert robot.tell(ClearGoal.Request()).message == "there was no goal"


def test_a_goal_can_begin_with_steps_that_are_done(rig, scripted):
    robot, hints = start(rig, scripted)
    robot.feed()
    assert robot.tell(SetGoal.Request(goal=GOAL, done=["GotoLocation shelf", "PickupObject mug"])).success
    assert hints.wait().hint == ActionHint.DONE


def test_a_goal_outlives_deactivation_and_refusals_are_hints_too(rig, scripted):
    robot, hints = start(rig, scripted, active=False)
    assert "not configured" in robot.tell(SetGoal.Request(goal=GOAL)).message
    assert robot.transition("configure")
    assert robot.tell(SetGoal.Request(goal=GOAL)).success
    robot.activate()
    none = hints.wait()
    assert (none.hint, none.status, none.goal) == (ActionHint.NONE, Answer.NO_FRAMES, GOAL)
    assert none.message
    robot.feed(newest_ns=time.time_ns() - 300 * S)
    assert "old" in hints.wait(lambda hint: hint.status == Answer.STALE).message
    robot.feed()
    hints.wait(lambda hint: hint.hint == ActionHint.STEP)
    assert robot.transition("deactivate")
    assert robot.transition("cleanup")
    assert robot.transition("configure")
    assert robot.tell(ClearGoal.Request()).message == "there was no goal"


def test_the_period_is_changed_live(rig, scripted):
    robot, hints = start(rig, scripted, hint_period_s=1000.0)
    robot.feed()
    robot.tell(SetGoal.Request(goal=GOAL))
    hints.wait_for_count(1)
    assert robot.set(hint_period_s=0.05).successful
    hints.wait_for_count(4)


class Shown:
    """A model that notes what stood before the pictures of now, and goes on as the steps in there tell."""

    name = "shown"

    def __init__(self):
        self.asked = []

    def prepare(self, clips, **how):
        """Has nothing to prepare."""
        return False

    at_once = 1

    def memory_bytes(self):
        """Holds nothing."""
        return 0

    def may_hold(self):
        """Needs nothing."""
        return {}

    def counted(self):
        """Computes nothing."""
        return {}

    def close(self):
        """Has nothing to give back."""

    def stream(self, clips, asks, *, mode):
        """The step after as many as there are texts of."""
        for number, ask in enumerate(asks):
            self.asked.append((clips, ask.question, ask.before, mode))
            told = "".join(part for part in ask.before if isinstance(part, str))
            text = ["GotoLocation shelf", "PickupObject mug", "DONE"][told.count("Step#")]
            yield number, Generated(text, (1, 2), (0.5, 0.5), "stop", 10, 0.1, 0.2, clips=tuple(clips))


def test_the_alfred_prompts_show_every_step_as_it_was_reported(rig):
    model = Shown()
    robot = rig(load=lambda settings: model, prompts="alfred", hint_period_s=0.05, hint_confidence=0.2)
    hints = robot.listen(ActionHint, "action_hint")
    first_view = robot.feed()[-1]
    robot.tell(SetGoal.Request(goal=GOAL))
    first = hints.wait()
    assert (first.action, [stamp_ns(frame.header.stamp) for frame in first.frames]) == ("GotoLocation", [first_view])
    assert robot.tell(ReportStep.Request(step="GotoLocation shelf")).success
    second_view = robot.feed(count=1)[-1]
    assert robot.tell(ReportStep.Request(step="PickupObject mug")).success
    now = robot.feed(count=1)[-1]
    last = hints.wait(lambda hint: hint.hint == ActionHint.DONE)
    assert model.asked[0][2] == (f"Your Main Goal:  {GOAL}.  Step Details: ",)
    clips, question, before, mode = model.asked[-1]
    assert (mode, question, [len(clip.frames) for clip in clips]) == ("multi_image", " Current Step: ", [1])
    assert [part if isinstance(part, str) else part.stamp_ns for part in before] == [
        f"Your Main Goal:  {GOAL}.  Step Details: ",
        first_view,
        "Step#1: GotoLocation shelf. ",
        second_view,
        "Step#2: PickupObject mug. ",
    ]
    # What the hint rests on: both pictures, and what was seen when it was asked for, which may be the second still.
    stamps = [stamp_ns(frame.header.stamp) for frame in last.frames]
    assert stamps in ([first_view, second_view, now], [first_view, second_view])


def test_the_alfred_loop_runs_on_the_engine_and_pictures_are_bounded(rig, nano):
    robot = rig(model=nano, prompts="alfred", hint_period_s=1000.0, frozen_after_s=0.0, max_frame_age_s=1000.0)
    hints = robot.listen(ActionHint, "action_hint")
    robot.feed(count=1)
    robot.tell(SetGoal.Request(goal=GOAL, done=["GotoLocation desk"]))
    hints.wait()
    views = []
    for number in range(18):
        views += robot.feed(count=1)
        assert robot.tell(ReportStep.Request(step="GotoLocation shelf")).success
        hint = hints.wait(lambda hint, number=number: len(hint.done) == number + 2)
        assert hint.status == Answer.OK, hint.message
    stamps = [stamp_ns(frame.header.stamp) for frame in hint.frames]
    assert stamps == views[-16:], "the picture of now is that of the last step: nothing has come since"


def test_a_step_reported_while_nothing_is_seen_has_no_picture(rig):
    model = Shown()
    robot = rig(load=lambda settings: model, prompts="alfred", hint_period_s=0.05, hint_confidence=0.2)
    hints = robot.listen(ActionHint, "action_hint")
    robot.tell(SetGoal.Request(goal=GOAL))
    assert robot.tell(ReportStep.Request(step="GotoLocation shelf")).success
    robot.feed()
    hints.wait(lambda hint: hint.action == "PickupObject")
    assert model.asked[-1][2] == (f"Your Main Goal:  {GOAL}.  Step Details: Step#1: GotoLocation shelf. ",)


def test_the_shipped_model_hints_in_the_vocabulary(rig):
    alfred = load_vocabulary(find_vocabulary("alfred"))
    robot = rig(hint_period_s=0.05)
    hints = robot.listen(ActionHint, "action_hint")
    robot.feed()
    robot.tell(SetGoal.Request(goal=GOAL))
    for hint in hints.wait_for_count(3):
        assert hint.status == Answer.OK, hint.message
        assert hint.hint != ActionHint.NONE
        if hint.action:
            assert alfred.fault(Step(hint.action, tuple(hint.arguments))) is None
        assert 0 < hint.confidence <= 1
