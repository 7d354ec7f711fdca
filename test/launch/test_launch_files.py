"""Launch files: every argument is described, and the node that they start comes to the state active."""

from __future__ import annotations

import ast
import os
from dataclasses import fields
from pathlib import Path

import pytest

from llava_ov_ros.settings import Settings

FOLDER = Path(__file__).resolve().parents[2] / "launch"
FILES = sorted(FOLDER.glob("*.launch.py"))
START_S = 60.0


def declared(file: Path) -> dict[str, set[str]]:
    """Keywords of each DeclareLaunchArgument of a file, by the argument's name."""
    calls = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
    return {
        ast.literal_eval(call.args[0]): {keyword.arg for keyword in call.keywords}
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id == "DeclareLaunchArgument"
    }


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_declared_argument_has_a_description(file):
    arguments = declared(file)
    assert arguments
    assert [name for name, keywords in arguments.items() if "description" not in keywords] == []


def test_arguments_that_override_parameters_have_the_names_of_parameters():
    tree = ast.parse((FOLDER / "llava_ov.launch.py").read_text())
    constants = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and node.targets[0].id in ("STRINGS", "LISTS")
    }
    types = {entry.name: entry.type for entry in fields(Settings)}
    assert {types[name] for name in constants["STRINGS"]} == {"str"}
    assert {types[name] for name in constants["LISTS"]} == {"list[str]"}
    assert {*constants["STRINGS"], *constants["LISTS"]} <= declared(FOLDER / "llava_ov.launch.py").keys()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_launch_shows_a_description_of_every_argument(file):
    pytest.importorskip("launch_ros", reason="launch_ros is not among the ROS wheels; it is on a robot")
    from launch.launch_description_sources import get_launch_description_from_python_launch_file

    arguments = get_launch_description_from_python_launch_file(str(file)).get_launch_arguments()
    assert {"namespace", "name", "model", "use_sim_time", "autostart", "log_level"} <= {a.name for a in arguments}
    assert [a.name for a in arguments if not a.description or a.description == "no description given"] == []


def states_after_launch(arguments: dict[str, str], last: str) -> list[str]:
    """States that the launched node went through, up to the state `last` or the time limit."""
    from launch.actions import IncludeLaunchDescription, OpaqueFunction, RegisterEventHandler, Shutdown, TimerAction
    from launch.launch_description_sources import PythonLaunchDescriptionSource
    from launch_ros.event_handlers import OnStateTransition

    from launch import LaunchDescription, LaunchService

    states: list[str] = []

    def note(context):
        states.append(context.locals.event.goal_state)
        return [Shutdown(reason="seen enough")] if states[-1] == last else None

    service = LaunchService(noninteractive=True)
    service.include_launch_description(
        LaunchDescription(
            [
                RegisterEventHandler(OnStateTransition(entities=[OpaqueFunction(function=note)])),
                TimerAction(period=START_S, actions=[Shutdown(reason="too slow")]),
                IncludeLaunchDescription(
                    PythonLaunchDescriptionSource(str(FOLDER / "llava_ov.launch.py")),
                    launch_arguments=arguments.items(),
                ),
            ]
        )
    )
    service.run()
    return states


def test_the_node_comes_to_active():
    pytest.importorskip("launch_ros", reason="launch_ros is not among the ROS wheels; it is on a robot")
    arguments = {"namespace": f"test_launch_{os.getpid()}", "cameras": "front,rear", "image_topics": "f/image,r/image"}
    assert states_after_launch(arguments, last="active")[-2:] == ["activating", "active"]


def test_a_model_that_is_not_there_leaves_the_node_unconfigured():
    pytest.importorskip("launch_ros", reason="launch_ros is not among the ROS wheels; it is on a robot")
    arguments = {"namespace": f"test_launch_{os.getpid()}", "model": "no/such/directory"}
    assert states_after_launch(arguments, last="unconfigured") == ["configuring", "unconfigured"]
