"""A finding about a plan: a violation or a warning."""

from __future__ import annotations

from dataclasses import dataclass

from ..questions.finding_codes import Reason

__all__ = ["Finding", "Reason"]


@dataclass(frozen=True)
class Finding:
    """One violation of a plan, or one warning about it.

    Attributes:
        reason: Code of the finding.
        text: The fault, the wrong value, and what was expected.
        step: Number of the step, from 1; None if the finding concerns the whole plan or its goal.
        warning: Whether this is a warning: the plan is unusual, but can be used. Otherwise it is a violation.
    """

    reason: Reason
    text: str
    step: int | None = None
    warning: bool = False

    def __str__(self) -> str:
        return self.text if self.step is None else f"step {self.step}: {self.text}"
