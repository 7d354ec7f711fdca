"""Makes a plan: asks the model for it, for repairs, and whether the things that the plan names are visible."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ...bounds import check_whole
from ...no_op import no_op
from ...questions.kinds import SceneQuestion, Shaped, read_answer, shape
from ...questions.prompts import ENGLISH, Kind, Prompts, filled
from ...settings import DEFAULTS
from ...settings.allowed_values import PLAN_DECODING, VALIDATORS, Decoding, Validator
from ..findings import Finding, Reason
from ..vocabulary import Vocabulary
from .judging import goal_conditions_of, judged, planned_instead
from .plan_prompt import PlanAsk, goal_text, plan_ask, repair_ask
from .results import PlannedStep, PlanResult, StepSource, StepStream, read_plan_answer

if TYPE_CHECKING:
    from ...onevision import Generated

Answers = Callable[[Sequence[PlanAsk], Callable[[str], None]], "Sequence[Generated]"]
"""Asks a model questions about one clip. Arguments: the questions, and a callback for each piece of the growing text.
Returns the answers in the order of the questions."""


class NoAnswerError(Exception):
    """The model did not answer a question that a plan can do without: a repair, or whether a thing is visible.

    `Answers` raises this error; the message says why there is no answer.
    """


@dataclass(frozen=True)
class PlanOptions:
    """Options of making a plan.

    Attributes:
        decoding: `constrained` restricts the model to the vocabulary's grammar; `free` reads the plan from any text.
        repairs: How often the model is asked to repair a plan with violations.
        grounding: Whether to ask if the things that the plan names are visible.
        validators: Judges that must all accept the plan; certified decoding asks both.
        search_s: With certified decoding, the longest search of the planner in seconds.

    Raises:
        ValueError: `repairs` is no integer of at least 0.
    """

    decoding: Decoding = PLAN_DECODING
    repairs: int = DEFAULTS.plan_repairs
    grounding: bool = DEFAULTS.plan_grounding
    validators: tuple[Validator, ...] = ("simulation",)
    search_s: float = DEFAULTS.plan_search_s

    def __post_init__(self) -> None:
        check_whole("repairs", self.repairs, 0)

    @property
    def judges(self) -> tuple[Validator, ...]:
        """The judges that are asked."""
        return VALIDATORS if self.decoding == "certified" else self.validators


def make_plan(
    goal: str,
    vocabulary: Vocabulary,
    prompts: Prompts,
    options: PlanOptions,
    answers: Answers,
    *,
    on_step: Callable[[int, PlannedStep], None] = no_op,
    on_result: Callable[[PlanResult], None] = no_op,
    until_s: float = math.inf,
    should_stop: Callable[[], bool] = lambda: False,
) -> PlanResult:
    """Make a plan for a goal.

    Args:
        goal: The goal in a person's words.
        vocabulary: Vocabulary of the robot.
        prompts: Set of prompts for the model's family.
        options: Decoding, repairs and grounding.
        answers: Asks the model, always about the same clip. If it raises NoAnswerError for a repair or for grounding,
            the plan is kept and gets a remark; all other errors are passed on.
        on_step: Called with the number of the attempt (0, 1, ...) and each step as soon as it is decoded.
        on_result: Called with the result of each attempt, and with the final result.
        until_s: When the planner must have ended, on the monotonic clock.
        should_stop: Returns whether nobody wants the plan any more; the planner asks.

    Returns:
        The final result.

    Raises:
        GoalTextError: The goal is empty or too long.
        ValueError: Words of the vocabulary and of the prompts clash.
    """
    certified = options.decoding == "certified"
    wanted, unread_goal = goal_conditions_of(goal_text(goal), vocabulary) if certified else (None, ())

    def attempt(number: int, ask: PlanAsk) -> PlanResult:
        stream = StepStream(vocabulary, options.decoding)

        def hear(piece: str) -> None:
            for step in stream.hear(piece):
                on_step(number, step)

        generated = answers([ask], hear)[0]
        made = replace(read_plan_answer(generated, goal, vocabulary, prompts, options.decoding, wanted), repairs=number)
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
            # A repaired plan without fewer violations is discarded; the attempt still counts towards `repairs`.
            better = len(again.validation.violations) < len(result.validation.violations) and again.steps
            result = again if better else replace(result, repairs=number)
    except NoAnswerError as error:
        result = replace(result, remarks=(*result.remarks, f"not repaired: {error}"))
    result = judged(result, vocabulary, options.judges).with_findings(unread_goal)
    if wanted is not None and not result.accepted:
        before_s = min(until_s, time.monotonic() + options.search_s)
        result = planned_instead(result, vocabulary, before_s, should_stop)
        for step in result.steps if result.source is StepSource.PLANNER else ():
            on_step(result.repairs + 1, step)
    try:
        if options.grounding:
            result = result.with_findings(_not_seen(result, vocabulary, prompts, answers))
    except NoAnswerError as error:
        result = replace(result, remarks=(*result.remarks, f"not asked whether its things are there: {error}"))
    on_result(result)
    return result


def things_named(result: PlanResult, vocabulary: Vocabulary) -> tuple[str, ...]:
    """The classes that a plan names, each once, in the order of the plan; unknown words are left out."""
    named = (word for step in result.validation.plan.steps for word in step.arguments if word in vocabulary.classes)
    return tuple(dict.fromkeys(named))


def presence_question(thing: str, vocabulary: Vocabulary, prompts: Prompts) -> Shaped:
    """The yes-or-no question whether a thing of a class is visible.

    In English the thing has an article, and the synonym with separate words is preferred (`a remote control` for
    `remotecontrol`). In another language the vocabulary's name in that language is used, or else the class.
    """
    name = spoken_name(thing, vocabulary, prompts)
    if prompts.language == ENGLISH:
        name = f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
    text = filled(prompts.planning.presence, {"{thing}": name})
    return shape(SceneQuestion(Kind.YES_NO, text), prompts)


def spoken_name(thing: str, vocabulary: Vocabulary, prompts: Prompts) -> str:
    """What a thing of a class is called in the language of the prompts."""
    if prompts.language == ENGLISH:
        return next((one for one in vocabulary.classes[thing] if one.replace(" ", "") == thing), thing)
    return vocabulary.called(thing, prompts.language) or thing


def _not_seen(result: PlanResult, vocabulary: Vocabulary, prompts: Prompts, answers: Answers) -> list[Finding]:
    """A warning for each step with a thing that the model says the clip does not show; none if it cannot tell."""
    things = things_named(result, vocabulary)
    questions = [presence_question(thing, vocabulary, prompts) for thing in things]
    asks = [PlanAsk(one.prompt, None, one.max_new_tokens, one.choices) for one in questions]
    said = answers(asks, no_op) if asks else ()
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
