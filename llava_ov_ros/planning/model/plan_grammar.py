"""The grammar of a vocabulary's plans for constrained decoding, and the length of the longest plan."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ...bounds import cited
from ..plan_steps import Step

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True)
class PlanGrammar:
    """A grammar whose texts are plans.

    Attributes:
        text: The grammar in Lark's syntax, for `Ask.grammar`.
        longest_bytes: Bytes of the longest plan in UTF-8.
    """

    text: str
    longest_bytes: int

    @property
    def max_new_tokens(self) -> int:
        """Number of tokens with which no plan is cut off: every token but the end token has at least one byte."""
        return self.longest_bytes + 1


StepArguments = Mapping[str, Sequence[Sequence[str]]]
"""Actions by name; for each action a sequence of its arguments, each with its allowed words."""


def plan_grammar(
    actions: StepArguments,
    *,
    max_steps: int,
    separator: str = "; ",
    endings: StepArguments | None = None,
    instead: Sequence[str] = (),
    excluded: Collection[Step] = (),
) -> PlanGrammar:
    """Build the grammar of plans such as `GotoLocation desk; PickupObject mug`.

    A plan has 1 to `max_steps` steps; a step is an action followed by its arguments, with one blank before each.

    Args:
        actions: The actions and their arguments.
        max_steps: Most steps of a plan, not counting an ending.
        separator: Text between two steps.
        endings: Actions of which one may end a plan; they are allowed nowhere else.
        instead: Texts that are allowed in place of a plan, such as `DONE` or `cannot tell`.
        excluded: Steps that no plan may have.

    Raises:
        ValueError: Plans could not be read back (a word is empty, occurs twice, or contains a blank or the separator),
            or there is no action or no word for an argument.
    """
    endings = endings or {}
    if not actions:
        raise ValueError("there are no actions: a plan needs at least one")
    if max_steps < 1:
        raise ValueError(f"max_steps is {max_steps}: a plan has at least one step")
    if not separator.strip() or _CONTROL.search(separator):
        raise ValueError(f"separator is {separator!r}: it needs a mark that parts steps, on one line")
    _check_words("actions", [*actions, *endings], separator)
    for name, arguments in (*actions.items(), *endings.items()):
        for number, words in enumerate(arguments, 1):
            _check_words(f"argument {number} of {name}", words, separator)
    _check_texts(instead, {*actions, *endings})

    between = _quoted(separator)
    # llguidance refuses the repetition {0,0}.
    plan = "STEP" if max_steps == 1 else f"STEP ({between} STEP){{0,{max_steps - 1}}}"
    rules = _rules("STEP", "ACTION", actions, excluded)
    longest = max_steps * _longest(actions) + (max_steps - 1) * _size(separator)
    if endings:
        plan += f" ({between} ENDING)?"
        rules += _rules("ENDING", "END", endings)
        longest += _size(separator) + _longest(endings)
    start = " | ".join([plan, *map(_quoted, instead)])
    return PlanGrammar("\n".join([f"start: {start}", *rules, ""]), max([longest, *map(_size, instead)]))


def _rules(name: str, each: str, steps: StepArguments, excluded: Collection[Step] = ()) -> list[str]:
    """Rules of the grammar: one terminal for each action with its arguments, and `name` for any of them."""
    rules, names = [], []
    for number, (action, arguments) in enumerate(steps.items()):
        without = {step.arguments for step in excluded if step.action == action}
        ways = _ways(arguments, without)
        if ways:
            names.append(f"{each}_{number}")
            rules.append(f"{names[-1]}: {_quoted(action)}{ways[0] if len(ways) == 1 else f' {_one_of(ways)}'}")
    if not names:
        raise ValueError("every step is excluded: a plan needs at least one")
    return [f"{name}: {_one_of(names)}", *rules]


def _ways(arguments: Sequence[Sequence[str]], excluded: Collection[tuple[str, ...]]) -> list[str]:
    """The arguments of an action that are not excluded, as alternatives of the grammar; one that is empty stands alone.

    Args:
        arguments: The words of each argument.
        excluded: Combinations of arguments, each of as many words as there are arguments.
    """
    if not excluded:
        return ["".join(f' " " {_one_of(map(_quoted, words))}' for words in arguments)]
    if not arguments:
        return []
    heads = [word for word in arguments[0] if any(one[0] == word for one in excluded)]
    others = [word for word in arguments[0] if word not in heads]
    ways = _ways([others, *arguments[1:]], ()) if others else []
    for head in heads:
        rest = _ways(arguments[1:], {one[1:] for one in excluded if one[0] == head})
        ways += [f' " " {_quoted(head)}{way}' for way in rest]
    return ways


def _longest(steps: StepArguments) -> int:
    """Bytes of the longest step in UTF-8."""
    return max(
        _size(action) + sum(1 + max(map(_size, words)) for words in arguments) for action, arguments in steps.items()
    )


def _check_words(what: str, words: Sequence[str], separator: str) -> None:
    if not words:
        raise ValueError(f"{what}: there is no word to choose from")
    for number, word in enumerate(words):
        if not word or any(letter.isspace() for letter in word) or _CONTROL.search(word):
            raise ValueError(f"{what}: {cited(word)} must be one word, without a blank")
        if separator.strip() in word:
            raise ValueError(f"{what}: {cited(word)} must not hold {separator.strip()!r}, which parts steps")
        if word in words[:number]:
            raise ValueError(f"{what}: {cited(word)} is there twice")


def _check_texts(texts: Sequence[str], steps: set[str]) -> None:
    for number, text in enumerate(texts):
        if not text.strip() or _CONTROL.search(text):
            raise ValueError(f"instead: {cited(text)} must be a text of one line")
        if text in texts[:number] or text in steps:
            raise ValueError(f"instead: {cited(text)} is there twice, or is a step too")


def _one_of(alternatives: Iterable[str]) -> str:
    return f"({' | '.join(alternatives)})"


def _quoted(text: str) -> str:
    """A text as a string literal of the grammar, whose escapes are those of JSON."""
    return json.dumps(text, ensure_ascii=False)


def _size(text: str) -> int:
    return len(text.encode())
