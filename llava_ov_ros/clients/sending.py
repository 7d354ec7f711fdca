"""Requests by service and by action, as `Pending` sends them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic

from rclpy.action import ActionClient
from rclpy.callback_groups import CallbackGroup
from rclpy.client import Client
from rclpy.node import Node
from rclpy.qos import QoSProfile

from .client_errors import DeclinedError
from .pending import ReplyT

RESPONSES_DEPTH = 1000
"""Fast DDS shows every response of a service to all its clients; docs/interfaces.md tells what depth a client needs."""
FEEDBACK_DEPTH = 5000
ASK_AGAIN = ": ask again (the node may have ended, or a request that was sent at its start is lost)"


def message_of(kind: type, what: str, /, **fields: Any) -> Any:
    """Make a request or goal from its fields.

    Args:
        kind: Class of the message.
        what: Name of the interface, such as `srv/Ask`, for the error.
        fields: Values of fields.

    Raises:
        TypeError: The message has no such field.
    """
    known = list(kind.get_fields_and_field_types())  # type: ignore[attr-defined]
    for name in fields:
        if name not in known:
            raise TypeError(f"{what} has no field {name!r}: it has {', '.join(known)}")
    listed = {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}
    return kind(**listed)


def service_client(node: Node, kind: type, name: str, group: CallbackGroup | None) -> Client:
    """Make a client that keeps as many responses as the node's clients together may get."""
    return node.create_client(kind, name, qos_profile=QoSProfile(depth=RESPONSES_DEPTH), callback_group=group)


class ServiceCall(Generic[ReplyT]):
    """A request by service."""

    def __init__(self, client: Client, name: str, request: Any, read: Callable[[Any], ReplyT]) -> None:
        """Prepare the request.

        Args:
            client: Client of the service.
            name: Full name of the service.
            request: The request.
            read: Takes the response, and returns the reply; raises ClientError if the node declined.
        """
        self.name = name
        self._client, self._request, self._read = client, request, read
        self._future: Any = None

    def is_ready(self) -> bool:
        """Whether the service is there."""
        return bool(self._client.service_is_ready())

    def send(self, arrived: Callable[[Any], None]) -> None:
        """Call the service."""
        self._future = self._client.call_async(self._request)
        self._future.add_done_callback(lambda future: arrived(future.result()))

    def read(self, response: Any) -> ReplyT:
        """The reply in the response."""
        return self._read(response)

    def cancel(self) -> bool:
        """A service cannot be told."""
        return False

    def forget(self) -> None:
        """Keep nothing of the request."""
        if self._future is not None:
            self._client.remove_pending_request(self._future)

    def remark(self) -> str:
        """What to do."""
        return ASK_AGAIN


class SharedActionClient(ActionClient):
    """An action client that may send while another thread spins its node.

    rclpy's own takes note of a request after sending it: a response that the executor takes in between is nobody's.
    """

    def __init__(self, node: Node, kind: type, name: str, group: CallbackGroup | None) -> None:
        """Join the action, with room for what other clients are sent."""
        self._noting = threading.RLock()
        depth = QoSProfile(depth=RESPONSES_DEPTH)
        super().__init__(  # type: ignore[no-untyped-call]
            node,
            kind,
            name,
            callback_group=group,
            goal_service_qos_profile=depth,
            result_service_qos_profile=depth,
            cancel_service_qos_profile=depth,
            feedback_sub_qos_profile=QoSProfile(depth=FEEDBACK_DEPTH),
        )

    def take_data(self) -> Mapping[str, Any]:
        """Take what has come, once every request that was sent is noted."""
        with self._noting:
            taken: Mapping[str, Any] = super().take_data()  # type: ignore[no-untyped-call]
            return taken

    def send_goal_async(self, *arguments: Any, **named: Any) -> Any:
        """Send a goal and note it."""
        with self._noting:
            return super().send_goal_async(*arguments, **named)  # type: ignore[no-untyped-call]

    def forget(self, futures: Iterable[Any], on_feedback: Callable[[Any], None]) -> None:
        """Keep nothing of a goal.

        rclpy leaves that to callbacks of its futures, which are lost with an executor that ends before it has run them,
        and to the goal's result, which may never come.
        """
        with self._noting:
            for future in futures:
                self._remove_pending_goal_request(future)
                self._remove_pending_result_request(future)
            for goal_id in [one for one, given in self._feedback_callbacks.items() if given == on_feedback]:
                del self._feedback_callbacks[goal_id]

    def _cancel_goal_async(self, goal_handle: Any) -> Any:
        with self._noting:
            return super()._cancel_goal_async(goal_handle)  # type: ignore[no-untyped-call]

    def _get_result_async(self, goal_handle: Any) -> Any:
        with self._noting:
            return super()._get_result_async(goal_handle)  # type: ignore[no-untyped-call]


class ActionCall(Generic[ReplyT]):
    """A request by action, which can be cancelled."""

    def __init__(
        self,
        client: SharedActionClient,
        name: str,
        goal: Any,
        read: Callable[[Any], ReplyT],
        on_feedback: Callable[[Any], None],
    ) -> None:
        """Prepare the goal.

        Args:
            client: Client of the action.
            name: Full name of the action.
            goal: The goal.
            read: Takes the result, and returns the reply.
            on_feedback: Called with each feedback, in a callback of the node.
        """
        self.name = name
        self._client, self._goal, self._read, self._on_feedback = client, goal, read, on_feedback
        self._arrived: Callable[[Any], None] | None = None
        self._lock = threading.Lock()
        self._handle: Any = None
        self._futures: list[Any] = []
        self._cancelled = False

    def is_ready(self) -> bool:
        """Whether the action is there."""
        return bool(self._client.server_is_ready())

    def send(self, arrived: Callable[[Any], None]) -> None:
        """Send the goal."""
        self._arrived = arrived
        accepted = self._client.send_goal_async(self._goal, self._heard)
        self._futures.append(accepted)
        accepted.add_done_callback(self._accepted)

    def _heard(self, message: Any) -> None:
        self._on_feedback(message.feedback)

    def _accepted(self, future: Any) -> None:
        handle = future.result()
        # A cancelled future has none.
        if handle is None or self._arrived is None:
            return
        if not handle.accepted:
            self._arrived(None)
            return
        arrived, result = self._arrived, handle.get_result_async()
        self._futures.append(result)
        with self._lock:
            self._handle, cancelled = handle, self._cancelled
        if cancelled:
            handle.cancel_goal_async()
        result.add_done_callback(lambda done: arrived(done.result().result) if done.done() else None)

    def read(self, response: Any) -> ReplyT:
        """The reply in the result."""
        if response is None:
            raise DeclinedError(f"{self.name} has not accepted the goal: is there another server of that name?")
        return self._read(response)

    def cancel(self) -> bool:
        """Tell the node to stop, now or as soon as it has accepted the goal."""
        with self._lock:
            handle, self._cancelled = self._handle, True
        if handle is not None:
            handle.cancel_goal_async()
        return True

    def forget(self) -> None:
        """Keep nothing of the goal."""
        self._arrived = None
        self._client.forget(self._futures, self._heard)

    def remark(self) -> str:
        """What to do."""
        return ASK_AGAIN
