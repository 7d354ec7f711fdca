"""Replays a recording with goals: at the time of each goal, the model makes a plan from the cameras' frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..asking import AnswersQuestions
from ..frames import Camera, Clip
from ..planning import (
    AnswerQueries,
    Decomposition,
    PlanOptions,
    PlanResult,
    SeenFact,
    Vocabulary,
    decompose_about,
    plan_about,
    seen_about,
)
from ..questions import Prompts, Query, Result, answer_queries
from .answer_replay import ReplaySettings, clips_at, moments, query_of
from .bag import BagMessage
from .question_file import TimedQuestion


@dataclass(frozen=True, eq=False)
class Planned:
    """A goal of a replay, and the plan for this goal.

    Attributes:
        goal: The goal and its time.
        now_ns: Time of the goal in nanoseconds, on the clock of the frames' stamps.
        result: The end of the request, with the frames used.
        plan: The plan, or sentences in the model's own words if these were asked for; None: there is neither, and
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
    """Offer every message to its camera once, and have the model make a plan at the time of each goal.

    Args:
        messages: Messages in order of time, as `read_messages` yields them.
        cameras: The camera of each topic.
        goals: Goals in any order; `ask` is the text of the goal.
        engine: The model.
        settings: Settings of the clips. max_new_tokens is not used, because a plan has a bound of its own.
        vocabulary: Actions and things that a plan may name.
        prompts: Prompts of the model's family.
        options: Decoding, repairs and grounding of the plans; None: no plans, but sentences in the model's own words.

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


@dataclass(frozen=True, eq=False)
class Seen:
    """What the model says of a recording for the problem of a goal.

    Attributes:
        result: The end of the request, with the frames used.
        facts: The facts; None: there are none, and `result` says why.
    """

    result: Result
    facts: tuple[SeenFact, ...] | None


def replay_seen(
    messages: Iterable[BagMessage],
    cameras: Mapping[str, Camera],
    goal: TimedQuestion,
    things: Sequence[str],
    places: Sequence[str],
    engine: AnswersQuestions,
    settings: ReplaySettings,
    vocabulary: Vocabulary,
    prompts: Prompts,
    threshold: float,
) -> Seen:
    """Offer messages to their cameras up to the time of a goal, and have the model say what is there.

    Args:
        messages: Messages in order of time, as `read_messages` yields them.
        cameras: The camera of each topic.
        goal: The goal and its time.
        things: Classes of things that are asked for.
        places: Classes of places where they may be.
        engine: The model.
        settings: Settings of the clips.
        vocabulary: Vocabulary of these classes.
        prompts: Prompts of the model's family.
        threshold: As of `seen_facts`.
    """
    by_name = {camera.name: camera for camera in cameras.values()}
    number, asked, now_ns = next(iter(moments(messages, cameras, [goal])))
    query, cut = query_of(number, asked, by_name, settings), clips_at(now_ns, by_name, settings)
    return Seen(*seen_about(things, places, query, answers_with(engine, cut), vocabulary, prompts, threshold))


def answers_with(engine: AnswersQuestions, cut: Callable[[Query], tuple[Clip, ...]]) -> AnswerQueries:
    """Return a function by which an engine answers the queries of a plan.

    Args:
        engine: The model.
        cut: Cuts the clips of a query; raises RefusedError where an answer would be a guess.
    """
    return lambda queries, on_text: answer_queries(queries, engine, cut, on_text)
