"""Plays a bag to the node and asks it questions on the way; ends when the bag does.

`ros2 launch llava_ov_ros replay.launch.py bag:=my_bag ask:='What do you see?'`
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    OpaqueFunction,
    RegisterEventHandler,
    SetLaunchConfiguration,
    Shutdown,
)
from launch.event_handlers import OnProcessExit
from launch.events.process import ProcessExited
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.event_handlers import OnStateTransition
from launch_ros.substitutions import ExecutableInPackage, FindPackageShare

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity

PACKAGE = "llava_ov_ros"

# Arguments handed on to `llava-ov replay` where they are not empty.
OF_THE_PLAYER = ("ask", "questions", "every", "rate")
# Fast DDS 2 and 3 read one each: the player is what publishes the pictures.
PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")


def arguments() -> list[DeclareLaunchArgument]:
    return [
        DeclareLaunchArgument("bag", description="Folder of a ROS 2 bag, or a .mcap, .db3 or .bag file"),
        DeclareLaunchArgument(
            "topics",
            default_value="",
            description="Image topics of the bag to play, separated by commas; empty: all that have messages",
        ),
        DeclareLaunchArgument("ask", default_value="", description="A question"),
        DeclareLaunchArgument(
            "every", default_value="", description="Seconds of the bag between two asks; empty: once, at the end"
        ),
        DeclareLaunchArgument(
            "questions", default_value="", description="JSON file of questions with their times (docs/replay.md)"
        ),
        DeclareLaunchArgument("rate", default_value="1.0", description="Seconds of the bag played per second"),
    ]


def look_into_bag(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """The node's cameras are those of the bag."""
    if not given(context, "ask") and not given(context, "questions"):
        raise RuntimeError("give a question, ask:='What do you see?', or a file of them, questions:=file.json")
    return [SetLaunchConfiguration(name, ",".join(values)) for name, values in cameras_of_bag(context).items()]


def cameras_of_bag(context: LaunchContext) -> dict[str, list[str]]:
    """What llava_ov_ros.live.bag_cameras prints, run by the Python that also runs the node."""
    topics = [name.strip() for name in given(context, "topics").split(",") if name.strip()]
    # -P: in the source tree, the folder llava_ov_ros has no messages.
    command = ["python3", "-P", "-m", "llava_ov_ros.live.bag_cameras", given(context, "bag"), *topics]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        raise RuntimeError(ended.stderr.strip())
    found: dict[str, list[str]] = json.loads(ended.stdout)
    return found


def start_player(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Play the bag once the node is active; end everything with the bag."""
    node_name = "/".join(["", *filter(None, given(context, "namespace").split("/")), given(context, "name")])
    options = [
        option for name in OF_THE_PLAYER if given(context, name) for option in (f"--{name}", given(context, name))
    ]
    options += [option for topic in given(context, "topics").split(",") for option in ("--topic", topic)]
    profile = str(Path(get_package_share_directory(PACKAGE)) / "config" / "fastdds.xml")
    player = ExecuteProcess(
        cmd=[
            ExecutableInPackage("llava-ov", PACKAGE),
            *("replay", given(context, "bag"), "--live", "--node", node_name),
            *options,
        ],
        additional_env={name: os.environ.get(name, profile) for name in PROFILE_VARIABLES},
        output="screen",
    )
    return [
        # Once: a node that is activated again finds the player at work, or the launch ending.
        RegisterEventHandler(OnStateTransition(goal_state="active", entities=[player], handle_once=True)),
        RegisterEventHandler(OnProcessExit(target_action=player, on_exit=end)),
    ]


def end(event: ProcessExited, context: LaunchContext) -> Shutdown | None:
    if event.returncode != 0 and not context.is_shutdown:
        raise RuntimeError(f"the player has failed with exit code {event.returncode}: its output says why")
    # After Ctrl-C everything is ending already, and a second shutdown would fail.
    return None if context.is_shutdown else Shutdown(reason="the bag has ended")


def given(context: LaunchContext, name: str) -> str:
    return LaunchConfiguration(name).perform(context).strip()


def generate_launch_description() -> LaunchDescription:
    node = PathJoinSubstitution([FindPackageShare(PACKAGE), "launch", "llava_ov.launch.py"])
    return LaunchDescription(
        [
            *arguments(),
            OpaqueFunction(function=look_into_bag),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(node),
                launch_arguments={
                    **{name: LaunchConfiguration(name) for name in ("cameras", "image_topics", "image_transport")},
                    "image_qos": "match",
                    "use_sim_time": "true",
                    # Without the node there is nobody to play to.
                    "required": "true",
                }.items(),
            ),
            OpaqueFunction(function=start_player),
        ]
    )
