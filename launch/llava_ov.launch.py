"""Starts the node and brings it to the state active; `ros2 launch ... -s` lists the arguments."""

from __future__ import annotations

from typing import Any

from launch.actions import DeclareLaunchArgument, EmitEvent, OpaqueFunction, RegisterEventHandler
from launch.event_handlers import OnProcessStart
from launch.events import matches_action
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from launch_ros.substitutions import FindPackageShare
from lifecycle_msgs.msg import Transition

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from llava_ov_ros.checkpoints import MODEL_FORMS

PACKAGE = "llava_ov_ros"

# Arguments that override a parameter of the same name, where they are not empty.
STRINGS = ("model", "device", "visual_mode", "image_qos")
LISTS = ("cameras", "image_topics", "image_transport")


def arguments() -> list[DeclareLaunchArgument]:
    booleans = ["true", "false"]
    kept = "empty: as params_file has it"
    return [
        DeclareLaunchArgument(
            "params_file",
            default_value=PathJoinSubstitution([FindPackageShare(PACKAGE), "config", "llava_ov.yaml"]),
            description="YAML file with all parameters of the node; the arguments below override it",
        ),
        DeclareLaunchArgument("namespace", default_value="", description="Namespace of the node; empty: none"),
        DeclareLaunchArgument("name", default_value="llava_ov", description="Name of the node"),
        DeclareLaunchArgument(
            "model",
            default_value="",
            description=f"Checkpoint: {MODEL_FORMS}; {kept}",
        ),
        DeclareLaunchArgument(
            "device", default_value="", description=f"Where the model runs: auto, cpu, cuda, cuda:0, ...; {kept}"
        ),
        DeclareLaunchArgument(
            "visual_mode", default_value="", description=f"video, multi_image or image, where none is asked for; {kept}"
        ),
        DeclareLaunchArgument(
            "cameras", default_value="", description=f"Names of the cameras, separated by commas (front,rear); {kept}"
        ),
        DeclareLaunchArgument(
            "image_topics",
            default_value="",
            description=f"Image topic of each camera without the transport's suffix, separated by commas; {kept}",
        ),
        DeclareLaunchArgument(
            "image_transport",
            default_value="",
            description="raw, compressed or compressedDepth; one for all cameras, or one for each, separated by "
            f"commas; {kept}",
        ),
        DeclareLaunchArgument(
            "image_qos",
            default_value="",
            description=f"sensor_data (best effort) or match (as reliable as the publisher is); {kept}",
        ),
        DeclareLaunchArgument(
            "use_sim_time",
            default_value="false",
            choices=booleans,
            description="Whether the node takes its time from /clock (simulation, a played bag)",
        ),
        DeclareLaunchArgument(
            "autostart",
            default_value="true",
            choices=booleans,
            description="Whether the node is configured and activated; otherwise `ros2 lifecycle set` does it",
        ),
        DeclareLaunchArgument(
            "log_level",
            default_value="info",
            choices=["debug", "info", "warn", "error", "fatal"],
            description="Least severity of the messages that the node logs",
        ),
    ]


def start_node(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    def given(name: str) -> str:
        return LaunchConfiguration(name).perform(context).strip()

    overrides: dict[str, Any] = {"use_sim_time": given("use_sim_time") == "true"}
    overrides |= {name: given(name) for name in STRINGS if given(name)}
    overrides |= {name: [entry.strip() for entry in given(name).split(",")] for name in LISTS if given(name)}
    node = LifecycleNode(
        package=PACKAGE,
        executable="llava_ov_node",
        name=given("name"),
        namespace=given("namespace"),
        parameters=[given("params_file"), overrides],
        ros_arguments=["--log-level", given("log_level")],
        output="screen",
    )
    return [*(bring_up(node) if given("autostart") == "true" else []), node]


def bring_up(node: LifecycleNode) -> list[LaunchDescriptionEntity]:
    # LifecycleNode(autostart=True) would do the same, but many installed launch_ros do not know it.
    def change(transition: int) -> EmitEvent:
        return EmitEvent(event=ChangeState(lifecycle_node_matcher=matches_action(node), transition_id=transition))

    return [
        RegisterEventHandler(OnProcessStart(target_action=node, on_start=[change(Transition.TRANSITION_CONFIGURE)])),
        # Only on the way up: a node that somebody deactivates stays inactive.
        RegisterEventHandler(
            OnStateTransition(
                target_lifecycle_node=node,
                start_state="configuring",
                goal_state="inactive",
                entities=[change(Transition.TRANSITION_ACTIVATE)],
            )
        ),
    ]


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription([*arguments(), OpaqueFunction(function=start_node)])
