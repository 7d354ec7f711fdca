"""Hands queries to the worker, whoever asks, and waits for their ends."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from rclpy.action import CancelResponse
from rclpy.lifecycle import LifecycleNode

from ..frames import Clip
from ..questions import Query, Result, Status
from ..settings import Settings
from .recent import Ends
from .request import Request
from .worker import Worker

CANCEL_STATE_TIMEOUT_S = 1.0
LAST_ANSWERS_TIMEOUT_S = 2.0
RESPONSE_SENT_S = 0.3


def _ignore(_: object) -> None:
    return None


class Submitting:
    """The way from whoever asks to the worker. Every query that is handed over ends exactly once.

    Service and action callbacks wait for their answer in an executor thread of their own (the reentrant group);
    the queue's bound is the bound of such threads. Nothing else in the node ever waits for the model.
    """

    def __init__(
        self, node: LifecycleNode, settings: Callable[[], Settings], worker: Callable[[], Worker | None]
    ) -> None:
        self._node = node
        self._settings = settings
        self._worker = worker
        self._unanswered = 0
        self._answered = threading.Condition()
        self.ends = Ends()

    @property
    def unanswered(self) -> int:
        """Clients that wait for an answer."""
        return self._unanswered

    @property
    def is_active(self) -> bool:
        """Whether queries are taken."""
        return self._worker() is not None

    @contextlib.contextmanager
    def counted(self) -> Iterator[None]:
        """A client waits for an answer meanwhile."""
        with self._answered:
            self._unanswered += 1
        try:
            yield
        finally:
            with self._answered:
                self._unanswered -= 1
                self._answered.notify_all()

    def wait_until_answered(self, owed: int) -> None:
        """Wait until all clients have their answers.

        Args:
            owed: Clients that waited when the requests were ended.
        """
        if owed:
            with self._answered:
                self._answered.wait_for(lambda: self._unanswered == 0, LAST_ANSWERS_TIMEOUT_S)
            # rclpy sends a response some time after its callback has returned, and tells nobody.
            time.sleep(RESPONSE_SENT_S)

    def note(self, result: Result) -> None:
        """Count an end, for the diagnostics."""
        self.ends.note(result)

    def submit(
        self,
        query: Query,
        on_result: Callable[[Result], None],
        on_start: Callable[[tuple[Clip, ...]], None] = _ignore,
        on_text: Callable[[str], None] = _ignore,
        on_request: Callable[[Request], None] = _ignore,
        arrived_s: float | None = None,
    ) -> Request | None:
        """Hand a query to the worker.

        Args:
            query: What is asked.
            on_result: Called once with its end, from any thread.
            on_start: Called with the clips when the model starts.
            on_text: Called with each piece of the answer.
            on_request: Called with the request before it is handed over.
            arrived_s: When whoever asks came, on the monotonic clock; None: now.

        Returns:
            The request; None where the node is not active, which is an end, too.
        """

        def ended(result: Result) -> None:
            self.note(result)
            on_result(result)

        worker = self._worker()
        if worker is None:
            name = self._node.get_fully_qualified_name()
            reason = (
                f"the node is not active: ros2 lifecycle set {name} configure (unless it is configured), then "
                f"ros2 lifecycle set {name} activate"
            )
            ended(Result(query, Status.INACTIVE, reason))
            return None
        request = Request(query, ended, on_start, on_text, time.monotonic() if arrived_s is None else arrived_s)
        on_request(request)
        worker.submit(request, self._settings().queue_policy)  # type: ignore[arg-type] - checked on setting it
        return request

    def wait(self, request: Request | None, done: threading.Event) -> None:
        """Wait until a request's `on_result` has set an event; at its deadline it is ended."""
        if request is not None and not done.wait(request.query.deadline_s - request.waited_s):
            worker = self._worker()
            if worker is not None:
                worker.expire(request)
            # Now it ends before the next token; a forward pass of the model cannot be interrupted.
            done.wait()

    def cancel(self, request: Request) -> None:
        """End a request: at once where it waits, before the next token where it is being answered."""
        worker = self._worker()
        if worker is None:
            request.cancelled.set()
        else:
            worker.cancel(request)


class Goals:
    """The goals of an action, each with the requests that it waits for, so that they can be cancelled."""

    def __init__(self, submitting: Submitting) -> None:
        self._submitting = submitting
        self._requests: dict[bytes, list[Request]] = {}
        self._cancelled: set[bytes] = set()

    def remember(self, goal: Any, request: Request) -> None:
        """Note a request before it is handed over."""
        key = bytes(goal.goal_id.uuid)
        self._requests.setdefault(key, []).append(request)
        # A cancel that came before the request was known had nothing to cancel.
        if key in self._cancelled:
            self._submitting.cancel(request)

    def cancel(self, goal: Any) -> CancelResponse:
        """The action's cancel callback."""
        key = bytes(goal.goal_id.uuid)
        self._cancelled.add(key)
        for request in list(self._requests.get(key, ())):
            self._submitting.cancel(request)
        return CancelResponse.ACCEPT

    def end(self, goal: Any, succeeded: bool) -> None:
        """Give a goal its final state: canceled where that was asked for, else succeeded or aborted."""
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
        # Not before: a cancel may still have come until the goal's state was final.
        self._cancelled.discard(key)


def _wait_for_cancel_state(goal: Any) -> None:
    """Wait until the action server has noted the cancel that it has just accepted.

    The worker may end a cancelled request before the callback that accepted the cancel has returned, and only
    then does the goal's state allow the result `canceled`.
    """
    until_s = time.monotonic() + CANCEL_STATE_TIMEOUT_S
    while not goal.is_cancel_requested and goal.is_active and time.monotonic() < until_s:
        time.sleep(0.001)
