"""A robot in a room that tries steps named by classes, such as `PickupObject mug`, whatever plan they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from .episodes import after_act, held
from .goals import TREATMENTS, Act, RoomGoal, reading_order
from .world import HAND, LAMP, MOVABLE_RECEPTACLES, SLICEABLE, Moment, Room

KNIFE = "knife"
PAIRS = "pick_two_obj_and_place"
_TREATMENTS = {action: (where, possible) for action, where, possible, _, _ in TREATMENTS.values()}
_UNDOES = {"HeatObject": "CoolObject", "CoolObject": "HeatObject"}


@dataclass(frozen=True)
class RobotState:
    """A room with a robot in it.

    Attributes:
        moment: The room.
        place: Name of the furniture where the robot is; empty before it has gone anywhere.
        is_at_lamp: Whether it has gone to the lamp there.
        treated: Things with the actions that have treated them, such as (3, "HeatObject").
        last: The step that led here; None before the first.
    """

    moment: Moment
    place: str = ""
    is_at_lamp: bool = False
    treated: frozenset[tuple[int, str]] = frozenset()
    last: Act | None = None

    @property
    def facts(self) -> object:
        """What is so, apart from exact positions; equal after a step that has changed nothing."""
        where = {number: (spot.receptacle, spot.inside) for number, spot in self.moment.spots.items()}
        lit, sliced = self.moment.lit, self.moment.sliced
        return self.place, self.is_at_lamp, self.treated, lit, sliced, tuple(sorted(where.items()))


def tried(rng: Random, room: Room, state: RobotState, action: str, arguments: Sequence[str]) -> RobotState | None:
    """Try a step; None if the robot cannot do it where it is.

    A name is about a thing that is where the robot is; to go to a thing is to go to one that nobody has moved, if there
    is one, in reading order.

    Args:
        rng: Draws positions.
        room: The room.
        state: The room and the robot before the step.
        action: One of ALFRED's eight actions.
        arguments: Its arguments.
    """
    act = _act_of(room, state, action, arguments)
    if act is None:
        return None
    occupied = set(state.moment.spots.values())
    free = [spot for spot in (*room.free, *room.start.spots.values()) if spot not in occupied and spot.inside is None]
    place, is_at_lamp = state.place, state.is_at_lamp
    if action == "GotoLocation":
        is_at_lamp = arguments[0] == LAMP
        place = act.arguments[0] if act.thing is None else location(state.moment, act.thing)
        act = Act(action, (place,))
    after = after_act(rng, room, state.moment, act, free)
    if after is None:
        return None
    treated = state.treated
    if action in _TREATMENTS and act.thing is not None:
        treated = (treated - {(act.thing, _UNDOES.get(action, ""))}) | {(act.thing, action)}
    return RobotState(after, place, is_at_lamp, treated, act)


def location(moment: Moment, thing: int) -> str:
    """Name of the furniture where a thing is, also inside another; `hand` if it is held."""
    spot = moment.spots[thing]
    return spot.receptacle if spot.inside is None else location(moment, spot.inside)


def _act_of(room: Room, state: RobotState, action: str, arguments: Sequence[str]) -> Act | None:
    """The step with the things that it is about; None if it cannot be done."""
    moment, kind = state.moment, arguments[0]
    in_hand = held(moment)
    hand_kind = "" if in_hand is None else room.things[in_hand].kind
    if action == "GotoLocation":
        if kind in room.receptacles:
            return Act(action, (kind,))
        some = [number for number in _of_kind(room, moment, kind) if location(moment, number) != HAND]
        unmoved = [number for number in some if moment.spots[number] == room.start.spots.get(number)]
        return Act(action, (kind,), (unmoved or some)[0]) if some else None
    if not state.place:
        return None
    here = [number for number in _of_kind(room, moment, kind) if location(moment, number) == state.place]
    if action == "PickupObject":
        return Act(action, (kind,), here[0]) if here and in_hand is None and kind != LAMP else None
    if action == "SliceObject":
        whole = [number for number in here if number not in moment.sliced]
        return Act(action, (kind,), whole[0]) if whole and kind in SLICEABLE and hand_kind == KNIFE else None
    if action == "ToggleObject":
        return Act(action, (kind,), here[0]) if here and state.is_at_lamp and kind == LAMP else None
    if in_hand is None or hand_kind != kind:
        return None
    if action in _TREATMENTS:
        where, possible = _TREATMENTS[action]
        return Act(action, (kind,), in_hand) if state.place == where and kind in possible else None
    if action != "PutObject":
        return None
    into = arguments[1]
    if into in room.receptacles:
        return Act(action, (kind, into), in_hand) if state.place == into else None
    carriers = [number for number in _of_kind(room, moment, into) if location(moment, number) == state.place]
    possible_carrier = carriers and into in MOVABLE_RECEPTACLES and carriers[0] != in_hand
    return Act(action, (kind, into), in_hand, carriers[0]) if possible_carrier else None


def _of_kind(room: Room, moment: Moment, kind: str) -> list[int]:
    """Things of a kind, in reading order, those in the hand last."""

    def order(number: int) -> tuple[bool, bool, float]:
        spot = moment.spots[number]
        while spot.inside is not None:
            spot = moment.spots[spot.inside]
        return (True, True, spot.x) if spot.receptacle == HAND else reading_order(room, spot)

    return sorted((number for number in moment.spots if room.things[number].kind == kind), key=order)


def is_fulfilled(room: Room, state: RobotState, goal: RoomGoal) -> bool:
    """Whether a goal holds, by ALFRED's description of it (`pddl_params`), for things that were brought where they are.

    The description names kinds of things, and no colours.
    """
    params, moment = goal.pddl_params, state.moment
    target, parent, carrier = (str(params[f"{name}_target"]) for name in ("object", "parent", "mrecep"))
    things = [
        number for number in _of_kind(room, moment, target) if not params["object_sliced"] or number in moment.sliced
    ]
    if goal.task_type in TREATMENTS:
        things = [number for number in things if (number, TREATMENTS[goal.task_type][0]) in state.treated]
    if params["toggle_target"]:
        return held(moment) in things and any(room.things[number].kind == LAMP for number in moment.lit)

    def is_there(number: int) -> bool:
        inside = moment.spots[number].inside
        if carrier:
            return inside is not None and room.things[inside].kind == carrier and location(moment, inside) == parent
        return location(moment, number) == parent and moment.spots[number] != room.start.spots.get(number)

    return sum(map(is_there, things)) >= (2 if goal.task_type == PAIRS else 1)
