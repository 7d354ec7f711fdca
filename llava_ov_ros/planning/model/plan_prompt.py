"""How plans and next steps are asked for: the prompt, the grammar that holds the answer, the longest answer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from ...frames import Frame
from ...questions.prompts import ENGLISH, NOW, PICTURE, Prompts
from ...settings.choices import PLAN_DECODING, Decoding
from ..plan_steps import STEP_SEPARATOR, PlanError, Step, split_line
from ..validate.simulation import Validation
from ..vocabulary import Vocabulary
from .plan_grammar import PlanGrammar, plan_grammar
from .repair import repair_prompt

LONGEST_GOAL, LONGEST_STEP = 500, 200
"""Characters of what is asked for and of a step that is reported."""
FREE_PLAN_TOKENS, FREE_STEP_TOKENS = 512, 48
MOST_PICTURES = 16
"""Of steps that are done, in one prompt."""
_PLACE = re.compile(r"(\{\w+\})")


class GoalTextError(ValueError):
    """A goal or a report of steps that cannot be used; the text says what to change."""


@dataclass(frozen=True)
class PlanAsk:
    """What the model is asked.

    Attributes:
        prompt: The text.
        grammar: What the answer is held to, for `Engine.ask`; None: free.
        choices: What is compared instead, for `Engine.ask`; None: text is generated.
        max_new_tokens: Longest answer.
        before: Texts and pictures that go before the clip, for `Engine.ask`; empty: the clip goes before everything.
    """

    prompt: str
    grammar: str | None
    max_new_tokens: int
    choices: tuple[str, ...] | None = None
    before: tuple[str | Frame, ...] = ()


def goal_text(text: str) -> str:
    """A goal as prompts take it: one line, without the full stop at its end.

    Raises:
        GoalTextError: It is empty or too long.
    """
    text = text.strip()
    if len(text) > LONGEST_GOAL:
        raise GoalTextError(f"goal has {len(text)} characters: allowed are {LONGEST_GOAL}")
    goal = " ".join(text.split()).rstrip(".。． ")
    if not goal:
        raise GoalTextError("goal is empty: say what shall be so, such as 'put the mug on the desk'")
    return goal


def reported_step(text: str, vocabulary: Vocabulary) -> Step:
    """A step that somebody says is done, in the form `PutObject mug desk`.

    Raises:
        GoalTextError: It is too long, or no step of the vocabulary.
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
    fault = vocabulary.fault(steps[0])
    if fault is not None:
        raise GoalTextError(f"step is {text!r}: {fault.text}")
    return steps[0]


def plan_ask(goal: str, vocabulary: Vocabulary, prompts: Prompts, decoding: Decoding = PLAN_DECODING) -> PlanAsk:
    """Asks for a whole plan.

    Raises:
        GoalTextError: The goal is empty or too long.
        ValueError: Words of the vocabulary and of the prompts clash.
    """
    parts = _parts(prompts.planning.plan, goal_text(goal), vocabulary, prompts)
    return _held("".join(part for part in parts if isinstance(part, str)), vocabulary, prompts, decoding)


def repair_ask(
    goal: str, validation: Validation, vocabulary: Vocabulary, prompts: Prompts, decoding: Decoding = PLAN_DECODING
) -> PlanAsk:
    """Asks for a plan once more, with what is wrong with the first one; raises as `plan_ask` and `repair_prompt` do."""
    prompt = repair_prompt(goal_text(goal), validation, vocabulary, prompts.planning)
    return _held(prompt, vocabulary, prompts, decoding)


def next_step_ask(
    goal: str,
    done: Sequence[Step],
    vocabulary: Vocabulary,
    prompts: Prompts,
    decoding: Decoding = PLAN_DECODING,
    pictures: Sequence[Frame | None] = (),
) -> PlanAsk:
    """Asks for the step after those that are done; raises as `plan_ask` does.

    Args:
        goal: What shall be so.
        done: The steps that are done, oldest first.
        vocabulary: What steps there are.
        prompts: For the model's family.
        decoding: Held to the vocabulary, or free.
        pictures: What was seen when each of the last steps was reported done; None: nothing. Only the newest
            MOST_PICTURES are shown, and only by a set of prompts that shows steps.
    """
    parts = list(_parts(prompts.planning.next_step, goal_text(goal), vocabulary, prompts, done, pictures))
    now = parts.index(None) if None in parts else 0
    before, prompt = _joined(parts[:now]), "".join(part for part in parts[now:] if isinstance(part, str))
    if decoding == "free":
        return PlanAsk(prompt, None, FREE_STEP_TOKENS, before=before)
    grammar = step_grammar(vocabulary, prompts)
    return PlanAsk(prompt, grammar.text, grammar.max_new_tokens, before=before)


def _held(prompt: str, vocabulary: Vocabulary, prompts: Prompts, decoding: Decoding) -> PlanAsk:
    if decoding == "free":
        return PlanAsk(prompt, None, FREE_PLAN_TOKENS)
    grammar = whole_plan_grammar(vocabulary, prompts)
    return PlanAsk(prompt, grammar.text, grammar.max_new_tokens)


@lru_cache(maxsize=8)
def _grammar(vocabulary: Vocabulary, max_steps: int, endings: bool, instead: tuple[str, ...]) -> PlanGrammar:
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
    )


def whole_plan_grammar(vocabulary: Vocabulary, prompts: Prompts) -> PlanGrammar:
    """All plans of a vocabulary, and what the model says where it cannot tell; raises ValueError as `plan_grammar`."""
    return _grammar(vocabulary, vocabulary.max_steps, True, tuple(filter(None, (prompts.cannot_tell,))))


def step_grammar(vocabulary: Vocabulary, prompts: Prompts) -> PlanGrammar:
    """All single steps, and what the model says where the goal holds or it cannot tell; raises as `plan_grammar`."""
    return _grammar(vocabulary, 1, False, tuple(filter(None, (prompts.planning.done, prompts.cannot_tell))))


def _parts(
    template: str,
    goal: str,
    vocabulary: Vocabulary,
    prompts: Prompts,
    done: Sequence[Step] = (),
    pictures: Sequence[Frame | None] = (),
) -> Iterator[str | Frame | None]:
    """A template with its places filled, None where the pictures of now stand; braces in what is filled in are text."""
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
    """The steps that are done, as the set of prompts writes them."""
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
    """The same with neighbouring texts joined."""
    joined: list[str | Frame] = []
    for part in parts:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        elif part:
            joined.append(part)
    return tuple(joined)


def action_forms(vocabulary: Vocabulary, language: str = ENGLISH) -> str:
    """Every action with the types of its arguments, one a line, such as `PutObject <object> <receptacle>`.

    An action that has a name in the language stands there with it: `PutObject <object> <receptacle> (放到)`.
    """
    return "\n".join(
        _beside(
            " ".join((action.name, *(f"<{argument.type}>" for argument in action.arguments))),
            vocabulary.called(action.name, language),
        )
        for action in vocabulary.actions.values()
    )


def allowed_words(vocabulary: Vocabulary, prompts: Prompts) -> str:
    """The words of every type of argument, one type a line, each word with its name in the language of the prompts."""
    arguments = {one.type: one for action in vocabulary.actions.values() for one in action.arguments}
    between = prompts.planning.list_separator
    return "\n".join(
        f"<{name}>: "
        + between.join(_beside(word, vocabulary.called(word, prompts.language)) for word in vocabulary.choices(one))
        for name, one in arguments.items()
    )


def _beside(word: str, name: str | None) -> str:
    return word if name is None else f"{word} ({name})"
