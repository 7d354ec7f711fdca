"""Listens to every image topic of the graph for a while and tells what arrives of what is sent."""

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
"""Default shared-memory segment of Fast DDS; a larger message does not fit."""
EVIDENCE_TOPIC = "/evidence/compressed"
"""What this package's nodes publish themselves, and only when they answer."""
ENOUGH = 0.98
"""A smaller delivered share is a loss worth a word; the first and the last period are not whole."""


@dataclass
class WatchedTopic:
    """What was heard of one image topic.

    Attributes:
        name: The topic.
        kind: Its message type.
        reliability: Of its publishers: reliable, best_effort, or both.
        stamps_ns: Stamp of each message that arrived.
        lost: Messages that the middleware reports as lost on the way.
        size_bytes: Of the largest picture.
        picture: Width, height and encoding, the format of compressed ones, or which video it is.
        problem: Why the node cannot show it, with the remedy; empty where nothing speaks against it.
        ages_ns: How much earlier than its arrival, by this machine's clock, each stamp is; negative: later.
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
        """Messages that arrived."""
        return len(self.stamps_ns)

    @property
    def stamped(self) -> bool:
        """Whether every message has a stamp."""
        return all(self.stamps_ns)

    @property
    def rate_hz(self) -> float:
        """Messages per second that arrived, by their stamps; 0 where that cannot be told."""
        span_ns = self._span_ns()
        return (self.received - 1) * NS_PER_S / span_ns if span_ns > 0 else 0.0

    @property
    def delivered(self) -> float | None:
        """Share of the messages sent that arrived, 0 to 1; None where nothing can be known of it.

        Two things tell of missing messages: the middleware's own count, and gaps in the stamps, measured against
        the median period. The worse of the two is given. Of a topic of which most is lost, gaps tell too little.
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
    """Subscribe, best effort, to every image topic that is published, and listen.

    Args:
        seconds: How long.
        on_tick: Called now and then with the seconds that are left.
        context: Of the graph to look at; None: one is made.

    Returns:
        The topics, by name.
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
    """Subscribe to image topics that have come up since."""
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
    """What is wrong with topics that do not arrive whole, and what to do, a paragraph each.

    Args:
        topics: As `watch_cameras` gives them.
        profile: Path of the Fast DDS profile with a larger segment.
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
