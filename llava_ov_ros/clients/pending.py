"""A request on its way to a node: sent as soon as the node is there, and given up at its deadline."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from rclpy.executors import SingleThreadedExecutor
from rclpy.task import Future

from .client_errors import ClientError, GivenUpError, NoNodeError, NoReplyError
from .deadlines import Deadlines

ReplyT = TypeVar("ReplyT")
ReadT = TypeVar("ReadT", covariant=True)
START_A_NODE = (
    "start one (llava_ov_node --autostart, or ros2 launch llava_ov_ros llava_ov.launch.py), or give the client the "
    "node's name"
)


class Sending(Protocol[ReadT]):
    """The way of a request to the node and back; services, actions and hints have different ones.

    Attributes:
        name: Full name of the service, action or topic, for messages.
    """

    name: str

    def is_ready(self) -> bool:
        """Whether the node is there."""

    def send(self, arrived: Callable[[Any], None]) -> None:
        """Send the request; `arrived` is called once, in any thread, with what comes back."""

    def read(self, response: Any) -> ReadT:
        """The reply in what has come back; raises ClientError if the node declined."""

    def cancel(self) -> bool:
        """Cancel the request that was sent; return whether a reply will come all the same."""

    def forget(self) -> None:
        """Keep nothing of the request, whose reply has come or is no longer waited for."""

    def remark(self) -> str:
        """The end of the message that there is no reply: why, or what to do."""


@dataclass(frozen=True)
class Limits:
    """How long a request may take.

    Attributes:
        wait_s: Seconds to wait for the node's service, if it is not there.
        reply_s: Seconds from sending to the reply.

    Raises:
        ValueError: One of them is no number of seconds above 0.
    """

    wait_s: float
    reply_s: float

    def __post_init__(self) -> None:
        for name, value in (("wait_s", self.wait_s), ("deadline_s", self.reply_s)):
            if not (value > 0 and math.isfinite(value)):
                raise ValueError(f"{name} is {value:g}: give seconds above 0")


class Pending(Generic[ReplyT]):
    """A request on its way. All is done in callbacks of the client's node, which somebody must spin.

    Attributes:
        future: Is done when the reply has come, or when there will be none. In a coroutine, `await` it.
    """

    def __init__(
        self, deadlines: Deadlines, call: Sending[ReplyT], limits: Limits, after: Pending[Any] | None = None
    ) -> None:
        """Send the request now, or as soon as the node is there.

        Args:
            deadlines: Of the client.
            call: The way of the request.
            limits: How long it may take.
            after: An earlier request, which must be done before this one is sent.
        """
        self.future: Any = Future()
        self._deadlines, self._call, self._limits, self._after = deadlines, call, limits, after
        self._lock = threading.RLock()
        self._found_by_s = self._until_s = math.inf
        self._sent = False
        deadlines.add(self)
        if after is None:
            self.poll()
        else:
            after.future.add_done_callback(lambda _: self.poll())

    def done(self) -> bool:
        """Whether `result` has something to say."""
        return bool(self.future.done())

    def result(self) -> ReplyT:
        """The reply.

        Raises:
            NoNodeError: There was no node.
            NoReplyError: The node did not reply in time, or not yet.
            DeclinedError: The node declined.
            GivenUpError: The request was cancelled.
        """
        if not self.done():
            raise NoReplyError(f"{self._call.name} has not replied yet: spin the client's node, or call wait()")
        reply: ReplyT = self.future.result()
        return reply

    def wait(self) -> ReplyT:
        """Spin the client's node until the reply has come, and return it: for programs whose node nobody spins.

        Raises:
            RuntimeError: The node belongs to an executor, which spins it already: there `await` the future, or look
                at `done` in a callback.
            ClientError: For the same reasons as `result`; also if rclpy is shut down meanwhile.
        """
        node = self._deadlines.node
        others = node.executor
        if others is not None and node in others.get_nodes():
            raise RuntimeError(
                f"wait() would take the node {node.get_fully_qualified_name()} from the executor that spins it: await "
                "`future`, or look at done() in a callback"
            )
        executor = SingleThreadedExecutor(context=node.context)
        executor.add_node(node)
        try:
            executor.spin_until_future_complete(self.future)
        finally:
            executor.remove_node(node)
            executor.shutdown()
        if not self.done():
            self._end(NoReplyError(f"{self._call.name} has not replied before rclpy was shut down"))
        return self.result()

    def cancel(self) -> None:
        """Give the request up.

        An action's node stops its work, and the reply still comes: with the status CANCELLED and what there was until
        then. Any other request ends at once as GivenUpError; the node may have done its work.
        """
        with self._lock:
            if not self.done() and not (self._sent and self._call.cancel()):
                self._end(GivenUpError(f"the request to {self._call.name} was cancelled by its client"))

    def poll(self) -> None:
        """Send the request if that can be done now, and end it if its time is over; the client's timer calls this."""
        with self._lock:
            if self.done() or (self._after is not None and not self._after.done()):
                return
            self._after = None
            now_s, limits, name = time.monotonic(), self._limits, self._call.name
            if not self._sent:
                self._found_by_s = min(self._found_by_s, now_s + limits.wait_s)
                if self._call.is_ready():
                    self._sent, self._until_s = True, now_s + limits.reply_s
                    self._call.send(self._arrived)
                elif now_s > self._found_by_s:
                    self._end(NoNodeError(f"no node answers {name} within {limits.wait_s:g} s: {START_A_NODE}"))
            elif now_s > self._until_s:
                self._end(NoReplyError(f"{name} has not replied within {limits.reply_s:g} s{self._call.remark()}"))

    def _arrived(self, response: Any) -> None:
        with self._lock:
            if self.done():
                return
            try:
                reply = self._call.read(response)
            except ClientError as error:
                self._end(error)
            else:
                self._end(reply)

    def _end(self, outcome: Any) -> None:
        self._deadlines.remove(self)
        self._call.forget()
        if isinstance(outcome, ClientError):
            self.future.set_exception(outcome)
        else:
            self.future.set_result(outcome)
