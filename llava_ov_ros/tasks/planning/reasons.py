"""What can be wrong with a plan, as stable codes with texts for people and models."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Stable code of a finding; docs/planning.md explains each."""

    # The plan itself.
    EMPTY_PLAN = "empty_plan"
    TOO_LONG = "too_long"
    AFTER_END = "after_end"
    # A step by itself.
    UNKNOWN_ACTION = "unknown_action"
    MISSING_ARGUMENT = "missing_argument"
    TOO_MANY_ARGUMENTS = "too_many_arguments"
    UNKNOWN_CLASS = "unknown_class"
    WRONG_CLASS = "wrong_class"
    # A step where it stands in the plan.
    HAND_FULL = "hand_full"
    NOT_HOLDING = "not_holding"
    WRONG_PLACE = "wrong_place"
    NO_PLACE = "no_place"
    WRONG_STATE = "wrong_state"
    NOT_SEEN = "not_seen"
    # The goal.
    GOAL_PLACE = "goal_place"
    GOAL_CARRIER = "goal_carrier"
    GOAL_COUNT = "goal_count"
    GOAL_STATE = "goal_state"
    GOAL_HOLDING = "goal_holding"
    GOAL_ASSUMED = "goal_assumed"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or unusual, with a plan.

    Attributes:
        reason: The code.
        text: What, with which value, and what would be right.
        step: Number of the step, from 1; None: the plan as a whole, or its goal.
        warning: It does not make the plan unusable.
    """

    reason: Reason
    text: str
    step: int | None = None
    warning: bool = False

    def __str__(self) -> str:
        return self.text if self.step is None else f"step {self.step}: {self.text}"
