"""The ways to ask: the service and the action `~/ask`, and the standing questions."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from rclpy.action import ActionServer
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup, ReentrantCallbackGroup
from rclpy.lifecycle import LifecycleNode

from llava_ov_ros.action import Ask as AskAction
from llava_ov_ros.msg import Answer, AnswerChunk
from llava_ov_ros.srv import Ask as AskService

from ..frames import Clip
from ..questions import Query, Result, Status
from ..settings import Settings
from .depths import action_server_qos, requests_qos
from .dispatch import Goals, Submitting
from .messages import InvalidRequestError, query_from, standing_query
from .publishing import Publishing
from .request import Request
from .set_back import begin_anew
from .words import Words

GOAL_RESULT_KEPT_S = 60


class Asking:
    """Turns requests into queries, and results into responses."""

    def __init__(
        self,
        node: LifecycleNode,
        publishing: Publishing,
        submitting: Submitting,
        settings: Callable[[], Settings],
        words: Callable[[], Words | None],
    ) -> None:
        self._node = node
        self._publishing = publishing
        self._submitting = submitting
        self._settings = settings
        self._words = words
        self._goals = Goals(submitting)
        waiting = ReentrantCallbackGroup()
        self._service = node.create_service(
            AskService, "~/ask", self._serve, qos_profile=requests_qos(), callback_group=waiting
        )
        self._action = ActionServer(
            node,
            AskAction,
            "~/ask",
            self._execute,
            cancel_callback=self._goals.cancel,
            callback_group=waiting,
            result_timeout=GOAL_RESULT_KEPT_S,
            **action_server_qos(),
        )
        self._standing_group = MutuallyExclusiveCallbackGroup()
        self._standing_timer: Any = None
        self._standing_pending: dict[str, Request] = {}

    def destroy(self) -> None:
        """Take the action server down, which a node does not do by itself."""
        self.stop_standing()
        self._action.destroy()

    def _serve(self, request: AskService.Request, response: AskService.Response) -> AskService.Response:
        response.answer = self._ask_and_wait(request, lambda chunk: None, lambda asked: None)
        return response

    def _execute(self, goal: Any) -> AskAction.Result:
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
        """Queue what is asked (a service request or an action goal) and wait for its end."""
        with self._submitting.counted():
            done = threading.Event()
            answers: list[Answer] = []

            def finish(answer: Answer) -> None:
                answers.append(answer)
                done.set()

            words = self._words()
            try:
                query = query_from(asked, self._settings(), words.prompts if words is not None else None)
            except InvalidRequestError as error:
                result = Result(error.query, Status.INVALID, str(error))
                self._submitting.note(result)
                return self._publishing.answer(result)
            self._submitting.wait(self._submit(query, finish, on_chunk, on_request), done)
            return answers[0]

    def _submit(
        self,
        query: Query,
        on_answer: Callable[[Answer], None],
        on_chunk: Callable[[AnswerChunk], None] = lambda chunk: None,
        on_request: Callable[[Request], None] = lambda asked: None,
    ) -> Request | None:
        """Hand a query over; every end is published, and then given to `on_answer`."""
        clips: tuple[Clip, ...] = ()
        index = 0

        def started(cut: tuple[Clip, ...]) -> None:
            nonlocal clips
            clips = cut

        def grown(text: str, done: bool = False) -> None:
            nonlocal index
            on_chunk(self._publishing.chunk(query.request_id, clips, index, text, done))
            index += 1

        def ended(result: Result) -> None:
            if clips:
                grown("", done=True)
            on_answer(self._publishing.answer(result))
            if self._settings().evidence:
                self._publishing.evidence(result)

        return self._submitting.submit(query, ended, started, grown, on_request)

    def start_standing(self) -> None:
        """Begin asking the standing questions, or begin anew with a changed period."""
        self.stop_standing()
        settings = self._settings()
        if settings.questions():
            self._standing_timer = self._node.create_timer(
                settings.standing_period_s, self._ask_standing, callback_group=self._standing_group
            )

    def begin_period_anew(self) -> None:
        """Ask the standing questions a period from now, whatever the clock was set to."""
        begin_anew(self._standing_timer)

    def stop_standing(self) -> None:
        """Ask no more standing questions."""
        if self._standing_timer is not None:
            self._node.destroy_timer(self._standing_timer)
            self._standing_timer = None

    def _ask_standing(self) -> None:
        settings = self._settings()
        for question in settings.questions():
            # One that is still waiting or being answered is not asked a second time.
            if question in self._standing_pending:
                continue
            query = standing_query(question, settings)

            def forget(answer: Answer, question: str = question) -> None:
                self._standing_pending.pop(question, None)

            def remember(request: Request, question: str = question) -> None:
                self._standing_pending[question] = request

            self._submit(query, forget, on_request=remember)
