"""What the behaviours that ask a node have in common: one request at a time, cancelled when they are interrupted."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Generic

from py_trees.behaviour import Behaviour
from py_trees.common import Access, Status

from ..clients import ClientError, Pending
from ..clients.pending import ReplyT


class Awaiting(Behaviour, Generic[ReplyT]):
    """A behaviour that is RUNNING until a reply has come."""

    def __init__(self, name: str, key: str) -> None:
        """Prepare the behaviour.

        Args:
            name: Name in the tree.
            key: Key of the blackboard that gets the reply; empty: none does.
        """
        super().__init__(name=name)
        self._key = key
        self._pending: Pending[ReplyT] | None = None
        self._board = self.attach_blackboard_client(name=name)
        if key:
            self._board.register_key(key=key, access=Access.WRITE)

    @abstractmethod
    def request(self) -> Pending[ReplyT]:
        """Send the request."""

    @abstractmethod
    def judge(self, reply: ReplyT) -> tuple[bool, str]:
        """Whether the reply means SUCCESS, and what to say of it."""

    def initialise(self) -> None:
        """Send the request anew."""
        self._pending = self.request()

    def update(self) -> Status:
        """Look whether the reply is there; without a reply the text of the error is the feedback_message."""
        if self._pending is None or not self._pending.done():
            return Status.RUNNING
        try:
            reply = self._pending.result()
        except ClientError as error:
            self.feedback_message = str(error)
            return Status.FAILURE
        succeeded, self.feedback_message = self.judge(reply)
        if succeeded and self._key:
            self._board.set(self._key, reply)
        return Status.SUCCESS if succeeded else Status.FAILURE

    def terminate(self, new_status: Status) -> None:
        """Cancel a request on its way."""
        pending, self._pending = self._pending, None
        if pending is not None and not pending.done():
            give_up(pending)


def give_up(pending: Pending[Any]) -> None:
    """Cancel a request whose reply nobody looks at."""
    unheeded(pending)
    pending.cancel()


def unheeded(pending: Pending[Any]) -> None:
    """Take note that nobody looks at a reply: rclpy prints errors that nobody has looked at."""
    pending.future.add_done_callback(lambda future: future.exception())
