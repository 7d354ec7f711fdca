"""A ROS node beside the node under test: publishes for it, drives its lifecycle, asks it, reads its diagnostics."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import GetParameters
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, ShutdownException, SingleThreadedExecutor
from rclpy.node import NodeNameNonExistentError
from rclpy.signals import SignalHandlerOptions

from llava_ov_ros.msg import Answer
from llava_ov_ros.srv import Ask

from ..frames import stamp_ns
from ..no_op import no_op
from ..node.depths import requests_qos
from ..questions import new_request_id
from ..replay import ImageTopic
from .player import Player

POLL_S = 0.02


class LiveError(RuntimeError):
    """The node cannot be reached or did not do what was asked; the text says what to start or to set."""


@dataclass(frozen=True)
class DiagnosticsReport:
    """One message of the node's diagnostics.

    Attributes:
        now_ns: The node's time in nanoseconds.
        cameras: Values of each camera by key, by full name of the camera's topic.
    """

    now_ns: int
    cameras: Mapping[str, Mapping[str, str]]


class Session:
    """A client in the ROS graph while the `with` block lasts.

    Attributes:
        player: Publishes the topics and /clock.
    """

    def __init__(
        self,
        topics: Sequence[ImageTopic],
        node_name: str,
        rate: float = 1.0,
        namespace: str = "",
        check: Callable[[], None] = no_op,
    ) -> None:
        """Prepare a session; entering it joins the ROS graph.

        Args:
            topics: The topics that will be published.
            node_name: Name of the node to ask, such as `/llava_ov`.
            rate: Seconds of the recording per second.
            namespace: Put before the topics and /clock (see `Player`); empty: the topics keep their names.
            check: Called repeatedly while the session waits; ends the wait by raising LiveError.
        """
        self._topics = list(topics)
        self._node_name = node_name if node_name.startswith("/") else f"/{node_name}"
        self._rate = rate
        self._namespace = namespace
        self._check = check
        self._session = new_request_id()

    def __enter__(self) -> Self:
        self._context = Context()
        rclpy.init(context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        # The node's diagnostics name the nodes that publish, and an earlier session's must not be taken for this one.
        name = f"llava_ov_player_{self._session}"
        self._node = rclpy.create_node(name, namespace=self._namespace or "/", context=self._context)
        self.player = Player(self._node, self._topics, self._rate, self._namespace)
        self._ask = self._node.create_client(Ask, f"{self._node_name}/ask", qos_profile=requests_qos())
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._spinner = threading.Thread(target=self._spin, name="llava_ov_player", daemon=True)
        self._spinner.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._executor.shutdown(timeout_sec=1.0)
        self._spinner.join(timeout=2.0)
        self._node.destroy_node()
        rclpy.try_shutdown(context=self._context)

    def _spin(self) -> None:
        with contextlib.suppress(ExternalShutdownException, ShutdownException):
            self._executor.spin()

    def ask(self, requests: Sequence[Ask.Request], timeout_s: float) -> list[Answer]:
        """Ask several questions at once and return the answers in the order of the requests.

        Raises:
            LiveError: An answer did not arrive in time.
        """
        return [response.answer for response in self._call(self._ask, requests, timeout_s)]

    def _call(self, client: Any, requests: Sequence[Any], timeout_s: float) -> list[Any]:
        """Call a service from the session's main thread and return the responses.

        Raises:
            LiveError: A response did not arrive in time.
        """
        futures = [client.call_async(request) for request in requests]
        try:
            self.wait_for(
                lambda: all(future.done() for future in futures),
                timeout_s,
                f"{client.srv_name} did not respond within {timeout_s:g} s",
            )
        except LiveError:
            for future in futures:
                client.remove_pending_request(future)
            raise
        return [future.result() for future in futures]

    def wait_for(self, condition: Callable[[], bool], timeout_s: float, otherwise: str | Callable[[], str]) -> None:
        """Wait until a condition holds.

        Args:
            condition: Polled until it returns True.
            timeout_s: Longest wait in seconds.
            otherwise: Text of the error, or a function that makes it.

        Raises:
            LiveError: The condition did not hold in time.
        """
        pause = threading.Event()
        until_s = time.monotonic() + timeout_s
        while not condition():
            self._check()
            if time.monotonic() > until_s:
                raise LiveError(otherwise if isinstance(otherwise, str) else otherwise())
            pause.wait(POLL_S)

    def _call_once(self, kind: type, service: str, request: Any, timeout_s: float) -> Any:
        """Call a service of the node through a client that is destroyed afterwards."""
        client = self._node.create_client(kind, f"{self._node_name}/{service}", qos_profile=requests_qos())
        try:
            self.wait_for(
                client.service_is_ready, timeout_s, f"there is no managed node {self._node_name} (no {client.srv_name})"
            )
            return self._call(client, [request], timeout_s)[0]
        finally:
            self._node.destroy_client(client)

    def change_state(self, transition: int, timeout_s: float) -> None:
        """Take the node through a transition of lifecycle_msgs/Transition.

        Raises:
            LiveError: There is no such node, or the transition failed (the node's log says why).
        """
        request = ChangeState.Request()
        request.transition.id = transition
        if not self._call_once(ChangeState, "change_state", request, timeout_s).success:
            raise LiveError(f"node {self._node_name} refused transition {transition}: its log says why")

    def configure(self, timeout_s: float) -> None:
        """Make the node load its model; raises LiveError for the same reasons as `change_state`."""
        self.change_state(Transition.TRANSITION_CONFIGURE, timeout_s)

    def activate(self, timeout_s: float) -> None:
        """Make the node subscribe and accept questions; raises LiveError for the same reasons as `change_state`."""
        self.change_state(Transition.TRANSITION_ACTIVATE, timeout_s)

    def state(self, timeout_s: float = 5.0) -> str:
        """Return the label of the node's lifecycle state, such as `active`."""
        label: str = self._call_once(GetState, "get_state", GetState.Request(), timeout_s).current_state.label
        return label

    def _parameters(self, timeout_s: float = 5.0) -> tuple[bool, float]:
        """Return the node's parameters use_sim_time and diagnostics_period_s."""
        request = GetParameters.Request(names=["use_sim_time", "diagnostics_period_s"])
        values = self._call_once(GetParameters, "get_parameters", request, timeout_s).values
        return values[0].bool_value, values[1].double_value

    def wait_until_up(self, timeout_s: float) -> None:
        """Wait until the node's services are there, whatever its lifecycle state.

        Raises:
            LiveError: The services did not appear in time.
        """
        self.wait_for(self._ask.service_is_ready, timeout_s, f"{self._node_name} did not come up in {timeout_s:g} s")

    def wait_until_heard(self, timeout_s: float = 10.0) -> None:
        """Wait until the active node and this session have discovered each other, so that no message is lost.

        Meanwhile the session publishes the time at which the recording begins.

        Args:
            timeout_s: Longest wait in seconds for the node's service, and again for the discovery of the topics. One
                period of the node's diagnostics is added to the latter.

        Raises:
            LiveError: The node is missing or not active, listens to other topics, or uses another clock.
        """
        self.wait_for(
            self._ask.service_is_ready,
            timeout_s,
            f"no service {self._node_name}/ask: start the node (ros2 launch llava_ov_ros llava_ov.launch.py, or "
            "llava_ov_node --autostart), or name another one",
        )
        use_sim_time, period_s = self._parameters()
        if not use_sim_time:
            raise LiveError(
                f"{self._node_name} goes by the machine's clock, for which every recorded frame is stale: start it "
                "with use_sim_time:=true"
            )
        reports: deque[DiagnosticsReport] = deque([DiagnosticsReport(0, {})], maxlen=1)
        start_ns = min((topic.first_ns for topic in self._topics if topic.count), default=0)
        problems: list[str] = []

        def all_is_heard() -> bool:
            self.player.jump_to(start_ns)
            last = reports[-1]
            problems[:] = self.player.unheard(self._node_name, last.cameras)
            if not problems and last.now_ns != start_ns:
                clock = self.player.clock_topic
                problems.append(f"{clock} (the node has another time: does somebody else publish it, too?)")
            return not problems

        with self.diagnostics(reports.append, timeout_s):
            self.wait_for(
                all_is_heard,
                timeout_s + period_s,
                lambda: (
                    f"{self._node_name} does not hear {', '.join(problems)}: is it active (it is {self.state()}), and "
                    "are its parameters image_topics and image_transport those of the bag?"
                ),
            )

    @contextlib.contextmanager
    def diagnostics(self, on_report: Callable[[DiagnosticsReport], None], timeout_s: float) -> Iterator[None]:
        """Call `on_report` with the node's diagnostics during the `with` block, whichever topic they come on."""
        namespace, _, name = self._node_name.rpartition("/")
        prefix = f"{self._node_name}: camera "
        topics: list[str] = []

        def find() -> bool:
            with contextlib.suppress(NodeNameNonExistentError):
                published = self._node.get_publisher_names_and_types_by_node(name, namespace or "/")
                topics[:] = [topic for topic, types in published if "diagnostic_msgs/msg/DiagnosticArray" in types]
            return bool(topics)

        def take(message: DiagnosticArray) -> None:
            cameras = {
                status.hardware_id: {value.key: value.value for value in status.values}
                for status in message.status
                if status.name.startswith(prefix)
            }
            # Other nodes publish on the same topic; and before configure there is no camera.
            if cameras:
                on_report(DiagnosticsReport(stamp_ns(message.header.stamp), cameras))

        self.wait_for(find, timeout_s, f"{self._node_name} does not publish diagnostics")
        subscription = self._node.create_subscription(DiagnosticArray, topics[0], take, 10)
        try:
            yield
        finally:
            self._node.destroy_subscription(subscription)
