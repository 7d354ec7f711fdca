"""The action `~/ask`: feedback, cancelling at every stage, and a node that responds while the model generates."""

from __future__ import annotations

import pytest
from action_msgs.msg import GoalStatus
from llava_ov_ros.msg import Answer, AnswerChunk

from llava_ov_ros.frames import stamp_ns

ENDLESS = {"max_new_tokens": 4096}
"""Half a minute of generation with the endless model: all that these tests do happens meanwhile."""


def text_of(chunks):
    return "".join(chunk.text for chunk in chunks)


def test_feedback_grows_into_the_answer(rig, nano):
    robot = rig(model=nano)
    stamps = robot.feed()
    published = robot.listen(AnswerChunk, "answer_chunks")
    goal = robot.goal(max_new_tokens=60, request_id="mine")
    status, answer = goal.result()
    chunks = published.wait(lambda chunk: chunk.done) and published.messages
    # rclpy's client drops feedback that it takes after the result, so the last pieces may be missing there.
    heard = list(goal.chunks.messages)
    assert heard == chunks[: len(heard)] != []
    assert (status, answer.status) == (GoalStatus.STATUS_SUCCEEDED, Answer.OK)
    assert text_of(chunks) == answer.text
    assert len(chunks) > 10
    assert [chunk.index for chunk in chunks] == list(range(len(chunks)))
    assert [chunk.done for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert chunks[-1].text == ""
    assert {chunk.request_id for chunk in chunks} == {answer.request_id} == {"mine"}
    assert {stamp_ns(chunk.header.stamp) for chunk in chunks} == {stamps[-1]}


def test_a_goal_is_cancelled_in_mid_answer(rig, endless):
    robot = rig(model=endless)
    stamps = robot.feed()
    published = robot.listen(AnswerChunk, "answer_chunks")
    goal = robot.goal(**ENDLESS)
    goal.chunks.wait_for_count(5)
    assert goal.cancel() == 1
    status, answer = goal.result()
    assert (status, answer.status) == (GoalStatus.STATUS_CANCELED, Answer.CANCELLED)
    assert "text is what there was" in answer.message
    chunks = published.wait(lambda chunk: chunk.done) and published.messages
    assert text_of(chunks) == answer.text != ""
    assert 5 <= len(chunks) < 4096
    heard = list(goal.chunks.messages)
    assert heard == chunks[: len(heard)] != []
    assert stamp_ns(answer.header.stamp) == stamps[-1]
    assert 0 < answer.confidence <= 1
    assert robot.ask(max_new_tokens=2).status == Answer.OK


def test_a_goal_is_cancelled_while_it_waits(rig, endless):
    robot = rig(model=endless)
    robot.feed()
    answering = robot.goal(**ENDLESS)
    answering.chunks.wait()
    waiting = robot.goal()
    robot.diagnostic("queue", lambda status, values: values["waiting"] == "1")
    assert waiting.cancel() == 1
    status, answer = waiting.result()
    assert (status, answer.status) == (GoalStatus.STATUS_CANCELED, Answer.CANCELLED)
    assert "waiting in the queue" in answer.message
    assert answer.text == ""
    assert not answering.is_done()
    answering.cancel()
    assert answering.result()[1].status == Answer.CANCELLED


def test_many_goals_cancelled_as_soon_as_they_are_sent(rig, endless):
    """Whatever a cancel meets - no request yet, a waiting or a running one - the goal ends as cancelled."""
    robot = rig(model=endless, queue_size=20)
    robot.feed()
    for _ in range(10):
        goal = robot.goal(**ENDLESS)
        assert goal.cancel() == 1
        status, answer = goal.result()
        assert (status, answer.status) == (GoalStatus.STATUS_CANCELED, Answer.CANCELLED)
    assert robot.ask(max_new_tokens=2).status == Answer.OK


def test_a_cancel_after_the_end_changes_nothing(rig, nano):
    robot = rig(model=nano)
    robot.feed()
    goal = robot.goal(max_new_tokens=3)
    assert goal.result()[0] == GoalStatus.STATUS_SUCCEEDED
    assert goal.cancel() == 0
    assert goal.result()[1].status == Answer.OK


@pytest.mark.parametrize(("question", "status"), [("", Answer.INVALID), ("How many?", Answer.NO_FRAMES)])
def test_a_refused_goal_is_aborted_and_says_why(rig, nano, question, status):
    robot = rig(model=nano)
    goal = robot.goal(question)
    code, answer = goal.result()
    assert (code, answer.status) == (GoalStatus.STATUS_ABORTED, status)
    assert answer.message
    assert goal.chunks.messages == []


def test_goals_and_requests_are_answered_in_turn(rig, nano):
    robot = rig(model=nano)
    robot.feed()
    goals = [robot.goal(max_new_tokens=20, request_id=f"goal {i}") for i in range(3)]
    future = robot.ask_later(max_new_tokens=20, request_id="request")
    for i, goal in enumerate(goals):
        status, answer = goal.result()
        assert (status, answer.request_id) == (GoalStatus.STATUS_SUCCEEDED, f"goal {i}")
    assert robot.outcome(future).answer.status == Answer.OK
    texts = {goal.result()[1].text for goal in goals}
    assert len(texts) == 1


def test_the_node_responds_while_the_model_generates(rig, endless):
    """Parameters, a cancel, pictures and the state are served before the generation has ended."""
    robot = rig(model=endless)
    robot.feed()
    generating = robot.goal(**ENDLESS)
    generating.chunks.wait()
    waiting = robot.goal(**ENDLESS)
    values = robot.outcome(robot.get_later("clip_frames", "model")).values
    assert (values[0].integer_value, values[1].string_value) == (4, endless)
    assert robot.set(clip_frames=2).successful
    waiting.cancel()
    assert waiting.result()[1].status == Answer.CANCELLED
    robot.feed(count=2)
    assert robot.state() == "active"
    assert not generating.is_done()
    generating.cancel()
    assert generating.result()[1].status == Answer.CANCELLED
    assert len(robot.ask(max_new_tokens=1).frames) == 2
