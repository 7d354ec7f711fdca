"""Publishes what comes out of the node: answers, their pieces, and the evidence picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cv2
from rclpy.lifecycle import LifecycleNode
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage

from llava_ov_ros.msg import ActionHint, Answer, AnswerChunk, Plan

from ..frames import Clip, Line, contact_sheet
from ..tasks import Result, Status
from ..tasks.planning import Decomposition, NextStep, PlanResult, Step
from .depths import FEEDBACK_DEPTH, REQUESTS_DEPTH
from .messages import answer_message, chunk_message, newest_header
from .other_messages import OtherMessages
from .parameters import Settings
from .plan_messages import hint_message, plan_message
from .words import Words

HINTS_DEPTH = 10
EVIDENCE_QUALITY = 85
GREEN, RED = (120, 220, 140), (250, 130, 110)


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
        self._evidence = node.create_publisher(CompressedImage, "~/evidence/compressed", QoSProfile(depth=1))

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
        """Publish the frames that a result rests on, where anybody looks and there are any."""
        try:
            self._show(result)
        except Exception as error:  # noqa: BLE001 - the picture is a courtesy, the worker thread must live on
            self._node.get_logger().error(f"no evidence picture: {type(error).__name__}: {error}")

    def _show(self, result: Result) -> None:
        if not result.clips or not self._node.context.ok() or self._evidence.get_subscription_count() == 0:
            return
        sheet = contact_sheet(result.seen, evidence_lines(result))
        bgr = cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR)
        _, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, EVIDENCE_QUALITY])
        self._evidence.publish(CompressedImage(header=newest_header(result.clips), format="jpeg", data=jpeg.tobytes()))


def evidence_lines(result: Result) -> list[Line]:
    """Question and answer as they stand under the frames."""
    if result.status is Status.OK:
        answer = Line(f"{result.text}   ({result.confidence:.0%})", GREEN, 20)
    else:
        answer = Line(f"{result.status.name}: {result.message}", RED)
    return [Line(result.query.question), answer]
