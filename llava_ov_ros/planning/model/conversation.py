"""One request for a plan from its goal to its end: every question about the plan rests on the same frames."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from ...asking import Generated
from ...frames import Clip
from ...no_op import no_op
from ...questions import Prompts, Query, Result, Status
from ...questions.blank import blank_remark
from ..vocabulary import Vocabulary
from .attempts import NoAnswerError, PlanOptions, make_plan
from .decompose import Decomposition, decompose_ask, read_decomposition
from .plan_prompt import PlanAsk
from .results import PlannedStep, PlanResult, read_plan_answer
from .seen_facts import SeenFact, seen_facts

AnswerQueries = Callable[[Sequence[Query], Callable[[str], None]], Sequence[Result]]
"""Has the model answer queries about the same clips: the queries, a listener for each piece of text; their results in
the same order. Behind a result that is not OK, results may be missing."""

_DISPENSABLE = (Status.MODEL_ERROR, Status.INVALID, Status.QUEUE_FULL, Status.DROPPED)
"""Ends of a further question after which the plan stays as it is; any other end is that of the whole request."""


class _EndedError(Exception):
    """A question without which there is no plan was not answered."""

    def __init__(self, result: Result) -> None:
        super().__init__(result.message)
        self.result = result


def plan_about(
    goal: str,
    query: Query,
    answer_queries: AnswerQueries,
    vocabulary: Vocabulary,
    prompts: Prompts,
    options: PlanOptions,
    on_step: Callable[[int, PlannedStep], None] = no_op,
    should_stop: Callable[[], bool] = lambda: False,
) -> tuple[Result, PlanResult | None]:
    """Have the model plan for a goal from the frames that the cameras show.

    Args:
        goal: State that the plan shall reach, in words.
        query: Cameras, clips and deadline; the deadline is that of the whole plan.
        answer_queries: Has the model answer.
        vocabulary: Actions and things that a plan may name.
        prompts: For the model's family.
        options: Decoding, repairs and grounding.
        on_step: Called with the attempt (0, 1, ...) and each step that has been decoded.
        should_stop: Returns whether nobody wants the plan any more.

    Returns:
        The end of the request, with the frames used; and the plan. Where the request ended early (cancelled, at its
        deadline) the plan is the last that was whole, or the part that had been decoded; None: there is none.

    Raises:
        GoalTextError: The goal is empty or too long.
        ValueError: Words of the vocabulary and of the prompts clash.
    """
    talk = _Conversation(query, answer_queries)
    made: list[PlanResult] = []
    try:
        plan = make_plan(
            goal,
            vocabulary,
            prompts,
            options,
            talk.answers,
            on_step=on_step,
            on_result=made.append,
            until_s=time.monotonic() + query.deadline_s,
            should_stop=should_stop,
        )
    except _EndedError as error:
        partly = error.result.generated
        if not made and partly is not None:
            made.append(read_plan_answer(partly, goal, vocabulary, prompts, options.decoding))
        return talk.ended_early(error.result), made[-1] if made else None
    return talk.ended(plan.text, plan.confidence, plan.remarks), plan


def decompose_about(
    goal: str, query: Query, answer_queries: AnswerQueries, prompts: Prompts
) -> tuple[Result, Decomposition | None]:
    """Have the model tell the steps towards a goal in its own words; otherwise as `plan_about`.

    Raises:
        GoalTextError: The goal is empty or too long.
    """
    talk = _Conversation(query, answer_queries)
    try:
        generated = talk.answers([decompose_ask(goal, prompts)], no_op)[0]
    except _EndedError as error:
        partly = error.result.generated
        told = None if partly is None else read_decomposition(partly, goal, prompts)
        return talk.ended_early(error.result), told
    told = read_decomposition(generated, goal, prompts)
    return talk.ended(told.text, told.confidence), told


def seen_about(
    things: Sequence[str],
    places: Sequence[str],
    query: Query,
    answer_queries: AnswerQueries,
    vocabulary: Vocabulary,
    prompts: Prompts,
    threshold: float,
) -> tuple[Result, tuple[SeenFact, ...] | None]:
    """Have the model say what the cameras show, as `seen_facts` does; None: a question was not answered."""
    talk = _Conversation(query, answer_queries)
    try:
        facts = seen_facts(things, places, vocabulary, prompts, talk.answers, threshold)
    except _EndedError as error:
        return talk.ended_early(error.result), None
    except NoAnswerError as error:
        return replace(talk.ended("", 0.0), status=Status.MODEL_ERROR, message=str(error)), None
    return talk.ended("", 0.0), facts


def plan_outcome(status: Status, plan: PlanResult | Decomposition | None) -> str:
    """ACCEPTED, REJECTED, CANNOT_TELL, DECOMPOSED or NONE, as in msg/Plan; NONE where the request ended early."""
    if plan is None or status is not Status.OK:
        return "NONE"
    if plan.cannot_tell:
        return "CANNOT_TELL"
    if isinstance(plan, Decomposition):
        return "DECOMPOSED" if plan.sentences else "REJECTED"
    return "ACCEPTED" if plan.accepted else "REJECTED"


class _Conversation:
    """The questions about one plan and the frames of the first answer, which all others rest on, too."""

    def __init__(self, query: Query, answer_queries: AnswerQueries) -> None:
        self._query = query
        self._answer_queries = answer_queries
        self._began_s = time.monotonic()
        self._first: Result | None = None
        self._given: list[Generated] = []

    @property
    def _clips(self) -> tuple[Clip, ...]:
        return () if self._first is None else self._first.clips

    def answers(self, asks: Sequence[PlanAsk], on_text: Callable[[str], None]) -> Sequence[Generated]:
        """Have questions of one plan answered.

        Raises:
            _EndedError: A question was not answered without which there is no plan, or nobody wants the plan any more.
            NoAnswerError: Another question was not answered.
        """
        queries = [
            replace(
                self._query,
                prompt=ask.prompt,
                grammar=ask.grammar,
                choices=ask.choices,
                max_new_tokens=ask.max_new_tokens,
                clips=self._clips,
            )
            for ask in asks
        ]
        given: list[Generated] = []
        for result in self._answer_queries(queries, on_text):
            if result.generated is None or result.status is not Status.OK:
                if self._first is None or result.status not in _DISPENSABLE:
                    raise _EndedError(result)
                raise NoAnswerError(f"{result.status.name}: {result.message}")
            given.append(result.generated)
            self._first = self._first or result
        self._given += given
        return given

    def ended(self, text: str, confidence: float, remarks: Sequence[str] = ()) -> Result:
        """The end of a request whose goal was answered."""
        assert self._first is not None, "nothing has been answered yet"
        # Answers of one plan may come from two models, where one steps in for a server.
        models = dict.fromkeys(generated.model for generated in self._given if generated.model)
        told = dict.fromkeys((*remarks, *(generated.remark for generated in self._given), blank_remark(self._clips)))
        return replace(
            self._first,
            message="; ".join(filter(None, told)),
            text=text,
            confidence=confidence,
            total_s=self._taken_s(),
            generated=replace(self._given[0], model=" and ".join(models)),
        )

    def ended_early(self, result: Result) -> Result:
        """The end of a request one of whose questions had none but this end."""
        return replace(result, clips=result.clips or self._clips, total_s=self._taken_s())

    def _taken_s(self) -> float:
        return time.monotonic() - self._began_s
