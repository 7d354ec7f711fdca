"""Codes of all findings about plans; a set of prompts may hold a text for each code."""

from __future__ import annotations

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
    JUST_FAILED = "just_failed"
    # The goal.
    GOAL_PLACE = "goal_place"
    GOAL_CARRIER = "goal_carrier"
    GOAL_COUNT = "goal_count"
    GOAL_STATE = "goal_state"
    GOAL_HOLDING = "goal_holding"
    GOAL_ASSUMED = "goal_assumed"
