"""Behaviours of py_trees on a real node: from a goal to DONE, and what is cancelled when they are interrupted."""

from __future__ import annotations

import time

import pytest
import rclpy
from fixtures.mug_episode import GOAL, STEPS
from fixtures.waiting import PATIENCE_S, until
from llava_ov_ros.msg import ActionHint, Plan
from llava_ov_ros.srv import ReportStep
from py_trees.behaviour import Behaviour
from py_trees.blackboard import Blackboard
from py_trees.common import Status
from py_trees.composites import Sequence
from rclpy.executors import SingleThreadedExecutor

from llava_ov_ros.clients import AskClient, HintClient, PlanClient
from llava_ov_ros.trees import AskChoice, AskQuestion, FollowHints, MakePlan


class Ticking:
    """A program that ticks a behaviour in the thread that spins its node."""

    def __init__(self, robot):
        self.node = rclpy.create_node("tree", context=robot.context, namespace=robot.namespace)
        self._executor = SingleThreadedExecutor(context=robot.context)
        self._executor.add_node(self.node)

    def tick(self, behaviour):
        """Tick once, then serve the node."""
        behaviour.tick_once()
        self._executor.spin_once(timeout_sec=0.02)
        return behaviour.status

    def until(self, behaviour, condition):
        """Tick until something is so."""
        give_up_s = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < give_up_s, behaviour.feedback_message
            self.tick(behaviour)

    def to_the_end(self, behaviour):
        """Tick until the behaviour is RUNNING no longer."""
        self.tick(behaviour)
        self.until(behaviour, lambda: behaviour.status in (Status.SUCCESS, Status.FAILURE))
        return behaviour.status

    def serve(self, condition, what):
        """Serve the node without ticking."""
        until(lambda: self._executor.spin_once(timeout_sec=0.02) or condition(), what)

    def close(self):
        """Leave the graph."""
        self._executor.shutdown()
        self.node.destroy_node()


@pytest.fixture
def ticking():
    """Makes a program beside a robot: `ticking(robot)`."""
    made = []

    def make(robot):
        made.append(Ticking(robot))
        return made[-1]

    yield make
    for one in made:
        one.close()
    Blackboard.clear()


class Moving(Behaviour):
    """Carries a step out: takes three ticks, and notes whether it was interrupted."""

    def __init__(self, noted, hint, outcome=Status.SUCCESS):
        super().__init__(" ".join((hint.action, *hint.arguments)))
        self._noted, self._left, self._outcome = noted, 3, outcome

    def update(self):
        """Take one more tick."""
        self._left -= 1
        return Status.RUNNING if self._left else self._outcome

    def terminate(self, new_status):
        """Take note of how it ended."""
        self._noted.append((self.name, new_status))


def has_no_goal(robot):
    """Whether the node declines a report, because there is nothing to report about."""
    return robot.tell(ReportStep.Request(step=STEPS[0])).message == "there is no goal: set one first"


def test_a_choice_is_a_condition(mug_robot, ticking):
    program = ticking(mug_robot)
    client = AskClient(program.node)
    mug_robot.show(0)
    seen = AskChoice("seen", client, "Is there a mug?", expects="yes", confidence=0.5, key="seen")
    assert program.to_the_end(seen) is Status.SUCCESS
    assert Blackboard.get("seen").yes
    places = ["on the shelf", "on the desk"]
    assert program.to_the_end(AskChoice("shelf", client, "Where is the mug?", places[0], places)) is Status.SUCCESS
    desk = AskChoice("desk", client, "Where is the mug?", places[1], places)
    assert program.to_the_end(desk) is Status.FAILURE
    assert desk.feedback_message.startswith("on the shelf (")
    unsure = AskChoice("sure", client, "Is there a mug?", expects="yes", confidence=1.0)
    assert program.to_the_end(unsure) is Status.FAILURE
    assert program.to_the_end(AskChoice("no", client, "Is there a mug?", expects="no")) is Status.FAILURE
    with pytest.raises(ValueError, match="expects is 'there': give one of 'on the shelf', 'on the desk'"):
        AskChoice("?", client, "Where is the mug?", "there", places)
    with pytest.raises(ValueError, match="confidence is 2: give a probability"):
        AskChoice("?", client, "Is there a mug?", "yes", confidence=2)


def test_a_question_and_a_plan_for_the_blackboard(mug_robot, ticking):
    program = ticking(mug_robot)
    mug_robot.show(0)
    ask = AskQuestion("where", AskClient(program.node), "Where is the mug?", key="where")
    plan = MakePlan("plan", PlanClient(program.node), GOAL)
    tree = Sequence("both", memory=True, children=[ask, plan])
    assert program.to_the_end(tree) is Status.SUCCESS
    assert Blackboard.get("where").text == "on the shelf"
    kept = Blackboard.get("plan")
    assert kept.outcome == Plan.ACCEPTED
    assert [" ".join((step.action, *step.arguments)) for step in kept.steps] == list(STEPS)


def test_a_node_without_an_answer_is_a_failure(rig, scripted, ticking):
    def script(clips, question, on_text, should_stop):
        return "yes" if "Is there" in question else "PutObject mug desk"

    robot = rig(load=scripted(script))
    program = ticking(robot)
    ask = AskQuestion("now", AskClient(program.node), "Now?", key="now")
    assert program.to_the_end(ask) is Status.FAILURE
    assert ask.feedback_message.startswith("camera 'front'")
    assert not Blackboard.exists("now")
    nobody = AskQuestion("now", AskClient(program.node, "/nobody", wait_s=0.1), "Now?")
    assert program.to_the_end(nobody) is Status.FAILURE
    assert nobody.feedback_message.startswith("no node answers /nobody/ask within 0.1 s")
    robot.feed()
    plan = MakePlan("plan", PlanClient(program.node), GOAL)
    assert program.to_the_end(plan) is Status.FAILURE
    assert "nothing is held" in plan.feedback_message


def test_from_the_goal_to_done(mug_robot, ticking):
    program, noted = ticking(mug_robot), []
    mug_robot.show(0)

    def carry_out(hint):
        moving = Moving(noted, hint)
        mug_robot.show(STEPS.index(moving.name) + 1)
        return moving

    follow = FollowHints("follow", HintClient(program.node), GOAL, carry_out, plan_id="tidy")
    for _ in range(2):
        noted.clear()
        assert program.to_the_end(follow) is Status.SUCCESS
        assert noted == [(step, Status.SUCCESS) for step in STEPS]
        program.serve(lambda: has_no_goal(mug_robot), "the goal being cleared")
        mug_robot.show(0)


def test_interrupted_in_the_middle_of_a_step(mug_robot, ticking):
    program, noted = ticking(mug_robot), []
    mug_robot.show(0)
    follow = FollowHints("follow", HintClient(program.node), GOAL, lambda hint: Moving(noted, hint))
    program.until(follow, lambda: follow.children)
    assert (follow.children[0].name, follow.children[0].parent) == (STEPS[0], follow)
    follow.stop(Status.INVALID)
    assert (noted, follow.children) == ([(STEPS[0], Status.INVALID)], [])
    program.serve(lambda: has_no_goal(mug_robot), "the goal being cleared")


def test_interrupted_before_the_goal_has_arrived(mug_robot, ticking):
    program = ticking(mug_robot)
    client = HintClient(program.node)
    follow = FollowHints("follow", client, GOAL, lambda hint: True)
    follow.tick_once()
    follow.stop(Status.INVALID)
    # What is sent now comes after the goal and its clearing.
    last = client.clear()
    program.serve(last.done, "the reply")
    assert last.result().message == "there was no goal"


def test_an_interrupted_question_stops_the_model(rig, scripted, ticking):
    stopped, asked = [], []

    def script(clips, question, on_text, should_stop):
        asked.append(question)
        until(should_stop, "a client that cancels")
        stopped.append(should_stop())
        return ""

    robot = rig(load=scripted(script))
    robot.feed()
    program = ticking(robot)
    for number, behaviour in enumerate(
        (
            AskQuestion("now", AskClient(program.node), "Now?"),
            MakePlan("plan", PlanClient(program.node), GOAL),
        ),
        1,
    ):
        program.until(behaviour, lambda n=number: len(asked) == n)
        behaviour.stop(Status.INVALID)
        program.serve(lambda n=number: len(stopped) == n, "the model being stopped")
    assert stopped == ["cancelled", "cancelled"]


def test_steps_that_fail_one_after_the_other(rig, scripted, ticking):
    def script(clips, question, on_text, should_stop):
        return "GotoLocation shelf"

    robot = rig(load=scripted(script), hint_period_s=0.05, hint_confidence=0.2)
    robot.feed()
    heard = robot.listen(ActionHint, "action_hint")
    program, noted = ticking(robot), []
    follow = FollowHints(
        "follow", HintClient(program.node), GOAL, lambda hint: Moving(noted, hint, Status.FAILURE), patience_s=2.0
    )
    # The second hint names the step that has just failed: it is unsure, and passed over until the patience ends.
    assert program.to_the_end(follow) is Status.FAILURE
    assert noted == [("GotoLocation shelf", Status.FAILURE)]
    assert follow.feedback_message.startswith("no step to do within 2 s: GotoLocation shelf: it has just failed")
    assert {tuple(hint.failed) for hint in heard.messages} == {(), ("GotoLocation shelf",)}


def test_a_robot_that_fails_at_everything_is_given_up(rig, scripted, ticking):
    places = iter(["shelf", "desk", "bed", "sofa"])
    robot = rig(load=scripted(lambda *given: f"GotoLocation {next(places)}"), hint_period_s=60.0, hint_confidence=0.2)
    robot.feed()
    program = ticking(robot)
    follow = FollowHints("follow", HintClient(program.node), GOAL, lambda hint: False)
    assert program.to_the_end(follow) is Status.FAILURE
    assert follow.feedback_message == "3 steps failed one after the other, at last GotoLocation bed"
