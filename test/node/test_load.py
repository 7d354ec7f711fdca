"""While a model is loaded, all that is not the load goes on, and the end of the node does not wait for it."""

from __future__ import annotations

import threading

import pytest
from llava_ov_ros.msg import Answer


class Load:
    """A load that lasts until a test lets it end."""

    def __init__(self, made):
        self.begun, self.may_end = threading.Event(), threading.Event()
        self._made = made

    def __call__(self, settings):
        """What the node calls."""
        self.begun.set()
        assert self.may_end.wait(60)
        return self._made(settings)


@pytest.fixture
def load(scripted):
    one = Load(scripted(lambda *_: "an answer"))
    yield one
    one.may_end.set()


@pytest.fixture
def loading(rig, load):
    """A node that loads, and the future of the response to whoever asked for that."""
    robot = rig(load=load, active=False)
    asked = robot.transition_later("configure")
    assert load.begun.wait(40)
    return robot, asked


def test_services_answer_during_a_load(loading, load):
    robot, asked = loading
    assert robot.state() == "configuring"
    assert robot.outcome(robot.get_later("model")).values[0].string_value == "rooms"
    assert robot.ask().status == Answer.INACTIVE
    robot.diagnostic("model")
    assert not asked.done()
    load.may_end.set()
    assert robot.outcome(asked).success
    assert robot.state() == "inactive"


@pytest.mark.parametrize("label", ["configure", "activate", "cleanup", "shutdown"])
def test_a_second_transition_is_refused_at_once(loading, load, label):
    robot, asked = loading
    assert not robot.transition(label)
    assert not asked.done()
    assert robot.state() == "configuring"
    load.may_end.set()
    assert robot.outcome(asked).success


def test_a_parameter_of_the_load_cannot_be_set_during_it(loading, load):
    robot, asked = loading
    refused = robot.set(model="other")
    assert not refused.successful
    assert refused.reason.startswith("model takes effect at configure")
    assert robot.set(max_frame_age_s=7.0, clip_window_s=3.0).successful
    load.may_end.set()
    assert robot.outcome(asked).success
    assert robot.live._cameras["front"]._growing._settings.window_ns == 3 * 10**9
    assert robot.live._configuration.now.settings.max_frame_age_s == 7.0


def test_the_end_of_the_node_does_not_wait_for_a_load(loading, load):
    robot, asked = loading
    robot.end_node()
    assert not load.may_end.is_set()
    assert not robot.outcome(asked).success


def test_the_end_of_the_node_does_not_wait_for_a_forward_pass(rig, scripted):
    begun, may_end = threading.Event(), threading.Event()

    def compute(clips, question, on_text, should_stop):
        begun.set()
        assert may_end.wait(60)
        return "too late"

    robot = rig(load=scripted(compute))
    robot.feed(count=1)
    asked = robot.ask_later()
    assert begun.wait(40)
    robot.end_node()
    assert not may_end.is_set()
    answer = robot.outcome(asked).answer
    assert answer.status == Answer.CANCELLED
    assert answer.message.startswith("the node is shutting down")
    may_end.set()
