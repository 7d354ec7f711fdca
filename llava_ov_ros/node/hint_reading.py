"""Reads the model's answer as a hint; with certified decoding, says whether a planner must give the hint instead."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from ..planning import (
    Goal,
    NextStep,
    certified_hint,
    decoding_named,
    goal_conditions_of,
    needs_planner,
    read_next_step,
)
from ..questions import Result, Status
from ..settings import Settings
from ..settings.allowed_values import CERTIFIED
from .hint_turn import GoalTurn
from .words import Words


@dataclass(frozen=True)
class HintReading:
    """What an answer of the model says.

    Attributes:
        step: The step; None: the model gave no answer.
        goal: The goal's conditions; None: hints are not certified, or the goal was not read as conditions.
        needs_planner: Whether a planner is to be asked before the answer can be the hint.
    """

    step: NextStep | None
    goal: Goal | None = None
    needs_planner: bool = False


def read_hint(turn: GoalTurn, settings: Settings, words: Words, result: Result) -> HintReading:
    """Read the end of a query for the next step."""
    if result.status is not Status.OK or result.generated is None:
        return HintReading(None)
    decoding = decoding_named(settings.plan_decoding)
    step = read_next_step(
        result.generated, turn.situation, words.vocabulary, words.prompts, decoding, settings.hint_confidence
    )
    if decoding != CERTIFIED:
        return HintReading(step)
    goal, unread = goal_conditions_of(turn.goal, words.vocabulary)
    if goal is None:
        return HintReading(replace(step, unread=(*step.unread, *(finding.text for finding in unread))))
    return HintReading(step, goal, needs_planner(step, goal, turn.situation, words.vocabulary))


def certified(
    reading: HintReading,
    turn: GoalTurn,
    settings: Settings,
    words: Words,
    result: Result,
    should_stop: Callable[[], bool],
) -> NextStep | None:
    """Return the hint of a reading; where that is needed a planner is asked, within the request's deadline.

    Args:
        reading: What the model's answer says.
        turn: What the hint is about.
        settings: The parameters.
        words: The prompts and the vocabulary.
        result: The end of the query.
        should_stop: Returns whether nobody wants the hint any more.
    """
    if reading.step is None or reading.goal is None or not reading.needs_planner:
        return reading.step
    left_s = min(settings.plan_search_s, max(0.0, settings.deadline_s - result.total_s))
    return certified_hint(
        reading.step, reading.goal, turn.situation, words.vocabulary, time.monotonic() + left_s, should_stop
    )
