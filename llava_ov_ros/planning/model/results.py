"""Reads a model's answer to the request for a plan or a next step, as typed results."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from ...asking import Generated
from ...questions.marks import says
from ...questions.prompts import Prompts
from ...settings.allowed_values import Decoding
from ..findings import Finding, Reason
from ..plan_steps import STEP_SEPARATOR, Plan, PlanError, Step, split_line
from ..read.plan_text import STATEMENT_ENDS, read_plan
from ..validate.goal import Goal
from ..validate.reports import Situation
from ..validate.simulation import Validation, validate
from ..vocabulary import Vocabulary


class StepSource(StrEnum):
    """Who a plan or a hint is from."""

    MODEL = "model"
    PLANNER = "planner"


class StepStatus(StrEnum):
    """Whether a step can be executed at its place in the plan."""

    OK = "ok"
    WARNING = "warning"
    VIOLATION = "violation"


@dataclass(frozen=True)
class PlannedStep:
    """A step of a plan with its findings.

    Attributes:
        number: Number of the step, from 1.
        step: Action and arguments.
        findings: Violations and warnings; empty if the step is valid.
    """

    number: int
    step: Step
    findings: tuple[Finding, ...] = ()

    @property
    def status(self) -> StepStatus:
        """Status by the worst finding."""
        if not self.findings:
            return StepStatus.OK
        return StepStatus.WARNING if all(one.warning for one in self.findings) else StepStatus.VIOLATION

    @property
    def reason(self) -> str:
        """The findings in words; empty if there are none."""
        return "; ".join(finding.text for finding in self.findings)


@dataclass(frozen=True)
class PlanResult:
    """A model's answer to the request for a plan.

    Attributes:
        goal: The goal in a person's words.
        validation: The plan that was read, and its findings.
        cannot_tell: Whether the model answered that it cannot tell; the plan then has no steps.
        unread: Parts of the answer that could not be read, each with the reason; also an end that was cut off.
        confidence: Geometric mean of the probabilities of the answer's tokens, including the end token. Tokens without
            an alternative in the grammar are not counted. 0 if nothing was generated.
        probability: Probability of the whole text including its end, under the distribution that was decoded from.
        text: The model's text.
        repairs: How often the model was asked to repair its plan.
        remarks: Other information for the user, such as a repair that was given up.
        accepted_by: The judges that accept the steps, by their names in `settings.allowed_values`.
        source: Who the steps are from.
        wanted: The goal that the steps were checked against; None: the steps alone were checked.
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
    accepted_by: tuple[str, ...] = ()
    source: StepSource = StepSource.MODEL
    wanted: Goal | None = None

    @property
    def steps(self) -> tuple[PlannedStep, ...]:
        """The steps of the plan with their findings."""
        return planned_steps(self.validation)

    @property
    def of_the_whole(self) -> tuple[Finding, ...]:
        """The findings that concern no single step."""
        return tuple(finding for finding in self.validation.findings if finding.step is None)

    @property
    def accepted(self) -> bool:
        """Whether the whole answer was read as a plan without violations."""
        return self.validation.accepted and not self.unread and not self.cannot_tell

    def with_findings(self, findings: Sequence[Finding]) -> PlanResult:
        """A copy of the result with further findings."""
        return replace(self, validation=replace(self.validation, findings=(*self.validation.findings, *findings)))


class Hint(StrEnum):
    """Kind of a model's answer to the request for the next step."""

    STEP = "step"
    DONE = "done"
    UNSURE = "unsure"
    CANNOT_TELL = "cannot_tell"


@dataclass(frozen=True)
class NextStep:
    """A model's answer to the request for the next step.

    Attributes:
        hint: STEP; DONE: the goal is reached; CANNOT_TELL; UNSURE: the answer is too improbable, could not be read, or
            is a step that has just failed.
        step: The next step, also if the hint is UNSURE; None if the answer has none.
        findings: Findings about the step after the steps that are done.
        confidence: Probability of the answer among all answers that the grammar allows (free: among all texts).
        text: The model's text.
        unread: Parts of the answer that could not be read, each with the reason; where the planner gives the step, why
            the answer is not the hint.
        source: Who the hint is from. `confidence` is 0 if it is from the planner.
    """

    hint: Hint
    step: Step | None
    findings: tuple[Finding, ...]
    confidence: float
    text: str
    unread: tuple[str, ...] = ()
    source: StepSource = StepSource.MODEL


def planned_steps(validation: Validation) -> tuple[PlannedStep, ...]:
    """The steps of a validated plan with their findings."""
    return tuple(
        PlannedStep(number, step, validation.of_step(number)) for number, step in enumerate(validation.plan.steps, 1)
    )


def text_probability(generated: Generated) -> float:
    """Probability of the whole text including its end, under the distribution that was decoded from.

    The result is 0 if nothing was generated or a token's probability is NaN.
    """
    decided = _decided(generated)
    return math.prod(decided) if generated.probabilities and all(value >= 0 for value in decided) else 0.0


def decided_confidence(generated: Generated) -> float:
    """Geometric mean of the probabilities of the tokens below 1, including the end token; 1 if no token had a choice.

    The result is 0 if nothing was generated or a token's probability is NaN.
    """
    decided = [probability for probability in _decided(generated) if not probability >= 1]
    if not generated.probabilities or not all(probability > 0 for probability in decided):
        return 0.0
    return math.exp(sum(map(math.log, decided)) / len(decided)) if decided else 1.0


def _decided(generated: Generated) -> list[float]:
    end = [] if generated.end_probability is None else [generated.end_probability]
    return [*generated.probabilities, *end]


def read_plan_answer(
    generated: Generated,
    goal: str,
    vocabulary: Vocabulary,
    prompts: Prompts,
    decoding: Decoding,
    wanted: Goal | None = None,
) -> PlanResult:
    """Read the model's answer to `plan_ask` or `repair_ask`, and simulate the plan. No text makes this raise.

    Args:
        generated: The model's answer.
        goal: The goal in a person's words.
        vocabulary: Vocabulary of the steps.
        prompts: Set of prompts with which the model was asked.
        decoding: How the answer was decoded.
        wanted: The goal that must hold at the end; None: the steps alone are checked.
    """
    text = generated.text.strip()
    cannot_tell = says(text, prompts.cannot_tell)
    plan, unread = Plan(()), tuple[str, ...]()
    if not cannot_tell:
        plan, unread = _read(text, vocabulary, decoding, cut_off=generated.finish != "stop")
    return PlanResult(
        goal,
        validate(plan, vocabulary, None if cannot_tell else wanted),
        cannot_tell,
        unread,
        decided_confidence(generated),
        text_probability(generated),
        generated.text,
        wanted=wanted,
    )


def read_next_step(
    generated: Generated,
    situation: Situation,
    vocabulary: Vocabulary,
    prompts: Prompts,
    decoding: Decoding,
    least_confidence: float,
) -> NextStep:
    """Read the model's answer to `next_step_ask`, and validate the step. No text makes this raise.

    Args:
        generated: The model's answer.
        situation: What is known from the reports of the steps so far.
        vocabulary: Vocabulary of the steps.
        prompts: Set of prompts with which the model was asked.
        decoding: How the answer was decoded.
        least_confidence: An answer with a lower probability is UNSURE.
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
            findings = _found(step, situation, vocabulary)
    has_failed = any(finding.reason is Reason.JUST_FAILED for finding in findings)
    if not confidence >= least_confidence or unread or has_failed:
        hint = Hint.UNSURE
    return NextStep(hint, step, findings, confidence, generated.text, unread)


def _found(step: Step, situation: Situation, vocabulary: Vocabulary) -> tuple[Finding, ...]:
    """The findings about a step that shall follow what was reported."""
    findings = validate(Plan((step,)), vocabulary, start=situation.worlds).of_step(1)
    if step in situation.failed:
        text = f"{step}: it has just failed, and nothing was done since"
        findings = (Finding(Reason.JUST_FAILED, text), *findings)
    return findings


def _read(text: str, vocabulary: Vocabulary, decoding: Decoding, cut_off: bool) -> tuple[Plan, tuple[str, ...]]:
    """The plan and the parts that were not read; the last step of a text that was cut off counts as not read."""
    unread: tuple[str, ...] = ()
    if cut_off:
        mark = STEP_SEPARATOR.strip() if decoding != "free" else _last_mark(text)
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
    """The mark that ends the last complete statement of a free text."""
    return max(STATEMENT_ENDS, key=text.rfind)


class StepStream:
    """Finds the steps in a growing text. They are provisional: in the end the whole text is read.

    Attributes:
        given: Number of steps returned so far.
    """

    def __init__(self, vocabulary: Vocabulary, decoding: Decoding) -> None:
        self._vocabulary = vocabulary
        self._decoding = decoding
        self._text = ""
        self.given = 0

    def hear(self, piece: str) -> tuple[PlannedStep, ...]:
        """Append a piece of text, and return the steps that it completes; each step is returned once."""
        self._text += piece
        marks = STATEMENT_ENDS if self._decoding == "free" else ";"
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
