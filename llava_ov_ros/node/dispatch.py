"""Submits the servers' queries to the worker, waits for the answers, and cancels requests of action goals."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from rclpy.action import CancelResponse
from rclpy.lifecycle import LifecycleNode

from ..frames import Clip
from ..no_op import no_op
from ..questions import Query, Request, Result, Status
from .configured import Configuration, Configured
from .recent import Ends

CANCEL_STATE_TIMEOUT_S = 1.0
LAST_ANSWERS_TIMEOUT_S = 2.0
RESPONSE_SENT_S = 0.3


class Submitting:
    """Submits queries to the worker. Every submitted query ends exactly once.

    A callback of a service or an action waits for its answer in its own executor thread (reentrant callback group), so
    the bound of the queue also bounds the number of such threads. No other callback of the node waits for an answer.
    """

    def __init__(self, node: LifecycleNode, configuration: Configuration) -> None:
        self._node = node
        self._configuration = configuration
        self._unanswered = 0
        self._answered = threading.Condition()
        self.ends = Ends()

    @property
    def unanswered(self) -> int:
        """Number of clients that wait for an answer."""
        return self._unanswered

    @contextlib.contextmanager
    def counted(self) -> Iterator[None]:
        """Count a client that waits for an answer, as long as the context is open."""
        with self._answered:
            self._unanswered += 1
        try:
            yield
        finally:
            with self._answered:
                self._unanswered -= 1
                self._answered.notify_all()

    def wait_until_answered(self, owed: int) -> None:
        """Wait until all clients have their answers, 2.3 s at most.

        Args:
            owed: Number of clients that waited when the requests were ended; 0: return at once.
        """
        if owed:
            with self._answered:
                self._answered.wait_for(lambda: self._unanswered == 0, LAST_ANSWERS_TIMEOUT_S)
            # rclpy sends a response some time after the service callback has returned, and does not report when.
            time.sleep(RESPONSE_SENT_S)

    def note(self, result: Result) -> None:
        """Count the result of a query for the diagnostics."""
        self.ends.note(result)

    def submit(
        self,
        configured: Configured,
        query: Query,
        on_result: Callable[[Result], None],
        on_start: Callable[[tuple[Clip, ...]], None] = no_op,
        on_text: Callable[[str], None] = no_op,
        on_request: Callable[[Request], None] = no_op,
        arrived_s: float | None = None,
    ) -> Request | None:
        """Submit a query to the worker.

        Args:
            configured: The parameters and the worker that the query was made with.
            query: The query.
            on_result: Called once with the result, from any thread.
            on_start: Called with the clips when the model starts.
            on_text: Called with each piece of the answer.
            on_request: Called with the request before the request is queued.
            arrived_s: Time at which the client's request arrived, in seconds of the monotonic clock; None: now.

        Returns:
            The request; None if the node is not active: `on_result` has then been called with status INACTIVE.
        """

        def noted(result: Result) -> None:
            self.note(result)
            on_result(result)

        worker = configured.worker
        if worker is None:
            name = self._node.get_fully_qualified_name()
            reason = (
                f"the node is not active: ros2 lifecycle set {name} configure (unless it is configured), then "
                f"ros2 lifecycle set {name} activate"
            )
            noted(Result(query, Status.INACTIVE, reason))
            return None
        request = Request(query, noted, on_start, on_text, time.monotonic() if arrived_s is None else arrived_s)
        on_request(request)
        worker.submit(request, "drop_oldest" if configured.settings.queue_policy == "drop_oldest" else "reject")
        return request

    def wait(self, request: Request | None, done: threading.Event) -> None:
        """Wait until the `on_result` of a request has set an event; at the request's deadline, end the request.

        Args:
            request: The request; None: its query has ended already.
            done: Event that `on_result` sets.
        """
        if request is not None and not done.wait(request.query.deadline_s - request.waited_s):
            worker = self._configuration.now.worker
            if worker is not None:
                worker.expire(request)
            # The request ends before its next token; a forward pass of the model cannot be interrupted.
            done.wait()

    def cancel(self, request: Request) -> None:
        """Cancel a request: at once if it waits in the queue, before its next token if it is being answered."""
        worker = self._configuration.now.worker
        if worker is None:
            request.cancelled.set()
        else:
            worker.cancel(request)


class Goals:
    """The goals of an action and the requests of each goal, so that cancelling a goal cancels its requests."""

    def __init__(self, submitting: Submitting) -> None:
        self._submitting = submitting
        self._requests: dict[bytes, list[Request]] = {}
        self._cancelled: set[bytes] = set()

    def remember(self, goal: Any, request: Request) -> None:
        """Note a request of a goal before the request is queued."""
        key = bytes(goal.goal_id.uuid)
        self._requests.setdefault(key, []).append(request)
        # A client may have cancelled the goal before the goal had this request.
        if key in self._cancelled:
            self._submitting.cancel(request)

    def cancel(self, goal: Any) -> CancelResponse:
        """Cancel all requests of a goal; this is the cancel callback of the action server."""
        key = bytes(goal.goal_id.uuid)
        self._cancelled.add(key)
        for request in list(self._requests.get(key, ())):
            self._submitting.cancel(request)
        return CancelResponse.ACCEPT

    def is_cancelled(self, goal: Any) -> bool:
        """Whether a client has cancelled a goal that has not ended."""
        return bytes(goal.goal_id.uuid) in self._cancelled

    def end(self, goal: Any, succeeded: bool) -> None:
        """Set a goal's final state: canceled if a client cancelled the goal, otherwise succeeded or aborted.

        Args:
            goal: The goal of the action.
            succeeded: Whether the goal has succeeded, unless it was cancelled.
        """
        key = bytes(goal.goal_id.uuid)
        self._requests.pop(key, None)
        if key in self._cancelled:
            _wait_for_cancel_state(goal)
        if goal.is_cancel_requested:
            goal.canceled()
        elif succeeded:
            goal.succeed()
        else:
            goal.abort()
        # Only now: a cancel could arrive until the goal's state was final.
        self._cancelled.discard(key)


def _wait_for_cancel_state(goal: Any) -> None:
    """Wait until the action server has noted in the goal's state a cancel that was just accepted.

    The worker may end a cancelled request before the cancel callback has returned, and the goal's state allows
    `canceled` only after that callback has returned.
    """
    until_s = time.monotonic() + CANCEL_STATE_TIMEOUT_S
    while not goal.is_cancel_requested and goal.is_active and time.monotonic() < until_s:
        time.sleep(0.001)
