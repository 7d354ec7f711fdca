"""A machine's clock that is set back: periods that run on it would wait until it is as late again as it was."""

from __future__ import annotations

import contextlib

from rclpy.clock import Clock
from rclpy.exceptions import InvalidHandle
from rclpy.timer import Timer


class SetBack:
    """Tells that the machine's clock has been set back, to whoever asks on a period.

    rcl tells its timers of simulated time that goes back, and of the machine's clock nothing.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._before_ns = clock.now().nanoseconds

    def happened(self) -> bool:
        """Whether the machine's clock was set back since the last call; never while the clock is a simulation's."""
        before_ns, self._before_ns = self._before_ns, self._clock.now().nanoseconds
        # A ROS clock; that it can tell, its common base class does not say.
        return self._before_ns < before_ns and not self._clock.ros_time_is_active  # type: ignore[attr-defined]


def begin_anew(timer: Timer | None) -> None:
    """Let the period of a timer begin now; nothing where there is no timer, or where it goes at this moment."""
    if timer is not None:
        with contextlib.suppress(InvalidHandle):
            timer.reset()
