"""A client of `~/ask`: questions about what the node's cameras see."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node

from llava_ov_ros.action import Ask as AskAction
from llava_ov_ros.msg import Answer
from llava_ov_ros.srv import Ask as AskService

from .deadlines import Deadlines
from .pending import Limits, Pending
from .sending import ActionCall, ServiceCall, SharedActionClient, message_of, service_client

GRACE_S = 5.0
"""The node itself ends a request at its deadline; the client waits so much longer for that to arrive."""


class AskClient:
    """Asks questions.

    Example:
        import rclpy
        from llava_ov_ros.clients import AskClient

        rclpy.init()
        client = AskClient(rclpy.create_node("curious"))
        answer = client.ask("Is there a mug?", kind="yes_no").wait()
        print(answer.text, f"{answer.confidence:.2f}", len(answer.frames), "frames")

        pieces = []
        growing = client.stream("What is on the desk?", on_text=pieces.append)
        print(growing.wait().text == "".join(pieces))
    """

    def __init__(
        self, node: Node, name: str = "llava_ov", *, wait_s: float = 10.0, group: CallbackGroup | None = None
    ) -> None:
        """Join the node's service and action; nothing is sent or spun here.

        Args:
            node: Node of the program; whoever owns it spins it.
            name: Name of the node to ask. A name without a slash at its begin is in the namespace of `node`.
            wait_s: Seconds that a request waits for the node to appear.
            group: Callback group of everything here; None: the default group of `node`.
        """
        self._node, self._wait_s = node, wait_s
        self._deadlines = Deadlines(node, group)
        self._name = node.resolve_service_name(f"{name}/ask")
        self._service = service_client(node, AskService, self._name, group)
        self._action = SharedActionClient(node, AskAction, self._name, group)

    def ask(self, question: str, *, deadline_s: float = 30.0, **fields: Any) -> Pending[Answer]:
        """Ask by the service.

        Args:
            question: The question.
            deadline_s: Seconds from the arrival at the node after which the answer is cut off.
            fields: Other fields of srv/Ask, such as `kind`, `choices`, `cameras` and `window_s`.

        Returns:
            The msg/Answer to come. Its status is not OK if the node has no answer: that is no error here.

        Raises:
            TypeError: srv/Ask has no such field.
            ValueError: deadline_s is not above 0.
        """
        limits = Limits(self._wait_s, deadline_s + GRACE_S if deadline_s > 0 else deadline_s)
        request = message_of(AskService.Request, "srv/Ask", question=question, deadline_s=float(deadline_s), **fields)
        call = ServiceCall[Answer](self._service, self._name, request, lambda response: response.answer)
        return Pending(self._deadlines, call, limits)

    def stream(
        self,
        question: str,
        on_text: Callable[[str], object] | None = None,
        *,
        deadline_s: float = 30.0,
        **fields: Any,
    ) -> Pending[Answer]:
        """Ask by the action: the answer is seen growing, and can be cancelled.

        Args:
            question: The question.
            on_text: Called in a callback of the node with each piece of the answer; all pieces joined are its text.
            deadline_s: Seconds from the arrival at the node after which the answer is cut off.
            fields: Other fields of action/Ask, as in `ask`.

        Returns:
            The msg/Answer to come; after `cancel` its status is CANCELLED and its text what there was.

        Raises:
            TypeError: action/Ask has no such field.
            ValueError: deadline_s is not above 0.
        """

        def hear(feedback: AskAction.Feedback) -> None:
            if on_text is not None and feedback.chunk.text:
                on_text(feedback.chunk.text)

        limits = Limits(self._wait_s, deadline_s + GRACE_S if deadline_s > 0 else deadline_s)
        goal = message_of(AskAction.Goal, "action/Ask", question=question, deadline_s=float(deadline_s), **fields)
        call = ActionCall[Answer](self._action, self._name, goal, lambda result: result.answer, hear)
        return Pending(self._deadlines, call, limits)

    def destroy(self) -> None:
        """Leave the service and the action, once nothing is pending."""
        self._node.destroy_client(self._service)
        self._action.destroy()
        self._deadlines.destroy()
