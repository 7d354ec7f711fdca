"""Diagnostics say what is: of which node, of the last while, with the present cause, and how long answers took."""

from __future__ import annotations

import gc
import socket
import statistics
import time
import weakref

import numpy as np
import pytest
import torch
from llava_ov_ros.msg import Answer

from llava_ov_ros.frames import CameraCounts, Clip, Frame
from llava_ov_ros.node.model import load_from
from llava_ov_ros.node.recent import LONGEST_MESSAGE, MOMENTS, MOST_ENDS, Ends, RecentCounts
from llava_ov_ros.onevision.steps import StaticSteps
from llava_ov_ros.questions import Query, Result, Status

S = 1_000_000_000


@pytest.fixture
def yes(scripted):
    return scripted(lambda *_: "yes")


def when_the_window_is_over(robot, part):
    """What the diagnostics of a part are then; before, the window is so long that no test can miss it."""
    assert robot.set(diagnostics_window_s=0.2).successful
    return robot.diagnostic(part, lambda status, values: status.level == status.OK)


def test_two_nodes_of_one_name_are_two_on_diagnostics(rig, yes):
    """An aggregator sorts by the names: what has the same one is one thing to it, and the last wins."""
    names, hardware = [], set()
    for _ in range(2):
        robot = rig(load=yes)
        message = robot.diagnostics.wait(lambda message: len(message.status) == 3)
        prefix = f"{robot.live.get_fully_qualified_name()}: "
        assert [status.name.removeprefix(prefix) for status in message.status] == ["model", "queue", "camera front"]
        names += [status.name for status in message.status]
        hardware |= {(status.name.removeprefix(prefix), status.hardware_id) for status in message.status}
        assert message.status[2].hardware_id == robot.cameras["front"].topic
    assert len(set(names)) == len(names)
    assert {("model", socket.gethostname()), ("queue", socket.gethostname())} < hardware


def test_a_bad_message_is_a_warning_for_the_window_and_then_only_counted(rig, yes):
    robot = rig(load=yes, diagnostics_window_s=600)
    robot.cameras["front"].send(time.time_ns() - S // 2, step=1)
    robot.feed(count=1)
    status, values = robot.diagnostic("camera front", lambda status, values: status.level != status.ERROR)
    assert (status.level, values["malformed"]) == (status.WARN, "1")
    assert status.message.startswith("1 malformed messages in the last 600 s, the last: camera 'front'")
    status, values = when_the_window_is_over(robot, "camera front")
    assert (status.message, values["malformed"]) == ("frames come in", "1")
    assert "step is 1" in values["last_error"]


def test_odd_stamps_are_a_warning_for_the_window(rig, yes):
    robot = rig(load=yes, diagnostics_window_s=600)
    robot.cameras["front"].send(time.time_ns() + 3600 * S)
    stamp = robot.feed(count=1)[0]
    robot.cameras["front"].send(stamp)
    robot.wait_until_received("front")
    status, _ = robot.diagnostic("camera front", lambda status, values: status.level == status.WARN)
    assert status.message.startswith(
        "stamps in the last 600 s: 0 zero (time of arrival used), 1 in the future and 1 out"
    )
    _, values = when_the_window_is_over(robot, "camera front")
    assert (values["future_stamps"], values["out_of_order"]) == ("1", "1")


def test_a_refusal_names_what_is_wrong_now_and_not_what_once_was(rig, yes):
    robot = rig(load=yes, max_frame_age_s=1.0)
    robot.cameras["front"].send(time.time_ns() - 2 * S, step=1)
    robot.feed(count=1)
    # The camera stops.
    status, _ = robot.diagnostic("camera front", lambda status, values: status.level == status.ERROR)
    answer = robot.ask()
    assert answer.status == Answer.STALE
    for text in (answer.message, status.message):
        assert text.endswith("more than max_frame_age_s 1 (0 messages received since)")
    # It comes back, broken.
    robot.cameras["front"].send(time.time_ns(), height=49)
    robot.wait_until_received("front")
    status, _ = robot.diagnostic("camera front")
    for text in (robot.ask().message, status.message):
        assert "(1 messages received since, 1 malformed); last error: camera 'front'" in text
        assert "step is 1" not in text


def test_a_failure_of_the_model_is_an_error_until_it_answers_and_a_warning_for_the_window(rig, scripted):
    def stumble(clips, question, on_text, should_stop):
        if question == "stumble":
            raise ZeroDivisionError("not a number in layer 3")
        return "an answer"

    robot = rig(load=scripted(stumble), diagnostics_window_s=600)
    robot.feed()
    assert robot.ask("stumble").status == Answer.MODEL_ERROR
    # A request that never comes to the model says nothing of it.
    assert robot.ask("").status == Answer.INVALID
    status, _ = robot.diagnostic("model")
    assert (status.level, status.message[:24]) == (status.ERROR, "the last request failed:")
    assert robot.ask().status == Answer.OK
    status, _ = robot.diagnostic("model")
    assert status.level == status.WARN
    assert status.message.startswith("1 of 2 requests failed in the last 600 s, the last: ZeroDivisionError")
    status, values = when_the_window_is_over(robot, "model")
    assert (status.message, values["model"]) == ("loaded", "scripted")


def test_steps_that_could_not_be_captured_are_a_warning(rig, rooms):
    def no_room(compute):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB")

    def load(settings):
        engine = load_from(settings)
        engine._state.static_steps = StaticSteps(engine._state.language, 2**30, no_room)
        return engine

    robot = rig(load=load, model=str(rooms))
    robot.feed()
    status, values = robot.diagnostic("model")
    assert (status.level, values["step_shortage"]) == (status.OK, "")
    assert robot.ask("What colour is the mug?").status == Answer.OK
    status, values = robot.diagnostic("model", lambda status, values: status.level == status.WARN)
    assert status.message == values["step_shortage"]
    assert status.message.startswith("memory ran out while steps of Capacity(rows=1, ")
    assert (values["step_shapes"], values["step_bytes"]) == ("0", "0")


def test_requests_without_room_are_a_warning_for_the_window_and_answers_are_timed(rig, endless):
    robot = rig(model=endless, queue_size=1, diagnostics_window_s=600)
    robot.feed()
    assert robot.diagnostic("queue")[1]["answer_time_p95_s"] == ""
    answering = robot.goal(max_new_tokens=4096)
    answering.chunks.wait()
    waiting = robot.ask_later(max_new_tokens=2)
    robot.diagnostic("queue", lambda status, values: values["waiting"] == "1")
    assert robot.ask().status == Answer.QUEUE_FULL
    answering.cancel()
    first = robot.outcome(waiting).answer
    assert first.status == Answer.OK
    status, _ = robot.diagnostic("queue")
    assert status.level == status.WARN
    assert status.message == "of 3 requests in the last 600 s ended without an answer: 1 as QUEUE_FULL"
    # What the clients were told of their answers' times is the truth; refusals are none.
    times = [first.total_time_s, *(robot.ask(max_new_tokens=count).total_time_s for count in (2, 3, 4, 40))]
    robot.ask("")
    _, values = robot.diagnostic("queue")
    assert values["recent_answers"] == "5"
    assert float(values["answer_time_median_s"]) == pytest.approx(statistics.median(times), abs=1e-3)
    assert float(values["answer_time_p95_s"]) == pytest.approx(
        statistics.quantiles(times, n=20, method="inclusive")[-1], abs=1e-3
    )
    _, values = when_the_window_is_over(robot, "queue")
    assert values["ended_queue_full"] == "1"
    robot.diagnostic("queue", lambda status, values: values["recent_answers"] == "0")


def test_the_window_is_whole_at_every_period_and_little_is_kept():
    for period_s in (0.1, 0.9, 40.0):
        recent, window_s = RecentCounts(0.0), 30.0
        for tick in range(1, 2000):
            # A message with every tick.
            now_s = tick * period_s
            counted = recent.update(CameraCounts(received=tick), now_s, window_s).received
            least = min(tick, int(window_s / period_s))
            assert least <= counted <= least + window_s / MOMENTS / period_s + 1.5
        assert len(recent._moments) <= MOMENTS + 2
    # A window that is widened again and again keeps no more either.
    for window_s in (1.0, 10.0, 100.0, 1000.0, 3600.0):
        for _ in range(200):
            now_s += window_s / 100
            recent.update(CameraCounts(), now_s, window_s)
    assert len(recent._moments) <= 2 * MOMENTS


def test_ends_are_bounded_and_keep_no_pictures():
    ends = Ends()
    frame = Frame("front", 1, "optical", np.zeros((4, 6, 3), np.uint8))
    gone = weakref.ref(frame)
    for _ in range(2 * MOST_ENDS):
        ends.note(Result(Query("?", ("front",)), Status.OK, "x" * 10**4, clips=(Clip("front", (frame,)),)))
    del frame
    gc.collect()
    assert gone() is None
    kept = ends.within(1e6)
    assert len(kept) == MOST_ENDS
    assert ends.last == kept[-1]
    assert len(ends.last.message) == LONGEST_MESSAGE
    assert ends.counts[Status.OK] == 2 * MOST_ENDS
    assert ends.within(0.0) == []
