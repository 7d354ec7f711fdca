"""Takes: a room, an event during a clip of it, and the pictures of the clip."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING

from .episodes import STEP_S, Episode, carry_out, grip, mix
from .goals import TASK_TYPES, TREATMENTS, Act, RoomGoal, make_goal
from .view import View, make_view, picture
from .world import (
    HAND,
    KINDS,
    LAMP,
    MOVABLE_RECEPTACLES,
    SLICEABLE,
    SMALL,
    Moment,
    Room,
    Spot,
    Wish,
    is_held_out,
    make_room,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Actions whose success a picture shows; only these may be reported done although they failed.
CHECKABLE = ("PickupObject", "PutObject", "SliceObject", "ToggleObject")
FAILURE_SHARE = 0.35
LIFT = 8.0
TRIES = 60


@dataclass(frozen=True)
class Progress:
    """A goal and the progress of its plan.

    Attributes:
        goal: The goal.
        reported: Steps that are reported done.
        next_act: The next step to do; None if the goal is reached.
    """

    goal: RoomGoal
    reported: tuple[Act, ...]
    next_act: Act | None


@dataclass(frozen=True)
class Take:
    """The content of a clip.

    Attributes:
        room: The room.
        view: The camera.
        moments: State of the room in each frame.
        event: `moved`, `appeared`, `left`, `nothing`, or `episode`.
        mover: Index of the thing that moves, appears or leaves during the clip; None for the events `nothing` and
            `episode`.
        progress: Progress of the plan, for the event `episode`.
    """

    room: Room
    view: View
    moments: tuple[Moment, ...]
    event: str
    mover: int | None = None
    progress: Progress | None = None

    def reversed(self) -> Take:
        """The take with its moments in reverse order."""
        return replace(self, moments=self.moments[::-1])


def make_take(
    rng: Random,
    frames: int,
    *,
    event: str | None = None,
    combinations: str = "trained",
    view: View | None = None,
) -> Take:
    """Draw a take of a new room.

    Args:
        rng: Source of all random choices.
        frames: Number of frames of the clip.
        event: `moved`, `appeared`, `left`, `nothing` or `episode`; None draws one.
        combinations: Combinations of kind, colour and place, as in `Wish`.
        view: The camera; None draws one.

    Raises:
        RuntimeError: No such take was found in TRIES rooms.
    """
    if event is None:
        weights = (0.75, 0.0, 0.0, 0.0, 0.25) if frames == 1 else (0.15, 0.45, 0.1, 0.1, 0.2)
        event = rng.choices(("nothing", "moved", "appeared", "left", "episode"), weights)[0]
    view = make_view(rng) if view is None else view
    for _ in range(TRIES):
        take = _MAKERS[event](rng, frames, combinations, view)
        if take is not None:
            return take
    raise RuntimeError(f"no take of {frames} frames with the event {event!r} in {TRIES} tries")


def pictures(take: Take, rng: Random) -> list[NDArray[np.uint8]]:
    """Render the frames of a take, each RGB uint8 (height, width, 3)."""
    last = max(1, len(take.moments) - 1)
    return [picture(take.room, moment, take.view, rng, i / last) for i, moment in enumerate(take.moments)]


def _furnished(rng: Random, combinations: str) -> Room:
    """A random room in which few or many things share a kind."""
    return make_room(rng, Wish(combinations, doubled=rng.choice((0.1, 0.5))))


def _drawn_mover(rng: Random, room: Room, combinations: str) -> int:
    """Index of the thing that moves; with held-out combinations it is the first, the only one that has one."""
    return 0 if combinations == "held_out" else rng.randrange(len(room.things))


def _nothing(rng: Random, frames: int, combinations: str, view: View) -> Take | None:
    room = _furnished(rng, combinations)
    moment = room.start
    if rng.random() < 0.15:
        moment = replace(moment, hand=(80 + rng.uniform(-6, 6), rng.uniform(25, 90)))
    sliced = [i for i, thing in enumerate(room.things) if thing.kind in SLICEABLE and rng.random() < 0.2]
    lit = [i for i, thing in enumerate(room.things) if thing.kind == LAMP and rng.random() < 0.5]
    moment = replace(moment, sliced=frozenset(sliced), lit=frozenset(lit))
    return Take(room, view, (moment,) * frames, "nothing")


def _moved(rng: Random, frames: int, combinations: str, view: View) -> Take | None:
    room = _furnished(rng, combinations)
    mover = _drawn_mover(rng, room, combinations)
    thing, start = room.things[mover], room.start.spots[mover]
    goals = [spot for spot in room.free if spot.receptacle != start.receptacle]
    if combinations == "trained":
        goals = [spot for spot in goals if not is_held_out(thing.kind, thing.colour, spot.receptacle)]
    if not goals:
        return None
    end = rng.choice(goals)
    begins, ends = rng.uniform(0, 0.3), rng.uniform(0.65, 1.0)
    by_hand = rng.random() < 0.5
    last = max(1, frames - 1)
    shares = [(i / last - begins) / (ends - begins) for i in range(frames)]
    moments = [on_the_way(room, room.start, mover, end, share, by_hand) for share in shares]
    return Take(room, view, tuple(moments), "moved", mover)


def on_the_way(room: Room, before: Moment, mover: int, end: Spot, share: float, by_hand: bool) -> Moment:
    """The moment at a share of a move; before and after the move no hand is visible.

    Args:
        room: The room.
        before: Moment before the move.
        mover: Index of the thing that moves.
        end: Destination.
        share: Share of the way that is done: 0 or less before the move, 1 or more after it.
        by_hand: Whether a hand carries the thing; otherwise it moves by itself.
    """
    start = before.spots[mover]
    if share <= 0:
        return before
    if share >= 1:
        return before.moved(mover, end)
    x, y = mix((start.x, start.y), (end.x, end.y), share)
    spot = Spot(HAND if by_hand else (start if share < 0.5 else end).receptacle, x, y - LIFT * 4 * share * (1 - share))
    moment = before.moved(mover, spot)
    return replace(moment, hand=grip(room, mover, spot)) if by_hand else moment


def _appeared(rng: Random, frames: int, combinations: str, view: View) -> Take | None:
    room = _furnished(rng, combinations)
    mover = _drawn_mover(rng, room, combinations)
    before = rng.randint(1, frames - 1)
    moments = (room.start.without(mover),) * before + (room.start,) * (frames - before)
    return Take(room, view, moments, "appeared", mover)


def _left(rng: Random, frames: int, combinations: str, view: View) -> Take | None:
    take = _appeared(rng, frames, combinations, view)
    return None if take is None else replace(take.reversed(), event="left")


def _episode(rng: Random, frames: int, combinations: str, view: View) -> Take | None:
    episode = make_episode(rng, combinations)
    if episode is None:
        return None
    acts = episode.goal.acts
    done = rng.choices((0, len(acts), rng.randint(1, len(acts))), (0.3, 0.2, 0.5))[0]
    span_s = rng.uniform(0.5, 3.0)
    last = max(1, frames - 1)
    times_s = [done * STEP_S - span_s * (1 - i / last) for i in range(frames)] if frames > 1 else [done * STEP_S]
    moments = [episode.at(time_s) for time_s in times_s]
    next_act = acts[done] if done < len(acts) else None
    if done > 0 and acts[done - 1].action in CHECKABLE and rng.random() < FAILURE_SHARE:
        # The last reported step failed: the hand has returned, but the room has not changed.
        next_act = acts[done - 1]
        failed = replace(episode.moments[done - 1], hand=episode.moments[done].hand)
        held = [i for i, spot in failed.spots.items() if spot.receptacle == HAND]
        if held and failed.hand != episode.moments[done - 1].hand:
            return None
        moments = [failed] * frames
    progress = Progress(episode.goal, acts[:done], next_act)
    return Take(episode.room, view, tuple(moments), "episode", progress=progress)


def make_episode(rng: Random, combinations: str = "trained") -> Episode | None:
    """Draw a room and a goal, and execute its plan; None if no goal of the drawn task type can be reached."""
    task_type = rng.choice(TASK_TYPES)
    receptacles: tuple[str, ...] = ()
    kinds: tuple[str, ...] = (rng.choice([kind for kind in KINDS if kind != LAMP]),)
    if task_type in TREATMENTS:
        _, where, possible, _, _ = TREATMENTS[task_type]
        receptacles, kinds = (where,), (rng.choice(possible),)
    elif task_type == "look_at_obj_in_light":
        kinds = (*kinds, LAMP)
    elif task_type == "pick_two_obj_and_place":
        kinds = kinds * 2
    elif task_type == "pick_and_place_with_movable_recep":
        kinds = (rng.choice(SMALL), rng.choice(list(MOVABLE_RECEPTACLES)))
    if kinds[0] in SLICEABLE and rng.random() < 0.5:
        kinds = (*kinds, "knife")
    room = make_room(rng, Wish(combinations, kinds, receptacles, doubled=0.1))
    for _ in range(4):
        goal = make_goal(rng, room, room.start, task_type=task_type, visible_only=True, thing=0)
        episode = None if goal is None else carry_out(rng, room, room.start, goal)
        if episode is not None and (combinations != "trained" or not _shows_held_out(episode)):
            return episode
    return None


def _shows_held_out(episode: Episode) -> bool:
    """Whether the episode ends with a thing in a combination that training never shows."""
    things = episode.room.things
    return any(
        spot.inside is None and is_held_out(things[i].kind, things[i].colour, spot.receptacle)
        for i, spot in episode.moments[-1].spots.items()
    )


_MAKERS = {"nothing": _nothing, "moved": _moved, "appeared": _appeared, "left": _left, "episode": _episode}
