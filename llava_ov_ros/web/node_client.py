"""The web process in the ROS graph: hears the node, notices when it ends and comes back, asks for browsers."""

from __future__ import annotations

import contextlib
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.srv import GetParameters
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, ShutdownException, SingleThreadedExecutor
from rclpy.node import NodeNameNonExistentError
from rclpy.qos import QoSProfile
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CompressedImage

from llava_ov_ros.msg import ActionHint, Answer, AnswerChunk, Plan

from ..node.depths import FEEDBACK_DEPTH, kept_qos
from .board import MOST_ANSWERS, MOST_PLANS
from .camera_pictures import CameraPictures
from .message_json import answer_json, as_json, diagnostics_json, hint_json, plan_json
from .node_requests import NodeRequests

NAME = "llava_ov_web"
LOOK_S = 0.5
PARAMETERS_S = 5.0
"""Seconds between two looks at the node's standing questions."""
SILENT_S = 3.0
"""A node that has sent no diagnostics for so long, or for three of their periods, is taken for gone."""
MOST_PERIOD_S = 20.0
"""Longest period of diagnostics that is believed; a gap is longer if the node was away."""
MOST_EVIDENCE_BYTES = 4 * 2**20
"""A larger evidence picture is left out."""
STANDING = "standing_questions"


class NodeClient:
    """A ROS node with a thread of its own that passes on what the node says.

    Attributes:
        requests: What browsers ask of the node.
        pictures: The pictures of the node's cameras.
    """

    def __init__(
        self, node_name: str, put: Callable[[str, Any], None], put_picture: Callable[[str, bytes], None]
    ) -> None:
        """Join the ROS graph.

        Args:
            node_name: Fully qualified name of the node, such as `/llava_ov`.
            put: Gets kind and content of everything that the node says, in other threads; the kinds are those of
                `Board.take`.
            put_picture: Gets a camera's name and its newest picture, in another thread.
        """
        self._name = node_name
        self._put = put
        self._context = Context()
        rclpy.init(context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self._node = rclpy.create_node(NAME, context=self._context, start_parameter_services=False)
        self._executor = SingleThreadedExecutor(context=self._context)
        self.requests = NodeRequests(self._node, self._executor, node_name, put)
        self.pictures = CameraPictures(self._node, put_picture)
        self._parameters = self._node.create_client(GetParameters, f"{node_name}/get_parameters")
        self._parameters_asked_s = 0.0
        self._parameters_future: Any = None
        self._diagnostics: Any = None
        self._heard_s: float | None = None
        self._period_s = 1.0
        self._lives: frozenset[bytes] = frozenset()
        self._hears()
        self._node.create_timer(LOOK_S, self._look)
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._spin, name="llava_ov_web_ros", daemon=True)
        self._thread.start()

    def _hears(self) -> None:
        name, subscribe = self._name, self._node.create_subscription
        subscribe(Answer, f"{name}/answers", self._passed("answer", answer_json), kept_qos(MOST_ANSWERS))
        subscribe(Plan, f"{name}/plans", self._passed("plan", plan_json), kept_qos(MOST_PLANS))
        subscribe(AnswerChunk, f"{name}/answer_chunks", self._passed("chunk", as_json), FEEDBACK_DEPTH)
        subscribe(ActionHint, f"{name}/action_hint", self._passed("hint", hint_json), kept_qos(1))
        subscribe(CompressedImage, f"{name}/evidence/compressed", self._take_evidence, QoSProfile(depth=1))

    def _passed(self, kind: str, record: Callable[[Any], Any]) -> Callable[[Any], None]:
        return lambda message: self._put(kind, record(message))

    def _spin(self) -> None:
        """Run callbacks until this object is closed; one that fails, such as of a damaged message, ends no other."""
        while True:
            try:
                self._executor.spin()
                return
            except (ExternalShutdownException, ShutdownException):
                return
            except Exception as error:  # noqa: BLE001 - see above
                failed = "".join(traceback.format_exception(error))
                self._node.get_logger().error(f"a callback failed: {failed}", throttle_duration_sec=1.0)

    def _take_evidence(self, message: CompressedImage) -> None:
        if message.format == "jpeg" and len(message.data) <= MOST_EVIDENCE_BYTES:
            self._put("evidence", {"stamp": as_json(message.header.stamp), "jpeg": bytes(message.data)})

    def _take_diagnostics(self, message: DiagnosticArray) -> None:
        found = diagnostics_json(message, self._name)
        if found is None:
            return
        now_s = time.monotonic()
        if self._heard_s is not None:
            # A period that was lengthened is learnt at once, a shortened one slowly.
            self._period_s = min(MOST_PERIOD_S, max(now_s - self._heard_s, 0.9 * self._period_s))
        self._heard_s = now_s
        self.pictures.follow({one["name"]: one["topic"] for one in found["cameras"]})
        self._put("diagnostics", found)

    def _look(self) -> None:
        """Find the node's diagnostics, and tell whether the node is there."""
        self._find_diagnostics()
        publishers = self._node.get_publishers_info_by_topic(f"{self._name}/answers")
        self._lives = frozenset(bytes(one.endpoint_gid) for one in publishers)
        self.requests.follow(self._lives)
        message = self._why_gone()
        self._put("node", {"name": self._name, "up": not message, "message": message})
        self.requests.is_gone = bool(message)
        if message:
            self.requests.lose_all()
            self._heard_s = self._heard_s if self._lives else None
        elif time.monotonic() - self._parameters_asked_s >= PARAMETERS_S:
            self._ask_parameters()

    def _why_gone(self) -> str:
        """The reason why the node is taken for gone; empty if it is there."""
        if not self._lives or not self.requests.is_ready():
            return f"no node {self._name} in the graph"
        if self._heard_s is None:
            return f"no diagnostics of {self._name} yet"
        silent_s = time.monotonic() - self._heard_s
        if silent_s > max(SILENT_S, 3 * self._period_s):
            return f"no word of {self._name} for {silent_s:.0f} s"
        return ""

    def _find_diagnostics(self) -> None:
        """Subscribe to the node's diagnostics, whichever topic they come on."""
        namespace, _, name = self._name.rpartition("/")
        with contextlib.suppress(NodeNameNonExistentError):
            published = self._node.get_publisher_names_and_types_by_node(name, namespace or "/")
            topic = next((one for one, kinds in published if "diagnostic_msgs/msg/DiagnosticArray" in kinds), None)
            if topic is None or (self._diagnostics is not None and self._diagnostics.topic_name == topic):
                return
            if self._diagnostics is not None:
                self._node.destroy_subscription(self._diagnostics)
            self._diagnostics = self._node.create_subscription(DiagnosticArray, topic, self._take_diagnostics, 10)

    def _ask_parameters(self) -> None:
        if not self._parameters.service_is_ready():
            return
        if self._parameters_future is not None:
            self._parameters.remove_pending_request(self._parameters_future)
        self._parameters_asked_s = time.monotonic()
        future = self._parameters_future = self._parameters.call_async(GetParameters.Request(names=[STANDING]))
        future.add_done_callback(self._take_parameters)

    def _take_parameters(self, future: Any) -> None:
        values = future.result().values
        if values:
            self._put("standing", [text for text in as_json(values[0].string_array_value) if text.strip()])

    def close(self) -> None:
        """Leave the graph."""
        self.pictures.close()
        self._executor.shutdown(timeout_sec=2.0)
        self._thread.join(5)
        self.requests.close()
        self._node.destroy_node()
        rclpy.try_shutdown(context=self._context)
