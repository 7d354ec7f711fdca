"""Converts requests for plans to queries, and plans and hints to ROS messages."""

from __future__ import annotations

from typing import Any

from builtin_interfaces.msg import Time

from llava_ov_ros.msg import ActionHint, Plan, PlanStep
from llava_ov_ros.srv import Ask

from ..bounds import quoted, shown
from ..missing_module import planner_missing
from ..planning import (
    LONGEST_GOAL,
    Decomposition,
    GoalTextError,
    Hint,
    NextStep,
    PlannedStep,
    PlanResult,
    StepSource,
    goal_text,
)
from ..planning.plan_message import PlanTypes, message_of_plan, message_of_step
from ..questions import Query, Result
from ..settings import Settings
from ..settings.allowed_values import CERTIFIED, REQUEST_DECODINGS
from .hint_turn import GoalTurn
from .messages import TYPES, InvalidRequestError, frames_used, newest_header, query_from
from .words import Words

_SHARED = ("cameras", "mode", "window_s", "from_stamp", "to_stamp", "max_frames", "deadline_s", "request_id")
PLAN_TYPES = PlanTypes(**vars(TYPES), plan=Plan, plan_step=PlanStep)
_HINT_SOURCES = {StepSource.MODEL: ActionHint.MODEL, StepSource.PLANNER: ActionHint.PLANNER}
_HINTS = {
    Hint.STEP: ActionHint.STEP,
    Hint.DONE: ActionHint.DONE,
    Hint.UNSURE: ActionHint.UNSURE,
    Hint.CANNOT_TELL: ActionHint.CANNOT_TELL,
}


def plan_query(asked: Any, settings: Settings) -> Query:
    """Make the query of a request for a plan, with every default filled in.

    Args:
        asked: A request of the service or a goal of the action `~/plan`.
        settings: The parameters, which have the defaults.

    Raises:
        InvalidRequestError: A field has a value that cannot be used.
    """
    shared = {name: getattr(asked, name) for name in _SHARED}
    query = query_from(Ask.Request(question=f"Plan: {told_goal(asked.goal)}", **shared), settings)
    try:
        goal_text(asked.goal)
    except GoalTextError as error:
        raise InvalidRequestError(query, str(error)) from None
    if asked.decoding and asked.decoding not in REQUEST_DECODINGS:
        raise InvalidRequestError(
            query, f"decoding is {quoted(asked.decoding)}: allowed are {', '.join(REQUEST_DECODINGS)}"
        )
    missing = planner_missing("decoding certified") if asked.decoding == CERTIFIED else ""
    if missing:
        raise InvalidRequestError(query, missing)
    return query


def told_goal(goal: str) -> str:
    """Return the text of a goal for messages: without outer spaces; only the beginning of a goal that is too long."""
    goal = goal.strip()
    return goal if len(goal) <= LONGEST_GOAL else shown(goal)


def step_message(step: PlannedStep) -> PlanStep:
    """Make the message of a step of a plan."""
    return message_of_step(PLAN_TYPES, step)


def plan_message(
    goal: str,
    result: Result,
    plan: PlanResult | Decomposition | None,
    answered_at: Time,
    model: str,
    actions: str,
    words: Words | None,
) -> Plan:
    """Make the message of a plan or a refusal.

    Args:
        goal: State that the plan shall reach, in the words of the request.
        result: The end of the request, with the frames used.
        plan: The plan, or sentences in the model's own words; None: there is neither.
        answered_at: Time of the node's clock.
        model: Name of the checkpoint.
        actions: Name of the vocabulary.
        words: The prompts and the vocabulary of the request; None: the node was not configured.
    """
    prompts = "" if words is None else words.prompts.identity
    return message_of_plan(PLAN_TYPES, goal, result, plan, answered_at, model, actions, prompts)


def hint_message(turn: GoalTurn, result: Result, step: NextStep | None, answered_at: Time, model: str) -> ActionHint:
    """Make the message of a hint.

    Args:
        turn: The goal, and what is known from the reports of its steps.
        result: The end of the query, with the frames used.
        step: The next step that the model gave; None: the model gave no answer.
        answered_at: Time of the node's clock.
        model: Name of the checkpoint.
    """
    message = ActionHint(
        header=newest_header(result.clips),
        goal=turn.goal,
        plan_id=turn.plan_id,
        turn=turn.number,
        done=[str(one) for one in turn.situation.done],
        failed=[str(one) for one in turn.situation.failed],
        text=result.text,
        status=int(result.status),
        message=result.message,
        frames=frames_used(result.seen),
        answered_at=answered_at,
        model=model,
    )
    if step is None:
        return message
    message.hint = _HINTS[step.hint]
    message.source = _HINT_SOURCES[step.source]
    if step.step is not None:
        message.action, message.arguments = step.step.action, list(step.step.arguments)
    message.confidence = float(step.confidence)
    violations = [finding for finding in step.findings if not finding.warning]
    warnings = [finding for finding in step.findings if finding.warning]
    message.violations = [finding.text for finding in violations]
    message.warnings = [finding.text for finding in warnings]
    message.reasons = [str(finding.reason) for finding in (*violations, *warnings)]
    message.message = "; ".join(filter(None, (result.message, *step.unread)))
    return message
