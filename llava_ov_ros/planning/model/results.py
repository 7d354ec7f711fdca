"""What a model answered when it was asked for a plan or a next step, as typed results."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from ...questions.marks import says
from ...questions.prompts import Prompts
from ...settings.choices import Decoding
from ..findings import Finding
from ..plan_steps import STEP_SEPARATOR, Plan, PlanError, Step, split_line
from ..read.plan_text import STATEMENT_ENDS, read_plan
from ..validate.simulation import Validation, validate
from ..vocabulary import Vocabulary

if TYPE_CHECKING:
    # The engine's module imports torch, which this layer does without.
    from ...onevision import Generated


class StepStatus(StrEnum):
    """Whether a step can be done where it stands."""

    OK = "ok"
    WARNING = "warning"
    VIOLATION = "violation"


@dataclass(frozen=True)
class PlannedStep:
    """A step, and what was found about it.

    Attributes:
        number: From 1.
        step: Action and arguments.
        findings: Violations and warnings; none: it is all right.
    """

    number: int
    step: Step
    findings: tuple[Finding, ...] = ()

    @property
    def status(self) -> StepStatus:
        """The worst of the findings."""
        if not self.findings:
            return StepStatus.OK
        return StepStatus.WARNING if all(one.warning for one in self.findings) else StepStatus.VIOLATION

    @property
    def reason(self) -> str:
        """The findings in words, empty where there are none."""
        return "; ".join(finding.text for finding in self.findings)


@dataclass(frozen=True)
class PlanResult:
    """A plan that a model made, or that it could not.

    Attributes:
        goal: What it is for.
        validation: The plan as it was read, and what is wrong with it.
        cannot_tell: The model said that it cannot tell how; there are no steps then.
        unread: What could not be read, each in words; a text that was cut off is one of them.
        confidence: Geometric mean of the probabilities of the tokens (the end is one) that were decided: those that
            the grammar left no choice about are not counted. 0 where nothing was generated.
        probability: Of the whole text, its end included, when tokens are drawn as they were decoded.
        text: What the model wrote.
        repairs: How often the model was asked to correct its plan.
        remarks: What else there is to know.
    """

    goal: str
    validation: Validation
    cannot_tell: bool
    unread: tuple[str, ...]
    confidence: float
    probability: float
    text: str
    repairs: int = 0
    remarks: tuple[str, ...] = ()

    @property
    def steps(self) -> tuple[PlannedStep, ...]:
        """The steps, each with what was found about it."""
        return planned_steps(self.validation)

    @property
    def of_the_whole(self) -> tuple[Finding, ...]:
        """What was found about no single step."""
        return tuple(finding for finding in self.validation.findings if finding.step is None)

    @property
    def accepted(self) -> bool:
        """Everything was read, and all of it can be done."""
        return self.validation.accepted and not self.unread and not self.cannot_tell

    def with_findings(self, findings: Sequence[Finding]) -> PlanResult:
        """The same with more findings."""
        return replace(self, validation=replace(self.validation, findings=(*self.validation.findings, *findings)))


class Hint(StrEnum):
    """What comes next."""

    STEP = "step"
    DONE = "done"
    UNSURE = "unsure"
    CANNOT_TELL = "cannot_tell"


@dataclass(frozen=True)
class NextStep:
    """What the model says comes next.

    Attributes:
        hint: A step, that the goal holds, that it cannot tell, or UNSURE: too improbable, or unreadable.
        step: The step, also where it is unsure of it; None: there is none.
        findings: What is wrong with the step after those that are done.
        confidence: Probability of this answer among all that were allowed (free: among all texts).
        text: What the model wrote.
        unread: What could not be read.
    """

    hint: Hint
    step: Step | None
    findings: tuple[Finding, ...]
    confidence: float
    text: str
    unread: tuple[str, ...] = ()


def planned_steps(validation: Validation) -> tuple[PlannedStep, ...]:
    """The steps of a plan, each with what was found about it."""
    return tuple(
        PlannedStep(number, step, validation.of_step(number)) for number, step in enumerate(validation.plan.steps, 1)
    )


def text_probability(generated: Generated) -> float:
    """Of the whole text and its end, when tokens are drawn as they were decoded; 0 where nothing was generated.

    A probability that is no number counts as 0.
    """
    decided = _decided(generated)
    return math.prod(decided) if generated.probabilities and all(value >= 0 for value in decided) else 0.0


def decided_confidence(generated: Generated) -> float:
    """Geometric mean over the tokens that there was a choice about, the end included; 1 where there was none.

    A probability that is no number counts as 0.
    """
    decided = [probability for probability in _decided(generated) if not probability >= 1]
    if not generated.probabilities or not all(probability > 0 for probability in decided):
        return 0.0
    return math.exp(sum(map(math.log, decided)) / len(decided)) if decided else 1.0


def _decided(generated: Generated) -> list[float]:
    end = [] if generated.end_probability is None else [generated.end_probability]
    return [*generated.probabilities, *end]


def read_plan_answer(
    generated: Generated, goal: str, vocabulary: Vocabulary, prompts: Prompts, decoding: Decoding
) -> PlanResult:
    """What the model answered to `plan_ask` or `repair_ask`; never raises, whatever the text is."""
    text = generated.text.strip()
    cannot_tell = says(text, prompts.cannot_tell)
    plan, unread = Plan(()), tuple[str, ...]()
    if not cannot_tell:
        plan, unread = _read(text, vocabulary, decoding, cut_off=generated.finish != "stop")
    return PlanResult(
        goal,
        validate(plan, vocabulary),
        cannot_tell,
        unread,
        decided_confidence(generated),
        text_probability(generated),
        generated.text,
    )


def read_next_step(
    generated: Generated,
    done: Sequence[Step],
    vocabulary: Vocabulary,
    prompts: Prompts,
    decoding: Decoding,
    least_confidence: float,
) -> NextStep:
    """What the model answered to `next_step_ask`; never raises, whatever the text is.

    Args:
        generated: What it gave.
        done: The steps that are done.
        vocabulary: What steps there are.
        prompts: What the model was asked with.
        decoding: How it was decoded.
        least_confidence: An answer that is less probable is UNSURE.
    """
    text, confidence = generated.text.strip(), text_probability(generated)
    step, findings, unread = None, tuple[Finding, ...](), tuple[str, ...]()
    if says(text, prompts.cannot_tell):
        return NextStep(Hint.CANNOT_TELL, None, (), confidence, generated.text)
    hint = Hint.DONE
    if not says(text, prompts.planning.done):
        plan, unread = _read(text, vocabulary, decoding, cut_off=generated.finish != "stop")
        if not plan.steps:
            unread = unread or (f"{text!r} is no step",)
            return NextStep(Hint.UNSURE, None, (), confidence, generated.text, unread)
        if len(plan.steps) > 1:
            unread = (*unread, f"{Plan(plan.steps[1:]).rows} come after the one step that was asked for")
        step, hint = plan.steps[0], Hint.STEP
        if step.action in vocabulary.actions and vocabulary.actions[step.action].ends:
            step, hint = None, Hint.DONE
        else:
            findings = validate(Plan((*done, step)), vocabulary).of_step(len(done) + 1)
    if not confidence >= least_confidence or unread:
        hint = Hint.UNSURE
    return NextStep(hint, step, findings, confidence, generated.text, unread)


def _read(text: str, vocabulary: Vocabulary, decoding: Decoding, cut_off: bool) -> tuple[Plan, tuple[str, ...]]:
    """Steps, and what was not read. Of a text that was cut off, the last step is not taken for a whole one."""
    unread: tuple[str, ...] = ()
    if cut_off:
        mark = STEP_SEPARATOR.strip() if decoding == "constrained" else _last_mark(text)
        text, _, rest = text.rpartition(mark)
        unread = (f"{rest.strip()!r} was cut off",)
    if decoding == "free":
        reading = read_plan(text, vocabulary)
        return reading.plan, (*map(str, reading.skipped), *unread)
    if not text.strip():
        return Plan(()), unread
    try:
        return split_line(text.strip()), unread
    except PlanError as error:
        return Plan(()), (str(error), *unread)


def _last_mark(text: str) -> str:
    """The mark behind the last whole statement of a free text."""
    return max(STATEMENT_ENDS, key=text.rfind)


class StepStream:
    """Finds the steps in a text while it grows; the whole text decides in the end.

    Attributes:
        given: How many there were.
    """

    def __init__(self, vocabulary: Vocabulary, decoding: Decoding) -> None:
        self._vocabulary = vocabulary
        self._decoding = decoding
        self._text = ""
        self.given = 0

    def hear(self, piece: str) -> tuple[PlannedStep, ...]:
        """Take the next piece; the steps that are whole with it, each once."""
        self._text += piece
        marks = ";" if self._decoding == "constrained" else STATEMENT_ENDS
        if not any(mark in piece for mark in marks):
            return ()
        if self._decoding == "free":
            plan = read_plan(self._text[: self._text.rfind(_last_mark(self._text))], self._vocabulary).plan
        else:
            try:
                plan = split_line(self._text[: self._text.rfind(";")].strip())
            except PlanError:
                return ()
        steps = planned_steps(validate(plan, self._vocabulary))[self.given :]
        self.given += len(steps)
        return steps
