"""Lets only one of several nodes with the same name configure; otherwise they would answer requests in turn."""

from __future__ import annotations

import threading
import time
import uuid
from typing import Any

from rclpy.lifecycle import LifecycleNode
from std_msgs.msg import Empty

WAIT_S = 30.0
"""Longest wait for the end of another node of this name; Fast DDS shows a killed node in the graph for 20 s."""
TURN_S = 0.25


class OwnName:
    """Finds other nodes with the node's name, and decides whether this node may configure.

    Every node shows its time of creation (UTC) in the name of a hidden topic, `NAME/_claims/made_TIME_RANDOM`. A
    configured node also shows `NAME/_claims/holds_TIME_RANDOM`. Nothing is published on these topics. A configured node
    keeps the name. Among unconfigured nodes, the node that was created first may configure.
    """

    def __init__(self, node: LifecycleNode) -> None:
        """Show the claim of a node that has just been created."""
        self._node = node
        self._claim = f"{time.time_ns():020d}_{uuid.uuid4().hex[:8]}"
        node.create_publisher(Empty, f"{self._claims()}made_{self._claim}", 1)
        self._held: Any = None

    def hold(self) -> bool:
        """Hold the name from now on; return False if another node holds the name or was created earlier."""
        if self._rivals("holds_") or any(rival < self._claim for rival in self._rivals("made_")):
            return False
        self._held = self._node.create_publisher(Empty, f"{self._claims()}holds_{self._claim}", 1)
        return True

    def give_up(self) -> None:
        """Give the name up, so that another node of this name may configure."""
        held, self._held = self._held, None
        if held is not None:
            self._node.destroy_publisher(held)

    def is_taken(self) -> bool:
        """Return whether another node of this name is configured, was created earlier, or shows no claim."""
        own = (self._node.get_name(), self._node.get_namespace())
        others = self._node.get_node_names_and_namespaces().count(own) - 1
        made = self._rivals("made_")
        return bool(self._rivals("holds_")) or others > len(made) or any(rival < self._claim for rival in made)

    def _rivals(self, kind: str) -> set[str]:
        """Return the claims of one kind, `made_` or `holds_`, that other nodes show in the graph now."""
        start = self._claims() + kind
        topics = [topic for topic, _ in self._node.get_topic_names_and_types()]
        return {topic.removeprefix(start) for topic in topics if topic.startswith(start)} - {self._claim}

    def is_free_in_time(self, ending: threading.Event) -> bool:
        """Wait until no other node has taken the name.

        Args:
            ending: Event that ends the waiting.

        Returns:
            Whether the name became free within 30 s and before `ending` was set.
        """
        until_s = time.monotonic() + WAIT_S
        told = False
        while self.is_taken():
            if not told:
                self._node.get_logger().warning(
                    f"another node named {self._node.get_fully_qualified_name()} is in the graph: waiting up to "
                    f"{WAIT_S:g} s for its end (one that was killed stays visible for a while)"
                )
                told = True
            if time.monotonic() > until_s or ending.wait(TURN_S):
                return False
        return True

    def refusal(self) -> str:
        """Return the error message for a name that another node has taken."""
        return (
            f"another node is named {self._node.get_fully_qualified_name()}, and both would answer in turn: end the "
            "other (`ros2 node list` shows both), or start this one with another name (-r __node:=NAME) or namespace "
            "(-r __ns:=/NAMESPACE)"
        )

    def _claims(self) -> str:
        return f"{self._node.get_fully_qualified_name()}/_claims/"
