"""Publishes what comes out of the node: answers, their pieces, and the evidence picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rclpy.lifecycle import LifecycleNode
from rclpy.publisher import Publisher

from llava_ov_ros.msg import ActionHint, Answer, AnswerChunk, Plan

from ..frames import Clip
from ..planning import Decomposition, NextStep, PlanResult, Step
from ..questions import Result
from ..settings import Settings
from .depths import FEEDBACK_DEPTH, REQUESTS_DEPTH
from .evidence import Evidence
from .messages import answer_message, chunk_message
from .other_messages import OtherMessages
from .plan_messages import hint_message, plan_message
from .words import Words

HINTS_DEPTH = 10


class Publishing:
    """The node's output topics. Safe to use from the worker thread: rcl's publishers are."""

    def __init__(self, node: LifecycleNode, model_name: Callable[[], str]) -> None:
        self._node = node
        self._model_name = model_name
        self._answers = node.create_publisher(Answer, "~/answers", REQUESTS_DEPTH)
        self._chunks = node.create_publisher(AnswerChunk, "~/answer_chunks", FEEDBACK_DEPTH)
        self._plans = node.create_publisher(Plan, "~/plans", REQUESTS_DEPTH)
        self._hints = node.create_publisher(ActionHint, "~/action_hint", HINTS_DEPTH)
        self._others = OtherMessages(node)
        self._evidence = Evidence(node)

    def answer(self, result: Result) -> Answer:
        """Publish a result on ~/answers and return its message."""
        message = answer_message(result, self._node.get_clock().now().to_msg(), self._model_name())
        self._publish(self._answers, message)
        return message

    def chunk(self, request_id: str, clips: Sequence[Clip], index: int, text: str, done: bool) -> AnswerChunk:
        """Publish one piece of an answer on ~/answer_chunks and return its message."""
        message = chunk_message(request_id, clips, index, text, done)
        self._publish(self._chunks, message)
        return message

    def plan(
        self,
        goal: str,
        ended: Result,
        plan: PlanResult | Decomposition | None,
        settings: Settings,
        words: Words | None,
    ) -> Plan:
        """Publish the end of a request for a plan on ~/plans and return its message."""
        now = self._node.get_clock().now().to_msg()
        message = plan_message(goal, ended, plan, now, self._model_name(), settings.actions, words)
        self._publish(self._plans, message)
        if message.outcome == Plan.ACCEPTED and isinstance(plan, PlanResult) and words and self._node.context.ok():
            self._others.plan(plan.validation.plan, words.vocabulary)
        return message

    def hint_message(self, goal: str, done: tuple[Step, ...], ended: Result, step: NextStep | None) -> ActionHint:
        """The message of a hint."""
        now = self._node.get_clock().now().to_msg()
        return hint_message(goal, done, ended, step, now, self._model_name())

    def hint(self, message: ActionHint, turn: object, words: Words) -> None:
        """Publish a hint on ~/action_hint; `turn` is another object for every goal that is set and step reported."""
        self._publish(self._hints, message)
        if self._node.context.ok():
            self._others.hint(message, turn, words.vocabulary)

    def _publish(self, publisher: Publisher, message: Any) -> None:
        # After rclpy.shutdown nobody can be told any more, but whoever waits in this process still needs the end.
        if self._node.context.ok():
            publisher.publish(message)

    def evidence(self, result: Result) -> None:
        """Have the frames that a result rests on published, where anybody looks and there are any."""
        self._evidence.show(result)

    def close(self) -> None:
        """Publish no more evidence; to be called before the node is destroyed."""
        self._evidence.close()
