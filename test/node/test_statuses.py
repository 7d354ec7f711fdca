"""Every way in which a request ends without an answer: the status, a message that helps, a node that goes on."""

from __future__ import annotations

import threading
import time

import numpy as np
from llava_ov_ros.msg import Answer, AnswerChunk

from llava_ov_ros.frames import stamp_ns
from llava_ov_ros.questions import Status

S = 1_000_000_000
ENDLESS = {"max_new_tokens": 4096}


def test_stale(rig, scripted):
    robot = rig(load=scripted(lambda *_: "an answer"), max_frame_age_s=2.0)
    robot.feed(newest_ns=time.time_ns() - 30 * S)
    answer = robot.ask()
    assert answer.status == Answer.STALE
    assert "'front'" in answer.message
    assert "more than max_frame_age_s 2" in answer.message
    assert "(0 messages received since)" in answer.message
    assert (answer.text, list(answer.frames)) == ("", [])
    status, _ = robot.diagnostic("camera front")
    assert (status.level, status.message[:6]) == (status.ERROR, "stale:")
    assert robot.set(max_frame_age_s=1e6).successful
    assert robot.ask().text == "an answer"


def test_one_stale_camera_of_two_is_named(rig, scripted):
    robot = rig(load=scripted(lambda *_: "an answer"), cameras={"front": "raw", "side": "raw"})
    robot.feed("front")
    robot.feed("side", newest_ns=time.time_ns() - 300 * S)
    answer = robot.ask()
    assert answer.status == Answer.STALE
    assert "camera 'side'" in answer.message
    assert robot.ask(cameras=["front"]).status == Answer.OK


def test_frozen(rig, scripted):
    robot = rig(load=scripted(lambda *_: "an answer"), frozen_after_s=5.0)
    picture = robot.cameras["front"].picture()
    now_ns = time.time_ns()
    for ago_s in (8, 6, 4, 2):
        robot.cameras["front"].send(now_ns - ago_s * S, picture)
    robot.wait_until_received("front")
    answer = robot.ask()
    assert answer.status == Answer.FROZEN
    assert "identical picture for 6.0 s (frozen_after_s 5): restart its driver" in answer.message
    status, _ = robot.diagnostic("camera front")
    assert (status.level, status.message[:7]) == (status.ERROR, "frozen:")
    # One new picture, and it lives.
    robot.cameras["front"].send(now_ns)
    robot.wait_until_received("front")
    assert robot.ask().status == Answer.OK


def test_a_frozen_picture_is_no_fault_where_frozen_after_s_is_zero(rig, scripted):
    robot = rig(load=scripted(lambda *_: "an answer"), frozen_after_s=0.0)
    picture = np.zeros((48, 64, 3), np.uint8)
    for ago_s in (40, 20, 1):
        robot.cameras["front"].send(time.time_ns() - ago_s * S, picture)
    robot.wait_until_received("front")
    assert robot.ask().status == Answer.OK


def test_no_frames(rig, scripted):
    robot = rig(load=scripted(lambda *_: "an answer"))
    answer = robot.ask()
    assert answer.status == Answer.NO_FRAMES
    assert "camera 'front' has sent no usable frame (0 messages received)" in answer.message
    robot.cameras["front"].send(time.time_ns(), step=1)
    robot.wait_until_received("front")
    assert "1 messages received, 1 malformed); last error: camera 'front'" in robot.ask().message
    robot.feed(count=1)
    assert robot.ask().status == Answer.OK


def test_queue_full(rig, endless):
    robot = rig(model=endless, queue_size=2, queue_policy="reject")
    robot.feed()
    answering = robot.goal(**ENDLESS)
    answering.chunks.wait()
    waiting = [robot.ask_later(max_new_tokens=2) for _ in range(2)]
    robot.diagnostic("queue", lambda status, values: values["waiting"] == "2")
    refused = robot.ask()
    assert refused.status == Answer.QUEUE_FULL
    assert "2 requests are waiting already: ask less often, or raise queue_size" in refused.message
    status, _ = robot.diagnostic("queue")
    assert (status.level, status.message) == (status.WARN, "full (reject)")
    answering.cancel()
    assert [robot.outcome(future).answer.status for future in waiting] == [Answer.OK, Answer.OK]
    assert robot.diagnostic("queue", lambda status, values: values["ended_ok"] == "2")[1]["ended_queue_full"] == "1"


def test_dropped(rig, endless):
    robot = rig(model=endless, queue_size=1, queue_policy="drop_oldest")
    robot.feed()
    answering = robot.goal(**ENDLESS)
    answering.chunks.wait()
    oldest = robot.goal(max_new_tokens=2)
    robot.diagnostic("queue", lambda status, values: values["waiting"] == "1")
    newest = robot.goal(max_new_tokens=2)
    _, dropped = oldest.result()
    assert dropped.status == Answer.DROPPED
    assert "a newer request took its place (queue_policy drop_oldest)" in dropped.message
    answering.cancel()
    assert newest.result()[1].status == Answer.OK


def test_deadline_in_mid_answer(rig, endless):
    robot = rig(model=endless)
    stamps = robot.feed()
    robot.ask(max_new_tokens=2)
    pieces = robot.listen(AnswerChunk, "answer_chunks")
    answer = robot.ask(deadline_s=0.6, max_new_tokens=4096)
    assert answer.status == Answer.DEADLINE
    assert "cut off at deadline_s 0.6" in answer.message
    chunks = pieces.wait(lambda piece: piece.done) and pieces.messages
    assert "".join(chunk.text for chunk in chunks) == answer.text != ""
    assert answer.total_time_s >= 0.6
    assert stamp_ns(answer.header.stamp) == stamps[-1]
    assert robot.ask(max_new_tokens=2).status == Answer.OK


def test_deadline_while_waiting(rig, endless):
    """The one that waits ends at its deadline, not when its turn comes."""
    robot = rig(model=endless)
    robot.feed()
    answering = robot.goal(**ENDLESS)
    answering.chunks.wait()
    answer = robot.ask(deadline_s=0.2)
    assert not answering.is_done()
    assert answer.status == Answer.DEADLINE
    assert "waited in the queue" in answer.message
    assert (answer.text, list(answer.frames)) == ("", [])
    answering.cancel()
    assert answering.result()[1].status == Answer.CANCELLED


def test_the_parameter_deadline_s_holds_where_a_request_has_none(rig, endless):
    robot = rig(model=endless, deadline_s=0.2)
    robot.feed()
    assert robot.ask(**ENDLESS).status == Answer.DEADLINE


def test_model_error(rig, scripted):
    def stumble(clips, question, on_text, should_stop):
        on_text("so ")
        if question == "stumble":
            raise ZeroDivisionError("not a number in layer 3")
        return "so what"

    robot = rig(load=scripted(stumble))
    robot.feed()
    pieces = robot.listen(AnswerChunk, "answer_chunks")
    answer = robot.ask("stumble")
    assert answer.status == Answer.MODEL_ERROR
    assert "ZeroDivisionError: not a number in layer 3 (stumble, line" in answer.message
    chunks = pieces.wait(lambda piece: piece.done) and pieces.messages
    assert "".join(chunk.text for chunk in chunks) == answer.text == "so "
    status, _ = robot.diagnostic("model")
    assert status.level == status.ERROR
    assert "not a number in layer 3" in status.message
    assert robot.ask().text == "so what"
    status, _ = robot.diagnostic("model")
    assert status.level == status.WARN


def test_worker_dead_and_healed_by_activating_anew(rig, scripted):
    at_work, die = threading.Event(), threading.Event()

    def leave(clips, question, on_text, should_stop):
        if question != "leave":
            return "an answer"
        at_work.set()
        assert die.wait(30)
        raise SystemExit("the driver has gone")

    robot = rig(load=scripted(leave))
    robot.feed()
    killer = robot.goal("leave")
    assert at_work.wait(30)
    waiting = robot.ask_later()
    robot.diagnostic("queue", lambda status, values: values["waiting"] == "1")
    die.set()
    answers = [killer.result()[1], robot.outcome(waiting).answer, robot.ask()]
    for answer in answers:
        assert answer.status == Answer.WORKER_DEAD
        assert "SystemExit: the driver has gone): deactivate and activate the node" in answer.message
    status, values = robot.diagnostic("queue")
    assert (status.level, values["ended_worker_dead"]) == (status.ERROR, "3")
    assert robot.transition("deactivate")
    assert robot.transition("activate")
    assert robot.ask().text == "an answer"
    status, _ = robot.diagnostic("queue")
    assert status.level == status.OK


def test_inactive(rig, scripted):
    robot = rig(load=scripted(lambda *_: "an answer"), active=False)
    for step in (None, "configure"):
        if step:
            assert robot.transition(step)
        answer = robot.ask()
        assert answer.status == Answer.INACTIVE
        for command in ("configure", "activate"):
            assert f"ros2 lifecycle set {robot.name} {command}" in answer.message
        assert robot.goal().result()[1].status == Answer.INACTIVE
    robot.activate()
    robot.feed(count=1)
    assert robot.ask().status == Answer.OK
    assert robot.transition("deactivate")
    assert robot.ask().status == Answer.INACTIVE


def test_deactivating_ends_all_requests_at_once(rig, endless):
    robot = rig(model=endless)
    robot.feed()
    answering = robot.goal(**ENDLESS)
    answering.chunks.wait()
    waiting = robot.goal(**ENDLESS)
    asked = robot.ask_later()
    robot.diagnostic("queue", lambda status, values: values["waiting"] == "2")
    assert robot.transition("deactivate")
    answers = [answering.result()[1], waiting.result()[1], robot.outcome(asked).answer]
    assert [answer.status for answer in answers] == [Answer.CANCELLED] * 3
    assert answers[0].text != ""
    assert all("being deactivated" in answer.message for answer in answers[1:])
    assert robot.transition("activate")
    assert robot.ask(max_new_tokens=2).status == Answer.OK


def test_the_diagnostics_count_every_status(rig, scripted):
    robot = rig(load=scripted(lambda *_: "an answer"), active=False)
    robot.ask()
    _, values = robot.diagnostic("queue")
    counts = {key: value for key, value in values.items() if key.startswith("ended_")}
    assert counts == {f"ended_{status.name.lower()}": "0" for status in Status} | {"ended_inactive": "1"}
