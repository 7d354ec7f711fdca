"""The one timer of a client, by which its requests notice that a node has come, or that a deadline has passed."""

from __future__ import annotations

import threading
from typing import Any, Protocol

from rclpy.callback_groups import CallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

POLL_S = 0.05


class Watched(Protocol):
    """What looks at the time now and then."""

    def poll(self) -> None:
        """Look at the time."""


class Deadlines:
    """Polls requests while there are any.

    A client has one timer for all of them: rclpy's callback groups keep a reference of every timer that they ever had.

    Attributes:
        node: The client's node.
    """

    def __init__(self, node: Node, group: CallbackGroup | None) -> None:
        """Make the timer, which rests until there is a request.

        Args:
            node: The client's node.
            group: Callback group of the timer; None: the node's default group.
        """
        self.node = node
        self._lock = threading.Lock()
        self._watched: list[Watched] = []
        # By a clock that nobody sets, whatever use_sim_time is.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer: Any = node.create_timer(POLL_S, self._tick, group, clock=steady, autostart=False)

    def add(self, watched: Watched) -> None:
        """Poll something from now on."""
        with self._lock:
            self._watched.append(watched)
            if len(self._watched) == 1:
                self._timer.reset()

    def remove(self, watched: Watched) -> None:
        """Poll it no longer."""
        with self._lock:
            self._watched = [one for one in self._watched if one is not watched]
            if not self._watched:
                self._timer.cancel()

    def destroy(self) -> None:
        """Destroy the timer."""
        self.node.destroy_timer(self._timer)

    def _tick(self) -> None:
        with self._lock:
            watched = list(self._watched)
        for one in watched:
            one.poll()
