"""Clients of a real node over DDS: replies, growing answers, cancelling, deadlines, and errors that say what to do."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
import rclpy
from fixtures.waiting import PATIENCE_S, result_of, until
from llava_ov_ros.msg import ActionHint, Answer, Plan, PlanStep
from rclpy.executors import MultiThreadedExecutor, SingleThreadedExecutor

from llava_ov_ros.clients import (
    AskClient,
    DeclinedError,
    GivenUpError,
    HintClient,
    NoNodeError,
    NoReplyError,
    PlanClient,
    ask_client,
)
from llava_ov_ros.clients.sending import FEEDBACK_DEPTH, RESPONSES_DEPTH
from llava_ov_ros.node import depths

GOAL = "put the mug on the desk"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def node(mug_robot):
    """A node of a program, which nobody spins."""
    made = rclpy.create_node("program", context=mug_robot.context, namespace=mug_robot.namespace)
    yield made
    made.destroy_node()


@pytest.fixture
def slow(rig, scripted):
    """A robot whose model says "one ", and no more until it is stopped; what stopped it is noted."""

    def script(clips, question, on_text, should_stop):
        on_text("one ")
        until(should_stop, "a client that cancels")
        stopped.append(should_stop())
        return "one "

    stopped: list[str] = []
    robot = rig(load=scripted(script), hint_confidence=0.2)
    robot.feed()
    robot.stopped = stopped
    return robot


@pytest.fixture
def program(slow):
    """A node of a program beside the slow robot, which nobody spins."""
    made = rclpy.create_node("program", context=slow.context, namespace=slow.namespace)
    yield made
    made.destroy_node()


@pytest.mark.parametrize("module", ["clients", "trees"])
def test_importing_loads_nothing_of_the_model(module):
    program = f"import sys, llava_ov_ros.{module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    ended = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)
    loaded = set(ended.stdout.split())
    assert ("rclpy" in loaded, "py_trees" in loaded) == (True, module == "trees")
    assert (
        loaded & {"torch", "transformers", "tokenizers", "safetensors", "llguidance", "rosbags", "cv2", "PIL"} == set()
    )


def test_without_py_trees_the_error_says_what_to_install():
    program = "import sys; sys.modules['py_trees'] = None; import llava_ov_ros.trees"
    ended = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=False)
    extra = "'py_trees>=2.2,<3'"
    assert ended.stderr.splitlines()[-1].endswith(f"llava_ov_ros.trees needs py_trees: pip install {extra}")
    assert f'"trees": [{extra.replace(chr(39), chr(34))}]' in (ROOT / "setup.py").read_text()


def test_clients_keep_as_many_responses_as_the_node_may_give():
    assert (RESPONSES_DEPTH, FEEDBACK_DEPTH) == (depths.REQUESTS_DEPTH, depths.FEEDBACK_DEPTH)


def test_a_cancelled_answer_holds_what_there_was(slow, program):
    heard, pieces = threading.Event(), []
    pending = AskClient(program).stream("Now?", lambda text: (pieces.append(text), heard.set()))
    executor = SingleThreadedExecutor(context=program.context)
    executor.add_node(program)
    spinner = threading.Thread(target=executor.spin, daemon=True)
    spinner.start()
    try:
        assert heard.wait(PATIENCE_S)
        with pytest.raises(NoReplyError, match="has not replied yet"):
            pending.result()
        # From another thread than the one that spins.
        pending.cancel()
        answer = result_of(pending.future)
        assert (answer.status, answer.text, pieces) == (Answer.CANCELLED, "one ", ["one "])
        assert slow.stopped == ["cancelled"]
        pending.cancel()
        assert pending.result() is answer
    finally:
        executor.shutdown()
        spinner.join(PATIENCE_S)


def test_a_plan_is_cancelled_before_the_node_has_accepted_it(slow, program):
    pending = PlanClient(program).stream(GOAL)
    pending.cancel()
    assert pending.wait().status == Answer.CANCELLED


def test_the_node_ends_a_request_at_its_deadline(slow, program):
    answer = AskClient(program).ask("Now?", deadline_s=0.5).wait()
    assert answer.status == Answer.DEADLINE
    assert slow.stopped == ["deadline"]


def test_a_request_by_service_that_is_given_up(slow, program):
    pending = AskClient(program).ask("Now?", deadline_s=2.0)
    pending.cancel()
    with pytest.raises(GivenUpError, match=rf"request to {slow.name}/ask was cancelled"):
        pending.wait()


def test_without_a_node_the_error_says_what_to_start(node):
    client = AskClient(node, "/nobody", wait_s=0.2)
    for pending in (client.ask("Now?"), client.stream("Now?"), PlanClient(node, "/nobody", wait_s=0.2).plan(GOAL)):
        with pytest.raises(NoNodeError, match=r"no node answers /nobody/\w+ within 0.2 s: start one \(llava_ov_node"):
            pending.wait()
    with pytest.raises(NoNodeError, match="/nobody/set_goal"):
        HintClient(node, "/nobody", wait_s=0.2).set_goal(GOAL).wait()


def test_the_end_comes_though_nothing_else_happens_to_the_node_that_is_spun(node):
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    spinner = threading.Thread(target=executor.spin, daemon=True)
    spinner.start()
    client = AskClient(node, "/nobody", wait_s=0.2)
    try:
        for _ in range(2):
            with pytest.raises(NoNodeError):
                result_of(client.ask("Now?").future)
    finally:
        executor.shutdown()
        spinner.join(PATIENCE_S)


def test_a_node_that_never_replies_is_given_up(node, mug_robot, monkeypatch):
    monkeypatch.setattr(ask_client, "GRACE_S", 0.1)

    def never(request, response):
        until(ended.is_set, "the end of the test")
        return response

    ended = threading.Event()
    other = rclpy.create_node("silent", context=mug_robot.context, namespace=mug_robot.namespace)
    service_type = AskClient(node)._service.srv_type
    other.create_service(service_type, "/silent/ask", never)
    executor = MultiThreadedExecutor(2, context=mug_robot.context)
    executor.add_node(other)
    spinner = threading.Thread(target=executor.spin, daemon=True)
    spinner.start()
    try:
        client = AskClient(node, "/silent")
        with pytest.raises(NoReplyError, match=r"/silent/ask has not replied within \d.* s: ask again"):
            client.ask("Now?", deadline_s=0.1).wait()
        assert client._service._pending_requests == {}
    finally:
        ended.set()
        executor.shutdown()
        spinner.join(PATIENCE_S)
        other.destroy_node()


def test_what_is_no_field_or_no_time_is_refused_before_anything_is_sent(node):
    client = AskClient(node)
    with pytest.raises(TypeError, match="srv/Ask has no field 'windows_s': it has question, kind, choices"):
        client.ask("Now?", windows_s=2.0)
    for deadline_s in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=r"deadline_s is .*: give seconds above 0"):
            client.ask("Now?", deadline_s=deadline_s)
    with pytest.raises(ValueError, match="wait_s is 0: give seconds above 0"):
        AskClient(node, wait_s=0.0).ask("Now?")


def test_wait_does_not_take_a_node_from_its_executor(node):
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    pending = AskClient(node).ask("Is there a mug?")
    with pytest.raises(RuntimeError, match="from the executor that spins it"):
        pending.wait()
    executor.spin_until_future_complete(pending.future, PATIENCE_S)
    assert pending.result().question == "Is there a mug?"
    executor.shutdown()


def test_a_coroutine_awaits_a_reply(node, mug_robot):
    mug_robot.show(0)
    client, said = AskClient(node), []

    async def asks():
        answer = await client.ask("Is there a mug?", kind="yes_no").future
        said.append(answer.yes)

    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    task = executor.create_task(asks)
    executor.spin_until_future_complete(task, PATIENCE_S)
    assert said == [True]
    executor.shutdown()


def test_a_plan_and_its_steps(node, mug_robot):
    mug_robot.show(0)
    steps = []
    plan = PlanClient(node).stream(GOAL, lambda attempt, step: steps.append((attempt, step.action))).wait()
    assert plan.outcome == Plan.ACCEPTED
    assert steps == [(0, step.action) for step in plan.steps]


def test_reports_of_every_outcome_and_whose_turn_it_is(node, mug_robot):
    mug_robot.show(0)
    heard = []
    hints = HintClient(node, on_hint=heard.append)
    first = hints.next_hint(hints.set_goal(GOAL, plan_id="seven").wait().turn).wait()
    assert (first.hint, first.action, first.plan_id) == (ActionHint.STEP, "GotoLocation", "seven")
    failed = hints.report_failed(first).wait()
    again = hints.next_hint(failed.turn).wait()
    assert (list(again.failed), again.turn) == (["GotoLocation shelf"], failed.turn)
    with pytest.raises(DeclinedError, match=r"/step_done: turn is \d+, and hints are at turn \d+"):
        hints.report_done(first).wait()
    done = hints.report_done("GotoLocation shelf").wait()
    done = hints.report_done(PlanStep(action="PickupObject", arguments=["mug"]), done.turn).wait()
    undone = hints.report_undone("PickupObject mug").wait()
    hint = hints.next_hint(undone.turn).wait()
    assert list(hint.done) == ["GotoLocation shelf"]
    assert hints.latest is heard[-1]
    other = HintClient(node)
    other.set_goal("put the mug on the bed").wait()
    with pytest.raises(DeclinedError, match=rf"turn {undone.turn} is over: .* 'put the mug on the bed'"):
        hints.next_hint(undone.turn).wait()
    assert other.next_step(GOAL, ["GotoLocation shelf"]).wait().goal == GOAL
    assert hints.clear().wait().message == "no longer: put the mug on the bed"
    with pytest.raises(DeclinedError, match="there is no goal: set one first"):
        hints.report_done("PickupObject mug").wait()


def test_calls_arrive_in_their_order(node):
    hints = HintClient(node)
    goals = [hints.set_goal(f"the goal number {number}") for number in range(20)]
    cleared = hints.clear()
    assert cleared.wait().message == "no longer: the goal number 19"
    turns = [one.result().turn for one in goals]
    assert turns == list(range(turns[0], turns[0] + 20))


def test_a_hint_that_does_not_come_says_why(rig, scripted):
    robot = rig(load=scripted(lambda *given: "DONE"), hint_period_s=0.1)
    made = rclpy.create_node("program", context=robot.context, namespace=robot.namespace)
    hints = HintClient(made)
    turn = hints.set_goal(GOAL).wait().turn
    with pytest.raises(
        NoReplyError, match=r"action_hint has not replied .*: the last hint is NO_FRAMES: camera 'front'"
    ):
        hints.next_hint(turn, deadline_s=1.0).wait()
    robot.feed()
    assert hints.next_hint(turn).wait().hint in (ActionHint.DONE, ActionHint.UNSURE)
    hints.clear().wait()
    with pytest.raises(NoReplyError, match="is the node active, and has nobody else cleared its goal"):
        hints.next_hint(turn + 1, deadline_s=0.2).wait()
    made.destroy_node()


def test_nothing_is_kept_of_requests_that_are_done(node, mug_robot):
    client = AskClient(node)
    timers, entities = len(list(node.timers)), len(node.default_callback_group.entities)
    for _ in range(5):
        client.stream("Is there a mug?").wait()
        client.ask("Is there a mug?").wait()
    with pytest.raises(GivenUpError):
        pending = client.ask("Is there a mug?")
        pending.cancel()
        pending.wait()
    assert (len(list(node.timers)), len(node.default_callback_group.entities)) == (timers, entities)
    assert client._deadlines._watched == []
    action = client._action
    kept = (action._pending_goal_requests, action._pending_result_requests, action._feedback_callbacks)
    assert [len(one) for one in kept] == [0, 0, 0]
    assert client._service._pending_requests == {}
