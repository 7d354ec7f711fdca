"""Records of answers and of plans, as `--json`, live playing and evaluations write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..frames import NS_PER_S, Clip
from ..planning import Decomposition, PlannedStep, PlanResult, StepSource, goal_line, plan_outcome
from ..questions import Query, Result, Status
from ..questions.kinds import AnswerValue
from ..questions.marks import says
from .question_file import TimedQuestion

TIMINGS = ("time_to_first_token_s", "total_time_s")
"""Fields of a record that differ between two runs of one replay; all other fields are equal."""


@dataclass(frozen=True)
class AnswerRecord:
    """An answer of a replay or of a running node. Fields that msg/Answer also has carry the names of the message.

    Attributes:
        value: The typed value (docs/answers.md); None: there is no value, or the model cannot tell.
        probabilities: Probability of each candidate answer, by its text; None: free text.
        mode: Visual mode of the engine; None: the source of the answer does not tell.
        window_s: Length in seconds of the window that was asked for; None: the growing clip, or the source does not
            tell.
        new_tokens: Number of generated tokens; None: the source does not tell.
        time_to_first_token_s: Seconds from the start of work to the first token; None: the source does not tell.
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
    """A step of a plan; the fields are those of msg/PlanStep."""

    number: int
    action: str
    arguments: list[str]
    status: str
    reasons: list[str]
    message: str


@dataclass(frozen=True)
class PlanRecord:
    """A plan of a replay or of a running node. Fields that msg/Plan also has carry the names of the message.

    Attributes:
        mode: Visual mode of the engine; None: the source of the plan does not tell.
        window_s: Length in seconds of the window that was asked for; None: the growing clip, or the source does not
            tell.
        new_tokens: Number of tokens that were generated for the plan's first text; None: the source does not tell.
        time_to_first_token_s: Seconds from the start of work to the first token of that text; None: the source does not
            tell.
    """

    goal: str
    outcome: str
    steps: list[StepRecord]
    problems: list[str]
    problem_codes: list[str]
    source: str
    accepted_by: list[str]
    conditions: str
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
    new_tokens: int | None = None
    time_to_first_token_s: float | None = None

    @property
    def findings(self) -> list[str]:
        """Texts of all findings: those about each step, step by step, then those about the whole plan."""
        of_steps = [text for step in self.steps for text in step.message.split("; ") if text]
        return [*of_steps, *self.problems]


def answer_record(result: Result, model: str) -> AnswerRecord:
    """Make the record of an answer or a refusal.

    Args:
        result: The end of the query.
        model: Name of the model that was asked.
    """
    answered = result.scene if result.status is Status.OK else None
    return AnswerRecord(
        question=result.query.question,
        status=result.status.name,
        message=result.message,
        text=result.text,
        confidence=result.confidence,
        frames=frames_record(result.clips),
        model=result.model(model),
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
    """Make the record of a request for a plan.

    Args:
        goal: State that the plan shall reach, in words.
        result: The end of the request, with the frames used.
        plan: The plan, or the sentences in the model's own words; None: there is neither.
        model: Name of the model that was asked.
        vocabulary: Name of the vocabulary, as the user gave it.
        prompts: Name and version of the set of prompts.
    """
    planned = plan if isinstance(plan, PlanResult) else None
    told = plan if isinstance(plan, Decomposition) else None
    problems = () if planned is None or planned.cannot_tell else planned.of_the_whole
    return PlanRecord(
        goal=goal,
        outcome=plan_outcome(result.status, plan),
        steps=[] if planned is None else list(map(_step_record, planned.steps)),
        problems=[one.text for one in problems],
        problem_codes=[str(one.reason) for one in problems],
        source=StepSource.MODEL.name if planned is None else planned.source.name,
        accepted_by=[] if planned is None else list(planned.accepted_by),
        conditions="" if planned is None or planned.wanted is None else goal_line(planned.wanted),
        sentences=[] if told is None else list(told.sentences),
        unread=[] if plan is None else list(plan.unread),
        confidence=0.0 if plan is None else plan.confidence,
        probability=0.0 if plan is None else plan.probability,
        repairs=0 if planned is None else planned.repairs,
        text=result.text,
        status=result.status.name,
        message=result.message,
        frames=frames_record(result.clips),
        model=result.model(model),
        vocabulary=vocabulary,
        prompts=prompts,
        total_time_s=result.total_s,
        mode=result.query.mode,
        window_s=window_s(result.query),
        new_tokens=result.new_tokens,
        time_to_first_token_s=result.time_to_first_token_s,
    )


def written(
    record: AnswerRecord | PlanRecord, at_ns: int, stamp_ns: int, question: TimedQuestion | None = None
) -> dict[str, Any]:
    """Convert a record to a dictionary ready for JSON; fields that are None are left out.

    Args:
        record: The record of an answer or a plan.
        at_ns: Time of the question or goal, in nanoseconds after the first frame of the recording.
        stamp_ns: The same time in nanoseconds, on the clock of the frames' stamps.
        question: The question about the recording, with the right answer if it is known; None: no right answer is
            known.
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
    """Return the length of a query's window in seconds; None: the query is about growing clips or a range of time."""
    return None if query.window_ns is None else query.window_ns / NS_PER_S


def frames_record(clips: Sequence[Clip]) -> list[dict[str, Any]]:
    """List the frames of some clips as dictionaries ready for JSON, camera by camera, oldest first."""
    return [
        frame_record(
            frame.camera, frame.stamp_ns, frame.frame_id, "" if frame.value_range is None else str(frame.value_range)
        )
        for clip in clips
        for frame in clip.frames
    ]


def frame_record(camera: str, stamp_ns: int, frame_id: str, value_range: str) -> dict[str, Any]:
    """Make the record of a frame, ready for JSON.

    Args:
        camera: Name of the camera.
        stamp_ns: The frame's time in nanoseconds.
        frame_id: Coordinate frame of the camera.
        value_range: Range of the stored values that are shown, such as `0..4095`; empty for a picture without stored
            values, whose record has no range.
    """
    record = {"camera": camera, "stamp_ns": stamp_ns, "frame_id": frame_id}
    return {**record, "value_range": value_range} if value_range else record


def is_correct(text: str, gold: str) -> bool:
    """Whether an answer equals the right answer, apart from case, width, outer spaces and the mark at the end."""
    return says(text, gold)


def _step_record(step: PlannedStep) -> StepRecord:
    return StepRecord(
        number=step.number,
        action=step.step.action,
        arguments=list(step.step.arguments),
        status=step.status.name,
        reasons=[str(finding.reason) for finding in step.findings],
        message=step.reason,
    )
