"""The service and the action `~/plan`: from a goal to a plan that was checked and is not executed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from rclpy.action import ActionServer
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.lifecycle import LifecycleNode

from llava_ov_ros.action import Plan as PlanAction
from llava_ov_ros.msg import Plan, PlanStep
from llava_ov_ros.srv import Plan as PlanService

from ..planning import (
    AnswerQueries,
    Decomposition,
    GoalTextError,
    PlannedStep,
    PlanOptions,
    PlanResult,
    decompose_about,
    plan_about,
)
from ..questions import Query, Request, Result, Status
from ..questions.request import ignore
from .ask_server import GOAL_RESULT_KEPT_S
from .depths import action_server_qos, requests_qos
from .dispatch import Goals, Submitting
from .messages import InvalidRequestError
from .parameters import Settings
from .plan_messages import DECOMPOSE, plan_query, step_message, told_goal
from .publishing import Publishing
from .words import Words

# As many questions about a plan's things as wait in the queue at once, so that others find room.
TOGETHER = 4
OnStep = Callable[[int, PlanStep], None]
OnRequest = Callable[[Request], None]


class Planning:
    """Turns goals into plans; every end is published on ~/plans."""

    def __init__(
        self,
        node: LifecycleNode,
        publishing: Publishing,
        submitting: Submitting,
        settings: Callable[[], Settings],
        words: Callable[[], Words | None],
    ) -> None:
        self._publishing = publishing
        self._submitting = submitting
        self._settings = settings
        self._words = words
        self._goals = Goals(submitting)
        waiting = ReentrantCallbackGroup()
        self._service = node.create_service(
            PlanService, "~/plan", self._serve, qos_profile=requests_qos(), callback_group=waiting
        )
        self._action = ActionServer(
            node,
            PlanAction,
            "~/plan",
            self._execute,
            cancel_callback=self._goals.cancel,
            callback_group=waiting,
            result_timeout=GOAL_RESULT_KEPT_S,
            **action_server_qos(),
        )

    def destroy(self) -> None:
        """Take the action server down, which a node does not do by itself."""
        self._action.destroy()

    def _serve(self, request: PlanService.Request, response: PlanService.Response) -> PlanService.Response:
        response.plan = self._plan(request, lambda attempt, step: None, lambda asked: None)
        return response

    def _execute(self, goal: Any) -> PlanAction.Result:
        plan = self._plan(
            goal.request,
            lambda attempt, step: goal.publish_feedback(PlanAction.Feedback(attempt=attempt, step=step)),
            lambda request: self._goals.remember(goal, request),
        )
        self._goals.end(goal, plan.status == Plan.NONE)
        return PlanAction.Result(plan=plan)

    def _plan(self, asked: Any, on_step: OnStep, on_request: OnRequest) -> Plan:
        """Make the plan that a service request or an action goal asks for, and publish it."""
        with self._submitting.counted():
            result, plan = self._make(asked, on_step, on_request)
            return self._publishing.plan(told_goal(asked.goal), result, plan, self._settings(), self._words())

    def _make(
        self, asked: Any, on_step: OnStep, on_request: OnRequest
    ) -> tuple[Result, PlanResult | Decomposition | None]:
        """The end of the request, and the plan where there is one."""
        settings, words = self._settings(), self._words()
        try:
            query = plan_query(asked, settings)
        except InvalidRequestError as error:
            return self._noted(Result(error.query, Status.INVALID, str(error))), None
        answers = self._answers_until(time.monotonic(), on_request)
        if words is None:
            return answers([query], ignore)[0], None
        result: Result
        plan: PlanResult | Decomposition | None
        try:
            if asked.decoding == DECOMPOSE:
                result, plan = decompose_about(asked.goal, query, answers, words.prompts)
            else:
                options = PlanOptions(
                    asked.decoding or settings.plan_decoding,  # type: ignore[arg-type] - checked by plan_query
                    settings.plan_repairs,
                    settings.plan_grounding,
                )

                def step(attempt: int, one: PlannedStep) -> None:
                    on_step(attempt, step_message(one))

                result, plan = plan_about(asked.goal, query, answers, words.vocabulary, words.prompts, options, step)
        except GoalTextError as error:
            return self._noted(Result(query, Status.INVALID, str(error))), None
        if result.status is Status.OK and settings.evidence:
            self._publishing.evidence(result)
        return result, plan

    def _noted(self, result: Result) -> Result:
        self._submitting.note(result)
        return result

    def _answers_until(self, arrived_s: float, on_request: OnRequest) -> AnswerQueries:
        """Have the worker answer all questions of one plan, which arrived together and have one deadline."""

        def answers(queries: Sequence[Query], on_text: Callable[[str], None]) -> list[Result]:
            results: list[Result] = []
            for begin in range(0, len(queries), TOGETHER):
                results += self._answered(queries[begin : begin + TOGETHER], arrived_s, on_request, on_text)
                if any(result.status is not Status.OK for result in results):
                    break
            return results

        return answers

    def _answered(
        self, queries: Sequence[Query], arrived_s: float, on_request: OnRequest, on_text: Callable[[str], None]
    ) -> list[Result]:
        results: dict[int, Result] = {}
        waiting = []
        for number, query in enumerate(queries):
            done = threading.Event()

            def take(result: Result, number: int = number, done: threading.Event = done) -> None:
                results[number] = result
                done.set()

            request = self._submitting.submit(query, take, on_text=on_text, on_request=on_request, arrived_s=arrived_s)
            waiting.append((request, done))
        for request, done in waiting:
            self._submitting.wait(request, done)
        return [results[number] for number in range(len(queries))]
