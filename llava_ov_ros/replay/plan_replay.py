"""Plans from a recorded bag: at some of its moments a goal is set, and the model plans from what the cameras see."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..frames import NS_PER_S, Camera, Clip
from ..planning import (
    AnswerQueries,
    Decomposition,
    PlanOptions,
    PlanResult,
    Vocabulary,
    decompose_about,
    plan_about,
)
from ..questions import AnswersQuestions, Prompts, Query, Result, answer_queries
from .answer_replay import ReplaySettings, clips_at, moments, query_of
from .bag import BagMessage
from .question_file import TimedQuestion
from .records import frames_record


@dataclass(frozen=True, eq=False)
class Planned:
    """A goal of a replay and what became of it.

    Attributes:
        goal: What was asked for, and when.
        now_ns: That time, on the clock of the frames' stamps.
        result: How the model's work ended, with the frames used.
        plan: The plan, or steps in the model's own words where these were asked for; None where there is neither, and
            `result` says why.
    """

    goal: TimedQuestion
    now_ns: int
    result: Result
    plan: PlanResult | Decomposition | None

    @property
    def outcome(self) -> str:
        """ACCEPTED, REJECTED, CANNOT_TELL, DECOMPOSED or NONE, as in msg/Plan."""
        if self.plan is None:
            return "NONE"
        if self.plan.cannot_tell:
            return "CANNOT_TELL"
        if isinstance(self.plan, Decomposition):
            return "DECOMPOSED" if self.plan.sentences else "REJECTED"
        return "ACCEPTED" if self.plan.accepted else "REJECTED"


def replay_plans(
    messages: Iterable[BagMessage],
    cameras: Mapping[str, Camera],
    goals: Sequence[TimedQuestion],
    engine: AnswersQuestions,
    settings: ReplaySettings,
    vocabulary: Vocabulary,
    prompts: Prompts,
    options: PlanOptions | None,
) -> Iterator[Planned]:
    """Have plans made at the goals' times, as `replay` has questions answered.

    Args:
        messages: In order of time, as `read_messages` yields them.
        cameras: The camera of each topic.
        goals: Their `ask` is what shall be so; in any order.
        engine: The model.
        settings: Clips; its max_new_tokens plays no part.
        vocabulary: What the robot can do.
        prompts: For the model's family.
        options: How plans are made; None: no plans, but steps in the model's own words.

    Yields:
        The plans, in order of the goals' times.

    Raises:
        GoalTextError: A goal is empty or too long.
        ValueError: Words of the vocabulary and of the prompts clash.
    """
    by_name = {camera.name: camera for camera in cameras.values()}
    for number, goal, now_ns in moments(messages, cameras, goals):
        query, cut = query_of(number, goal, by_name, settings), clips_at(now_ns, by_name, settings)
        answers = answers_with(engine, cut)
        if options is None:
            yield Planned(goal, now_ns, *decompose_about(goal.ask, query, answers, prompts))
        else:
            yield Planned(goal, now_ns, *plan_about(goal.ask, query, answers, vocabulary, prompts, options))


def answers_with(engine: AnswersQuestions, cut: Callable[[Query], tuple[Clip, ...]]) -> AnswerQueries:
    """Have an engine answer the questions of a plan, about clips that `cut` gives."""
    return lambda queries, on_text: answer_queries(queries, engine, cut, on_text)


def plan_record(
    planned: Planned, model: str, vocabulary: str, prompts: Prompts, options: PlanOptions | None
) -> dict[str, Any]:
    """A plan as a dictionary ready for JSON; names are those of msg/Plan where it has the field.

    Args:
        planned: The plan.
        model: Name of the checkpoint.
        vocabulary: As the user named it.
        prompts: What was asked with.
        options: How it was made, as `replay_plans` takes them.
    """
    goal, result, told = planned.goal, planned.result, planned.plan
    plan = told if isinstance(told, PlanResult) else None
    return {
        "goal": goal.ask,
        "at_s": goal.at_ns / NS_PER_S,
        "stamp_ns": planned.now_ns,
        "outcome": planned.outcome,
        "steps": [] if plan is None else _steps(plan),
        "problems": [] if plan is None or plan.cannot_tell else [finding.text for finding in plan.of_the_whole],
        "sentences": list(told.sentences) if isinstance(told, Decomposition) else [],
        "unread": [] if told is None else list(told.unread),
        "confidence": 0.0 if told is None else told.confidence,
        "probability": 0.0 if told is None else told.probability,
        "repairs": 0 if plan is None else plan.repairs,
        "text": result.text,
        "status": result.status.name,
        "message": result.message,
        "decoding": "decompose" if options is None else options.decoding,
        "mode": result.query.mode,
        "window_s": result.query.window_ns / NS_PER_S,
        "frames": frames_record(result.clips),
        "model": model,
        "vocabulary": vocabulary,
        "prompts": prompts.identity,
        "total_time_s": result.total_s,
    }


def _steps(plan: PlanResult) -> list[dict[str, Any]]:
    return [
        {
            "number": one.number,
            "action": one.step.action,
            "arguments": list(one.step.arguments),
            "status": one.status.name,
            "reasons": [str(finding.reason) for finding in one.findings],
            "message": one.reason,
        }
        for one in plan.steps
    ]
