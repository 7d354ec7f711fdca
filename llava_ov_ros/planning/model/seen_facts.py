"""Asks a model what a clip shows, as facts about the start: what is there, where it is, what is in the hand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...no_op import no_op
from ...questions.kinds import SceneQuestion, Shaped, read_answer, shape
from ...questions.prompts import ENGLISH, Kind, Prompts, filled
from ..vocabulary import Vocabulary
from .attempts import presence_question, spoken_name
from .plan_prompt import PlanAsk

if TYPE_CHECKING:
    from ...onevision import Generated

Answering = Callable[[Sequence[PlanAsk], Callable[[str], None]], "Sequence[Generated]"]
"""Asks a model questions about one clip, as `Answers` of attempts.py."""
THERE, AT, IN_HAND = "there", "at", "in_hand"
MOST_PLACES = 12
"""Places that a question where a thing is offers: prompts that list choices by letters have 26 of them."""


@dataclass(frozen=True)
class SeenFact:
    """One fact about a clip.

    Attributes:
        kind: `there`: a thing or place of the class is there. `at`: the thing is in or on a place. `in_hand`.
        thing: Class of the thing.
        place: Class of the place, for `at`.
        probability: What the model gives the fact, among all answers that were compared.
    """

    kind: str
    thing: str
    place: str = ""
    probability: float = 0.0


def seen_facts(
    classes: Sequence[str], vocabulary: Vocabulary, prompts: Prompts, answers: Answering, threshold: float
) -> tuple[SeenFact, ...]:
    """Ask which of the classes are there, and where those are that can be carried.

    Args:
        classes: Classes of things and places.
        vocabulary: Their vocabulary.
        prompts: Set of prompts for the model's family.
        answers: Asks the model, always about the same clip.
        threshold: A thing is asked for, and a place offered, if it is there with at least this probability.
    """
    asked = [presence_question(kind, vocabulary, prompts) for kind in classes]
    facts = [
        SeenFact(THERE, kind, probability=_probability(shaped, generated, prompts.yes_no[0]))
        for kind, shaped, generated in zip(classes, asked, _answered(asked, answers), strict=True)
    ]
    there = {fact.thing: fact.probability for fact in facts if fact.probability >= threshold}
    movable = vocabulary.movable()
    things = [kind for kind in there if kind in movable]
    places = sorted((kind for kind in there if kind not in movable), key=lambda kind: -there[kind])[:MOST_PLACES]
    offered: dict[str, tuple[str, str]] = {prompts.planning.in_hand: (IN_HAND, "")}
    for place in places:
        name = spoken_name(place, vocabulary, prompts)
        name = f"the {name}" if prompts.language == ENGLISH else name
        for form in (prompts.planning.in_place, prompts.planning.on_place):
            offered[filled(form, {"{place}": name})] = (AT, place)
    questions = [_where_question(thing, tuple(offered), vocabulary, prompts) for thing in things]
    for thing, shaped, generated in zip(things, questions, _answered(questions, answers), strict=True):
        found: dict[tuple[str, str], float] = defaultdict(float)
        for said, (kind, place) in offered.items():
            found[kind, place] += _probability(shaped, generated, said)
        facts += [SeenFact(kind, thing, place, probability) for (kind, place), probability in found.items()]
    return tuple(facts)


def _where_question(thing: str, choices: tuple[str, ...], vocabulary: Vocabulary, prompts: Prompts) -> Shaped:
    name = spoken_name(thing, vocabulary, prompts)
    name = f"the {name}" if prompts.language == ENGLISH else name
    text = filled(prompts.planning.where, {"{thing}": name})
    return shape(SceneQuestion(Kind.CHOICE, text, choices), prompts)


def _answered(questions: Sequence[Shaped], answers: Answering) -> Sequence[Generated]:
    asks = [PlanAsk(one.prompt, None, one.max_new_tokens, one.choices) for one in questions]
    return answers(asks, no_op) if asks else ()


def _probability(shaped: Shaped, generated: Generated, label: str) -> float:
    """The probability of an answer among those that were compared."""
    return (read_answer(shaped, generated).probabilities or {}).get(label, 0.0)
