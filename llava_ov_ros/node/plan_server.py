"""Serves plans from the service and the action `~/plan`: a plan for a goal is made and checked, but not executed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from rclpy.action.server import ServerGoalHandle

from llava_ov_ros.action import Plan as PlanAction
from llava_ov_ros.msg import Plan, PlanStep
from llava_ov_ros.srv import Plan as PlanService

from ..no_op import no_op
from ..planning import (
    AnswerQueries,
    Decomposition,
    GoalTextError,
    PlannedStep,
    PlanOptions,
    PlanResult,
    Reason,
    decoding_named,
    decompose_about,
    plan_about,
    validators_named,
)
from ..questions import Query, Request, Result, Status
from ..settings.allowed_values import DECOMPOSE
from .configured import Configured
from .dispatch import Goals
from .messages import InvalidRequestError
from .plan_messages import plan_query, step_message, told_goal
from .server_context import ServerContext, open_service_and_action

# Most questions about a plan's things that wait in the queue at once, so that other requests find room.
TOGETHER = 4
OnStep = Callable[[int, PlanStep], None]
OnRequest = Callable[[Request], None]


class PlanServer:
    """Has the model make plans for goals; every plan or refusal is published on ~/plans."""

    def __init__(self, context: ServerContext) -> None:
        self._context = context
        self._goals = Goals(context.submitting)
        self._action = open_service_and_action(
            context.node, "~/plan", (PlanService, self._serve), (PlanAction, self._execute), self._goals
        )

    def destroy(self) -> None:
        """Destroy the action server, which rclpy does not destroy with its node."""
        self._action.destroy()

    def _serve(self, request: PlanService.Request, response: PlanService.Response) -> PlanService.Response:
        response.plan = self._plan(request, no_op, no_op, lambda: False)
        return response

    def _execute(self, goal: ServerGoalHandle) -> PlanAction.Result:
        plan = self._plan(
            goal.request,
            lambda attempt, step: goal.publish_feedback(PlanAction.Feedback(attempt=attempt, step=step)),
            lambda request: self._goals.remember(goal, request),
            lambda: self._goals.is_cancelled(goal),
        )
        self._goals.end(goal, plan.status == Plan.NONE)
        return PlanAction.Result(plan=plan)

    def _plan(self, asked: Any, on_step: OnStep, on_request: OnRequest, is_cancelled: Callable[[], bool]) -> Plan:
        """Make the plan that a service request or an action goal asks for, and publish it."""
        configured = self._context.configuration.now
        with self._context.submitting.counted():
            result, plan = self._make(configured, asked, on_step, on_request, is_cancelled)
            return self._context.publishing.plan(told_goal(asked.goal), result, plan, configured)

    def _make(
        self,
        configured: Configured,
        asked: Any,
        on_step: OnStep,
        on_request: OnRequest,
        is_cancelled: Callable[[], bool],
    ) -> tuple[Result, PlanResult | Decomposition | None]:
        """Have the model make the plan; return the end of the request, and the plan or None."""
        settings, words = configured.settings, configured.words
        try:
            query = plan_query(asked, settings)
        except InvalidRequestError as error:
            return self._noted(Result(error.query, Status.INVALID, str(error))), None
        answers = self._answers_until(time.monotonic(), configured, on_request)
        if words is None:
            return answers([query], no_op)[0], None
        result: Result
        plan: PlanResult | Decomposition | None
        try:
            if asked.decoding == DECOMPOSE:
                result, plan = decompose_about(asked.goal, query, answers, words.prompts)
            else:
                options = PlanOptions(
                    decoding_named(asked.decoding or settings.plan_decoding),
                    settings.plan_repairs,
                    settings.plan_grounding,
                    validators_named(settings.plan_validators),
                    settings.plan_search_s,
                )

                def step(attempt: int, one: PlannedStep) -> None:
                    on_step(attempt, step_message(one))

                def should_stop() -> bool:
                    return is_cancelled() or self._context.configuration.now.worker is not configured.worker

                result, plan = plan_about(
                    asked.goal, query, answers, words.vocabulary, words.prompts, options, step, should_stop
                )
                self._tell_disagreement(plan)
        except GoalTextError as error:
            return self._noted(Result(query, Status.INVALID, str(error))), None
        if result.status is Status.OK and settings.evidence:
            self._context.publishing.evidence(result)
        return result, plan

    def _tell_disagreement(self, plan: PlanResult | None) -> None:
        for finding in () if plan is None else plan.of_the_whole:
            if finding.reason is Reason.JUDGES_DISAGREE and plan is not None:
                line = "; ".join(map(str, plan.validation.plan.steps))
                self._context.node.get_logger().warning(f"plan for {plan.goal!r}: {finding.text}; its steps: {line}")

    def _noted(self, result: Result) -> Result:
        self._context.submitting.note(result)
        return result

    def _answers_until(self, arrived_s: float, configured: Configured, on_request: OnRequest) -> AnswerQueries:
        """Return a function by which the worker answers the queries of one plan.

        Args:
            arrived_s: Arrival of the request for the plan on the monotonic clock. The deadline of every query counts
                from this time.
            configured: The parameters and the worker of the request.
            on_request: Called with the request of each query before that request is queued.
        """

        def answers(queries: Sequence[Query], on_text: Callable[[str], None]) -> list[Result]:
            results: list[Result] = []
            for begin in range(0, len(queries), TOGETHER):
                results += submitted(queries[begin : begin + TOGETHER], on_text)
                if any(result.status is not Status.OK for result in results):
                    break
            return results

        def submitted(queries: Sequence[Query], on_text: Callable[[str], None]) -> list[Result]:
            results: dict[int, Result] = {}
            waiting = []
            for number, query in enumerate(queries):
                done = threading.Event()

                def take(result: Result, number: int = number, done: threading.Event = done) -> None:
                    results[number] = result
                    done.set()

                request = self._context.submitting.submit(
                    configured, query, take, on_text=on_text, on_request=on_request, arrived_s=arrived_s
                )
                waiting.append((request, done))
            for request, done in waiting:
                self._context.submitting.wait(request, done)
            return [results[number] for number in range(len(queries))]

        return answers
