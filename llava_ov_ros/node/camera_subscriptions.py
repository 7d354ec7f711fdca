"""Subscribes to the cameras' topics and passes every message to the `Camera` of its topic."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from rclpy.clock import ROSClock
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from rclpy.subscription import Subscription
from rclpy.topic_endpoint_info import TopicEndpointInfo

from ..bounds import quoted
from ..frames import SINGLE_PICTURE_TYPES, Camera, ImageError, Outcome, read_head, stamp_and_frame
from ..frames.video import NEEDS_AV, has_av
from ..message_types import TRANSPORTS, VIDEO_TYPES, appends
from ..questions.freshness import OTHER_CLOCK
from ..settings import ParameterError, Settings
from .camera_thread import CameraGroup, CameraThread
from .image_messages import message_class, type_name

WARN_PERIOD_S = 5.0
# For how long a picture waits for a simulated clock that is behind it, and how often the thread looks at the clock.
CLOCK_WAIT_S = 1.0
CLOCK_LOOK_S = 0.005


def full_name(endpoint: TopicEndpointInfo) -> str:
    """Return the full name of the node of a publisher or subscription, such as `/front/camera`."""
    return f"{endpoint.node_namespace.rstrip('/')}/{endpoint.node_name}"


def reliability_name(qos: QoSProfile) -> str:
    """Return the reliability of a publisher or subscription as the diagnostics name it: `reliable` or `best_effort`."""
    return "reliable" if qos.reliability == ReliabilityPolicy.RELIABLE else "best_effort"


def camera_topics(settings: Settings, resolve: Callable[[str], str]) -> list[tuple[str, type]]:
    """Return the topic and the message type that the node subscribes to for each camera.

    As in image_transport, the suffix of a transport is appended to the resolved topic name: a user who remaps a
    camera's topic remaps all of its transports.

    Args:
        settings: The parameters, with one topic per camera.
        resolve: Returns the full name of a topic after remapping (rclpy: `node.resolve_topic_name`).

    Returns:
        Topic and message class of each camera, in the order of the parameter `cameras`.

    Raises:
        ParameterError: A topic already ends with the suffix of its transport, or a topic carries video and the package
            av is not installed.
        NotInstalledError: The package of a transport's messages is not installed.
    """
    topics: list[tuple[str, type]] = []
    for topic, transport in zip(settings.image_topics, settings.per_camera("image_transport"), strict=True):
        kind = TRANSPORTS.get(transport, transport)
        if kind in VIDEO_TYPES and not has_av():
            raise ParameterError(f"image_transport has {transport}, and {NEEDS_AV}")
        message_type = message_class(kind)
        if not appends(transport):
            # The subscription resolves this name; a name that is resolved here, too, would be remapped twice.
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
    """The connection between a camera's subscription and the publishers of its topic.

    Attributes:
        topic: Full name of the topic, with its transport.
        message_type: Message type that the node subscribes to, such as `sensor_msgs/msg/Image`.
        publisher_nodes: Full name of the node of each publisher that has been discovered.
        matched: Number of publishers that the subscription is connected to.
        reliability: Reliability of the subscription, `reliable` or `best_effort`; empty without a subscription.
    """

    topic: str
    message_type: str
    publisher_nodes: tuple[str, ...]
    matched: int
    reliability: str


class Intake:
    """The subscriptions to the cameras of a configured node; they exist while the node is active.

    Each camera has a thread of its own, so that no camera waits for another, and pictures do not wake the node's
    executor. At an admission rate, most pictures are not due: these are not deserialised.

    Topics have no order among each other: a picture may come before the message on /clock that was sent ahead of it.
    Such a picture waits until the simulated time has come, at most 1 s; if that was in vain, the next ones do not wait.
    """

    def __init__(
        self, node: Node, settings: Settings, cameras: Mapping[str, Camera], on_admitted: Callable[[], None]
    ) -> None:
        self._node = node
        self._settings = settings
        self._cameras = cameras
        self._on_admitted = on_admitted
        self._warned_s: dict[str, float] = {}
        self._waited_in_vain: set[str] = set()
        self._closing = threading.Event()
        self._topics = dict(zip(cameras, camera_topics(settings, node.resolve_topic_name), strict=True))
        self._full_names = {name: node.resolve_topic_name(topic) for name, (topic, _) in self._topics.items()}
        self._reliable = dict.fromkeys(cameras, False)
        self._subscriptions: dict[str, Subscription] = {}
        self._threads: dict[str, CameraThread] = {}

    def open(self) -> None:
        """Subscribe to all cameras."""
        self._closing.clear()
        for name in self._cameras:
            self._reliable[name] = self._wants_reliable(name, self._publishers(name))
            self._subscribe(name)

    def _publishers(self, name: str) -> list[TopicEndpointInfo]:
        publishers: list[TopicEndpointInfo] = self._node.get_publishers_info_by_topic(self._full_names[name])
        return publishers

    def _wants_reliable(self, name: str, publishers: Sequence[TopicEndpointInfo]) -> bool:
        """Whether to subscribe reliably: if image_qos is match and all publishers are reliable.

        A best-effort subscription receives from publishers of both kinds.
        """
        if self._settings.image_qos != "match":
            return False
        if not publishers:
            # The next publisher is likely to be like the last, and a new subscription would lose its first pictures.
            return self._reliable[name]
        return all(p.qos_profile.reliability == ReliabilityPolicy.RELIABLE for p in publishers)

    def _subscribe(self, name: str) -> None:
        topic, message_type = self._topics[name]
        kind, camera = type_name(message_type), self._cameras[name]
        # If every frame is due, two steps from bytes to message would only be slower than the middleware's one.
        unread = self._settings.admission_rate_hz > 0 and kind in SINGLE_PICTURE_TYPES
        take = partial(self._take_unread, camera, message_type, kind) if unread else partial(self._take, camera)
        qos = QoSProfile(
            history=HistoryPolicy.KEEP_LAST,
            depth=self._settings.image_qos_depth,
            reliability=ReliabilityPolicy.RELIABLE if self._reliable[name] else ReliabilityPolicy.BEST_EFFORT,
        )
        group = CameraGroup()  # type: ignore[no-untyped-call]
        subscription = self._node.create_subscription(message_type, topic, take, qos, callback_group=group, raw=unread)
        self._subscriptions[name] = subscription
        self._threads[name] = CameraThread(name, subscription, self._node.context, self._node.get_logger())

    def _unsubscribe(self, name: str) -> None:
        # A subscription has no thread if its thread could not be started.
        if name in self._threads:
            self._threads.pop(name).end()
        self._node.destroy_subscription(self._subscriptions.pop(name))

    def match_publishers(self) -> dict[str, Link]:
        """Replace the subscription of each camera whose publishers' reliability has changed (image_qos match).

        Returns:
            The connection of each camera, by the camera's name. The subscription's reliability already suits every
            publisher that the connection names.
        """
        links = {}
        for name in self._cameras:
            publishers = self._publishers(name)
            wanted = self._wants_reliable(name, publishers)
            if name in self._subscriptions and wanted != self._reliable[name]:
                self._reliable[name] = wanted
                self._unsubscribe(name)
                self._subscribe(name)
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
        """Return the full name of a camera's topic, with its transport."""
        return self._full_names[name]

    def close(self) -> None:
        """Destroy all subscriptions, and discard the state of the cameras' video decoders."""
        self._closing.set()
        for thread in self._threads.values():
            thread.stop()
        for name in list(self._subscriptions):
            self._unsubscribe(name)
        for camera in self._cameras.values():
            camera.end_stream()

    def _take(self, camera: Camera, message: Any) -> None:
        stamp_ns, _ = stamp_and_frame(message)
        self._offer(camera, stamp_ns, partial(camera.offer, message))

    def _take_unread(self, camera: Camera, message_type: type, kind: str, data: bytes) -> None:
        """Take a serialised message, and deserialise it if it is needed: it is due, or a video, or not understood."""
        read = partial(_deserialised, camera.name, message_type, data)
        head = read_head(kind, data)
        if head is not None and head.is_single_picture:
            self._offer(camera, head.stamp_ns, partial(camera.offer_unread, head.stamp_ns, read))
            return
        try:
            message = read()
        except ImageError as error:
            camera.count_malformed(str(error))
            self._warn(camera.name, str(error))
        else:
            self._take(camera, message)

    def _offer(self, camera: Camera, stamp_ns: int, offer: Callable[[int], Outcome]) -> None:
        """Offer a message with a stamp to its camera at the node's time, and tell of the outcome."""
        damaged = camera.counts.damaged
        self._await_clock(camera, stamp_ns)
        outcome = offer(self._now_ns())
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

    def _now_ns(self) -> int:
        return int(self._node.get_clock().now().nanoseconds)

    def _await_clock(self, camera: Camera, stamp_ns: int) -> None:
        """Wait for a simulated time at which a picture of this stamp is not of the future, unless that was in vain."""
        clock = self._node.get_clock()
        if not isinstance(clock, ROSClock) or not clock.ros_time_is_active:
            return
        if not camera.is_of_future(stamp_ns, self._now_ns()):
            self._waited_in_vain.discard(camera.name)
            return
        if camera.name in self._waited_in_vain:
            return
        until_s = time.monotonic() + CLOCK_WAIT_S
        while camera.is_of_future(stamp_ns, self._now_ns()):
            if time.monotonic() >= until_s or self._closing.wait(CLOCK_LOOK_S):
                self._waited_in_vain.add(camera.name)
                return

    def _warn(self, camera: str, text: str) -> None:
        """Log a warning, at most one per camera in five seconds."""
        now_s = time.monotonic()
        if now_s - self._warned_s.get(camera, -WARN_PERIOD_S) >= WARN_PERIOD_S:
            self._warned_s[camera] = now_s
            self._node.get_logger().warning(text)


def _deserialised(camera: str, message_type: type, data: bytes) -> Any:
    """Return the message of serialised bytes.

    Raises:
        ImageError: The bytes are not a message of this type.
    """
    try:
        return deserialize_message(data, message_type)
    except Exception as error:
        # Of several kinds, by what is wrong with the bytes.
        reason = " ".join(str(error).split())
        raise ImageError(camera, type_name(message_type), f"the message cannot be deserialised: {reason}") from error
