"""Listen to every image topic of the ROS graph for a while and report how many of its pictures arrive."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any

import rclpy
from rclpy.context import Context
from rclpy.event_handler import SubscriptionEventCallbacks, UnsupportedEventTypeError
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions

from ..fastdds import DEFAULT_SEGMENT_BYTES
from ..frames import NS_PER_S, stamp_and_frame
from ..frames.video import NEEDS_AV, has_av, video_codec
from ..message_types import IMAGE_TYPES, NO_THEORA, THEORA
from ..no_op import no_op
from ..node.allocator import keep_large_blocks
from ..node.image_messages import NotInstalledError, message_class

DISCOVERY_PERIOD_S = 0.2
DEPTH = 5
"""Messages that each subscription keeps."""
EVIDENCE_TOPIC = "/evidence/compressed"
"""End of the names of topics that this package's nodes publish themselves, and only when they answer."""
ENOUGH = 0.98
"""A smaller delivered share is reported as a loss. It is less than 1 because the first and the last period are cut."""


@dataclass
class WatchedTopic:
    """What was received on one image topic.

    Attributes:
        name: Name of the topic.
        kind: Message type of the topic, such as `sensor_msgs/msg/Image`.
        reliability: Reliability of the topic's publishers: reliable, best_effort, or both.
        stamps_ns: Stamp of each message that arrived, in nanoseconds.
        lost: Number of messages that the middleware reports as lost on the way.
        size_bytes: Size of the largest picture.
        picture: Width, height and encoding of the pictures, the format of compressed ones, or the codec of a video.
        problem: Why the node cannot use the topic, with the remedy; empty if the node can.
        ages_ns: For each message, its time of arrival by this machine's clock minus its stamp; negative if the stamp is
            later than the arrival.
    """

    name: str
    kind: str
    reliability: str = ""
    stamps_ns: list[int] = field(default_factory=list)
    lost: int = 0
    size_bytes: int = 0
    picture: str = ""
    problem: str = ""
    ages_ns: list[int] = field(default_factory=list)

    @property
    def received(self) -> int:
        """Number of messages that arrived."""
        return len(self.stamps_ns)

    @property
    def stamped(self) -> bool:
        """Whether every message has a stamp."""
        return all(self.stamps_ns)

    @property
    def rate_hz(self) -> float:
        """Messages per second that arrived, computed from their stamps; 0 if the stamps do not tell."""
        span_ns = self._span_ns()
        return (self.received - 1) * NS_PER_S / span_ns if span_ns > 0 else 0.0

    @property
    def delivered(self) -> float | None:
        """Share of the sent messages that arrived, 0 to 1; None if too few arrived to estimate it.

        Missing messages show in two ways: in the middleware's own count, and as gaps between stamps that are longer
        than the median period. The estimate takes the worse of the two. If most messages of a topic are lost, the gaps
        underestimate the loss.
        """
        if self.received < 3:
            return None if self.lost == 0 else self.received / (self.received + self.lost)
        sent = self.received + self.lost
        if self.stamped:
            times = sorted(self.stamps_ns)
            period_ns = statistics.median(later - earlier for earlier, later in pairwise(times))
            if period_ns > 0:
                sent = max(sent, round(self._span_ns() / period_ns) + 1)
        return self.received / sent

    def _span_ns(self) -> int:
        return max(self.stamps_ns) - min(self.stamps_ns) if self.stamped and self.received > 1 else 0


def watch_cameras(
    seconds: float, on_tick: Callable[[float], None] = no_op, context: Context | None = None
) -> list[WatchedTopic]:
    """Subscribe, best effort, to every image topic that is published, and count what arrives.

    Args:
        seconds: How long to listen.
        on_tick: Called a few times per second with the seconds that are left.
        context: The rclpy context of the graph to look at; None: a new context.

    Returns:
        The topics, sorted by name.
    """
    keep_large_blocks()
    own = context is None
    if context is None:
        context = Context()
        rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node("llava_ov_cameras", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    topics: dict[str, WatchedTopic] = {}
    until_s = time.monotonic() + seconds
    try:
        while (left_s := until_s - time.monotonic()) > 0:
            _discover(node, topics)
            on_tick(left_s)
            end_s = min(until_s, time.monotonic() + DISCOVERY_PERIOD_S)
            while (wait_s := end_s - time.monotonic()) > 0:
                executor.spin_once(timeout_sec=wait_s)
    finally:
        executor.shutdown(timeout_sec=1.0)
        node.destroy_node()
        if own:
            rclpy.try_shutdown(context=context)
    return [topics[name] for name in sorted(topics)]


def _discover(node: Node, topics: dict[str, WatchedTopic]) -> None:
    """Subscribe to the image topics that have appeared since the last call."""
    for name, kinds in node.get_topic_names_and_types():
        publishers = node.get_publishers_info_by_topic(name)
        kind = next((kind for kind in kinds if kind in (*IMAGE_TYPES, THEORA)), None)
        if kind is None or not publishers or name.endswith(EVIDENCE_TOPIC):
            continue
        if name not in topics:
            topics[name] = WatchedTopic(name, kind)
            if kind == THEORA:
                topics[name].picture, topics[name].problem = "Theora video", NO_THEORA
            else:
                _subscribe(node, topics[name])
        topics[name].reliability = " and ".join(sorted({_reliability(publisher) for publisher in publishers}))


def _reliability(publisher: Any) -> str:
    return "reliable" if publisher.qos_profile.reliability == ReliabilityPolicy.RELIABLE else "best_effort"


def _subscribe(node: Node, topic: WatchedTopic) -> None:
    try:
        message_type = message_class(topic.kind)
    except NotInstalledError as error:
        topic.problem = str(error)
        return
    qos = QoSProfile(depth=DEPTH, reliability=ReliabilityPolicy.BEST_EFFORT)
    callback = partial(_take, topic)

    def count_lost(event: Any) -> None:
        topic.lost += event.total_count_change

    try:
        events = SubscriptionEventCallbacks(message_lost=count_lost)
        node.create_subscription(message_type, topic.name, callback, qos, event_callbacks=events)
    except UnsupportedEventTypeError:
        node.create_subscription(message_type, topic.name, callback, qos)


def _take(topic: WatchedTopic, message: Any) -> None:
    stamp, _ = stamp_and_frame(message)
    topic.stamps_ns.append(stamp)
    topic.ages_ns.append(time.time_ns() - stamp)
    topic.size_bytes = max(topic.size_bytes, len(message.data))
    try:
        codec = video_codec(message)
    except ValueError as error:
        codec, topic.problem = None, str(error)
    if codec is not None:
        topic.picture = f"{codec.value} video"
        topic.problem = "" if has_av() else NEEDS_AV
    elif hasattr(message, "format"):
        topic.picture = message.format
    else:
        topic.picture = f"{message.width}x{message.height} {message.encoding}"


def advice(topics: Iterable[WatchedTopic], profile: str) -> list[str]:
    """Explain which topics do not arrive completely and what to do about each.

    Args:
        topics: The topics that `watch_cameras` returned.
        profile: Path of the Fast DDS profile with a larger shared-memory segment.

    Returns:
        Paragraphs for the user; none if all topics arrive completely.
    """
    lines = []
    for topic in topics:
        share, large = topic.delivered, topic.size_bytes > DEFAULT_SEGMENT_BYTES
        missing = f"{topic.name}: {1 - (share or 0):.0%} of the frames are missing"
        size = f"{topic.size_bytes / 1024:.0f} KB"
        if topic.problem:
            lines.append(f"{topic.name}: {topic.problem}")
        if topic.received == 0 and topic.problem:
            continue
        if topic.received == 0:
            lines.append(
                f"{topic.name}: nothing arrived. Does its driver send pictures now? Are they too large (below)?"
            )
        elif share is not None and share < ENOUGH and large:
            lines.append(f"{missing}: {size} do not fit into the 512 KB shared-memory segment of Fast DDS (below)")
        elif share is not None and share < ENOUGH:
            lines.append(
                f"{missing} although a frame has only {size}: the driver's rate varies, the network loses packets, "
                "or this machine is too busy"
            )
        if topic.received and not topic.stamped:
            lines.append(f"{topic.name}: messages without a header stamp; the node takes their time of arrival")
    if any("(below)" in line for line in lines):
        lines.append(
            "To enlarge the segment, start the camera's driver with the variable\n"
            f"    FASTRTPS_DEFAULT_PROFILES_FILE={profile}   (up to Jazzy)\n"
            f"    FASTDDS_DEFAULT_PROFILES_FILE={profile}    (from Kilted on)\n"
            "and check again. The segment is the publisher's: setting it for the node alone does nothing. Between two "
            "machines use compressed images instead."
        )
    return lines
