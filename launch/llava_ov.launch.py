"""Starts the node and brings it to the state active; `ros2 launch ... -s` lists the arguments."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction, RegisterEventHandler, Shutdown
from launch.event_handlers import OnProcessExit, OnProcessStart
from launch.events.process import ProcessExited, ProcessStarted
from launch.logging import get_logger
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode
from launch_ros.substitutions import ExecutableInPackage, FindPackageShare

from launch import Event, EventHandler, LaunchContext, LaunchDescription, LaunchDescriptionEntity
from llava_ov_ros.checkpoints import MODEL_FORMS
from llava_ov_ros.node.bring_up import bring_up

PACKAGE = "llava_ov_ros"

# Arguments that override a parameter of the same name, where they are not empty.
STRINGS = ("model", "device", "visual_mode", "image_qos")
LISTS = ("cameras", "image_topics", "image_transport", "stamp_source", "value_range")
# The node ends within 10 s of the first signal, however long the model's forward pass or its loading takes.
SIGTERM_AFTER_S = "12"
SIGKILL_AFTER_S = "6"
RESPAWN_DELAY_S = 2.0
# As documented: a parameter or argument that cannot be used, which a new start does not change.
UNUSABLE = 2


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
            description="raw, compressed, compressedDepth, ffmpeg, foxglove or the type of topics named in full; "
            f"one for all cameras, or one for each, separated by commas; {kept}",
        ),
        DeclareLaunchArgument(
            "stamp_source",
            default_value="",
            description="Time of a frame: header (its stamp) or arrival (the node's clock when its message arrived), "
            f"one for all cameras or one for each, separated by commas; {kept}",
        ),
        DeclareLaunchArgument(
            "value_range",
            default_value="",
            description="Stored values shown darkest and brightest, of pictures of one channel with more than 8 bits: "
            "default, auto, or two numbers such as 0..4095; one for all cameras, or one for each, separated by commas; "
            f"{kept}",
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
            "respawn",
            default_value="false",
            choices=booleans,
            description="Whether a node that has ended is started again, unless its parameters cannot be used; "
            "otherwise the launch ends, with exit code 1 where the node has failed",
        ),
        DeclareLaunchArgument(
            "required",
            default_value="false",
            choices=booleans,
            description="Whether the launch also ends, with exit code 1, where autostart cannot configure or activate "
            "the node; otherwise the node waits for a `ros2 lifecycle set`",
        ),
        DeclareLaunchArgument(
            "web",
            default_value="false",
            choices=booleans,
            description="Whether `llava-ov web` serves a page about the node, in a process of its own",
        ),
        DeclareLaunchArgument("web_host", default_value="127.0.0.1", description="Address that the page is served on"),
        DeclareLaunchArgument("web_port", default_value="8421", description="Port that the page is served on"),
        DeclareLaunchArgument(
            "web_token_file",
            default_value="",
            description="File with the token of the page; needed on another web_host than that of this machine",
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

    params_file = Path(given("params_file")).expanduser()
    if not params_file.is_file():
        # launch_ros warns of it and starts the node without, which then asks another model about other cameras.
        raise RuntimeError(f"params_file is {params_file}, and there is no such file: correct the path")
    overrides: dict[str, Any] = {"use_sim_time": given("use_sim_time") == "true"}
    overrides |= {name: given(name) for name in STRINGS if given(name)}
    overrides |= {name: [entry.strip() for entry in given(name).split(",")] for name in LISTS if given(name)}
    respawn = given("respawn") == "true"
    node = LifecycleNode(
        package=PACKAGE,
        executable="llava_ov_node",
        name=given("name"),
        namespace=given("namespace"),
        parameters=[str(params_file), overrides],
        ros_arguments=["--log-level", given("log_level")],
        output="screen",
        sigterm_timeout=SIGTERM_AFTER_S,
        sigkill_timeout=SIGKILL_AFTER_S,
        respawn=respawn,
        respawn_delay=RESPAWN_DELAY_S,
    )
    name = "/".join(["", *filter(None, given("namespace").split("/")), given("name")])
    starts = Starts(name, given("required") == "true")
    handlers = [OnProcessExit(target_action=node, on_exit=lambda event, context: starts.ended(event, context, respawn))]
    if given("autostart") == "true":
        handlers += [OnProcessStart(target_action=node, on_start=starts.begun), starts.failing()]
    page = [] if given("web") == "false" else [web_page(name, given)]
    return [*(RegisterEventHandler(handler) for handler in handlers), node, *page]


def web_page(node_name: str, given: Callable[[str], str]) -> ExecuteProcess:
    """The process of the page; whatever becomes of it, the launch goes on."""
    token = ["--token-file", given("web_token_file")] if given("web_token_file") else []
    return ExecuteProcess(
        cmd=[
            ExecutableInPackage("llava-ov", PACKAGE),
            *("web", "--node", node_name, "--host", given("web_host"), "--port", given("web_port")),
            *token,
        ],
        output="screen",
    )


class NotBroughtUp(Event):
    """The node that the launch requires could not be configured or activated."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason


class Starts:
    """Brings the node up at each start, and nobody else's transitions matter: one by hand activates nothing."""

    def __init__(self, name: str, required: bool) -> None:
        self._name = name
        self._required = required
        self._pid: int | None = None

    def begun(self, event: ProcessStarted, context: LaunchContext) -> None:
        """Bring the node up beside the launch's own work; a handler of OnProcessStart."""
        loop = context.asyncio_loop
        assert loop is not None, "the launch runs"
        self._pid = event.pid

        def run() -> None:
            reason = bring_up(self._name, lambda: context.is_shutdown or self._pid != event.pid)
            if reason and self._required:
                loop.call_soon_threadsafe(context.emit_event_sync, NotBroughtUp(reason))
            elif reason:
                get_logger("launch").error(reason)

        context.add_completion_future(loop.run_in_executor(None, run))

    def failing(self) -> EventHandler:
        """The handler that ends the launch where the node is required and was not brought up."""

        def fail(context: LaunchContext) -> None:
            raise RuntimeError(context.locals.event.reason)

        return EventHandler(
            matcher=lambda event: isinstance(event, NotBroughtUp), entities=[OpaqueFunction(function=fail)]
        )

    def ended(self, event: ProcessExited, context: LaunchContext, respawn: bool) -> Shutdown | None:
        """End the launch with the node, unless it is started again; a handler of OnProcessExit."""
        self._pid = None
        if event.returncode != 0 and (context.is_shutdown or not respawn or event.returncode == UNUSABLE):
            # Shutdown would end the launch as well, with exit code 0.
            raise RuntimeError(f"{self._name} has failed with exit code {event.returncode}")
        return None if context.is_shutdown or respawn else Shutdown(reason=f"{self._name} has ended")


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription([*arguments(), OpaqueFunction(function=start_node)])
