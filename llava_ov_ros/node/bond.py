"""The node's half of a bond, which tells Nav2's lifecycle manager that the node is alive; needs the package bond."""

from __future__ import annotations

import threading
import uuid
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile

from .other_messages import message_types

# Topic and times of nav2_util::LifecycleNode.
TOPIC = "bond"
HEARTBEAT_PERIOD_S = 0.1
HEARTBEAT_TIMEOUT_S = 4.0
DEPTH = 10


class Bond:
    """Publishes heartbeats on the topic `bond` while the node is active.

    The protocol is that of bond_core: both halves publish `bond/msg/Status` with the same id, here the node's name, and
    with an instance id of their own. A half that publishes `active: false` ends the bond, and the other half answers
    with the same. If the manager's half ends or falls silent, the node goes on, because its clients still need it.
    """

    def __init__(self, node: LifecycleNode) -> None:
        """Prepare the bond of a node; `start` begins the heartbeats."""
        self._node = node
        self._status: Any = None
        self._instance = ""
        self._entities: tuple[Any, Any, Any] | None = None
        self._lock = threading.Lock()
        self._group = MutuallyExclusiveCallbackGroup()
        # The manager waits for heartbeats in real time, also while simulated time stands still.
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        try:
            types = message_types("bond", "Status")
        except ImportError as error:
            node.get_logger().warning(f"no bond: {error}")
            return
        if types is not None:
            (self._status,) = types

    def start(self) -> None:
        """Start the heartbeats; do nothing if the package bond is not installed."""
        if self._status is None:
            return
        with self._lock:
            # A bond that has ended cannot be resumed: the next bond needs another instance id.
            self._instance = str(uuid.uuid4())
            publisher = self._node.create_publisher(self._status, TOPIC, QoSProfile(depth=DEPTH))
            self._entities = (
                publisher,
                self._node.create_subscription(self._status, TOPIC, self._hear, DEPTH, callback_group=self._group),
                self._node.create_timer(HEARTBEAT_PERIOD_S, self._beat, self._group, clock=self._steady),
            )

    def stop(self) -> None:
        """End the bond, so that the manager knows at once, and not only when heartbeats are missing."""
        with self._lock:
            if self._entities is None:
                return
            publisher, subscription, timer = self._entities
            self._say(active=False)
            self._entities = None
        self._node.destroy_timer(timer)
        self._node.destroy_subscription(subscription)
        self._node.destroy_publisher(publisher)

    def _beat(self) -> None:
        with self._lock:
            self._say(active=True)

    def _hear(self, status: Any) -> None:
        if status.id == self._node.get_name() and status.instance_id != self._instance and not status.active:
            with self._lock:
                self._say(active=False)

    def _say(self, active: bool) -> None:
        if self._entities is None:
            return
        status = self._status(
            id=self._node.get_name(),
            instance_id=self._instance,
            active=active,
            heartbeat_timeout=HEARTBEAT_TIMEOUT_S,
            heartbeat_period=HEARTBEAT_PERIOD_S,
        )
        status.header.stamp = self._node.get_clock().now().to_msg()
        self._entities[0].publish(status)
