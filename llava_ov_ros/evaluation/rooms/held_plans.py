"""Plans and next steps decoded freely, and held to the vocabulary's grammar: how many are right, how many malformed."""

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
DECODINGS: tuple[Decoding, ...] = ("free", "constrained")

Planner = Callable[[Sequence["Picture"], Sequence[PlanAsk]], "list[Generated]"]
"""Has a model write plans about the frames of one clip, in order."""


@dataclass
class PlanTally:
    """How one category of questions fared in one way of decoding."""

    n: int = 0
    correct: int = 0
    malformed: int = 0

    def as_dict(self) -> dict[str, float | int]:
        """As `Tally` has it, and how many could not be read, or not as steps of the vocabulary."""
        return Tally(self.n, self.correct).as_dict() | {"malformed": self.malformed}


@dataclass
class PlanReport:
    """What ways of decoding give.

    Attributes:
        rows: By decoding and category of question; `total` is all together.
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
    """What a text says, in the canonical form, whichever way it was decoded.

    Attributes:
        text: The plan in one line, the next step, DONE, or that the model cannot tell.
        malformed: Some of it could not be read, or is no step of the vocabulary, or nothing is there.
    """

    text: str
    malformed: bool


def evaluate_plans(
    write: Planner,
    fresh: Iterator[RoomTrial],
    vocabulary: Vocabulary,
    prompts: Prompts,
    *,
    decodings: Sequence[Decoding] = DECODINGS,
    on_asked: Callable[[int], None] = no_op,
) -> PlanReport:
    """Ask for the plans and next steps of fresh rooms, the same ones in every way of decoding.

    Args:
        write: The model.
        fresh: What to ask; only plans and next steps are asked for.
        vocabulary: That of the rooms, alfred.
        prompts: Those that rooms are asked with, plain.
        decodings: The ways.
        on_asked: Called with the number of questions done.
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
    """A question about a plan or next step as it stands, in one way of decoding; ValueError as `plan_grammar`."""
    whole = question.category == "plan"
    if decoding == "free":
        return PlanAsk(question.text, None, FREE_PLAN_TOKENS if whole else FREE_STEP_TOKENS)
    grammar = whole_plan_grammar(vocabulary, prompts) if whole else step_grammar(vocabulary, prompts)
    return PlanAsk(question.text, grammar.text, grammar.max_new_tokens)


def read_answer_of(question: Question, generated: Generated, vocabulary: Vocabulary, prompts: Prompts) -> Read:
    """What a model wrote, read by the tolerant parser whichever way it was decoded."""
    if question.category == "plan":
        whole = read_plan_answer(generated, "", vocabulary, prompts, "free")
        if whole.cannot_tell:
            return Read(str(prompts.cannot_tell), malformed=False)
        plan, unread = whole.validation.plan, whole.unread
    else:
        step = read_next_step(generated, (), vocabulary, prompts, "free", 0.0)
        if step.hint is Hint.CANNOT_TELL or (step.hint is Hint.DONE and not step.unread):
            return Read(str(prompts.cannot_tell) if step.hint is Hint.CANNOT_TELL else prompts.planning.done, False)
        plan, unread = Plan(() if step.step is None else (step.step,)), step.unread
    line = "; ".join(map(str, plan.steps))
    faults = [step for step in plan.steps if vocabulary.fault(step) is not None]
    return Read(line, malformed=bool(unread or faults or not plan.steps))
