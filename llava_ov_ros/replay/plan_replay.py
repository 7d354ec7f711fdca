"""Plans from a recording: at given times a goal is set, and the model makes a plan from what the cameras show."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..frames import NS_PER_S, Camera, Clip
from ..planning import (
    Decomposition,
    NoAnswerError,
    PlanAsk,
    PlanOptions,
    PlanResult,
    Vocabulary,
    decompose_ask,
    make_plan,
    read_decomposition,
)
from ..questions import AnswersQuestions, Asked, Prompts, Query, Result, Status, answer_together
from ..questions.blank import blank_remark
from .answer_replay import ReplaySettings, clips_at, moments, query_of
from .bag import BagMessage
from .question_file import TimedQuestion
from .records import frames_record, window_s

if TYPE_CHECKING:
    # The engine's module imports torch, which this layer does without.
    from ..onevision import Generated


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
        if options is None:
            yield Planned(goal, now_ns, *_sentences_about(query, cut, engine, prompts))
        else:
            yield Planned(goal, now_ns, *plan_about(query, cut, engine, vocabulary, prompts, options))


def plan_about(
    query: Query,
    cut: Callable[[Query], tuple[Clip, ...]],
    engine: AnswersQuestions,
    vocabulary: Vocabulary,
    prompts: Prompts,
    options: PlanOptions,
) -> tuple[Result, PlanResult | None]:
    """Have the model make one plan from what the cameras show.

    Args:
        query: The goal is its question.
        cut: Cuts the clips of a query. All questions about one plan are asked about the same clips.
        engine: The model.
        vocabulary: What the robot can do.
        prompts: For the model's family.
        options: How the plan is made.

    Returns:
        How the model's work ended, with the frames used; and the plan, None where there is none.

    Raises:
        GoalTextError: The goal is empty or too long.
        ValueError: Words of the vocabulary and of the prompts clash.
    """
    talk = _Conversation(engine, query, cut)
    try:
        plan = make_plan(query.question, vocabulary, prompts, options, talk.answers)
    except _EndedError as ended:
        return ended.result, None
    message = "; ".join(filter(None, (*plan.remarks, blank_remark(talk.first.clips))))
    return replace(talk.first, message=message, text=plan.text, confidence=plan.confidence, total_s=talk.total_s), plan


def _sentences_about(
    query: Query, cut: Callable[[Query], tuple[Clip, ...]], engine: AnswersQuestions, prompts: Prompts
) -> tuple[Result, Decomposition | None]:
    """Steps in the model's own words instead of a plan; the first result says how the model's work ended."""
    talk = _Conversation(engine, query, cut)
    try:
        told = talk.answers([decompose_ask(query.question, prompts)], lambda text: None)[0]
    except _EndedError as ended:
        return ended.result, None
    sentences = read_decomposition(told, query.question, prompts)
    return replace(talk.first, text=told.text, confidence=sentences.confidence, total_s=talk.total_s), sentences


class _EndedError(Exception):
    """The model gave no answer to the first question, so there is no plan."""

    def __init__(self, result: Result) -> None:
        super().__init__(result.message)
        self.result = result


class _Conversation:
    """The questions about one plan; all are asked about the same clips."""

    def __init__(self, engine: AnswersQuestions, query: Query, cut: Callable[[Query], tuple[Clip, ...]]) -> None:
        self._engine = engine
        self._query = query
        self._cut = cut
        self._first: Result | None = None
        self.total_s = 0.0

    @property
    def first(self) -> Result:
        """The result of the first question."""
        assert self._first is not None, "nothing has been answered yet"
        return self._first

    def answers(self, asks: Sequence[PlanAsk], on_text: Callable[[str], None]) -> Sequence[Generated]:
        """Have the model answer, as `make_plan` asks.

        Raises:
            _EndedError: The first question, without which there is no plan, had no answer.
            NoAnswerError: A later question had no answer; there is a plan without it.
        """
        results: dict[int, Result] = {}
        asked = []
        for number, ask in enumerate(asks):

            def end(result: Result, number: int = number) -> None:
                results[number] = result

            query = replace(
                self._query,
                prompt=ask.prompt,
                grammar=ask.grammar,
                choices=ask.choices,
                max_new_tokens=ask.max_new_tokens,
                clips=() if self._first is None else self._first.clips,
            )
            asked.append(Asked(query, end, on_text=on_text))
        answer_together(asked, self._engine, self._cut)
        given = []
        for number in range(len(asks)):
            result = results[number]
            if result.generated is None or result.status is not Status.OK:
                if self._first is None:
                    raise _EndedError(result)
                raise NoAnswerError(f"{result.status.name}: {result.message}")
            given.append(result.generated)
        self.total_s += max(result.total_s for result in results.values())
        self._first = self._first or results[0]
        return given


def plan_record(
    planned: Planned, model: str, vocabulary: str, prompts: Prompts, options: PlanOptions | None
) -> dict[str, Any]:
    """A plan as a dictionary that is ready for JSON. Names are those of msg/Plan where it has the field.

    Args:
        planned: The plan.
        model: Name of the checkpoint.
        vocabulary: The vocabulary's name, as the user gave it.
        prompts: The set of prompts that the model was asked with.
        options: How the plan was made, as `replay_plans` takes them.
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
        "window_s": window_s(result.query),
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
