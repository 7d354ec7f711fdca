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
    # A plan with a certificate: why there is none.
    GOAL_UNREAD = "goal_unread"
    JUDGES_DISAGREE = "judges_disagree"
    NOT_DECIDED = "not_decided"
    NO_PLAN = "no_plan"
    ABSENT = "absent"
    TOO_FEW = "too_few"
    STAYS_HELD = "stays_held"
    TOO_FEW_HANDS = "too_few_hands"
    CANNOT_GO = "cannot_go"
    CANNOT_HOLD = "cannot_hold"
    CANNOT_PUT = "cannot_put"
    CANNOT_BE = "cannot_be"


NOT_GIVEN_BACK = tuple(Reason)[tuple(Reason).index(Reason.GOAL_UNREAD) :]
"""Codes of what is found when a model has had its repairs."""
