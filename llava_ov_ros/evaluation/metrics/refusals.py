"""How many questions were refused, and how many of those for their pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...questions import Status

# Where the pictures, not the answerer, are the reason that there is no answer.
STALE = (Status.STALE, Status.FROZEN)


@dataclass(frozen=True)
class Refusals:
    """How questions ended.

    Attributes:
        n: Questions.
        stale: Share whose pictures were too old or frozen.
        refused: Share without an answer, for whatever reason; the stale ones are some of them.
    """

    n: int
    stale: float
    refused: float


def refusals(statuses: Sequence[Status]) -> Refusals | None:
    """Shares of questions that were not answered; None of no questions."""
    if not statuses:
        return None
    stale = sum(status in STALE for status in statuses)
    refused = sum(status != Status.OK for status in statuses)
    return Refusals(len(statuses), stale / len(statuses), refused / len(statuses))
