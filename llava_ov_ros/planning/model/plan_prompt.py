"""Builds requests for plans and next steps: the prompt, the grammar of the answer, and the answer's greatest length."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from ...bounds import quoted
from ...frames import Frame
from ...questions.prompts import ENGLISH, NOW, PICTURE, Prompts
from ...settings.allowed_values import DECODINGS, PLAN_DECODING, VALIDATORS, Decoding, Validator
from ..plan_steps import STEP_SEPARATOR, PlanError, Step, split_line
from ..validate.simulation import Validation
from ..vocabulary import Vocabulary
from .plan_grammar import PlanGrammar, plan_grammar
from .repair import repair_prompt

LONGEST_GOAL, LONGEST_STEP = 500, 200
"""Most characters of a goal, and of a step that is reported done."""
FREE_PLAN_TOKENS, FREE_STEP_TOKENS = 512, 48
MOST_PICTURES = 16
"""Most pictures of steps that are done, in one prompt."""
_PLACE = re.compile(r"(\{\w+\})")


def decoding_named(name: str) -> Decoding:
    """The way of decoding of a name.

    Raises:
        ValueError: There is none of this name.
    """
    for decoding in DECODINGS:
        if decoding == name:
            return decoding
    raise ValueError(f"decoding is {quoted(name)}: allowed are {', '.join(DECODINGS)}")


def validators_named(names: Sequence[str]) -> tuple[Validator, ...]:
    """The judges of these names, in the order in which they are asked.

    Raises:
        ValueError: There is no judge of one of the names.
    """
    for name in names:
        if name not in VALIDATORS:
            raise ValueError(f"there is no judge {quoted(name)}: allowed are {', '.join(VALIDATORS)}")
    return tuple(name for name in VALIDATORS if name in names)


class GoalTextError(ValueError):
    """A goal or a reported step cannot be used; the message says what to change."""


@dataclass(frozen=True)
class PlanAsk:
    """One request to the model, with arguments of `Engine.ask`.

    Attributes:
        prompt: Text of the question.
        grammar: Grammar to which the answer is constrained; None for free text.
        max_new_tokens: Most tokens of the answer.
        choices: Candidate answers whose probabilities are compared; None if text is generated.
        before: Texts and pictures before the clip; empty if the prompt begins with the clip.
    """

    prompt: str
    grammar: str | None
    max_new_tokens: int
    choices: tuple[str, ...] | None = None
    before: tuple[str | Frame, ...] = ()


def goal_text(text: str) -> str:
    """Normalise a goal for prompts: one line, without a full stop at its end.

    Raises:
        GoalTextError: The goal is empty or longer than LONGEST_GOAL.
    """
    text = text.strip()
    if len(text) > LONGEST_GOAL:
        raise GoalTextError(f"goal has {len(text)} characters: allowed are {LONGEST_GOAL}")
    goal = " ".join(text.split()).rstrip(".。． ")
    if not goal:
        raise GoalTextError("goal is empty: say what shall be so, such as 'put the mug on the desk'")
    return goal


def reported_step(text: str, vocabulary: Vocabulary) -> Step:
    """Read a step that is reported done, in the form `PutObject mug desk`.

    Raises:
        GoalTextError: The text is longer than LONGEST_STEP, or no step of the vocabulary.
    """
    text = text.strip()
    if len(text) > LONGEST_STEP:
        raise GoalTextError(f"step has {len(text)} characters: allowed are {LONGEST_STEP}")
    try:
        steps = split_line(text).steps
    except PlanError:
        steps = ()
    if len(steps) != 1:
        raise GoalTextError(f"step is {text!r}: expected one action and its arguments, such as 'PickupObject mug'")
    return checked_step(steps[0], vocabulary)


def checked_step(step: Step, vocabulary: Vocabulary) -> Step:
    """Return a reported step if it is well-formed.

    Raises:
        GoalTextError: The step as a text is longer than LONGEST_STEP, or it is none of the vocabulary.
    """
    text = str(step)
    if len(text) > LONGEST_STEP:
        raise GoalTextError(f"step has {len(text)} characters: allowed are {LONGEST_STEP}")
    fault = vocabulary.fault(step)
    if fault is not None:
        raise GoalTextError(f"step is {text!r}: {fault.text}")
    return step


def plan_ask(goal: str, vocabulary: Vocabulary, prompts: Prompts, decoding: Decoding = PLAN_DECODING) -> PlanAsk:
    """The request for a whole plan.

    Raises:
        GoalTextError: The goal is empty or longer than LONGEST_GOAL.
        ValueError: The vocabulary and the prompts yield no grammar, for example if `cannot_tell` names an action.
    """
    parts = _parts(prompts.planning.plan, goal_text(goal), vocabulary, prompts)
    return _held("".join(part for part in parts if isinstance(part, str)), vocabulary, prompts, decoding)


def repair_ask(
    goal: str, validation: Validation, vocabulary: Vocabulary, prompts: Prompts, decoding: Decoding = PLAN_DECODING
) -> PlanAsk:
    """The request to repair a plan, given its violations; raises the errors of `plan_ask` and `repair_prompt`."""
    prompt = repair_prompt(goal_text(goal), validation, vocabulary, prompts.planning)
    return _held(prompt, vocabulary, prompts, decoding)


def next_step_ask(
    goal: str,
    done: Sequence[Step],
    vocabulary: Vocabulary,
    prompts: Prompts,
    decoding: Decoding = PLAN_DECODING,
    pictures: Sequence[Frame | None] = (),
    failed: Sequence[Step] = (),
) -> PlanAsk:
    """The request for the next step towards a goal; raises the errors of `plan_ask`.

    Args:
        goal: The goal in a person's words.
        done: The steps that are done, oldest first.
        vocabulary: Vocabulary of the steps.
        prompts: Set of prompts for the model's family.
        decoding: `constrained` to the vocabulary's grammar, or `free`.
        pictures: For each of the last steps the frame from the time when it was reported done, or None if there was no
            frame. Only the newest MOST_PICTURES are shown, and only if the set of prompts has a text for steps.
        failed: Well-formed steps that have just failed; constrained decoding gives none of them.
    """
    parts = list(_parts(prompts.planning.next_step, goal_text(goal), vocabulary, prompts, done, pictures))
    now = parts.index(None) if None in parts else 0
    before, prompt = _joined(parts[:now]), "".join(part for part in parts[now:] if isinstance(part, str))
    if decoding == "free":
        return PlanAsk(prompt, None, FREE_STEP_TOKENS, before=before)
    grammar = step_grammar(vocabulary, prompts, frozenset(failed))
    return PlanAsk(prompt, grammar.text, grammar.max_new_tokens, before=before)


def _held(prompt: str, vocabulary: Vocabulary, prompts: Prompts, decoding: Decoding) -> PlanAsk:
    if decoding == "free":
        return PlanAsk(prompt, None, FREE_PLAN_TOKENS)
    grammar = whole_plan_grammar(vocabulary, prompts)
    return PlanAsk(prompt, grammar.text, grammar.max_new_tokens)


@lru_cache(maxsize=8)
def _grammar(
    vocabulary: Vocabulary,
    max_steps: int,
    endings: bool,
    instead: tuple[str, ...],
    excluded: frozenset[Step] = frozenset(),
) -> PlanGrammar:
    def words(ends: bool) -> Mapping[str, Sequence[Sequence[str]]]:
        return {
            action.name: [vocabulary.choices(argument) for argument in action.arguments]
            for action in vocabulary.actions.values()
            if action.ends == ends
        }

    return plan_grammar(
        words(False),
        max_steps=max_steps,
        separator=STEP_SEPARATOR,
        endings=words(True) if endings else None,
        instead=instead,
        excluded=excluded,
    )


def whole_plan_grammar(vocabulary: Vocabulary, prompts: Prompts) -> PlanGrammar:
    """Grammar of all plans of a vocabulary and the text `cannot_tell`; raises the ValueError of `plan_grammar`."""
    return _grammar(vocabulary, vocabulary.max_steps, True, tuple(filter(None, (prompts.cannot_tell,))))


def step_grammar(vocabulary: Vocabulary, prompts: Prompts, excluded: frozenset[Step] = frozenset()) -> PlanGrammar:
    """Grammar of all single steps but the excluded ones, and the texts `done` and `cannot_tell`.

    Raises:
        ValueError: As of `plan_grammar`.
    """
    return _grammar(vocabulary, 1, False, tuple(filter(None, (prompts.planning.done, prompts.cannot_tell))), excluded)


def _parts(
    template: str,
    goal: str,
    vocabulary: Vocabulary,
    prompts: Prompts,
    done: Sequence[Step] = (),
    pictures: Sequence[Frame | None] = (),
) -> Iterator[str | Frame | None]:
    """Fill in the placeholders of a template, and yield its parts in order; None stands for the clip of now.

    Braces in the values that are filled in stay text.
    """
    for part in _PLACE.split(template):
        if part == "{goal}":
            yield goal
        elif part == "{steps}":
            yield from _steps(done, pictures, prompts)
        elif part == "{actions}":
            yield action_forms(vocabulary, prompts.language)
        elif part == "{words}":
            yield allowed_words(vocabulary, prompts)
        elif part == "{most}":
            yield str(vocabulary.max_steps)
        else:
            yield None if part == NOW else part


def _steps(done: Sequence[Step], pictures: Sequence[Frame | None], prompts: Prompts) -> Iterator[str | Frame]:
    """The steps that are done, with their pictures, in the form of the set of prompts."""
    if not prompts.planning.step:
        yield STEP_SEPARATOR.join(map(str, done)) or prompts.planning.no_steps
        return
    shown = dict(enumerate(pictures, len(done) - len(pictures) + 1))
    for number, step in enumerate(done, 1):
        for part in _PLACE.split(prompts.planning.step):
            if part == PICTURE:
                picture = shown.get(number)
                if picture is not None and number > len(done) - MOST_PICTURES:
                    yield picture
            else:
                yield {"{number}": str(number), "{step}": str(step)}.get(part, part)


def _joined(parts: Sequence[str | Frame | None]) -> tuple[str | Frame, ...]:
    """Join neighbouring texts, and drop empty ones."""
    joined: list[str | Frame] = []
    for part in parts:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        elif part:
            joined.append(part)
    return tuple(joined)


def action_forms(vocabulary: Vocabulary, language: str = ENGLISH) -> str:
    """All actions with the types of their arguments, one per line, such as `PutObject <object> <receptacle>`.

    An action's name in the language, if the vocabulary has one, follows: `PutObject <object> <receptacle> (放到)`.
    """
    return "\n".join(
        _beside(
            " ".join((action.name, *(f"<{argument.type}>" for argument in action.arguments))),
            vocabulary.called(action.name, language),
        )
        for action in vocabulary.actions.values()
    )


def allowed_words(vocabulary: Vocabulary, prompts: Prompts) -> str:
    """The classes of each type of argument, one type per line, with their names in the language of the prompts."""
    arguments = {one.type: one for action in vocabulary.actions.values() for one in action.arguments}
    between = prompts.planning.list_separator
    return "\n".join(
        f"<{name}>: "
        + between.join(_beside(word, vocabulary.called(word, prompts.language)) for word in vocabulary.choices(one))
        for name, one in arguments.items()
    )


def _beside(word: str, name: str | None) -> str:
    return word if name is None else f"{word} ({name})"
