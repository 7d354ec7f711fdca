"""Subscribes to the cameras and hands every message to its `Camera`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from rclpy.topic_endpoint_info import TopicEndpointInfo

from ..bounds import quoted
from ..frames import Camera, Outcome
from ..frames.video import NEEDS_AV, has_av
from ..message_types import TRANSPORTS, VIDEO_TYPES, appends
from ..questions.freshness import OTHER_CLOCK
from ..settings import ParameterError, Settings
from .image_messages import message_class, type_name

WARN_PERIOD_S = 5.0


def full_name(endpoint: TopicEndpointInfo) -> str:
    """The full name of a publisher's or subscription's node, such as `/front/camera`."""
    return f"{endpoint.node_namespace.rstrip('/')}/{endpoint.node_name}"


def reliability_name(qos: QoSProfile) -> str:
    """The reliability of a publisher or subscription as the diagnostics have it."""
    return "reliable" if qos.reliability == ReliabilityPolicy.RELIABLE else "best_effort"


def camera_topics(settings: Settings, resolve: Callable[[str], str]) -> list[tuple[str, type]]:
    """Topic and message type of each camera, to be subscribed to.

    As with image_transport, a transport's suffix follows the resolved name: who remaps the camera's topic means all of
    its transports.

    Args:
        settings: The parameters; as many topics as cameras.
        resolve: The full name of a topic after remapping (rclpy: `node.resolve_topic_name`).

    Raises:
        ParameterError: A topic ends with its transport already, or is video, and av is not installed.
        NotInstalledError: The package of a transport's messages is not installed.
    """
    topics: list[tuple[str, type]] = []
    for topic, transport in zip(settings.image_topics, settings.per_camera("image_transport"), strict=True):
        kind = TRANSPORTS.get(transport, transport)
        if kind in VIDEO_TYPES and not has_av():
            raise ParameterError(f"image_transport has {transport}, and {NEEDS_AV}")
        message_type = message_class(kind)
        if not appends(transport):
            # Not resolved here: the subscription would remap it once more.
            topics.append((topic, message_type))
            continue
        base, suffix = resolve(topic), f"/{transport}"
        if base.endswith(suffix):
            given = quoted(topic) if topic.endswith(suffix) else f"{quoted(topic)}, remapped to {quoted(base)},"
            raise ParameterError(
                f"image_topics has {given} with image_transport {transport}, which appends {suffix} itself: name the "
                f"topic without it, {quoted(base.removesuffix(suffix))}"
            )
        topics.append((base + suffix, message_type))
    return topics


@dataclass(frozen=True)
class Link:
    """How a camera is connected.

    Attributes:
        topic: With its transport and its full name.
        message_type: The messages that the camera takes, such as `sensor_msgs/msg/Image`.
        publisher_nodes: Full name of the node of each publisher that has been discovered.
        matched: How many publishers the subscription is connected to.
        reliability: Of the subscription, `reliable` or `best_effort`; empty while there is none.
    """

    topic: str
    message_type: str
    publisher_nodes: tuple[str, ...]
    matched: int
    reliability: str


class Intake:
    """The camera topics of a configured node, subscribed while it is active.

    Each camera has a callback group, so that none waits for another.
    """

    def __init__(
        self, node: Node, settings: Settings, cameras: Mapping[str, Camera], on_admitted: Callable[[], None]
    ) -> None:
        self._node = node
        self._settings = settings
        self._cameras = cameras
        self._on_admitted = on_admitted
        self._warned_s: dict[str, float] = {}
        self._groups = {name: MutuallyExclusiveCallbackGroup() for name in cameras}
        self._topics = dict(zip(cameras, camera_topics(settings, node.resolve_topic_name), strict=True))
        self._full_names = {name: node.resolve_topic_name(topic) for name, (topic, _) in self._topics.items()}
        self._reliable = dict.fromkeys(cameras, False)
        self._subscriptions: dict[str, Subscription] = {}

    def open(self) -> None:
        """Subscribe to all cameras."""
        for name in self._cameras:
            self._reliable[name] = self._wants_reliable(name, self._publishers(name))
            self._subscriptions[name] = self._subscribe(name)

    def _publishers(self, name: str) -> list[TopicEndpointInfo]:
        publishers: list[TopicEndpointInfo] = self._node.get_publishers_info_by_topic(self._full_names[name])
        return publishers

    def _wants_reliable(self, name: str, publishers: Sequence[TopicEndpointInfo]) -> bool:
        """Whether every publisher of a topic is reliable; a best-effort subscription hears all others too."""
        if self._settings.image_qos != "match":
            return False
        if not publishers:
            # The next one is likely to be as the last was, and subscribing anew would lose its first pictures.
            return self._reliable[name]
        return all(p.qos_profile.reliability == ReliabilityPolicy.RELIABLE for p in publishers)

    def _subscribe(self, name: str) -> Subscription:
        topic, message_type = self._topics[name]
        qos = QoSProfile(
            history=HistoryPolicy.KEEP_LAST,
            depth=self._settings.image_qos_depth,
            reliability=ReliabilityPolicy.RELIABLE if self._reliable[name] else ReliabilityPolicy.BEST_EFFORT,
        )
        return self._node.create_subscription(
            message_type, topic, partial(self._take, self._cameras[name]), qos, callback_group=self._groups[name]
        )

    def match_publishers(self) -> dict[str, Link]:
        """Subscribe anew where the publishers' reliability has changed (parameter image_qos match).

        Returns:
            How each camera is connected then: of publishers that a link names, the reliability is settled.
        """
        links = {}
        for name in self._cameras:
            publishers = self._publishers(name)
            wanted = self._wants_reliable(name, publishers)
            if name in self._subscriptions and wanted != self._reliable[name]:
                self._reliable[name] = wanted
                self._node.destroy_subscription(self._subscriptions[name])
                self._subscriptions[name] = self._subscribe(name)
            links[name] = self._link(name, publishers)
        return links

    def _link(self, name: str, publishers: Sequence[TopicEndpointInfo]) -> Link:
        nodes = tuple(sorted(full_name(publisher) for publisher in publishers))
        message_type = type_name(self._topics[name][1])
        subscription = self._subscriptions.get(name)
        if subscription is None:
            return Link(self._full_names[name], message_type, nodes, matched=0, reliability="")
        reliability = reliability_name(subscription.qos_profile)
        return Link(self._full_names[name], message_type, nodes, subscription.get_publisher_count(), reliability)

    def topic(self, name: str) -> str:
        """The full name of the camera's topic with its transport."""
        return self._full_names[name]

    def close(self) -> None:
        """End all subscriptions, and the decoders of video."""
        for subscription in self._subscriptions.values():
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()
        for camera in self._cameras.values():
            camera.end_stream()

    def _take(self, camera: Camera, message: Any) -> None:
        damaged = camera.counts.damaged
        outcome = camera.offer(message, self._node.get_clock().now().nanoseconds)
        counts = camera.counts
        if outcome is Outcome.MALFORMED or counts.damaged > damaged:
            self._warn(camera.name, counts.last_error)
        if outcome is Outcome.ADMITTED:
            self._on_admitted()
        elif outcome is Outcome.FUTURE_STAMP:
            self._warn(
                camera.name,
                f"camera {camera.name!r}: refused a frame stamped in the future (parameter future_tolerance_s): "
                f"{OTHER_CLOCK}",
            )

    def _warn(self, camera: str, text: str) -> None:
        """Log a warning, at most one per camera in five seconds."""
        now_s = time.monotonic()
        if now_s - self._warned_s.get(camera, -WARN_PERIOD_S) >= WARN_PERIOD_S:
            self._warned_s[camera] = now_s
            self._node.get_logger().warning(text)
