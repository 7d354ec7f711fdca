"""How plans and next steps are asked for: the prompt, the grammar that holds the answer, the longest answer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from ..grammar import PlanGrammar, plan_grammar
from ..prompts import Prompts
from .plan import STEP_SEPARATOR, PlanError, Step, split_line
from .repair import repair_prompt
from .simulation import Validation
from .vocabulary import Vocabulary

Decoding = Literal["constrained", "free"]
LONGEST_GOAL = 500
FREE_PLAN_TOKENS, FREE_STEP_TOKENS = 512, 48
_PLACE = re.compile(r"\{\w+\}")


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
    """

    prompt: str
    grammar: str | None
    max_new_tokens: int
    choices: tuple[str, ...] | None = None


def goal_text(text: str) -> str:
    """A goal as prompts take it: one line, without the full stop at its end.

    Raises:
        GoalTextError: It is empty or too long.
    """
    goal = " ".join(text.split()).rstrip(". ")
    if not goal:
        raise GoalTextError("goal is empty: say what shall be so, such as 'put the mug on the desk'")
    if len(goal) > LONGEST_GOAL:
        raise GoalTextError(f"goal has {len(goal)} characters: allowed are {LONGEST_GOAL}")
    return goal


def reported_step(text: str, vocabulary: Vocabulary) -> Step:
    """A step that somebody says is done, in the form `PutObject mug desk`.

    Raises:
        GoalTextError: It is no step of the vocabulary.
    """
    try:
        steps = split_line(text.strip()).steps
    except PlanError:
        steps = ()
    if len(steps) != 1:
        raise GoalTextError(f"step is {text!r}: expected one action and its arguments, such as 'PickupObject mug'")
    fault = vocabulary.fault(steps[0])
    if fault is not None:
        raise GoalTextError(f"step is {text!r}: {fault.text}")
    return steps[0]


def plan_ask(goal: str, vocabulary: Vocabulary, prompts: Prompts, decoding: Decoding = "constrained") -> PlanAsk:
    """Asks for a whole plan.

    Raises:
        GoalTextError: The goal is empty or too long.
        ValueError: Words of the vocabulary and of the prompts clash.
    """
    return _held(
        _filled(prompts.planning.plan, goal_text(goal), (), vocabulary, prompts), vocabulary, prompts, decoding
    )


def repair_ask(
    goal: str, validation: Validation, vocabulary: Vocabulary, prompts: Prompts, decoding: Decoding = "constrained"
) -> PlanAsk:
    """Asks for a plan once more, with what is wrong with the first one; raises as `plan_ask` and `repair_prompt` do."""
    return _held(repair_prompt(goal_text(goal), validation, vocabulary), vocabulary, prompts, decoding)


def next_step_ask(
    goal: str, done: Sequence[Step], vocabulary: Vocabulary, prompts: Prompts, decoding: Decoding = "constrained"
) -> PlanAsk:
    """Asks for the step after those that are done; raises as `plan_ask` does."""
    prompt = _filled(prompts.planning.next_step, goal_text(goal), done, vocabulary, prompts)
    if decoding == "free":
        return PlanAsk(prompt, None, FREE_STEP_TOKENS)
    grammar = step_grammar(vocabulary, prompts)
    return PlanAsk(prompt, grammar.text, grammar.max_new_tokens)


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


def _filled(template: str, goal: str, done: Sequence[Step], vocabulary: Vocabulary, prompts: Prompts) -> str:
    """A template with its places filled; braces in what is filled in are text."""

    def fill(place: re.Match[str]) -> str:
        name = place.group()
        if name == "{goal}":
            return goal
        if name == "{steps}":
            return STEP_SEPARATOR.join(map(str, done)) or prompts.planning.no_steps
        if name == "{actions}":
            return action_forms(vocabulary)
        return allowed_words(vocabulary) if name == "{words}" else str(vocabulary.max_steps)

    return _PLACE.sub(fill, template)


def action_forms(vocabulary: Vocabulary) -> str:
    """Every action with the types of its arguments, one a line, such as `PutObject <object> <receptacle>`."""
    return "\n".join(
        " ".join((action.name, *(f"<{argument.type}>" for argument in action.arguments)))
        for action in vocabulary.actions.values()
    )


def allowed_words(vocabulary: Vocabulary) -> str:
    """The words of every type of argument, one type a line."""
    arguments = {one.type: one for action in vocabulary.actions.values() for one in action.arguments}
    return "\n".join(f"<{name}>: {', '.join(vocabulary.choices(one))}" for name, one in arguments.items())
