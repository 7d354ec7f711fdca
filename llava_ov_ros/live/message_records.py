"""Records of answers and plans from the messages of a running node."""

from __future__ import annotations

from typing import Any

from llava_ov_ros.msg import Answer, FrameUsed, Plan, PlanStep

from ..frames import stamp_ns
from ..questions import Kind, Status
from ..questions.kinds import AnswerValue
from ..questions.marks import says
from ..replay import AnswerRecord, PlanRecord, StepRecord
from ..replay.records import frame_record

OUTCOMES = {getattr(Plan, name): name for name in ("NONE", "ACCEPTED", "REJECTED", "CANNOT_TELL", "DECOMPOSED")}
SOURCES = {getattr(Plan, name): name for name in ("MODEL", "PLANNER")}
STEP_STATUSES = {getattr(PlanStep, name): name for name in ("OK", "WARNING", "VIOLATION")}


def answer_record(answer: Answer, cannot_tell: str | None = None) -> AnswerRecord:
    """Record an answer of a node.

    Args:
        answer: The message.
        cannot_tell: Free text with which the model says that it cannot tell; None: it has no such text.
    """
    probabilities = {one.text: one.probability for one in answer.choices} if answer.status == Answer.OK else {}
    return AnswerRecord(
        question=answer.question,
        status=Status(answer.status).name,
        message=answer.message,
        text=answer.text,
        confidence=answer.confidence,
        frames=frames_record(answer.frames),
        model=answer.model,
        total_time_s=answer.total_time_s,
        value=_value(answer, cannot_tell),
        probabilities=probabilities or None,
        time_to_first_token_s=answer.time_to_first_token_s,
    )


def plan_record(plan: Plan) -> PlanRecord:
    """Record a plan of a node."""
    return PlanRecord(
        goal=plan.goal,
        outcome=OUTCOMES[plan.outcome],
        steps=[
            StepRecord(
                number=step.number,
                action=step.action,
                arguments=list(step.arguments),
                status=STEP_STATUSES[step.status],
                reasons=list(step.reasons),
                message=step.message,
            )
            for step in plan.steps
        ],
        problems=list(plan.problems),
        problem_codes=list(plan.problem_codes),
        source=SOURCES[plan.source],
        accepted_by=list(plan.accepted_by),
        conditions=plan.conditions,
        sentences=list(plan.sentences),
        unread=list(plan.unread),
        confidence=plan.confidence,
        probability=plan.probability,
        repairs=plan.repairs,
        text=plan.text,
        status=Status(plan.status).name,
        message=plan.message,
        frames=frames_record(plan.frames),
        model=plan.model,
        vocabulary=plan.vocabulary,
        prompts=plan.prompts,
        total_time_s=plan.total_time_s,
    )


def frames_record(frames: list[FrameUsed]) -> list[dict[str, Any]]:
    """Every frame of a message, as `replay.records.frames_record` has those of clips."""
    return [
        frame_record(frame.camera, stamp_ns(frame.stamp_used), frame.header.frame_id, frame.value_range)
        for frame in frames
    ]


def _value(answer: Answer, cannot_tell: str | None) -> AnswerValue:
    """The typed value of an answer, as `questions.read_answer` has it; None also where it was asked as plain text."""
    if answer.status != Answer.OK or not answer.kind:
        return None
    if answer.kind in (Kind.TEXT, Kind.PHRASE):
        return None if says(answer.text, cannot_tell) else answer.text
    if not answer.known:
        return None
    if answer.kind in (Kind.YES_NO, Kind.CHANGE):
        return bool(answer.yes)
    return int(answer.count) if answer.kind == Kind.COUNT else answer.text
