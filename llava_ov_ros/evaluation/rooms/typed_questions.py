"""Questions about rooms whose possible answers are known, as questions of a kind that a model can decide."""

from __future__ import annotations

import re

from ...questions.kinds import SceneQuestion
from ...questions.prompts import Kind
from ...rooms.room_questions import OPPOSITE, Question
from ...rooms.world import COLOURS

# How such questions begin (questions.py has them all): their kind, and what there is to choose from.
_FORMS: tuple[tuple[re.Pattern[str], Kind, tuple[str, ...]], ...] = (
    (re.compile(r"How many "), Kind.COUNT, ()),
    (re.compile(r"What (is the )?colou?r "), Kind.CHOICE, tuple(COLOURS)),
    (re.compile(r"Is the .* left or right of "), Kind.CHOICE, ("left", "right")),
    (re.compile(r"Which way did "), Kind.CHOICE, tuple(OPPOSITE)),
    (re.compile(r"(Is there|Do you see) an? |Is anything different|Did "), Kind.YES_NO, ()),
)


def scene_question(question: Question) -> SceneQuestion | None:
    """The same question with its kind of answer; None where what it can be answered with is not known."""
    for form, kind, choices in _FORMS:
        if form.match(question.text):
            return SceneQuestion(kind, question.text, choices)
    return None
