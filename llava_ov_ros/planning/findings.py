"""A finding: one thing that is wrong, or unusual, with a plan."""

from __future__ import annotations

from dataclasses import dataclass

from ..questions.finding_codes import Reason

__all__ = ["Finding", "Reason"]


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
