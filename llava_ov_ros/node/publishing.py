"""Publishes answers, pieces of answers, plans, hints and the evidence picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rclpy.lifecycle import LifecycleNode
from rclpy.publisher import Publisher

from llava_ov_ros.msg import ActionHint, Answer, AnswerChunk, Plan

from ..frames import Clip
from ..planning import Decomposition, NextStep, PlanResult
from ..questions import Result
from .configured import Configured
from .depths import FEEDBACK_DEPTH, REQUESTS_DEPTH, kept_qos
from .evidence import Evidence
from .hint_turn import GoalTurn
from .messages import answer_message, chunk_message
from .other_messages import OtherMessages
from .overlays import Overlays
from .plan_messages import hint_message, plan_message
from .words import Words

HINTS_DEPTH = 10


class Publishing:
    """The node's output topics. Any thread may publish, because rcl's publishers are thread-safe."""

    def __init__(self, node: LifecycleNode, model_name: Callable[[], str]) -> None:
        self._node = node
        self._model_name = model_name
        self._answers = node.create_publisher(Answer, "~/answers", kept_qos(REQUESTS_DEPTH))
        self._chunks = node.create_publisher(AnswerChunk, "~/answer_chunks", FEEDBACK_DEPTH)
        self._plans = node.create_publisher(Plan, "~/plans", kept_qos(REQUESTS_DEPTH))
        self._hints = node.create_publisher(ActionHint, "~/action_hint", kept_qos(HINTS_DEPTH))
        self._others = OtherMessages(node)
        self._overlays = Overlays(node)
        self._evidence = Evidence(node)

    def answer(self, result: Result) -> Answer:
        """Publish an answer or a refusal on ~/answers and return its message."""
        message = answer_message(result, self._node.get_clock().now().to_msg(), result.model(self._model_name()))
        self._publish(self._answers, message)
        if self._node.context.ok():
            self._overlays.answer(result)
        return message

    def chunk(self, request_id: str, clips: Sequence[Clip], index: int, text: str, done: bool) -> AnswerChunk:
        """Publish one piece of an answer on ~/answer_chunks and return its message."""
        message = chunk_message(request_id, clips, index, text, done)
        self._publish(self._chunks, message)
        return message

    def plan(self, goal: str, result: Result, plan: PlanResult | Decomposition | None, configured: Configured) -> Plan:
        """Publish the plan or the refusal of a request on ~/plans and return its message.

        Args:
            goal: State that the plan shall reach, in the words of the request.
            result: The end of the request, with the frames used.
            plan: The plan, or sentences in the model's own words; None: there is neither.
            configured: The parameters and the prompts of the request.
        """
        now, words = self._node.get_clock().now().to_msg(), configured.words
        message = plan_message(
            goal, result, plan, now, result.model(self._model_name()), configured.settings.actions, words
        )
        self._publish(self._plans, message)
        if message.outcome == Plan.ACCEPTED and isinstance(plan, PlanResult) and words and self._node.context.ok():
            self._others.plan(plan.validation.plan, words.vocabulary)
        return message

    def hint_message(self, turn: GoalTurn, result: Result, step: NextStep | None) -> ActionHint:
        """Make the message of a hint; `hint` publishes the message."""
        now = self._node.get_clock().now().to_msg()
        return hint_message(turn, result, step, now, result.model(self._model_name()))

    def hint(self, message: ActionHint, turn: GoalTurn, words: Words) -> None:
        """Publish a hint on ~/action_hint, and as an intent if the last intent of the turn did not have the same step.

        Args:
            message: The message of the hint.
            turn: The turn of the hint; every goal that is set and every step reported make a new object.
            words: The prompts and the vocabulary of the hint.
        """
        self._publish(self._hints, message)
        if self._node.context.ok():
            self._others.hint(message, turn, words.vocabulary)
            self._overlays.hint(message)

    def _publish(self, publisher: Publisher, message: Any) -> None:
        # After rclpy.shutdown nothing can be published, but callers in this process still wait for the message.
        if self._node.context.ok():
            publisher.publish(message)

    def evidence(self, result: Result) -> None:
        """Have the evidence picture of a result published, if the topic has a subscriber and the result has frames."""
        self._evidence.show(result)

    def close(self) -> None:
        """Stop publishing evidence pictures; call this before the node is destroyed."""
        self._evidence.close()
