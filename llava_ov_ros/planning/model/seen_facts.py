"""Asks a model what a clip shows, as facts about the start: what is there, where it is, what is in the hand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...no_op import no_op
from ...questions.kinds import SceneQuestion, Shaped, read_answer, shape
from ...questions.prompts import ENGLISH, LISTED, Kind, Prompts, filled
from ..vocabulary import Vocabulary
from .attempts import presence_question, spoken_name
from .plan_prompt import PlanAsk

if TYPE_CHECKING:
    from ...onevision import Generated

Answering = Callable[[Sequence[PlanAsk], Callable[[str], None]], "Sequence[Generated]"]
"""Asks a model questions about one clip, as `Answers` of attempts.py."""
THERE, AT, IN_HAND = "there", "at", "in_hand"
MOST_LISTED = 12
"""Places that a question offers where choices are listed by letters, of which there are 26: each is in or on."""


@dataclass(frozen=True)
class SeenFact:
    """One fact about a clip.

    Attributes:
        kind: `there`: a thing of the class is there. `at`: the thing is in or on a place. `in_hand`.
        thing: Class of the thing.
        place: Class of the place, for `at`.
        probability: What the model gives the fact, among all answers that were compared.
    """

    kind: str
    thing: str
    place: str = ""
    probability: float = 0.0


def seen_facts(
    things: Sequence[str],
    places: Sequence[str],
    vocabulary: Vocabulary,
    prompts: Prompts,
    answers: Answering,
    threshold: float,
) -> tuple[SeenFact, ...]:
    """Ask which of the things are there, and where these are.

    Args:
        things: Classes of things.
        places: Classes of places where they may be. If the set of prompts lists choices by letters, these are first
            asked for, and the MOST_LISTED most probable ones are offered.
        vocabulary: Their vocabulary.
        prompts: Set of prompts for the model's family.
        answers: Asks the model, always about the same clip.
        threshold: A thing is asked for if it is there with at least this probability.
    """
    there = _presence(things, vocabulary, prompts, answers)
    facts = [SeenFact(THERE, kind, probability=probability) for kind, probability in there.items()]
    listed = LISTED in prompts.add.get(Kind.CHOICE, "")
    if listed:
        shown = _presence(places, vocabulary, prompts, answers)
        places = sorted(places, key=lambda kind: -shown[kind])[:MOST_LISTED]
    offered: dict[str, tuple[str, str]] = {prompts.planning.in_hand: (IN_HAND, "")}
    for place in places:
        # A model may know a dining table by one word; where letters list the choices, there is no room for both.
        spoken = (spoken_name(place, vocabulary, prompts),)
        for name in spoken if listed or prompts.language != ENGLISH else dict.fromkeys((*spoken, place)):
            said = f"the {name}" if prompts.language == ENGLISH else name
            for form in (prompts.planning.in_place, prompts.planning.on_place):
                offered[filled(form, {"{place}": said})] = (AT, place)
    asked = [kind for kind, probability in there.items() if probability >= threshold]
    questions = [_where_question(thing, tuple(offered), vocabulary, prompts) for thing in asked]
    for thing, shaped, generated in zip(asked, questions, _answered(questions, answers), strict=True):
        found: dict[tuple[str, str], float] = defaultdict(float)
        for said, (kind, place) in offered.items():
            found[kind, place] += _probability(shaped, generated, said)
        facts += [SeenFact(kind, thing, place, probability) for (kind, place), probability in found.items()]
    return tuple(facts)


def _presence(classes: Sequence[str], vocabulary: Vocabulary, prompts: Prompts, answers: Answering) -> dict[str, float]:
    """The probability that a thing of each class is there."""
    asked = [presence_question(kind, vocabulary, prompts) for kind in classes]
    return {
        kind: _probability(shaped, generated, prompts.yes_no[0])
        for kind, shaped, generated in zip(classes, asked, _answered(asked, answers), strict=True)
    }


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
