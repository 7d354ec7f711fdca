"""Converts questions about rooms to questions of a kind, if their possible answers are known."""

from __future__ import annotations

import re

from ...questions.kinds import SceneQuestion
from ...questions.prompts import Kind
from ...rooms.room_questions import OPPOSITE, Question
from ...rooms.world import COLOURS

# The beginnings of such questions (room_questions.py has all questions), with kind and choices.
_FORMS: tuple[tuple[re.Pattern[str], Kind, tuple[str, ...]], ...] = (
    (re.compile(r"How many "), Kind.COUNT, ()),
    (re.compile(r"What (is the )?colou?r "), Kind.CHOICE, tuple(COLOURS)),
    (re.compile(r"Is the .* left or right of "), Kind.CHOICE, ("left", "right")),
    (re.compile(r"Which way did "), Kind.CHOICE, tuple(OPPOSITE)),
    (re.compile(r"(Is there|Do you see) an? |Is anything different|Did "), Kind.YES_NO, ()),
)


def scene_question(question: Question) -> SceneQuestion | None:
    """The question as a question of a kind; None if its possible answers are not known."""
    for form, kind, choices in _FORMS:
        if form.match(question.text):
            return SceneQuestion(kind, question.text, choices)
    return None
