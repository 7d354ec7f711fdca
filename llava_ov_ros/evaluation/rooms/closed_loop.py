"""Closed loops in rendered rooms: a robot does what the hints say, some steps fail, and the next hint is asked for."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING

from ...planning import (
    Decoding,
    GoalError,
    Hint,
    NextStep,
    PlanAsk,
    Report,
    Situation,
    StepOutcome,
    StepSource,
    Vocabulary,
    certified_hint,
    next_step_ask,
    read_goal,
    read_next_step,
)
from ...questions.prompts import Prompts
from ...rooms.episodes import between, put_down
from ...rooms.goals import RoomGoal
from ...rooms.robot import RobotState, is_fulfilled, tried
from ...rooms.script import Script
from ...rooms.view import View, picture
from ...rooms.world import Moment, Room
from ...settings import DEFAULTS

if TYPE_CHECKING:
    from ...onevision import Generated
    from .accuracy import Picture

FRAMES = 4
TURNS_PER_STEP, MORE_TURNS = 4, 12
"""Most hints of an episode: so many for each step of the plan that was drawn with the goal, and so many more."""
MOST_UNSURE = 3
"""A robot that gets so many hints in a row that are neither a step nor DONE gives up."""

AsksForStep = Callable[[Sequence["Picture"], Sequence[PlanAsk]], "list[Generated]"]
"""Asks a model for a next step about the frames of one clip."""


@dataclass(frozen=True)
class ClosedLoop:
    """An episode in which the hints are carried out.

    Attributes:
        goal: The goal in words.
        is_reached: Whether the goal holds in the room at the end.
        false_done: Whether the last hint was DONE, and the goal does not hold in the room.
        hints: Number of hints.
        planner_hints: Number of hints that a planner gave.
        repeats: Number of hints of a step that is done: it would change nothing in the room.
        impossible: Number of hints of a step that cannot be done in the room.
        faults: Number of steps that were made to fail, or were undone.
        hint_s: Seconds that the planner took for each hint that was asked of it.
    """

    goal: str
    is_reached: bool
    false_done: bool
    hints: int
    planner_hints: int
    repeats: int
    impossible: int
    faults: int
    hint_s: tuple[float, ...] = ()


def run_closed_loop(
    script: Script,
    seed: int,
    write: AsksForStep,
    vocabulary: Vocabulary,
    prompts: Prompts,
    decoding: Decoding,
    faults: float = 0.0,
) -> ClosedLoop:
    """Carry out the hints of a model until DONE.

    Args:
        script: An episode, of which the room and the goal are taken.
        seed: Seed of faults, noise and positions.
        write: Asks the model.
        vocabulary: The vocabulary of rooms, alfred.
        prompts: The set of prompts of rooms, plain.
        decoding: `certified`, or as in `next_step_ask`.
        faults: Share of the steps that fail although they can be done, or are undone at once.
    """
    assert script.episode is not None, "the script has a plan"
    room, goal = script.room, script.episode.goal
    rng, camera = Random(f"robot {seed}"), Random(f"camera {seed}")
    state, situation = RobotState(script.episode.moments[0]), Situation()
    seen: list[Moment] = [state.moment] * FRAMES
    counts = {"hints": 0, "planner_hints": 0, "repeats": 0, "impossible": 0, "faults": 0}
    hint_s: list[float] = []
    unsure, said_done = 0, False
    while counts["hints"] < TURNS_PER_STEP * len(goal.acts) + MORE_TURNS and unsure < MOST_UNSURE and not said_done:
        clip = [picture(room, moment, View(), camera, i / (FRAMES - 1)) for i, moment in enumerate(seen)]
        hint = _hint(goal, situation, clip, write, vocabulary, prompts, decoding, hint_s)
        counts["hints"] += 1
        counts["planner_hints"] += hint.source is StepSource.PLANNER
        said_done = hint.hint is Hint.DONE
        unsure = 0 if hint.hint is Hint.STEP else unsure + 1
        if hint.hint is not Hint.STEP or hint.step is None:
            continue
        after = tried(rng, room, state, hint.step.action, hint.step.arguments)
        counts["impossible"] += after is None
        counts["repeats"] += after is not None and after.facts == state.facts
        fault = after is not None and rng.random() < faults
        counts["faults"] += fault
        undone = _undone(rng, room, state, after) if fault and after is not None and rng.random() < 0.5 else None
        if after is None or (fault and undone is None):
            situation, _ = situation.after(Report(hint.step, StepOutcome.FAILED), vocabulary)
            seen = [state.moment] * FRAMES
            continue
        situation, _ = situation.after(Report(hint.step), vocabulary)
        seen = _on_the_way(room, state, after)
        if undone is not None:
            situation, _ = situation.after(Report(hint.step, StepOutcome.UNDONE), vocabulary)
            seen = [*seen[: FRAMES // 2], *[undone.moment] * (FRAMES - FRAMES // 2)]
            after = undone
        state = after
    fulfilled = is_fulfilled(room, state, goal)
    return ClosedLoop(goal.text, fulfilled, said_done and not fulfilled, hint_s=tuple(hint_s), **counts)


def _hint(
    goal: RoomGoal,
    situation: Situation,
    clip: Sequence[Picture],
    write: AsksForStep,
    vocabulary: Vocabulary,
    prompts: Prompts,
    decoding: Decoding,
    hint_s: list[float],
) -> NextStep:
    ask = next_step_ask(goal.text, situation.done, vocabulary, prompts, decoding, failed=situation.failed)
    (generated,) = write(clip, [ask])
    hint = read_next_step(generated, situation, vocabulary, prompts, decoding, DEFAULTS.hint_confidence)
    if decoding != "certified":
        return hint
    try:
        wanted = read_goal(goal.text, vocabulary)
    except GoalError:
        return hint
    began_s = time.monotonic()
    hint = certified_hint(hint, wanted, situation, vocabulary, began_s + DEFAULTS.plan_search_s)
    if hint.source is StepSource.PLANNER:
        hint_s.append(time.monotonic() - began_s)
    return hint


def _undone(rng: Random, room: Room, before: RobotState, after: RobotState) -> RobotState | None:
    """The room when somebody has undone a step; None if nobody can.

    The robot was pushed away from where it went to; what it has put down was taken elsewhere; all else is as before.
    """
    assert after.last is not None, "a step has led there"
    action, thing = after.last.action, after.last.thing
    if action == "SliceObject":
        return None
    if action == "GotoLocation":
        return replace(before, place="", is_at_lamp=False)
    if action == "PutObject" and thing is not None:
        free = [
            spot for spot in room.free if spot not in after.moment.spots.values() and spot.receptacle != after.place
        ]
        return replace(after, moment=put_down(room, after.moment, thing, rng.choice(free))) if free else None
    return before


def _on_the_way(room: Room, before: RobotState, after: RobotState) -> list[Moment]:
    """A step as the frames of its clip show it."""
    assert after.last is not None, "a step has led there"
    shares = (i / (FRAMES - 1) for i in range(FRAMES))
    return [between(room, before.moment, after.moment, after.last, share) for share in shares]
