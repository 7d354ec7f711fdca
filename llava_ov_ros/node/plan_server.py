"""The service and the action `~/plan`: from a goal to a plan that was checked and is not executed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rclpy.action import ActionServer
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.lifecycle import LifecycleNode

from llava_ov_ros.action import Plan as PlanAction
from llava_ov_ros.msg import Plan, PlanStep
from llava_ov_ros.srv import Plan as PlanService

from ..frames import Clip
from ..planning import (
    Decomposition,
    GoalTextError,
    NoAnswerError,
    PlanAsk,
    PlannedStep,
    PlanOptions,
    PlanResult,
    decompose_ask,
    make_plan,
    read_decomposition,
    read_plan_answer,
)
from ..questions import Query, Result, Status
from ..questions.blank import blank_remark
from ..settings import Settings
from .ask_server import GOAL_RESULT_KEPT_S
from .depths import action_server_qos, requests_qos
from .dispatch import Goals, Submitting
from .messages import InvalidRequestError
from .plan_messages import DECOMPOSE, plan_query, step_message, told_goal
from .publishing import Publishing
from .request import Request
from .words import Words

if TYPE_CHECKING:
    from ..onevision import Generated

# As many questions about a plan's things as wait in the queue at once, so that others find room.
TOGETHER = 4
OnStep = Callable[[int, PlanStep], None]
OnRequest = Callable[[Request], None]


class _EndedError(Exception):
    """A question without which there is no plan, or after which nobody wants one, had no answer."""

    def __init__(self, result: Result) -> None:
        super().__init__(result.message)
        self.result = result


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
            started_s = time.monotonic()
            ended, plan = self._make(asked, on_step, on_request)
            ended = replace(ended, total_s=time.monotonic() - started_s)
            return self._publishing.plan(told_goal(asked.goal), ended, plan, self._settings(), self._words())

    def _make(
        self, asked: Any, on_step: OnStep, on_request: OnRequest
    ) -> tuple[Result, PlanResult | Decomposition | None]:
        """How it ended, and the plan where there is one."""
        settings, words = self._settings(), self._words()
        made: list[PlanResult] = []
        try:
            query = plan_query(asked, settings)
        except InvalidRequestError as error:
            return self._noted(Result(error.query, Status.INVALID, str(error))), None
        conversation = _Conversation(self._submitting, query, on_request)
        if words is None:
            return conversation.refused(), None
        if asked.decoding == DECOMPOSE:
            return self._decompose(asked.goal, query, words, conversation)
        options = PlanOptions(
            asked.decoding or settings.plan_decoding,  # type: ignore[arg-type] - checked by plan_query
            settings.plan_repairs,
            settings.plan_grounding,
        )

        def step(attempt: int, one: PlannedStep) -> None:
            on_step(attempt, step_message(one))

        try:
            plan = make_plan(
                asked.goal,
                words.vocabulary,
                words.prompts,
                options,
                conversation.answers,
                on_step=step,
                on_result=made.append,
            )
        except GoalTextError as error:
            return self._noted(Result(query, Status.INVALID, str(error))), None
        except _EndedError as error:
            # What there was when it ended early.
            ended = replace(error.result, clips=error.result.clips or conversation.clips)
            if not made and ended.generated is not None:
                made.append(
                    read_plan_answer(ended.generated, asked.goal, words.vocabulary, words.prompts, options.decoding)
                )
            return ended, made[-1] if made else None
        return self._shown(query, plan, conversation, plan.remarks), plan

    def _decompose(
        self, goal: str, query: Query, words: Words, conversation: _Conversation
    ) -> tuple[Result, Decomposition | None]:
        """The same for steps in the model's own words: none of them is one of a plan, and none comes as feedback."""
        try:
            generated = conversation.answers([decompose_ask(goal, words.prompts)], lambda text: None)[0]
        except _EndedError as error:
            partly = error.result.generated
            return error.result, None if partly is None else read_decomposition(partly, goal, words.prompts)
        told = read_decomposition(generated, goal, words.prompts)
        return self._shown(query, told, conversation), told

    def _shown(
        self, query: Query, plan: PlanResult | Decomposition, conversation: _Conversation, remarks: Sequence[str] = ()
    ) -> Result:
        """The end of a request that has what it asked for, as it is published, the evidence too."""
        message = "; ".join(filter(None, (*remarks, blank_remark(conversation.clips))))
        result = Result(query, Status.OK, message, plan.text, plan.confidence, conversation.clips)
        if self._settings().evidence:
            self._publishing.evidence(result)
        return result

    def _noted(self, result: Result) -> Result:
        self._submitting.note(result)
        return result


class _Conversation:
    """All that is asked about one plan, with one clip and one deadline."""

    def __init__(self, submitting: Submitting, query: Query, on_request: OnRequest) -> None:
        self._submitting = submitting
        self._query = query
        self._on_request = on_request
        self._arrived_s = time.monotonic()
        self._first = True
        self.clips: tuple[Clip, ...] = ()

    def answers(self, asks: Sequence[PlanAsk], on_text: Callable[[str], None]) -> Sequence[Generated]:
        """Have the worker answer; raises _EndedError, or NoAnswerError where there is a plan that can do without."""
        given: list[Generated] = []
        for begin in range(0, len(asks), TOGETHER):
            results = self._results([self._query_for(ask) for ask in asks[begin : begin + TOGETHER]], on_text)
            for result in results:
                if result.generated is None or result.status is not Status.OK:
                    self._refuse(result)
                else:
                    given.append(result.generated)
                    self.clips = self.clips or result.clips
        self._first = False
        return given

    def refused(self) -> Result:
        """The end of a request to a node that is not configured."""
        return self._results([self._query], lambda text: None)[0]

    def _refuse(self, result: Result) -> None:
        others = (Status.MODEL_ERROR, Status.INVALID, Status.QUEUE_FULL, Status.DROPPED)
        if self._first or result.status not in others:
            raise _EndedError(result)
        raise NoAnswerError(f"{result.status.name}: {result.message}")

    def _query_for(self, ask: PlanAsk) -> Query:
        return replace(
            self._query,
            prompt=ask.prompt,
            grammar=ask.grammar,
            choices=ask.choices,
            max_new_tokens=ask.max_new_tokens,
            clips=self.clips,
        )

    def _results(self, queries: Sequence[Query], on_text: Callable[[str], None]) -> list[Result]:
        results: dict[int, Result] = {}
        waiting = []
        for number, query in enumerate(queries):
            done = threading.Event()

            def end(result: Result, number: int = number, done: threading.Event = done) -> None:
                results[number] = result
                done.set()

            request = self._submitting.submit(
                query, end, on_text=on_text, on_request=self._on_request, arrived_s=self._arrived_s
            )
            waiting.append((request, done))
        for request, done in waiting:
            self._submitting.wait(request, done)
        return [results[number] for number in range(len(queries))]
