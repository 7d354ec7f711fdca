"""Plans from a recorded bag: at some of its moments a goal is set, and the model plans from what the cameras see."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..frames import NS_PER_S, Camera, Clip
from ..no_op import no_op
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
from .records import frames_record

if TYPE_CHECKING:
    # The engine's module imports torch, which this layer does without.
    from ..onevision import Generated


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
    """Have one plan made from what the cameras see.

    Args:
        query: Its question is the goal.
        cut: The clips of a query; all that is asked about the plan is asked about the same ones.
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
    """The same in the model's own words."""
    talk = _Conversation(engine, query, cut)
    try:
        told = talk.answers([decompose_ask(query.question, prompts)], no_op)[0]
    except _EndedError as ended:
        return ended.result, None
    sentences = read_decomposition(told, query.question, prompts)
    return replace(talk.first, text=told.text, confidence=sentences.confidence, total_s=talk.total_s), sentences


class _EndedError(Exception):
    """The question without which there is no plan had no answer."""

    def __init__(self, result: Result) -> None:
        super().__init__(result.message)
        self.result = result


class _Conversation:
    """All that is asked about one plan, about the same clips."""

    def __init__(self, engine: AnswersQuestions, query: Query, cut: Callable[[Query], tuple[Clip, ...]]) -> None:
        self._engine = engine
        self._query = query
        self._cut = cut
        self._first: Result | None = None
        self.total_s = 0.0

    @property
    def first(self) -> Result:
        """How the first question ended."""
        assert self._first is not None, "nothing has been answered yet"
        return self._first

    def answers(self, asks: Sequence[PlanAsk], on_text: Callable[[str], None]) -> Sequence[Generated]:
        """For `make_plan`; raises _EndedError, or NoAnswerError where there is a plan that can do without."""
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
