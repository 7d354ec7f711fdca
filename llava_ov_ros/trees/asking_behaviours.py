"""Questions as behaviours: an answer for the blackboard, and a condition that the camera decides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llava_ov_ros.msg import Answer

from ..clients import AskClient, Pending
from .awaiting import Awaiting

YES_OR_NO = ("yes", "no")


class AskQuestion(Awaiting[Answer]):
    """Asks a question; SUCCESS if there is an answer.

    Example:
        import py_trees
        import rclpy
        from llava_ov_ros.clients import AskClient
        from llava_ov_ros.trees import AskQuestion
        from py_trees.common import Status

        rclpy.init()
        node = rclpy.create_node("tree")
        ask = AskQuestion("colour", AskClient(node), "What colour is the mug?", key="colour")
        while ask.status in (Status.INVALID, Status.RUNNING):
            ask.tick_once()
            rclpy.spin_once(node, timeout_sec=0.1)
        print(ask.status.name, py_trees.blackboard.Blackboard.get("colour").text)
    """

    def __init__(self, name: str, client: AskClient, question: str, *, key: str = "", **fields: Any) -> None:
        """Prepare the question.

        Args:
            name: Name in the tree.
            client: Client of the node; whoever ticks the tree has its node spun.
            question: The question.
            key: Key of the blackboard that gets the msg/Answer; empty: none does.
            fields: Other fields of action/Ask, such as `kind`, `cameras`, `deadline_s`.
        """
        super().__init__(name, key)
        self._client, self._question, self._fields = client, question, fields

    def request(self) -> Pending[Answer]:
        """Ask by the action, which can be cancelled."""
        return self._client.stream(self._question, **self._fields)

    def judge(self, reply: Answer) -> tuple[bool, str]:
        """An answer that rests on no good pictures is none."""
        return (True, reply.text) if reply.status == Answer.OK else (False, reply.message)


class AskChoice(AskQuestion):
    """Asks a question with given answers; SUCCESS if the answer is the wanted one, and the model sure enough of it.

    Example:
        import py_trees
        import rclpy
        from llava_ov_ros.clients import AskClient
        from llava_ov_ros.trees import AskChoice
        from py_trees.common import Status

        rclpy.init()
        node = rclpy.create_node("tree")
        client = AskClient(node)
        seen = AskChoice("mug seen", client, "Is there a mug?", expects="yes", confidence=0.5)
        shelf = AskChoice("on the shelf", client, "Where is the mug?", "on the shelf", ["on the shelf", "on the desk"])
        both = py_trees.composites.Sequence("both", memory=True, children=[seen, shelf])
        while both.status in (Status.INVALID, Status.RUNNING):
            both.tick_once()
            rclpy.spin_once(node, timeout_sec=0.1)
        print(both.status.name, seen.feedback_message, shelf.feedback_message, sep=", ")
    """

    def __init__(
        self,
        name: str,
        client: AskClient,
        question: str,
        expects: str,
        choices: Sequence[str] = (),
        *,
        confidence: float = 0.0,
        key: str = "",
        **fields: Any,
    ) -> None:
        """Prepare the question.

        Args:
            name: Name in the tree.
            client: Client of the node; whoever ticks the tree has its node spun.
            question: The question.
            expects: The wanted answer.
            choices: The answers to choose from; empty: yes and no, in whatever language the node asks its model.
            confidence: Least probability of the wanted answer among all of them, 0 to 1.
            key: Key of the blackboard that gets the msg/Answer if it is as wanted; empty: none does.
            fields: Other fields of action/Ask, such as `cameras`, `deadline_s`.

        Raises:
            ValueError: The wanted answer is none of those to choose from, or the confidence is no probability.
        """
        allowed = tuple(choices) or YES_OR_NO
        if expects not in allowed:
            raise ValueError(f"expects is {expects!r}: give one of {', '.join(map(repr, allowed))}")
        if not 0 <= confidence <= 1:
            raise ValueError(f"confidence is {confidence:g}: give a probability from 0 to 1")
        kind = "choice" if choices else "yes_no"
        super().__init__(name, client, question, key=key, kind=kind, choices=list(choices), **fields)
        self._expects, self._is_yes_no, self._confidence = expects, not choices, confidence

    def judge(self, reply: Answer) -> tuple[bool, str]:
        """Compare answer and confidence; a model that cannot tell has not given the wanted answer."""
        answered, said = super().judge(reply)
        if not answered:
            return False, said
        given = (YES_OR_NO[0] if reply.yes else YES_OR_NO[1]) if self._is_yes_no else reply.text
        said = f"{reply.text} ({reply.confidence:.2f})"
        return reply.known and given == self._expects and reply.confidence >= self._confidence, said
