"""Publish the image topics of a bag in the ROS graph, together with a /clock that follows the frames' stamps."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
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
RECEIVES_ALL: Mapping[str, str | int] = MappingProxyType({"image_qos": "match", "image_qos_depth": 100})
"""Parameters of a node that shall receive every message that is played, also on a busy machine."""


class Player:
    """Publishes messages at the pace of their times.

    Time can stand still: between two calls of `advance_to`, neither /clock nor the pace advances, so that the caller
    can do something else meanwhile.

    Attributes:
        clock_topic: Name of the topic on which the time is published.
        published: Number of messages that have been published, by topic.
    """

    def __init__(self, node: Node, topics: Sequence[ImageTopic], rate: float, namespace: str = "") -> None:
        """Create the publishers.

        Args:
            node: Owns the publishers.
            topics: The topics that will be played.
            rate: Seconds of the recording per second.
            namespace: Put before the topics and /clock, so that no other node receives them.

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
        """Full names of the topics that the player publishes on."""
        return [publisher.topic_name for publisher in self._publishers.values()]

    @property
    def recorded(self) -> list[str]:
        """Names of the same topics in the recording."""
        return list(self._publishers)

    def unheard(self, listener: str, reports: Mapping[str, Mapping[str, str]]) -> list[str]:
        """List the topics on which a picture could be lost if it were published now, each with the reason.

        Publisher and subscription discover each other independently, so that both sides must have confirmed the
        connection.

        Args:
            listener: Full name of the node that shall receive the pictures.
            reports: Values of that node's diagnostics for its cameras, by full name of the topic.
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
        """Let time pass at the player's rate until `time_ns`, publishing /clock; return at once if it is past."""
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
        """Publish a message of the bag on its topic at once."""
        self.send(message.topic, to_ros(message.message))

    def send(self, topic: str, message: Any) -> None:
        """Publish a message on one of the topics at once."""
        self._publishers[topic].publish(message)
        self.published[topic] += 1

    def settle(self, timeout_s: float) -> bool:
        """Wait until every reliable subscription has received all messages; return False if the time runs out."""
        return all(p.wait_for_all_acked(Duration(seconds=timeout_s)) for p in self._publishers.values())


def staged_name(topic: ImageTopic, namespace: str) -> str:
    """Return the name of a topic when it is played in a namespace.

    A recorded name may lack its leading slash; the returned name has one.
    """
    return f"{namespace}/{topic.name.lstrip('/')}"


def staged_base(topic: ImageTopic, namespace: str = "") -> str:
    """Return a topic that is played in a namespace as the parameter `image_topics` names it.

    The parameter takes the name without the transport that the topic's name may end with.
    """
    return topic_base(staged_name(topic, namespace), topic.transport)
