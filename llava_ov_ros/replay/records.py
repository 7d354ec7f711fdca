"""The record of an answer and that of a plan, as `--json`, live playing and evaluations write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..frames import NS_PER_S, Clip, Frame
from ..planning import Decomposition, PlannedStep, PlanResult, plan_outcome
from ..questions import Query, Result, Status
from ..questions.kinds import AnswerValue
from ..questions.marks import says
from .question_file import TimedQuestion

TIMINGS = ("time_to_first_token_s", "total_time_s")
"""Fields of a record that differ between two runs; all others are the same."""


@dataclass(frozen=True)
class AnswerRecord:
    """An answer, from whatever source; names are those of msg/Answer where the message has the field.

    Attributes:
        value: The typed value (docs/answers.md); None: none, or the model cannot tell.
        probabilities: Of the answers that were compared, by their texts; None: free text.
        mode: Visual mode of the engine; None: the source does not tell, as with the three below.
        window_s: Length of the clip that was asked for; None also for the growing clip.
        new_tokens: Tokens generated.
        time_to_first_token_s: From the start of work.
    """

    question: str
    status: str
    message: str
    text: str
    confidence: float
    frames: list[dict[str, Any]]
    model: str
    total_time_s: float
    value: AnswerValue = None
    probabilities: Mapping[str, float] | None = None
    mode: str | None = None
    window_s: float | None = None
    new_tokens: int | None = None
    time_to_first_token_s: float | None = None


@dataclass(frozen=True)
class StepRecord:
    """A step of a plan; names are those of msg/PlanStep."""

    number: int
    action: str
    arguments: list[str]
    status: str
    reasons: list[str]
    message: str


@dataclass(frozen=True)
class PlanRecord:
    """A plan, from whatever source; names are those of msg/Plan where the message has the field.

    Attributes:
        mode: Visual mode of the engine; None: the source does not tell.
        window_s: Length of the clip that was asked for; None: the growing clip, or the source does not tell.
        time_to_first_token_s: Of the plan's first text; None: the source does not tell.
    """

    goal: str
    outcome: str
    steps: list[StepRecord]
    problems: list[str]
    sentences: list[str]
    unread: list[str]
    confidence: float
    probability: float
    repairs: int
    text: str
    status: str
    message: str
    frames: list[dict[str, Any]]
    model: str
    vocabulary: str
    prompts: str
    total_time_s: float
    mode: str | None = None
    window_s: float | None = None
    time_to_first_token_s: float | None = None

    @property
    def findings(self) -> list[str]:
        """Everything that was found about the plan, step by step, then about the whole."""
        of_steps = [text for step in self.steps for text in step.message.split("; ") if text]
        return [*of_steps, *self.problems]


def answer_record(result: Result, model: str) -> AnswerRecord:
    """Record the end of a query.

    Args:
        result: The end.
        model: Name of the checkpoint.
    """
    answered = result.scene if result.status is Status.OK else None
    return AnswerRecord(
        question=result.query.question,
        status=result.status.name,
        message=result.message,
        text=result.text,
        confidence=result.confidence,
        frames=frames_record(result.clips),
        model=model,
        total_time_s=result.total_s,
        value=None if answered is None else answered.value,
        probabilities=None if answered is None else answered.probabilities,
        mode=result.query.mode,
        window_s=window_s(result.query),
        new_tokens=result.new_tokens,
        time_to_first_token_s=result.time_to_first_token_s,
    )


def plan_record(
    goal: str, result: Result, plan: PlanResult | Decomposition | None, model: str, vocabulary: str, prompts: str
) -> PlanRecord:
    """Record the end of a request for a plan.

    Args:
        goal: State that the plan shall reach, in words.
        result: The end, with the frames used.
        plan: The plan, or the sentences in the model's own words; None: neither.
        model: Name of the checkpoint.
        vocabulary: Name of the vocabulary, as the user gave it.
        prompts: Name and version of the set of prompts.
    """
    planned = plan if isinstance(plan, PlanResult) else None
    told = plan if isinstance(plan, Decomposition) else None
    return PlanRecord(
        goal=goal,
        outcome=plan_outcome(result.status, plan),
        steps=[] if planned is None else list(map(_step_record, planned.steps)),
        problems=[] if planned is None or planned.cannot_tell else [one.text for one in planned.of_the_whole],
        sentences=[] if told is None else list(told.sentences),
        unread=[] if plan is None else list(plan.unread),
        confidence=0.0 if plan is None else plan.confidence,
        probability=0.0 if plan is None else plan.probability,
        repairs=0 if planned is None else planned.repairs,
        text=result.text,
        status=result.status.name,
        message=result.message,
        frames=frames_record(result.clips),
        model=model,
        vocabulary=vocabulary,
        prompts=prompts,
        total_time_s=result.total_s,
        mode=result.query.mode,
        window_s=window_s(result.query),
        time_to_first_token_s=result.time_to_first_token_s,
    )


def written(
    record: AnswerRecord | PlanRecord, at_ns: int, stamp_ns: int, question: TimedQuestion | None = None
) -> dict[str, Any]:
    """A record as a dictionary ready for JSON; what its source does not tell is left out.

    Args:
        record: The answer or plan.
        at_ns: When it was asked for, nanoseconds after the first frame of the recording.
        stamp_ns: The same on the clock of the frames' stamps.
        question: What the recording's user asked, with the right answer where it is known.
    """
    fields = asdict(record)
    about = "question" if isinstance(record, AnswerRecord) else "goal"
    told = {about: fields.pop(about), "at_s": at_ns / NS_PER_S, "stamp_ns": stamp_ns}
    told |= {name: value for name, value in fields.items() if value is not None}
    if isinstance(record, AnswerRecord):
        gold = "" if question is None else question.gold
        told["truth"] = gold
        told["kind"] = "" if question is None else question.category
        told["correct"] = is_correct(record.text, gold) if gold else None
    return told


def window_s(query: Query) -> float | None:
    """Length in seconds of the window that a query is about; None for the growing clips and for a range of time."""
    return None if query.window_ns is None else query.window_ns / NS_PER_S


def frames_record(clips: Sequence[Clip]) -> list[dict[str, Any]]:
    """Every frame of some clips, camera by camera, oldest first."""
    return [frame_record(frame) for clip in clips for frame in clip.frames]


def frame_record(frame: Frame) -> dict[str, Any]:
    """A frame as a dictionary that is ready for JSON; with the range of values shown, if the picture stores values."""
    record = {"camera": frame.camera, "stamp_ns": frame.stamp_ns, "frame_id": frame.frame_id}
    return record if frame.value_range is None else {**record, "value_range": str(frame.value_range)}


def is_correct(text: str, truth: str) -> bool:
    """Whether an answer says exactly the truth, but for case, width, outer spaces and the mark at the end."""
    return says(text, truth)


def _step_record(step: PlannedStep) -> StepRecord:
    return StepRecord(
        number=step.number,
        action=step.step.action,
        arguments=list(step.step.arguments),
        status=step.status.name,
        reasons=[str(finding.reason) for finding in step.findings],
        message=step.reason,
    )
