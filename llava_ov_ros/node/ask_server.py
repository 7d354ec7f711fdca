"""Serves questions: from the service and the action `~/ask`, and the standing questions."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from rclpy.action.server import ServerGoalHandle
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.timer import Timer

from llava_ov_ros.action import Ask as AskAction
from llava_ov_ros.msg import Answer, AnswerChunk
from llava_ov_ros.srv import Ask as AskService

from ..frames import Clip
from ..no_op import no_op
from ..questions import Query, Request, Result, Status
from .configured import Configured
from .dispatch import Goals
from .messages import InvalidRequestError, query_from, standing_query
from .server_context import ServerContext, open_service_and_action
from .set_back import begin_anew


class AskServer:
    """Answers requests to `~/ask` and asks the standing questions; every answer is published on `~/answers`."""

    def __init__(self, context: ServerContext) -> None:
        self._context = context
        self._goals = Goals(context.submitting)
        self._action = open_service_and_action(
            context.node, "~/ask", (AskService, self._serve), (AskAction, self._execute), self._goals
        )
        self._standing_group = MutuallyExclusiveCallbackGroup()
        self._standing_timer: Timer | None = None
        self._standing_pending: dict[str, Request] = {}

    def destroy(self) -> None:
        """Stop the standing questions and destroy the action server, which rclpy does not destroy with its node."""
        self.stop_standing()
        self._action.destroy()

    def _serve(self, request: AskService.Request, response: AskService.Response) -> AskService.Response:
        response.answer = self._ask_and_wait(request, no_op, no_op)
        return response

    def _execute(self, goal: ServerGoalHandle) -> AskAction.Result:
        answer = self._ask_and_wait(
            goal.request,
            lambda chunk: goal.publish_feedback(AskAction.Feedback(chunk=chunk)),
            lambda request: self._goals.remember(goal, request),
        )
        self._goals.end(goal, answer.status == Answer.OK)
        return AskAction.Result(answer=answer)

    def _ask_and_wait(
        self, asked: Any, on_chunk: Callable[[AnswerChunk], None], on_request: Callable[[Request], None]
    ) -> Answer:
        """Submit the query of a service request or an action goal, and wait for the answer."""
        submitting, configured = self._context.submitting, self._context.configuration.now
        with submitting.counted():
            done = threading.Event()
            answers: list[Answer] = []

            def on_result(answer: Answer) -> None:
                answers.append(answer)
                done.set()

            prompts = None if configured.words is None else configured.words.prompts
            try:
                query = query_from(asked, configured.settings, prompts)
            except InvalidRequestError as error:
                result = Result(error.query, Status.INVALID, str(error))
                submitting.note(result)
                return self._context.publishing.answer(result)
            submitting.wait(self._submit(configured, query, on_result, on_chunk, on_request), done)
            return answers[0]

    def _submit(
        self,
        configured: Configured,
        query: Query,
        on_result: Callable[[Answer], None],
        on_chunk: Callable[[AnswerChunk], None] = no_op,
        on_request: Callable[[Request], None] = no_op,
    ) -> Request | None:
        """Submit a query to the worker; the answer or refusal is published, and then given to `on_result`."""
        publishing = self._context.publishing
        clips: tuple[Clip, ...] = ()
        index = 0

        def started(cut: tuple[Clip, ...]) -> None:
            nonlocal clips
            clips = cut

        def grown(text: str, done: bool = False) -> None:
            nonlocal index
            on_chunk(publishing.chunk(query.request_id, clips, index, text, done))
            index += 1

        def publish(result: Result) -> None:
            if clips:
                grown("", done=True)
            on_result(publishing.answer(result))
            if configured.settings.evidence:
                publishing.evidence(result)

        return self._context.submitting.submit(configured, query, publish, started, grown, on_request)

    def start_standing(self) -> None:
        """Start the timer of the standing questions, or restart the timer with a changed period."""
        self.stop_standing()
        settings = self._context.configuration.now.settings
        if settings.questions():
            self._standing_timer = self._context.node.create_timer(
                settings.standing_period_s, self._ask_standing, callback_group=self._standing_group
            )

    def begin_period_anew(self) -> None:
        """Ask the standing questions one period from now, also after the clock was set back."""
        begin_anew(self._standing_timer)

    def stop_standing(self) -> None:
        """Stop asking the standing questions."""
        if self._standing_timer is not None:
            self._context.node.destroy_timer(self._standing_timer)
            self._standing_timer = None

    def _ask_standing(self) -> None:
        configured = self._context.configuration.now
        for question in configured.settings.questions():
            # A question that is still waiting or being answered is not asked a second time.
            if question in self._standing_pending:
                continue
            query = standing_query(question, configured.settings)

            def forget(answer: Answer, question: str = question) -> None:
                self._standing_pending.pop(question, None)

            def remember(request: Request, question: str = question) -> None:
                self._standing_pending[question] = request

            self._submit(configured, query, forget, on_request=remember)
