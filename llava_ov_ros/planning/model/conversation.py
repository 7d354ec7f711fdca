"""Makes a plan: asks for it, has it repaired once, and asks whether the things that it names are there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ...bounds import check_whole
from ...questions.kinds import SceneQuestion, Shaped, read_answer, shape
from ...questions.prompts import ENGLISH, Kind, Prompts, filled
from ...settings import DEFAULTS
from ...settings.choices import PLAN_DECODING, Decoding
from ..findings import Finding, Reason
from ..vocabulary import Vocabulary
from .plan_prompt import PlanAsk, plan_ask, repair_ask
from .results import PlannedStep, PlanResult, StepStream, read_plan_answer

if TYPE_CHECKING:
    from ...onevision import Generated

Answers = Callable[[Sequence[PlanAsk], Callable[[str], None]], "Sequence[Generated]"]
"""Has a model answer about one clip: what is asked, who hears the growing text; the answers in the same order."""


class NoAnswerError(Exception):
    """To be raised by Answers where a question that a plan can do without was not answered; the text says why."""


def _ignore(_: object) -> None:
    return None


def _ignore_step(_: int, __: PlannedStep) -> None:
    return None


@dataclass(frozen=True)
class PlanOptions:
    """How a plan is made.

    Attributes:
        decoding: constrained: within the vocabulary's grammar; free: read from whatever the model writes.
        repairs: How often a plan with violations is given back to the model with what is wrong with it.
        grounding: Ask whether the things that the plan names are there.

    Raises:
        ValueError: repairs is no whole number from 0.
    """

    decoding: Decoding = PLAN_DECODING
    repairs: int = DEFAULTS.plan_repairs
    grounding: bool = True

    def __post_init__(self) -> None:
        check_whole("repairs", self.repairs, 0)


def make_plan(
    goal: str,
    vocabulary: Vocabulary,
    prompts: Prompts,
    options: PlanOptions,
    answers: Answers,
    *,
    on_step: Callable[[int, PlannedStep], None] = _ignore_step,
    on_result: Callable[[PlanResult], None] = _ignore,
) -> PlanResult:
    """Make a plan for a goal.

    Args:
        goal: What shall be so.
        vocabulary: What the robot can do.
        prompts: For the model's family.
        options: How.
        answers: Has the model answer, always about the same clip. Where it raises NoAnswerError while a plan is there,
            the plan stays as it is, with a remark; whatever else it raises ends this.
        on_step: Called with the attempt (0, 1, ...) and each step that has been decoded.
        on_result: Called with each result that there is, the last one is returned.

    Raises:
        GoalTextError: The goal is empty or too long.
        ValueError: Words of the vocabulary and of the prompts clash.
    """

    def attempt(number: int, ask: PlanAsk) -> PlanResult:
        stream = StepStream(vocabulary, options.decoding)

        def hear(piece: str) -> None:
            for step in stream.hear(piece):
                on_step(number, step)

        generated = answers([ask], hear)[0]
        made = replace(read_plan_answer(generated, goal, vocabulary, prompts, options.decoding), repairs=number)
        for step in made.steps[stream.given :]:
            on_step(number, step)
        on_result(made)
        return made

    result = attempt(0, plan_ask(goal, vocabulary, prompts, options.decoding))
    try:
        for number in range(1, options.repairs + 1):
            if result.cannot_tell or not result.validation.violations:
                break
            again = attempt(number, repair_ask(goal, result.validation, vocabulary, prompts, options.decoding))
            # What is worse than what it shall repair is not taken, but counted.
            better = len(again.validation.violations) < len(result.validation.violations) and again.steps
            result = again if better else replace(result, repairs=number)
    except NoAnswerError as error:
        result = replace(result, remarks=(*result.remarks, f"not repaired: {error}"))
    try:
        if options.grounding:
            result = result.with_findings(_not_seen(result, vocabulary, prompts, answers))
    except NoAnswerError as error:
        result = replace(result, remarks=(*result.remarks, f"not asked whether its things are there: {error}"))
    on_result(result)
    return result


def things_named(result: PlanResult, vocabulary: Vocabulary) -> tuple[str, ...]:
    """The classes that a plan names, in the order in which it does; words that are none are left out."""
    named = (word for step in result.validation.plan.steps for word in step.arguments if word in vocabulary.classes)
    return tuple(dict.fromkeys(named))


def presence_question(thing: str, vocabulary: Vocabulary, prompts: Prompts) -> Shaped:
    """Asks whether a thing of a class is there.

    In English the thing comes with its article, by the name that has its words apart where there is one; in another
    language, by the name that the vocabulary has in it, or else by its class.
    """
    if prompts.language == ENGLISH:
        names = vocabulary.classes[thing]
        name = next((one for one in names if one.replace(" ", "") == thing), thing)
        name = f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
    else:
        name = vocabulary.called(thing, prompts.language) or thing
    text = filled(prompts.planning.presence, {"{thing}": name})
    return shape(SceneQuestion(Kind.YES_NO, text), prompts)


def _not_seen(result: PlanResult, vocabulary: Vocabulary, prompts: Prompts, answers: Answers) -> list[Finding]:
    """A warning for each step with a thing that the clip does not show; where the model cannot tell, there is none."""
    things = things_named(result, vocabulary)
    questions = [presence_question(thing, vocabulary, prompts) for thing in things]
    asks = [PlanAsk(one.prompt, None, one.max_new_tokens, one.choices) for one in questions]
    said = answers(asks, _ignore) if asks else ()
    missing = {
        thing: f"{answer.confidence:.0%}"
        for thing, question, generated in zip(things, questions, said, strict=True)
        if (answer := read_answer(question, generated)).value is False
    }
    return [
        Finding(Reason.NOT_SEEN, f"{step}: the pictures show no {word} ({missing[word]})", number, warning=True)
        for number, step in enumerate(result.validation.plan.steps, 1)
        for word in dict.fromkeys(step.arguments)
        if word in missing
    ]
