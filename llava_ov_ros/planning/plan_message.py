"""The message of a plan, for every library that makes messages: rclpy in the node, rosbags in recordings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..questions import AnswerTypes, Result
from ..questions.answer_message import frames_of, header_of_newest
from .findings import Finding
from .model.conversation import plan_outcome
from .model.decompose import Decomposition
from .model.results import PlannedStep, PlanResult, StepSource
from .read.goal_line import goal_line


@dataclass(frozen=True)
class PlanTypes(AnswerTypes):
    """What makes the messages that a plan consists of; each takes every field of its message by name.

    Attributes:
        plan: llava_ov_ros/Plan, a class that has the message's constants.
        plan_step: llava_ov_ros/PlanStep, the same.
    """

    plan: Any
    plan_step: Any


def message_of_step(types: PlanTypes, step: PlannedStep) -> Any:
    """Make the message of a step of a plan."""
    return types.plan_step(
        number=step.number,
        action=step.step.action,
        arguments=list(step.step.arguments),
        status=getattr(types.plan_step, step.status.name),
        reasons=[str(finding.reason) for finding in step.findings],
        message=step.reason,
    )


def message_of_plan(
    types: PlanTypes,
    goal: str,
    result: Result,
    plan: PlanResult | Decomposition | None,
    answered_at: Any,
    model: str,
    vocabulary: str,
    prompts: str,
) -> Any:
    """Make the message of a plan or a refusal.

    Args:
        types: What makes the messages.
        goal: State that the plan shall reach, in the words of the request.
        result: The end of the request, with the frames used.
        plan: The plan, or sentences in the model's own words; None: there is neither.
        answered_at: When the request ended, as a message.
        model: Name of the checkpoint.
        vocabulary: Name of the vocabulary.
        prompts: Name and version of the set of prompts; empty if there is none.
    """
    planned = plan if isinstance(plan, PlanResult) else None
    problems: tuple[Finding, ...] = ()
    if planned is not None and not planned.cannot_tell:
        problems = tuple(planned.of_the_whole)
    source = StepSource.MODEL if planned is None else planned.source
    wanted = None if planned is None else planned.wanted
    return types.plan(
        header=header_of_newest(types, result.clips),
        request_id=result.query.request_id,
        goal=goal,
        outcome=getattr(types.plan, plan_outcome(result.status, plan)),
        steps=[] if planned is None else [message_of_step(types, step) for step in planned.steps],
        sentences=list(plan.sentences) if isinstance(plan, Decomposition) else [],
        problems=[finding.text for finding in problems],
        problem_codes=[str(finding.reason) for finding in problems],
        source=getattr(types.plan, source.name),
        accepted_by=[] if planned is None else list(planned.accepted_by),
        conditions="" if wanted is None else goal_line(wanted),
        unread=[] if plan is None else list(plan.unread),
        # rclpy aborts the process if a float field holds another type.
        confidence=0.0 if plan is None else float(plan.confidence),
        probability=0.0 if plan is None else float(plan.probability),
        repairs=0 if planned is None else planned.repairs,
        text=result.text if plan is None else plan.text,
        status=int(result.status),
        message=result.message,
        frames=frames_of(types, result.clips),
        answered_at=answered_at,
        total_time_s=float(result.total_s),
        model=model,
        vocabulary=vocabulary,
        prompts=prompts,
    )
