"""What a room looks like while a plan is carried out: a hand that goes, picks up, treats and puts down."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from .goals import Act, RoomGoal
from .view import inside_point
from .world import HAND, LAMP, Moment, Point, Room, Spot

# Between the two columns of furniture nothing stands: there the hand waits and carries.
AISLE_X = 80.0
GRIP = 0.85
STEP_S = 2.0


@dataclass(frozen=True)
class Episode:
    """A plan that is being carried out.

    Attributes:
        room: Where.
        goal: What for.
        moments: How the room is before the first step and after each: one more than there are steps.
    """

    room: Room
    goal: RoomGoal
    moments: tuple[Moment, ...]

    def at(self, time_s: float) -> Moment:
        """How the room is at a time; each step takes STEP_S, the first begins at 0."""
        step = int(max(0.0, time_s) // STEP_S)
        if time_s <= 0:
            return self.moments[0]
        if step >= len(self.goal.acts):
            return self.moments[-1]
        return between(
            self.room, self.moments[step], self.moments[step + 1], self.goal.acts[step], time_s / STEP_S - step
        )


def carry_out(rng: Random, room: Room, start: Moment, goal: RoomGoal) -> Episode | None:
    """Carry a plan out, or None where a destination has no room left or is not there.

    Args:
        rng: Draws the hand's places and which free spot a thing is put to.
        room: The room.
        start: How it is before; nothing is in the hand.
        goal: Its plan uses only furniture that is there.
    """
    free = list(room.free)
    rng.shuffle(free)
    moments = [start]
    for act in goal.acts:
        after = _after(rng, room, moments[-1], act, free)
        if after is None:
            return None
        moments.append(after)
    return Episode(room, goal, tuple(moments))


def _after(rng: Random, room: Room, before: Moment, act: Act, free: list[Spot]) -> Moment | None:
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
    """The moment after a thing (with what lies in it) was put to a spot."""
    after = before.moved(thing, spot)
    for inner, inner_spot in before.spots.items():
        if inner_spot.inside == thing:
            after = after.moved(
                inner, Spot(spot.receptacle, *inside_point(room, thing, (spot.x, spot.y)), inside=thing)
            )
    return after


def held(moment: Moment) -> int | None:
    """Index of what the hand holds (not of what lies in that)."""
    return next((i for i, s in moment.spots.items() if s.receptacle == HAND and s.inside is None), None)


def _waiting(rng: Random, room: Room, moment: Moment, place: str) -> Point | None:
    """Where the hand waits at a place: in the aisle, at the height of its furniture, a little to its side."""
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
    """The moment with the hand elsewhere, and with it what it holds (or now takes)."""
    thing = held(before) if thing is None else thing
    after = replace(before, hand=hand)
    if thing is None:
        return after
    return put_down(room, after, thing, Spot(HAND, hand[0], hand[1] + GRIP * room.things[thing].height))


def grip(room: Room, thing: int, spot: Spot) -> Point:
    """Where the hand is that holds a thing at a spot."""
    return spot.x, spot.y - GRIP * room.things[thing].height


def between(room: Room, before: Moment, after: Moment, act: Act, share: float) -> Moment:
    """A moment in the middle of a step: the hand goes there, does it, and comes back.

    Args:
        room: The room.
        before: Before the step.
        after: After it.
        act: The step.
        share: How much of it has passed, 0 to 1.
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
    """Where the hand is when it does a step."""
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
    """A point on the way from a to b."""
    return a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share
