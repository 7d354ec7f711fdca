"""How a launch ends where its node fails, and what it does to the node meanwhile; needs a real launch_ros."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

pytest.importorskip("launch_ros", reason="launch_ros is not among the ROS wheels; it is on a robot")
from launch.actions import IncludeLaunchDescription, OpaqueFunction, RegisterEventHandler, Shutdown, TimerAction
from launch.event_handlers import OnProcessExit, OnProcessStart
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.event_handlers import OnStateTransition

from launch import LaunchDescription, LaunchService
from llava_ov_ros.live.session import Session

LAUNCH = Path(__file__).resolve().parents[2] / "launch" / "llava_ov.launch.py"
TOO_SLOW_S = 90.0
WRONG = {"visual_mode": "film"}


class Launched:
    """What has become of a launch.

    Attributes:
        code: Exit code of the launch.
        exits: Exit codes of the node, in order.
        states: States that the node has come to, in order.
        too_slow: Whether the launch had to be ended.
    """

    def __init__(self, on_state=lambda launched, context: None, **arguments):
        self.exits, self.states, self.starts, self.too_slow = [], [], 0, False
        self.namespace = f"/test_launch_{os.getpid()}"

        def note(context):
            self.states.append(context.locals.event.goal_state)
            return on_state(self, context)

        def begun(event, context):
            self.starts += 1
            self.pid = event.pid

        def give_up(context):
            self.too_slow = True
            return [Shutdown(reason="too slow")]

        service = LaunchService(noninteractive=True)
        included = IncludeLaunchDescription(
            PythonLaunchDescriptionSource(str(LAUNCH)),
            launch_arguments={"namespace": self.namespace, **arguments}.items(),
        )
        service.include_launch_description(
            LaunchDescription(
                [
                    # First: the handlers that are registered last are called first, and an error in one ends the rest.
                    included,
                    RegisterEventHandler(OnStateTransition(entities=[OpaqueFunction(function=note)])),
                    RegisterEventHandler(OnProcessStart(on_start=begun)),
                    RegisterEventHandler(OnProcessExit(on_exit=lambda event, _: self.exits.append(event.returncode))),
                    TimerAction(period=TOO_SLOW_S, actions=[OpaqueFunction(function=give_up)]),
                ]
            )
        )
        self.code = service.run()


def test_a_wrong_parameter_ends_the_launch():
    launched = Launched(**WRONG)
    assert (launched.code, launched.exits, launched.too_slow) == (1, [2], False)


def test_a_parameters_file_that_is_not_there_ends_the_launch_before_the_node_starts():
    launched = Launched(params_file="/no/such.yaml")
    assert (launched.code, launched.starts) == (1, 0)


def test_a_node_that_dies_ends_the_launch():
    def kill(launched, context):
        if launched.states[-1] == "active":
            os.kill(launched.pid, signal.SIGKILL)

    launched = Launched(kill)
    assert (launched.code, launched.exits, launched.too_slow) == (1, [-9], False)


def test_a_node_that_is_told_to_stop_ends_the_launch_without_an_error():
    def stop(launched, context):
        if launched.states[-1] == "active":
            os.kill(launched.pid, signal.SIGTERM)

    launched = Launched(stop)
    assert (launched.code, launched.exits, launched.too_slow) == (0, [0], False)


def test_a_node_that_dies_is_started_again_and_comes_to_active():
    def kill_once(launched, context):
        if launched.states.count("active") == 2:
            return [Shutdown(reason="seen enough")]
        if launched.states[-1] == "active":
            os.kill(launched.pid, signal.SIGKILL)
        return None

    launched = Launched(kill_once, respawn="true")
    assert (launched.code, launched.exits, launched.starts) == (0, [-9, 0], 2)


def test_a_wrong_parameter_is_not_tried_again():
    launched = Launched(respawn="true", **WRONG)
    assert (launched.code, launched.exits, launched.starts, launched.too_slow) == (1, [2], 1, False)


def test_a_required_node_that_cannot_be_configured_ends_the_launch():
    launched = Launched(required="true", model="/no/such/model")
    assert (launched.code, launched.exits, launched.too_slow) == (1, [0], False)


def test_a_configure_by_hand_activates_nothing(tmp_path, rooms):
    model = tmp_path / "model"

    def correct(launched, context):
        if launched.states == ["configuring", "unconfigured"]:
            model.symlink_to(rooms)

            def by_hand():
                with Session([], f"{launched.namespace}/llava_ov") as session:
                    session.configure(60.0)

            context.add_completion_future(context.asyncio_loop.run_in_executor(None, by_hand))
        if launched.states[-1] == "inactive":
            return [TimerAction(period=3.0, actions=[Shutdown(reason="seen enough")])]
        return None

    launched = Launched(correct, model=str(model))
    assert launched.states == ["configuring", "unconfigured", "configuring", "inactive"]
    assert launched.code == 0
