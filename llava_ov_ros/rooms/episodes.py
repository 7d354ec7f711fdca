"""Executes a plan in a rendered room: moments of a hand that goes, picks up, treats and puts down things."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from .goals import Act, RoomGoal
from .view import inside_point
from .world import HAND, LAMP, Moment, Point, Room, Spot

# The hand waits and carries in the empty aisle between the two columns of furniture.
AISLE_X = 80.0
GRIP = 0.85
STEP_S = 2.0


@dataclass(frozen=True)
class Episode:
    """The execution of a plan in a room.

    Attributes:
        room: The room.
        goal: The goal with its plan.
        moments: State of the room before the first step and after each step: one more than the number of steps.
    """

    room: Room
    goal: RoomGoal
    moments: tuple[Moment, ...]

    def at(self, time_s: float) -> Moment:
        """State of the room at a time in seconds; the first step begins at 0, and each takes STEP_S."""
        step = int(max(0.0, time_s) // STEP_S)
        if time_s <= 0:
            return self.moments[0]
        if step >= len(self.goal.acts):
            return self.moments[-1]
        return between(
            self.room, self.moments[step], self.moments[step + 1], self.goal.acts[step], time_s / STEP_S - step
        )


def carry_out(rng: Random, room: Room, start: Moment, goal: RoomGoal) -> Episode | None:
    """Execute the plan of a goal; None if a destination has no free spot or is missing.

    Args:
        rng: Draws the positions of the hand and the free spots for things.
        room: The room.
        start: State of the room before the plan; the hand is empty.
        goal: A goal whose plan uses only furniture of the room.
    """
    free = list(room.free)
    rng.shuffle(free)
    moments = [start]
    for act in goal.acts:
        after = after_act(rng, room, moments[-1], act, free)
        if after is None:
            return None
        moments.append(after)
    return Episode(room, goal, tuple(moments))


def after_act(rng: Random, room: Room, before: Moment, act: Act, free: list[Spot]) -> Moment | None:
    """The moment after a step; None if a destination has no free spot or is missing.

    Args:
        rng: Draws the position of the hand.
        room: The room.
        before: Moment before the step.
        act: The step.
        free: Free spots, of which a thing that is put down takes one, and to which one that is picked up adds its own.
    """
    if act.action == "GotoLocation":
        hand = _waiting(rng, room, before, act.arguments[0])
        return None if hand is None else _carried(room, before, hand)
    thing = act.thing
    assert thing is not None and before.hand is not None, f"{act} comes before any GotoLocation"
    if act.action == "PickupObject":
        free.append(before.spots[thing])
        hand = (AISLE_X + rng.uniform(-2, 2), before.hand[1])
        return _carried(room, replace(before, hand=hand), hand, thing)
    if act.action == "PutObject":
        if act.carrier is not None:
            at = before.spots[act.carrier]
            spot: Spot | None = Spot(at.receptacle, *inside_point(room, act.carrier, (at.x, at.y)), inside=act.carrier)
        else:
            spot = next((s for s in free if s.receptacle == act.arguments[1] and s.inside is None), None)
        if spot is None:
            return None
        if spot in free:
            free.remove(spot)
        return put_down(room, before, thing, spot)
    if act.action == "SliceObject":
        return replace(before, sliced=before.sliced | {thing})
    if act.action == "ToggleObject":
        return replace(before, lit=before.lit ^ {thing})
    return before


def put_down(room: Room, before: Moment, thing: int, spot: Spot) -> Moment:
    """The moment after a thing, with the things inside it, was put on a spot."""
    after = before.moved(thing, spot)
    for inner, inner_spot in before.spots.items():
        if inner_spot.inside == thing:
            after = after.moved(
                inner, Spot(spot.receptacle, *inside_point(room, thing, (spot.x, spot.y)), inside=thing)
            )
    return after


def held(moment: Moment) -> int | None:
    """Index of the thing in the hand (not of a thing inside it); None if the hand is empty."""
    return next((i for i, s in moment.spots.items() if s.receptacle == HAND and s.inside is None), None)


def _waiting(rng: Random, room: Room, moment: Moment, place: str) -> Point | None:
    """Position of the hand after it went to a place: in the aisle, beside the receptacle; None if there is none."""
    if place == LAMP:
        lamp = next(iter(i for i in moment.spots if room.things[i].kind == LAMP), None)
        if lamp is None:
            return None
        place = moment.spots[lamp].receptacle
    piece = next((piece for piece in room.furniture if piece.name == place), None)
    if piece is None:
        return None
    return AISLE_X + (4 if piece.x > AISLE_X else -4) + rng.uniform(-2, 2), piece.y - 4 + rng.uniform(-2, 2)


def _carried(room: Room, before: Moment, hand: Point, thing: int | None = None) -> Moment:
    """The moment with the hand at another position, together with the thing that it holds, or that it takes now."""
    thing = held(before) if thing is None else thing
    after = replace(before, hand=hand)
    if thing is None:
        return after
    return put_down(room, after, thing, Spot(HAND, hand[0], hand[1] + GRIP * room.things[thing].height))


def grip(room: Room, thing: int, spot: Spot) -> Point:
    """Position of a hand that holds a thing at a spot."""
    return spot.x, spot.y - GRIP * room.things[thing].height


def between(room: Room, before: Moment, after: Moment, act: Act, share: float) -> Moment:
    """A moment within a step: the hand moves to the thing, acts halfway, and moves back.

    Args:
        room: The room.
        before: Moment before the step.
        after: Moment after the step.
        act: The step.
        share: Share of the step's time that has passed, 0 to 1.
    """
    assert after.hand is not None
    begin = before.hand if before.hand is not None else (AISLE_X, -12.0)
    if act.action == "GotoLocation":
        return _carried(room, before, mix(begin, after.hand, share))
    assert act.thing is not None
    where = touch(room, before, after, act)
    if share < 0.5:
        return _carried(room, before, mix(begin, where, share * 2))
    if act.action in ("PickupObject", "SliceObject", "ToggleObject", "PutObject"):
        return _carried(room, after, mix(where, after.hand, share * 2 - 1))
    return _carried(room, after, mix(where, begin, share * 2 - 1))


def touch(room: Room, before: Moment, after: Moment, act: Act) -> Point:
    """Position of the hand in the middle of a step, when it acts."""
    assert act.thing is not None
    if act.action == "PutObject":
        return grip(room, act.thing, after.spots[act.thing])
    if act.action in ("HeatObject", "CoolObject", "CleanObject"):
        assert before.hand is not None
        side = -24.0 if before.hand[0] < AISLE_X else 24.0
        return before.hand[0] + side, before.hand[1]
    spot = before.spots[act.thing]
    return grip(room, act.thing, spot)


def mix(a: Point, b: Point, share: float) -> Point:
    """The point at a share of the way from a to b."""
    return a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share
