"""Plays the image topics of a bag into the ROS graph, with a /clock that follows the frames' own time."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock

from ..frames import NS_PER_S
from ..message_types import topic_base
from ..node.camera_subscriptions import full_name, reliability_name
from ..node.image_messages import message_class, to_ros
from ..node.messages import to_stamp
from ..replay import BagMessage, ImageTopic

CLOCK_PERIOD_S = 0.02
PUBLISHER_DEPTH = 50


class Player:
    """Publishes messages at the pace of their times.

    Time can stand still: between two calls of `advance_to` neither /clock nor the pace moves on, so that whoever
    plays may do something else meanwhile.

    Attributes:
        clock_topic: Where the time is published.
        published: How many messages of each topic have been published.
    """

    def __init__(self, node: Node, topics: Sequence[ImageTopic], rate: float, namespace: str = "") -> None:
        """Advertise the topics.

        Args:
            node: Owns the publishers.
            topics: What will be played.
            rate: Seconds of the recording per second.
            namespace: Put before the topics and /clock, so that nobody else's node hears them.

        Raises:
            NotInstalledError: The package of a topic's messages is not installed.
        """
        self._node = node
        self._rate = rate
        self._now_ns: int | None = None
        self.clock_topic = f"{namespace}/clock"
        self._clock = node.create_publisher(Clock, self.clock_topic, 10)
        qos = QoSProfile(depth=PUBLISHER_DEPTH, reliability=ReliabilityPolicy.RELIABLE)
        self._publishers: dict[str, Publisher] = {
            topic.name: node.create_publisher(
                message_class(topic.type),
                staged_name(topic, namespace) if namespace else topic.name,
                qos,
            )
            for topic in topics
        }
        self._types = {topic.name: topic.type for topic in topics}
        self.published: Counter[str] = Counter()

    @property
    def topics(self) -> list[str]:
        """Full names of the topics that it publishes on."""
        return [publisher.topic_name for publisher in self._publishers.values()]

    @property
    def recorded(self) -> list[str]:
        """The same topics by their names in the recording."""
        return list(self._publishers)

    def unheard(self, listener: str, reports: Mapping[str, Mapping[str, str]]) -> list[str]:
        """Topics of the recording of which a picture that is published now may be lost, each with the reason.

        Publisher and subscription discover each other independently, so that both sides have to say so.

        Args:
            listener: Full name of the node that is to hear them.
            reports: What that node's diagnostics say of its cameras, by the topics' full names.
        """
        problems = {
            name: self._problem(name, publisher, listener, reports.get(publisher.topic_name))
            for name, publisher in self._publishers.items()
        }
        return [f"{name} ({problem})" for name, problem in problems.items() if problem]

    def _problem(self, name: str, publisher: Publisher, listener: str, report: Mapping[str, str] | None) -> str:
        subscriptions = self._node.get_subscriptions_info_by_topic(publisher.topic_name)
        listening = [reliability_name(info.qos_profile) for info in subscriptions if full_name(info) == listener]
        if not listening:
            return "not subscribed"
        if report is None:
            return "nothing of it in the diagnostics"
        if self._node.get_fully_qualified_name() not in report["publisher_nodes"].split():
            return "the node does not know of this player"
        if report["matched"] != report["publishers"]:
            return f"the node hears {report['matched']} of {report['publishers']} publishers"
        # One that has been replaced for its reliability would still be counted by the publisher.
        if listening != [report["reliability"]]:
            return "the node is subscribing anew, or there are two of its name"
        # The publisher's count does not tell whose subscriptions it has, so it must have all that it can have.
        possible = [
            info.topic_type == self._types[name] and info.qos_profile.durability != DurabilityPolicy.TRANSIENT_LOCAL
            for info in subscriptions
        ]
        return "" if publisher.get_subscription_count() >= sum(possible) else "not connected yet"

    def jump_to(self, time_ns: int) -> None:
        """Set the time, forward or back, and publish it on /clock."""
        self._now_ns = time_ns
        self._clock.publish(Clock(clock=to_stamp(time_ns)))

    def advance_to(self, time_ns: int) -> None:
        """Let the time until then pass, /clock ticking; at once where it has passed already."""
        if self._now_ns is None:
            self.jump_to(time_ns)
            return
        from_ns, started_s = self._now_ns, time.monotonic()
        while True:
            now_ns = from_ns + round((time.monotonic() - started_s) * self._rate * NS_PER_S)
            if now_ns >= time_ns:
                self.jump_to(max(from_ns, time_ns))
                return
            self.jump_to(now_ns)
            time.sleep(min(CLOCK_PERIOD_S, (time_ns - now_ns) / NS_PER_S / self._rate))

    def publish(self, message: BagMessage) -> None:
        """Publish a message of a bag on its topic, now."""
        self.send(message.topic, to_ros(message.message))

    def send(self, topic: str, message: Any) -> None:
        """Publish a message on one of the topics, now."""
        self._publishers[topic].publish(message)
        self.published[topic] += 1

    def settle(self, timeout_s: float) -> bool:
        """Wait until every reliable subscription has what was published; False where the time did not suffice."""
        return all(p.wait_for_all_acked(Duration(seconds=timeout_s)) for p in self._publishers.values())


def staged_name(topic: ImageTopic, namespace: str) -> str:
    """Where a topic is played below a namespace.

    A recorded name may lack the slash at its beginning; the staged one has it.
    """
    return f"{namespace}/{topic.name.lstrip('/')}"


def staged_base(topic: ImageTopic, namespace: str = "") -> str:
    """A staged topic as the parameter `image_topics` has it: without its transport, where the name ends in it."""
    return topic_base(staged_name(topic, namespace), topic.transport)
