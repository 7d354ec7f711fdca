"""Compares plans decoded freely with plans held to the vocabulary's grammar: how many are right, how many malformed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...no_op import no_op
from ...planning import (
    Decoding,
    Hint,
    Plan,
    PlanAsk,
    Situation,
    Vocabulary,
    read_next_step,
    read_plan_answer,
    step_grammar,
    whole_plan_grammar,
)
from ...planning.model.plan_prompt import FREE_PLAN_TOKENS, FREE_STEP_TOKENS
from ...questions.prompts import Prompts
from ...rooms.room_questions import Question
from .accuracy import TOTAL, RoomTrial, Tally

if TYPE_CHECKING:
    from ...onevision import Generated
    from .accuracy import Picture

PLAN_CATEGORIES = ("plan", "next_step")
COMPARED_DECODINGS: tuple[Decoding, ...] = ("free", "constrained")

Planner = Callable[[Sequence["Picture"], Sequence[PlanAsk]], "list[Generated]"]
"""Asks a model for plans about the frames of one clip; returns the texts in the order of the requests."""


@dataclass
class PlanTally:
    """The counts of one category of question with one way of decoding."""

    n: int = 0
    correct: int = 0
    malformed: int = 0

    def as_dict(self) -> dict[str, float | int]:
        """The fields of `Tally`, and the number of malformed answers."""
        return Tally(self.n, self.correct).as_dict() | {"malformed": self.malformed}


@dataclass
class PlanReport:
    """The result of comparing ways of decoding.

    Attributes:
        rows: Counts by decoding and category of question, and `total` of all categories.
        wrong: Some wrong answers: decoding, question, right answer, given text.
    """

    rows: dict[str, dict[str, PlanTally]] = field(default_factory=dict)
    wrong: list[tuple[str, str, str, str]] = field(default_factory=list)

    def as_dict(self) -> dict[str, dict[str, dict[str, float | int]]]:
        """The rows, ready for JSON."""
        return {
            decoding: {category: row.as_dict() for category, row in rows.items()}
            for decoding, rows in self.rows.items()
        }


@dataclass(frozen=True)
class Read:
    """An answer in the canonical form, whichever way it was decoded.

    Attributes:
        text: The plan in one line, the next step, DONE, or the words for "cannot tell".
        malformed: Whether a part of the answer could not be read or is no step of the vocabulary, or there is no step.
    """

    text: str
    malformed: bool


def evaluate_plans(
    write: Planner,
    fresh: Iterator[RoomTrial],
    vocabulary: Vocabulary,
    prompts: Prompts,
    *,
    decodings: Sequence[Decoding] = COMPARED_DECODINGS,
    on_asked: Callable[[int], None] = no_op,
) -> PlanReport:
    """Ask for the plans and next steps of fresh rooms, the same questions with every way of decoding.

    Args:
        write: Asks the model for plans.
        fresh: The clips and questions, from `trials`; only plans and next steps are asked.
        vocabulary: The vocabulary of rooms, alfred.
        prompts: The set of prompts of rooms, plain.
        decodings: The ways of decoding.
        on_asked: Called with the number of questions asked.
    """
    report = PlanReport(
        {decoding: {category: PlanTally() for category in (*PLAN_CATEGORIES, TOTAL)} for decoding in decodings}
    )
    for trial in fresh:
        asked = [
            (question, decoding)
            for question in trial.asked
            if question.category in PLAN_CATEGORIES
            for decoding in decodings
        ]
        if not asked:
            continue
        asks = [plan_question(question, vocabulary, prompts, decoding) for question, decoding in asked]
        for (question, decoding), generated in zip(asked, write(trial.frames(), asks), strict=True):
            read = read_answer_of(question, generated, vocabulary, prompts)
            right = read.text == question.gold and not read.malformed
            for category in (question.category, TOTAL):
                row = report.rows[decoding][category]
                row.n += 1
                row.correct += right
                row.malformed += read.malformed
            if not right:
                report.wrong.append((decoding, question.text, question.gold, generated.text))
        on_asked(len(asked))
    return report


def plan_question(question: Question, vocabulary: Vocabulary, prompts: Prompts, decoding: Decoding) -> PlanAsk:
    """The request for a plan or next step with one way of decoding; raises ValueError as `plan_grammar` does."""
    whole = question.category == "plan"
    if decoding == "free":
        return PlanAsk(question.text, None, FREE_PLAN_TOKENS if whole else FREE_STEP_TOKENS)
    grammar = whole_plan_grammar(vocabulary, prompts) if whole else step_grammar(vocabulary, prompts)
    return PlanAsk(question.text, grammar.text, grammar.max_new_tokens)


def read_answer_of(question: Question, generated: Generated, vocabulary: Vocabulary, prompts: Prompts) -> Read:
    """Read the model's text with the tolerant parser, whichever way it was decoded."""
    if question.category == "plan":
        whole = read_plan_answer(generated, "", vocabulary, prompts, "free")
        if whole.cannot_tell:
            return Read(str(prompts.cannot_tell), malformed=False)
        plan, unread = whole.validation.plan, whole.unread
    else:
        step = read_next_step(generated, Situation(), vocabulary, prompts, "free", 0.0)
        if step.hint is Hint.CANNOT_TELL or (step.hint is Hint.DONE and not step.unread):
            return Read(str(prompts.cannot_tell) if step.hint is Hint.CANNOT_TELL else prompts.planning.done, False)
        plan, unread = Plan(() if step.step is None else (step.step,)), step.unread
    line = "; ".join(map(str, plan.steps))
    faults = [step for step in plan.steps if vocabulary.fault(step) is not None]
    return Read(line, malformed=bool(unread or faults or not plan.steps))
