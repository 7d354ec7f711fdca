"""Bringing a node up once, as the launch files do."""

from __future__ import annotations

import threading

import pytest

from llava_ov_ros.node.bring_up import bring_up


def never():
    return False


def test_a_node_is_configured_and_activated(rig, scripted):
    robot = rig(load=scripted(lambda *_: "an answer"), active=False)
    assert bring_up(robot.name, never) == ""
    assert robot.state() == "active"


def test_a_node_that_cannot_be_configured_is_told_of_and_left(rig):
    robot = rig(active=False, model="/no/such/model")
    reason = bring_up(robot.name, never)
    assert reason == f"{robot.name} could not be configured and is unconfigured: its log says why"
    assert robot.state() == "unconfigured"


@pytest.mark.parametrize("state", ["inactive", "active"])
def test_a_node_that_somebody_else_has_configured_is_left_alone(rig, scripted, state):
    robot = rig(load=scripted(lambda *_: "an answer"), active=state == "active")
    if state == "inactive":
        assert robot.transition("configure")
    assert bring_up(robot.name, never).startswith(f"{robot.name} is {state} already")
    assert robot.state() == state


def test_a_node_is_awaited_and_the_waiting_can_be_ended():
    over = threading.Event()
    ends = []
    waiting = threading.Thread(target=lambda: ends.append(bring_up("/nobody/llava_ov", over.is_set)))
    waiting.start()
    waiting.join(1.0)
    assert ends == []
    over.set()
    waiting.join(30)
    assert ends == [""]


def test_a_long_load_is_awaited_without_a_second_request(rig, scripted, wait_until):
    asked, may_end = [], threading.Event()

    def load(settings):
        asked.append(settings)
        assert may_end.wait(60)
        return scripted(lambda *_: "an answer")(settings)

    robot = rig(load=load, active=False)
    ends = []
    waiting = threading.Thread(target=lambda: ends.append(bring_up(robot.name, never)))
    waiting.start()
    wait_until(lambda: asked, "the load")
    # So long as it would take to think that the request was lost.
    waiting.join(3.0)
    assert ends == []
    may_end.set()
    waiting.join(60)
    assert (ends, len(asked), robot.state()) == ([""], 1, "active")
