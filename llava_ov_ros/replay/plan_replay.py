"""Plans from a recording: at given times a goal is set, and the model makes a plan from what the cameras show."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..frames import Camera, Clip
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


@dataclass(frozen=True, eq=False)
class Planned:
    """A goal of a replay, and the plan for it.

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
    """Have the model make a plan at the time of each goal, as `replay` has questions answered.

    Args:
        messages: In order of time, as `read_messages` yields them.
        cameras: The camera of each topic.
        goals: In any order; `ask` is the text of the goal.
        engine: The model.
        settings: How goals become clips. max_new_tokens is not used: a plan has a bound of its own.
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
