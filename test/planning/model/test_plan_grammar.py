"""The grammar's text: what it says, how long its texts can become, and what is refused."""

from __future__ import annotations

import itertools
import json
import re

import pytest

from llava_ov_ros.planning.model.plan_grammar import plan_grammar
from llava_ov_ros.planning.plan_steps import Step

ACTIONS = {"Go": [["desk", "fridge"]], "Put": [["mug", "Ei"], ["desk", "Küche"]], "Wait": []}


def every_step(actions: dict) -> list[str]:
    return [" ".join([name, *words]) for name, of in actions.items() for words in itertools.product(*of)]


def every_plan(max_steps: int, separator: str, endings: dict) -> list[str]:
    steps = every_step(ACTIONS)
    plans = [
        separator.join(plan) for count in range(1, max_steps + 1) for plan in itertools.product(steps, repeat=count)
    ]
    return plans + [separator.join([plan, ending]) for plan in plans for ending in every_step(endings)]


def test_the_text() -> None:
    grammar = plan_grammar(ACTIONS, max_steps=16, endings={"NoOp": []}, instead=("cannot tell", "DONE"))
    assert grammar.text.splitlines() == [
        'start: STEP ("; " STEP){0,15} ("; " ENDING)? | "cannot tell" | "DONE"',
        "STEP: (ACTION_0 | ACTION_1 | ACTION_2)",
        'ACTION_0: "Go" " " ("desk" | "fridge")',
        'ACTION_1: "Put" " " ("mug" | "Ei") " " ("desk" | "Küche")',
        'ACTION_2: "Wait"',
        "ENDING: (END_0)",
        'END_0: "NoOp"',
    ]


def test_quotes_and_backslashes_stay_text() -> None:
    text = plan_grammar({'Say"': [["a\\b", "/x/i"]]}, max_steps=1).text
    assert r'ACTION_0: "Say\"" " " ("a\\b" | "/x/i")' in text


@pytest.mark.parametrize("max_steps", [1, 2, 3])
@pytest.mark.parametrize("separator", ["; ", " -> "])
@pytest.mark.parametrize("endings", [{}, {"NoOp": []}, {"NoOp": [], "Report": [["me", "thé"]]}])
def test_the_bound_is_the_longest_text(max_steps: int, separator: str, endings: dict) -> None:
    grammar = plan_grammar(ACTIONS, max_steps=max_steps, separator=separator, endings=endings, instead=("no",))
    longest = max(len(plan.encode()) for plan in every_plan(max_steps, separator, endings))
    assert grammar.longest_bytes == longest
    assert grammar.max_new_tokens == longest + 1


def test_a_text_in_place_of_a_plan_can_be_the_longest() -> None:
    assert plan_grammar({"Go": []}, max_steps=2, instead=("I cannot tell",)).longest_bytes == 13


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"actions": {}}, "there are no actions"),
        ({"max_steps": 0}, "max_steps is 0"),
        ({"separator": " "}, "separator is ' '"),
        ({"separator": "\n;"}, "separator is"),
        ({"actions": {"Go": [[]]}}, "argument 1 of Go: there is no word to choose from"),
        ({"actions": {"Go": [["a"], ["b", ""]]}}, "argument 2 of Go: '' must be one word"),
        ({"actions": {"Go": [["coffee table"]]}}, "argument 1 of Go: 'coffee table' must be one word"),
        ({"actions": {"Go": [["a", "b", "a"]]}}, "argument 1 of Go: 'a' is there twice"),
        ({"actions": {"Go": [["a;b"]]}}, "argument 1 of Go: 'a;b' must not hold ';'"),
        ({"actions": {"Go on": []}}, "actions: 'Go on' must be one word"),
        ({"actions": {"Go\x00": []}}, "must be one word"),
        ({"endings": {"No Op": []}}, "actions: 'No Op' must be one word"),
        ({"endings": {"Wait": []}}, "actions: 'Wait' is there twice"),
        ({"instead": ("",)}, "instead: '' must be a text of one line"),
        ({"instead": ("a\nb",)}, "must be a text of one line"),
        ({"instead": ("no", "no")}, "instead: 'no' is there twice"),
        ({"instead": ("Wait",)}, "instead: 'Wait' is there twice, or is a step too"),
    ],
)
def test_what_could_not_be_read_again_is_refused(changed: dict, message: str) -> None:
    arguments = {"actions": ACTIONS, "max_steps": 3, **changed}
    with pytest.raises(ValueError, match=message):
        plan_grammar(arguments.pop("actions"), **arguments)


def test_excluded_steps_are_no_text_of_the_grammar_and_all_others_are() -> None:
    steps = every_step(ACTIONS)
    for count in range(len(steps)):
        for left_out in itertools.combinations(steps, count):
            excluded = [Step(name, tuple(words)) for name, *words in map(str.split, left_out)]
            text = plan_grammar(ACTIONS, max_steps=1, excluded=excluded).text
            accepted = [step for step in steps if re.fullmatch(as_pattern(text), step)]
            assert accepted == [step for step in steps if step not in left_out]
    with pytest.raises(ValueError, match="every step is excluded"):
        plan_grammar(ACTIONS, max_steps=1, excluded=[Step(n, tuple(w)) for n, *w in map(str.split, steps)])


def as_pattern(grammar: str) -> str:
    """A grammar of single steps as a regular expression: its rules put into each other, its literals unquoted."""
    rules = dict(line.split(": ", 1) for line in grammar.splitlines())

    def expanded(rule: str) -> str:
        parts = re.findall(r'"(?:[^"\\]|\\.)*"|\w+|[()|]', rule)
        return "".join(
            re.escape(json.loads(part)) if part[0] == '"' else f"(?:{expanded(rules[part])})" if part in rules else part
            for part in parts
        )

    return expanded(rules["start"])
