"""Reads a goal in a person's words as conditions: `heat the mug and put it on the desk`.

The sentence is read as steps, with the vocabulary's phrases, and the effects of the steps are the conditions: what
holds after `PutObject mug desk` is what "put the mug on the desk" asks for. Nothing is guessed: where a part is not
read, or a pronoun can stand for several things, the whole goal is not read.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache

from ...questions.chinese import together
from ..plan_steps import Step
from ..validate.goal import Goal, GoalError
from ..vocabulary import Vocabulary
from .clauses import Obstacle, patterns_of, read_statement
from .goal_line import MOST_COUNT, GoalCondition, goal_of, is_goal_line, parse_goal_line
from .matching import ends_at, indexed
from .spelling import folded, spaced

LONGEST_GOAL_SENTENCE = 500
_CLAUSES = re.compile(r"(\s*,\s*(?:and\s+)?(?:then\s+)?|\s+(?:and\s+then|and|then)\s+)")
_PRONOUNS = {"it", "them"}
_PAIRS = {"two", "both", "2"}
# Plurals of English nouns, from the longest ending.
_PLURALS = (("ves", "fe"), ("ves", "f"), ("ies", "y"), ("es", ""), ("s", ""))


def read_goal(text: str, vocabulary: Vocabulary) -> Goal:
    """Read a typed goal, or a goal in a person's words.

    Args:
        text: `in(mug, desk)` or `put the mug on the desk`.
        vocabulary: Vocabulary with the classes, the actions and goals, and their phrases.

    Raises:
        GoalError: The goal was not read; the message says why.
    """
    if is_goal_line(text):
        return parse_goal_line(text, vocabulary)
    if len(text) > LONGEST_GOAL_SENTENCE:
        raise GoalError(f"it has {len(text)} characters, and no more than {LONGEST_GOAL_SENTENCE} are read")
    sentence = folded(text).strip().rstrip(".!")
    sentence, count = _in_singular(sentence, vocabulary)
    sentence = _without_pronouns(sentence, vocabulary)
    steps = read_statement(patterns_of(with_goals(vocabulary)), sentence)
    if isinstance(steps, Obstacle):
        raise GoalError(steps.detail)
    conditions = _conditions(steps, with_goals(vocabulary), count)
    conditions += [GoalCondition("is", one) for one in _described(sentence, vocabulary)]
    if not conditions:
        raise GoalError("it names no state that lasts")
    return goal_of(conditions)


@lru_cache(maxsize=8)
def with_goals(vocabulary: Vocabulary) -> Vocabulary:
    """The vocabulary with the goals that people name as further actions, which only this module reads."""
    return replace(vocabulary, actions={**vocabulary.actions, **vocabulary.goals})


def _conditions(steps: tuple[Step, ...], vocabulary: Vocabulary, count: int) -> list[GoalCondition]:
    """What holds after the steps, in any of their conditions' worlds: the last place of each thing, and its states."""
    places: dict[str, GoalCondition] = {}
    states: dict[tuple[str, str], bool] = {}
    for step in steps:
        fault = vocabulary.fault(step)
        if fault is not None:
            raise GoalError(fault.text)
        action = vocabulary.actions[step.action]
        named = dict(zip((one.name for one in action.arguments), step.arguments, strict=True))
        for effect in action.effects:
            names = tuple(named.get(name, name) for name in effect.names)
            if effect.kind == "put":
                places[names[0]] = GoalCondition("in", names, count)
            elif effect.kind == "pick_up":
                places[names[0]] = GoalCondition("holding", names)
            elif effect.kind in ("set", "flip"):
                states[names[0], names[1]] = True
            elif effect.kind == "clear":
                states.pop((names[0], names[1]), None)
    return [*places.values(), *(GoalCondition("is", one) for one in states)]


def _in_singular(sentence: str, vocabulary: Vocabulary) -> tuple[str, int]:
    """The sentence with `two mugs` or `both mugs` as `mug`, and the number of things."""
    names = patterns_of(vocabulary).names
    words = sentence.split()
    for start, word in enumerate(words):
        if word not in _PAIRS:
            continue
        for place in range(start + 1, min(start + 4, len(words))):
            for ending, singular in _PLURALS:
                noun = words[place].removesuffix(ending) + singular
                if words[place].endswith(ending) and any(names.names_at((noun,), 0)):
                    return " ".join((*words[:start], *words[start + 1 : place], noun, *words[place + 1 :])), MOST_COUNT
    return sentence, 1


def _without_pronouns(sentence: str, vocabulary: Vocabulary) -> str:
    """The sentence with the thing for which a pronoun stands: the only one that the clauses before it name.

    Raises:
        GoalError: There is no such thing, or there are several.
    """
    parts = _CLAUSES.split(sentence)
    named: list[str] = []
    for index in range(0, len(parts), 2):
        words = parts[index].split()
        if _PRONOUNS & set(words):
            if len(set(named)) != 1:
                told = " and ".join(dict.fromkeys(named)) or "nothing"
                raise GoalError(f"{together(parts[index])!r}: it is not clear what the pronoun stands for ({told})")
            parts[index] = " ".join(named[0] if word in _PRONOUNS else word for word in words)
        else:
            named += [name for name in _nouns(parts[index], vocabulary) if _is_movable(name, vocabulary)]
    return "".join(parts)


def _nouns(clause: str, vocabulary: Vocabulary) -> list[str]:
    names, words = patterns_of(vocabulary).names, tuple(spaced(clause).split())
    found, start = [], 0
    while start < len(words):
        name, end = next(names.names_at(words, start), ("", start + 1))
        found += [name] if name else []
        start = end
    return found


def _is_movable(name: str, vocabulary: Vocabulary) -> bool:
    return bool(set(patterns_of(vocabulary).names.meant[name]) & vocabulary.movable())


def _described(sentence: str, vocabulary: Vocabulary) -> list[tuple[str, str]]:
    """States that words before a thing ask for, such as `the clean mug` or `a slice of the apple`."""
    said = vocabulary.language.states
    phrases = {tuple(words.split()): state for state, some in said.items() for words in some}
    index, names = indexed(phrases), patterns_of(vocabulary).names
    found = []
    for clause in _CLAUSES.split(sentence)[::2]:
        words = tuple(spaced(clause).split())
        # The first word of a clause is its verb.
        for start in range(1, len(words)):
            for end in ends_at(index, words, start):
                after = end + (words[end - 1] == "of" and words[end : end + 1] in (("the",), ("a",), ("an",)))
                for name, _ in names.described_at(words, after):
                    meant = names.meant[name]
                    if len(meant) == 1:
                        found.append((meant[0], phrases[words[start:end]]))
                        break
    return found
