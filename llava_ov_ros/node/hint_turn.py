"""The goal that hints are about, and what was reported of its steps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from ..frames import Frame
from ..planning import MOST_PICTURES, GoalTextError, Report, Situation, Step, StepOutcome, Vocabulary

MOST_DONE = 100


@dataclass(frozen=True, eq=False)
class GoalTurn:
    """What a hint is about. Setting a goal and each report begin a new turn.

    Attributes:
        goal: State that the steps shall reach, in words.
        number: Number of the turn: counts up while the node runs, from 1; 0 where a client asks on its own.
        plan_id: Name of the plan that is followed; empty without.
        situation: What is known from the reports of the steps.
        pictures: Frame of the first camera when each of the newest steps was reported done, None if there was no usable
            frame; MOST_PICTURES at most.
    """

    goal: str
    number: int = 0
    plan_id: str = ""
    situation: Situation = field(default_factory=Situation)
    pictures: tuple[Frame | None, ...] = ()

    def after(self, report: Report, vocabulary: Vocabulary) -> tuple[GoalTurn, tuple[str, ...]]:
        """Return the turn that a report begins, with the number of this one, and what the report has refuted.

        Raises:
            GoalTextError: Too many steps are reported.
        """
        known = self.situation
        if len(known.failed if report.outcome is StepOutcome.FAILED else known.done) >= MOST_DONE:
            raise GoalTextError(f"{MOST_DONE} steps are reported already: set the goal anew")
        situation, refuted = known.after(report, vocabulary)
        pictures = self.pictures
        if report.outcome is StepOutcome.UNDONE and report.step in known.done:
            from_end = known.done[::-1].index(report.step) + 1
            pictures = tuple(one for at, one in enumerate(pictures) if len(pictures) - at != from_end)
        return replace(self, situation=situation, pictures=pictures), refuted

    def showing(self, picture: Frame | None) -> GoalTurn:
        """Return the turn with a picture of the step that was reported done last."""
        return replace(self, pictures=(*self.pictures, picture)[-MOST_PICTURES:])


def situation_after(steps: Iterable[Step], vocabulary: Vocabulary) -> Situation:
    """What is known after steps that are done, oldest first, each well-formed."""
    situation = Situation()
    for step in steps:
        situation, _ = situation.after(Report(step), vocabulary)
    return situation
