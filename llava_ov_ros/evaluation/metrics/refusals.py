"""Shares of questions without an answer, and of questions whose pictures were stale or frozen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...questions import Status

# Statuses that blame the pictures, not the model, for the missing answer.
STALE = (Status.STALE, Status.FROZEN)


@dataclass(frozen=True)
class Refusals:
    """How some questions ended.

    Attributes:
        n: Number of questions.
        stale: Share of questions whose pictures were too old or frozen, 0 to 1.
        refused: Share of questions without an answer for any reason, 0 to 1; includes the stale ones.
    """

    n: int
    stale: float
    refused: float


def refusals(statuses: Sequence[Status]) -> Refusals | None:
    """Count the refused questions among these statuses; None without questions."""
    if not statuses:
        return None
    stale = sum(status in STALE for status in statuses)
    refused = sum(status != Status.OK for status in statuses)
    return Refusals(len(statuses), stale / len(statuses), refused / len(statuses))
