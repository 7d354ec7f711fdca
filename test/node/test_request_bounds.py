"""What is too much of a request is refused with its number, and costs nobody else anything."""

from __future__ import annotations

import threading

import pytest
from llava_ov_ros.msg import Answer, AnswerChunk, Plan
from llava_ov_ros.srv import Ask, ReportStep, SetGoal
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage

from llava_ov_ros.node import evidence
from llava_ov_ros.node.messages import InvalidRequestError, query_from
from llava_ov_ros.node.request_bounds import LONGEST_TOGETHER
from llava_ov_ros.node.ros_parameters import changed
from llava_ov_ros.settings import ParameterError, Settings

MANY = 1_000_000
SETTINGS = Settings(cameras=["front"], image_topics=["/front"])
TOO_MUCH = [
    ({"question": "x" * MANY}, f"question has {MANY} characters: allowed are up to 10000"),
    ({"question": "x" * 10_001}, "question has 10001 characters: allowed are up to 10000"),
    ({"history": ["x"] * 20_000}, "history has 20000 texts: allowed are up to 100"),
    ({"history": ["x", "y" * 10_001]}, "text 2 of history has 10001 characters: allowed are up to 10000"),
    ({"kind": "choice", "choices": [str(i) for i in range(20_000)]}, "choices has 20000 texts: allowed are up to 100"),
    ({"kind": "choice", "choices": ["a", "b" * 1001]}, "choice 2 has 1001 characters: allowed are up to 1000"),
    ({"cameras": [f"{i}" for i in range(20_000)]}, "cameras has 20000 texts: allowed are up to 100"),
    ({"history": ["x" * 9999] * 6}, f"together: allowed are up to {LONGEST_TOGETHER}"),
    ({"request_id": "x" * 201}, "request_id has 201 characters: allowed are up to 200"),
    ({"mode": "x" * MANY}, "allowed are video, multi_image, image"),
    ({"kind": "x" * MANY}, "kind is 'xxx"),
    ({"cameras": ["x" * MANY]}, "there is no camera 'xxx"),
    ({"kind": "choice", "choices": ["x" * 1000]}, "give at least two to choose from"),
]


@pytest.mark.parametrize(("fields", "reason"), TOO_MUCH, ids=[reason[:40] for _, reason in TOO_MUCH])
def test_too_much_is_refused_with_its_number_and_told_in_short(fields, reason):
    with pytest.raises(InvalidRequestError) as refused:
        query_from(Ask.Request(**{"question": "What?", **fields}), SETTINGS)
    assert reason in str(refused.value)
    query = refused.value.query
    assert len(str(refused.value)) < 400
    assert len(query.question) <= 200
    assert len(query.request_id) <= 200
    assert len("".join(query.cameras)) <= 200 or fields.get("cameras")


def test_as_much_as_is_allowed_is_asked():
    turns = ["x" * 5000, "y" * 5000, "z" * 5000, "a" * 5000]
    choices = [f"{number:03}" for number in range(100)]
    request = Ask.Request(question="?" * 10_000, history=turns, kind="choice", choices=choices, request_id="i" * 200)
    query = query_from(request, SETTINGS)
    assert (query.question, query.request_id) == ("?" * 10_000, "i" * 200)


def test_too_much_is_refused_by_the_live_node_and_others_are_answered(rig, scripted):
    asked = []

    def note(clips, question, on_text, should_stop):
        asked.append(question)
        return "an answer"

    robot = rig(load=scripted(note))
    answers = robot.listen(Answer, "answers")
    robot.feed()
    for fields, reason in TOO_MUCH:
        answer = robot.ask(**{"request_id": "mine", **fields})
        assert (answer.status, answer.request_id[:4]) == (Answer.INVALID, fields.get("request_id", "mine")[:4])
        assert reason in answer.message
        assert len(answer.question) <= 200
        assert answers.wait(lambda one, sent=answer: one == sent)
    assert robot.ask().text == "an answer"
    assert asked == ["What colour is the pan?"]


def test_too_much_of_a_goal_or_a_step_is_refused(rig, scripted):
    robot = rig(load=scripted(lambda *_: "an answer"))
    plans = robot.listen(Plan, "plans")
    robot.feed()
    plan = robot.plan("x" * MANY)
    assert (plan.status, plan.message) == (Answer.INVALID, f"goal has {MANY} characters: allowed are 500")
    assert plans.wait() == plan
    assert len(plan.goal) == 200
    plan = robot.plan(decoding="x" * MANY)
    assert plan.status == Answer.INVALID
    assert len(plan.message) < 400
    response = robot.tell(SetGoal.Request(goal="x" * MANY))
    assert (response.success, response.message) == (False, f"goal has {MANY} characters: allowed are 500")
    assert robot.tell(SetGoal.Request(goal="put the mug on the desk")).success
    response = robot.tell(SetGoal.Request(goal="put the mug on the desk", done=["PickupObject mug"] * 20_000))
    assert (response.success, response.message) == (False, "done has 20000 steps: allowed are 100")
    response = robot.tell(ReportStep.Request(step="PickupObject " + "x" * MANY))
    assert (response.success, response.message) == (False, f"step has {MANY + 13} characters: allowed are 200")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (
            {"standing_questions": ["x" * MANY]},
            f"standing_questions has a text of {MANY} characters",
        ),
        ({"standing_questions": ["x"] * 20_000}, "standing_questions has 20000 entries: allowed are up to 100"),
        ({"model": "x" * MANY}, f"model has a text of {MANY} characters: allowed are up to 10000"),
        ({"dtype": "x" * 5000}, "dtype is 'xxx"),
        ({"cameras": ["x" * 5000] * 2}, "cameras is ['xxx"),
        ({"image_topics": ["x" * 5000 + "?"]}, "image_topics has 'xxx"),
    ],
)
def test_too_much_of_a_parameter_is_refused(values, reason):
    with pytest.raises(ParameterError) as refused:
        changed(Settings(), [Parameter(name, value=value) for name, value in values.items()], configured=False)
    assert reason in str(refused.value)
    assert len(str(refused.value)) < 700


def test_the_worker_does_not_wait_for_pictures(rig, scripted, monkeypatch):
    """A picture that is never ready holds nobody up."""
    drawing, go_on = threading.Event(), threading.Event()
    draw = evidence.evidence_jpeg

    def slow(*arguments):
        drawing.set()
        assert go_on.wait(30)
        return draw(*arguments)

    monkeypatch.setattr(evidence, "evidence_jpeg", slow)
    robot = rig(load=scripted(lambda *_: "an answer"))
    pictures = robot.listen(CompressedImage, "evidence/compressed")
    robot.feed()
    assert robot.ask().text == "an answer"
    assert drawing.wait(30)
    for _ in range(20):
        assert robot.ask().text == "an answer"
    go_on.set()
    assert pictures.wait()


def test_a_prompt_that_is_too_long_is_the_clients_mistake(rig):
    robot = rig()
    robot.feed()
    pieces = robot.listen(AnswerChunk, "answer_chunks")
    answer = robot.ask("Where? " * 1400)
    assert answer.status == Answer.INVALID
    assert "the model's context is 4096: shorten the question and its history" in answer.message
    assert "line" not in answer.message
    assert (list(answer.frames), answer.text) == ([], "")
    assert pieces.wait(lambda piece: piece.done).text == ""
    status, values = robot.diagnostic("model")
    assert (status.level, values["last_status"]) == (status.OK, "INVALID")
    assert robot.ask().status == Answer.OK


def test_too_many_frames_are_the_clients_mistake(rig):
    robot = rig(buffer_frames=64)
    robot.feed(count=30, period_s=0.1)
    answer = robot.ask(max_frames=30, window_s=60.0, mode="multi_image")
    assert answer.status == Answer.INVALID
    assert "the model's context is 4096: ask about fewer frames" in answer.message
    assert robot.diagnostic("model")[0].level == b"\x00"
    assert robot.ask(max_frames=1).status == Answer.OK
