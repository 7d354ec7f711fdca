"""Takes the messages of one subscription in a thread of its own, apart from the node's executor.

rclpy's executor looks at each service, timer and subscription of its node in Python before it waits, and waits anew
several times for each message. With the node's services, that took most of the time that a camera cost.
"""

from __future__ import annotations

import threading
import traceback
from contextlib import ExitStack, suppress
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.context import Context
from rclpy.exceptions import InvalidHandle
from rclpy.guard_condition import GuardCondition
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.impl.rcutils_logger import RcutilsLogger
from rclpy.subscription import Subscription
from rclpy.task import Task

# The last picture may still be being decoded. If that takes longer, what the thread uses is destroyed when it ends.
END_S = 2.0
FOREVER_NS = -1
PAUSE_S = 0.1
"""Pause after a callback has failed: a wait that fails again and again must not take the processor."""


class CameraGroup(MutuallyExclusiveCallbackGroup):
    """The callback group of a subscription that has a `CameraThread`; the node's executor passes it over."""


class CameraThread:
    """Runs the callbacks of one subscription and of its events, until `end` or until the context is shut down."""

    def __init__(self, camera: str, subscription: Subscription, context: Context, log: RcutilsLogger) -> None:
        """Begin to take messages.

        Args:
            camera: Name of the camera, for the thread's name.
            subscription: The subscription, whose callback group is a `CameraGroup`.
            context: Context of the node.
            log: Logger for the errors of callbacks.
        """
        self._subscription = subscription
        # Fast DDS wakes with every message who waits for an event of the subscription.
        self._events: list[Any] = list(subscription.event_handlers)  # type: ignore[call-overload]
        self._context = context
        self._log = log
        self._guard = GuardCondition(None, None, context=context)
        self._ending = threading.Event()
        context.on_shutdown(self._wake)
        self._thread = threading.Thread(target=self._run, name=f"llava_ov_{camera}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take no further message, without waiting for a callback that is running."""
        self._ending.set()
        self._wake()

    def end(self) -> None:
        """Take no further message, and wait for a callback that is running, at most 2 s."""
        self.stop()
        self._thread.join(END_S)
        self._guard.destroy()

    def _wake(self) -> None:
        with suppress(InvalidHandle):
            self._guard.trigger()

    def _run(self) -> None:
        with ExitStack() as used:
            # Nothing of these is destroyed while the thread waits for it.
            for handle in (self._context.handle, self._subscription.handle, self._guard.handle, *self._events):
                used.enter_context(handle)
            wait_set = rclpy_implementation.WaitSet(1, 1, 0, 0, 0, len(self._events), self._context.handle)
            while not self._ending.is_set() and self._context.ok():
                try:
                    self._take_next(wait_set)
                except Exception as error:  # noqa: BLE001 - one failed callback must not end the others
                    if not self._context.ok():
                        return
                    self._log.error("a callback failed: " + "".join(traceback.format_exception(error)))
                    self._ending.wait(PAUSE_S)

    def _take_next(self, wait_set: Any) -> None:
        """Wait for a message, an event or the end, and run the callback."""
        subscription = self._subscription
        wait_set.clear_entities()
        wait_set.add_subscription(subscription.handle)
        wait_set.add_guard_condition(self._guard.handle)
        for event in self._events:
            event.add_to_wait_set(wait_set)
        wait_set.wait(FOREVER_NS)
        if self._ending.is_set():
            return
        for event in self._events:
            if event.is_ready(wait_set):
                task = Task(event.execute, (event.take_data(),))
                task()
                task.result()
        if wait_set.get_ready_entities("subscription"):
            taken = subscription.handle.take_message(subscription.msg_type, subscription.raw)
            if taken is not None:
                subscription.callback(taken[0])
