"""Pictures and /clock have no order among each other: a picture waits for the simulated time at which it was sent."""

from __future__ import annotations

import time

import pytest
from llava_ov_ros.msg import Answer

from llava_ov_ros.frames import stamp_ns
from llava_ov_ros.node import camera_subscriptions

S = 1_000_000_000
T0_NS = 1_700_000_000 * S
# Long enough for a picture to reach the thread of its camera.
UNDERWAY_S = 0.3


@pytest.fixture
def robot(rig, scripted):
    client = rig(load=scripted(lambda *_: "yes"), use_sim_time=True, image_qos="match")
    client.set_clock(T0_NS)
    return client


def test_a_picture_that_overtakes_the_clock_is_not_of_the_future(robot, monkeypatch):
    # A machine may be busy for longer than the node waits.
    monkeypatch.setattr(camera_subscriptions, "CLOCK_WAIT_S", 60.0)
    for second in (10, 20):
        sent = [robot.cameras["front"].send(T0_NS + second * S + number * S // 10) for number in range(3)]
        time.sleep(UNDERWAY_S)
        robot.set_clock(T0_NS + second * S)
        values = robot.wait_until_received("front")
        assert values["future_stamps"] == "0"
    answer = robot.ask(window_s=1.0)
    assert (answer.status, [stamp_ns(frame.header.stamp) for frame in answer.frames]) == (Answer.OK, sent)


def test_pictures_of_another_clock_are_refused_and_only_the_first_waits(robot, monkeypatch):
    waits = []

    def looks(camera, stamp, now):
        found = is_of_future(camera, stamp, now)
        waits.append((stamp, found))
        return found

    is_of_future = camera_subscriptions.Camera.is_of_future
    monkeypatch.setattr(camera_subscriptions.Camera, "is_of_future", looks)
    sent = [robot.cameras["front"].send(time.time_ns() + number * S) for number in range(3)]
    values = robot.wait_until_received("front")
    assert (values["future_stamps"], values["admitted"]) == ("3", "0")
    looked = {stamp: sum(1 for of, _ in waits if of == stamp) for stamp in sent}
    # Twice: before the message is taken, and as the camera takes it.
    assert looked[sent[0]] > 10
    assert [looked[stamp] for stamp in sent[1:]] == [2, 2]
    # The first that is in time ends that, and the next waits again.
    robot.feed(count=1, newest_ns=T0_NS)
    waits.clear()
    late = robot.cameras["front"].send(time.time_ns())
    assert robot.wait_until_received("front")["future_stamps"] == "4"
    assert sum(1 for of, _ in waits if of == late) > 10
