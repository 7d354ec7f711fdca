"""Makes lifecycle transitions one at a time, in their own callback group; all other services answer meanwhile."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

from lifecycle_msgs.srv import ChangeState
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNode

RCLError = rclpy_implementation.RCLError


class Transitions:
    """The service `change_state` of a managed node.

    A request is refused at once if another transition is going on, or if the state has no such transition. rclpy does
    neither. rclpy's service shares a callback group with `get_state` and the parameter services, which then wait while
    a model is loaded; and its callback raises if there is no such transition, so that the client waits for ever.
    """

    def __init__(self, node: LifecycleNode, counted: Callable[[], contextlib.AbstractContextManager[None]]) -> None:
        """Take over the node's service `change_state`.

        Args:
            node: The node, which is not yet spun.
            counted: Makes the context that is open while a client waits for the response.
        """
        self._node = node
        self._counted = counted
        self._going_on = threading.Lock()
        service = node._service_change_state
        self._change_state = service.callback
        service.callback = self._respond
        # Reentrant, so that a request during a transition can be refused at once.
        group = ReentrantCallbackGroup()
        group.add_entity(service)
        service.callback_group = group

    @property
    def state(self) -> str:
        """Label of the node's state, such as `unconfigured` or, during a transition, `configuring`."""
        label: str = self._node._state_machine.current_state[1]
        return label

    def close(self, timeout_s: float) -> None:
        """Refuse all transitions from now on, and wait for the current transition, `timeout_s` seconds at most."""
        self._going_on.acquire(timeout=timeout_s)

    def _respond(self, request: ChangeState.Request, response: ChangeState.Response) -> ChangeState.Response:
        asked = request.transition.label or f"number {request.transition.id}"
        if not self._going_on.acquire(blocking=False):
            self._refuse(f"transition {asked} refused: the node is {self.state}; ask again when it is done", response)
            return response
        try:
            with self._counted():
                self._change_state(request, response)
        except RCLError as error:
            self._refuse(f"no such transition: {error}", response)
        finally:
            self._going_on.release()
        return response

    def _refuse(self, reason: str, response: ChangeState.Response) -> None:
        self._node.get_logger().error(reason)
        response.success = False
