"""Detects that the machine's clock was set back; timers would wait until the clock is as late again as before."""

from __future__ import annotations

import contextlib

from rclpy.clock import Clock
from rclpy.exceptions import InvalidHandle
from rclpy.timer import Timer


class SetBack:
    """Detects, when called on a period, that the machine's clock was set back.

    rcl notifies timers when simulated time goes back, but not when the machine's clock is set back.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._before_ns = clock.now().nanoseconds

    def happened(self) -> bool:
        """Return whether the machine's clock was set back since the last call; always False with simulated time."""
        before_ns, self._before_ns = self._before_ns, self._clock.now().nanoseconds
        # The clock of a node is a ROSClock; the declared type is its base class, which lacks this property.
        return self._before_ns < before_ns and not self._clock.ros_time_is_active  # type: ignore[attr-defined]


def begin_anew(timer: Timer | None) -> None:
    """Restart the period of a timer now; do nothing if there is no timer or the timer is just being destroyed."""
    if timer is not None:
        with contextlib.suppress(InvalidHandle):
            timer.reset()
