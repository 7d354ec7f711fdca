"""What the node makes of its engine: questions together, frames encoded ahead, memory given back when nobody asks."""

from __future__ import annotations

import shutil
import threading
import time

import pytest
from llava_ov_ros.msg import Answer

from llava_ov_ros.onevision import Generated

S = 1_000_000_000
QUESTIONS = ["What colour is the pan?", "Where is the ball?", "How many mugs are there?"]


class Batches:
    """In the model's place: holds the first question until it is let go, and notes what is asked together."""

    name = "batches"

    def __init__(self):
        self.at_work, self.go_on = threading.Event(), threading.Event()
        self.batches = []

    def stream(self, clips, asks, **how):
        """Answers each question with itself."""
        self.batches.append([ask.question for ask in asks])
        self.at_work.set()
        assert self.go_on.wait(30)
        for number, ask in enumerate(asks):
            yield number, Generated(ask.question, (1,), (0.5,), "stop", 10, 0.1, 0.2)

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


def test_questions_that_wait_are_answered_together(rig):
    model = Batches()
    robot = rig(load=lambda settings: model)
    robot.feed()
    first = robot.ask_later("the first")
    assert model.at_work.wait(30)
    alike = [robot.ask_later(question) for question in QUESTIONS]
    other = robot.ask_later("about less", max_frames=1)
    robot.diagnostic("queue", lambda status, values: values["waiting"] == "4")
    model.go_on.set()
    assert [robot.outcome(future).answer.text for future in alike] == QUESTIONS
    assert robot.outcome(first).answer.text == "the first"
    assert robot.outcome(other).answer.text == "about less"
    assert model.batches[0] == ["the first"]
    assert sorted(map(sorted, model.batches[1:])) == sorted([sorted(QUESTIONS), ["about less"]])


def test_frames_are_encoded_before_anybody_asks(rig, rooms, wait_until):
    robot = rig(model=str(rooms))
    robot.feed(count=1, newest_ns=time.time_ns() - 2 * S)
    assert robot.ask(QUESTIONS[0]).status == Answer.OK
    robot.feed(count=2)
    robot.diagnostic("model", lambda status, values: values["frames_encoded"] == "3")

    def settled():
        """The diagnostics' values, once five in a row agree: a frame is counted before its tokens are prefilled."""
        found = [robot.diagnostic("model")[1] for _ in range(5)]
        return found[0] if len({values["prefix_tokens"] for values in found}) == 1 else None

    before = wait_until(settled, "the end of preparing")
    assert robot.ask(QUESTIONS[1]).status == Answer.OK
    _, after = robot.diagnostic("model", lambda status, values: values["suffix_tokens"] != before["suffix_tokens"])
    assert after["frames_encoded"] == "3"
    assert after["prefix_tokens"] == before["prefix_tokens"], "the question was not prepared for"


def test_without_preparing_ahead_frames_wait_for_a_question(rig, rooms):
    robot = rig(model=str(rooms), prepare_ahead_s=0.0)
    robot.feed(count=1, newest_ns=time.time_ns() - 2 * S)
    assert robot.ask(QUESTIONS[0]).status == Answer.OK
    robot.feed(count=2)
    for _ in range(5):
        assert robot.diagnostic("model")[1]["frames_encoded"] == "1"
    assert robot.ask(QUESTIONS[0]).status == Answer.OK
    robot.diagnostic("model", lambda status, values: values["frames_encoded"] == "3")


def test_caches_that_are_too_small_do_not_keep_the_worker_busy(rig, nano):
    robot = rig(model=nano, prefix_cache_mb=0, feature_cache_mb=0)
    robot.feed(count=4)
    assert robot.ask(QUESTIONS[0], max_new_tokens=2).status == Answer.OK
    encoded = [int(robot.diagnostic("model")[1]["frames_encoded"]) for _ in range(4)]
    assert encoded[0] == encoded[-1] == 4, "frames are encoded again and again though nobody asks"


def test_caches_change_no_answer(rig, rooms):
    answers = []
    for megabytes in (64, 0):
        robot = rig(model=str(rooms), feature_cache_mb=megabytes, prefix_cache_mb=megabytes)
        robot.feed(count=4)
        answers.append([(a.text, a.confidence) for a in (robot.ask(question) for question in QUESTIONS)])
        _, values = robot.diagnostic("model")
        assert (values["feature_bytes"] == "0") is (megabytes == 0)
    assert [text for text, _ in answers[0]] == [text for text, _ in answers[1]]
    assert [c for _, c in answers[0]] == pytest.approx([c for _, c in answers[1]], rel=1e-4)


def test_a_model_that_nobody_asks_rests_and_wakes(rig, rooms):
    robot = rig(model=str(rooms), idle_unload_s=0.3)
    robot.feed(count=3)
    first = robot.ask(QUESTIONS[0])
    status, values = robot.diagnostic("model", lambda status, values: status.message.startswith("resting"))
    assert values["memory_bytes"] == "0"
    assert int(values["planned_bytes"]) > 3_000_000
    again = robot.ask(QUESTIONS[0])
    assert (again.status, again.text, again.model) == (Answer.OK, first.text, "rooms")
    status, _ = robot.diagnostic("model", lambda status, values: status.message.startswith("resting"))
    assert status.level == status.OK


def test_a_model_that_has_gone_while_it_rested_is_said(rig, rooms, tmp_path):
    model = shutil.copytree(rooms, tmp_path / "model")
    robot = rig(model=str(model), idle_unload_s=0.2)
    robot.feed(count=1)
    assert robot.ask(QUESTIONS[0]).status == Answer.OK
    robot.diagnostic("model", lambda status, values: status.message.startswith("resting"))
    (model / "config.json").unlink()
    answer = robot.ask(QUESTIONS[0])
    assert answer.status == Answer.MODEL_ERROR
    assert "cannot load the model again" in answer.message
    assert "config.json" in answer.message
    shutil.copy(rooms / "config.json", model)
    assert robot.ask(QUESTIONS[0]).status == Answer.OK


def test_the_memory_that_is_planned_for_grows_with_the_clip(rig, rooms):
    planned = [
        int(rig(model=str(rooms), clip_frames=frames).diagnostic("model")[1]["planned_bytes"]) for frames in (4, 32)
    ]
    assert planned[1] > planned[0] > 3_000_000
