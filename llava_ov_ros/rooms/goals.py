"""Draws goals of ALFRED's seven task types for a room, with the plans that reach them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from .world import (
    CLEANABLE,
    COOLABLE,
    HAND,
    HEATABLE,
    LAMP,
    MOVABLE_RECEPTACLES,
    RECEPTACLES,
    SLICEABLE,
    SMALL,
    Moment,
    Room,
    Spot,
    at,
    plural,
)

# ALFRED's names of the task types (askforalfred/alfred, gen/constants.py).
TASK_TYPES = (
    "pick_and_place_simple",
    "look_at_obj_in_light",
    "pick_two_obj_and_place",
    "pick_and_place_with_movable_recep",
    "pick_clean_then_place_in_recep",
    "pick_cool_then_place_in_recep",
    "pick_heat_then_place_in_recep",
)
TREATMENTS: dict[str, tuple[str, str, tuple[str, ...], str, str]] = {
    # task type: action, its receptacle, the kinds that it applies to, verb, participle
    "pick_clean_then_place_in_recep": ("CleanObject", "sinkbasin", CLEANABLE, "clean", "clean"),
    "pick_cool_then_place_in_recep": ("CoolObject", "fridge", COOLABLE, "cool", "cooled"),
    "pick_heat_then_place_in_recep": ("HeatObject", "microwave", HEATABLE, "heat", "heated"),
}
STEP_SEPARATOR = "; "


@dataclass(frozen=True)
class Act:
    """One step of a plan, with the things of the room that it refers to.

    Attributes:
        action: One of ALFRED's eight high-level actions.
        arguments: The arguments in ALFRED's spelling.
        thing: Index of the thing that is picked up, put down, treated, sliced or switched; None for GotoLocation.
        carrier: Index of the thing into which `thing` is put; None if it is put on furniture.
    """

    action: str
    arguments: tuple[str, ...]
    thing: int | None = None
    carrier: int | None = None

    def __str__(self) -> str:
        return " ".join((self.action, *self.arguments))


@dataclass(frozen=True)
class RoomGoal:
    """A goal and the plan that reaches it.

    Attributes:
        task_type: One of TASK_TYPES.
        text: The goal in a person's words, such as `put the red mug in the fridge`.
        acts: The shortest plan; of two things, the first in reading order (`reading_order`) comes first.
        pddl_params: ALFRED's description of the goal.
    """

    task_type: str
    text: str
    acts: tuple[Act, ...]
    pddl_params: dict[str, str | bool]

    @property
    def plan(self) -> str:
        """The plan in the one-line form."""
        return written(self.acts)


def written(acts: tuple[Act, ...]) -> str:
    """Steps in the one-line form, such as `GotoLocation desk; PickupObject mug`."""
    return STEP_SEPARATOR.join(map(str, acts))


class _Writer:
    """Builds a plan step by step; GotoLocation is added only if the robot is at another place."""

    def __init__(self, room: Room, moment: Moment) -> None:
        self._room = room
        self._moment = moment
        self._here = ""
        self.acts: list[Act] = []

    def location(self, thing: int) -> str:
        spot = self._moment.spots[thing]
        return self.location(spot.inside) if spot.inside is not None else spot.receptacle

    def go(self, place: str) -> None:
        if place != self._here:
            self.acts.append(Act("GotoLocation", (place,)))
            self._here = place

    def pick_up(self, thing: int) -> None:
        self.go(self.location(thing))
        self._add("PickupObject", thing)

    def pick_up_here(self, thing: int) -> None:
        self._add("PickupObject", thing)

    def treat(self, action: str, place: str, thing: int) -> None:
        self.go(place)
        self._add(action, thing)

    def put(self, thing: int, place: str) -> None:
        self.go(place)
        self.acts.append(Act("PutObject", (self._room.things[thing].kind, place), thing))

    def put_into(self, thing: int, carrier: int) -> None:
        self.go(self.location(carrier))
        kinds = (self._room.things[thing].kind, self._room.things[carrier].kind)
        self.acts.append(Act("PutObject", kinds, thing, carrier))

    def slice(self, knife: int, thing: int) -> None:
        """Slice a thing at its place, and leave the knife there."""
        self.pick_up(knife)
        place = self.location(thing)
        self.go(place)
        self._add("SliceObject", thing)
        self.put(knife, place)

    def toggle(self, lamp: int) -> None:
        self.go(LAMP)
        self._add("ToggleObject", lamp)

    def _add(self, action: str, thing: int) -> None:
        self.acts.append(Act(action, (self._room.things[thing].kind,), thing))


def make_goal(
    rng: Random,
    room: Room,
    moment: Moment,
    *,
    task_type: str | None = None,
    visible_only: bool = False,
    thing: int | None = None,
) -> RoomGoal | None:
    """Draw a goal about the things at a moment; None if no goal is possible.

    Args:
        rng: Draws task type, thing and destination.
        room: The room.
        moment: State of the room; the hand is empty.
        task_type: One of TASK_TYPES; None tries them in random order and takes the first that is possible, so that all
            possible types are equally likely.
        visible_only: Whether the goal may use only receptacles that the room has.
        thing: Index of the thing that the goal is about; None draws one.
    """
    places = [name for name in RECEPTACLES if not visible_only or name in room.receptacles]
    seen = [i for i, spot in moment.spots.items() if spot.receptacle != HAND]
    # Lamps stay where they are.
    candidates = [i for i in (seen if thing is None else [thing]) if room.things[i].kind != LAMP]
    for wanted in rng.sample(TASK_TYPES, len(TASK_TYPES)) if task_type is None else [task_type]:
        for target in rng.sample(candidates, len(candidates)):
            goal = _MAKERS[wanted](rng, room, moment, target, places, seen)
            if goal is not None:
                return goal
    return None


_Maker = Callable[[Random, Room, Moment, int, list[str], list[int]], RoomGoal | None]


def spoken(rng: Random, room: Room, thing: int, seen: list[int]) -> str:
    """A thing's name in a goal: its kind (at times) if that is unambiguous, else colour and kind."""
    it = room.things[thing]
    alone = sum(room.things[i].kind == it.kind for i in seen) == 1
    return it.kind if alone and rng.random() < 0.4 else it.name


def _destination(rng: Random, places: list[str], *taken: str) -> str | None:
    left = [place for place in places if place not in taken]
    return rng.choice(left) if left else None


def _pddl(
    target: str, parent: str = "", carrier: str = "", toggle: str = "", sliced: bool = False
) -> dict[str, str | bool]:
    return {
        "object_target": target,
        "parent_target": parent,
        "mrecep_target": carrier,
        "toggle_target": toggle,
        "object_sliced": sliced,
    }


def _knife_for(rng: Random, room: Room, moment: Moment, target: int, seen: list[int]) -> int | None:
    """Index of the room's only knife if the thing is to be sliced; None if it stays whole."""
    knives = [i for i in seen if room.things[i].kind == "knife"]
    whole = room.things[target].kind in SLICEABLE and target not in moment.sliced
    return knives[0] if whole and len(knives) == 1 and rng.random() < 0.6 else None


def _simple(
    rng: Random, room: Room, moment: Moment, target: int, places: list[str], seen: list[int]
) -> RoomGoal | None:
    steps = _Writer(room, moment)
    source = steps.location(target)
    place = _destination(rng, places, source)
    if place is None:
        return None
    name, kind = spoken(rng, room, target, seen), room.things[target].kind
    knife = _knife_for(rng, room, moment, target, seen)
    if knife is not None:
        steps.slice(knife, target)
        steps.pick_up_here(target)
        text = rng.choice((f"slice the {name} and put it {at(place)}", f"put a slice of the {name} {at(place)}"))
    else:
        steps.pick_up(target)
        verb = rng.choice(("put", "put", "move", "bring", "place"))
        text = f"{verb} the {name} {f'to the {place}' if verb in ('move', 'bring') else at(place)}"
    steps.put(target, place)
    return RoomGoal("pick_and_place_simple", text, tuple(steps.acts), _pddl(kind, place, sliced=knife is not None))


def _look(rng: Random, room: Room, moment: Moment, target: int, places: list[str], seen: list[int]) -> RoomGoal | None:
    lamps = [i for i in seen if room.things[i].kind == LAMP and i not in moment.lit]
    if len(lamps) != 1:
        return None
    steps = _Writer(room, moment)
    steps.pick_up(target)
    steps.toggle(lamps[0])
    name = spoken(rng, room, target, seen)
    text = rng.choice((f"look at the {name} under the {LAMP}", f"examine the {name} by the light of the {LAMP}"))
    return RoomGoal("look_at_obj_in_light", text, tuple(steps.acts), _pddl(room.things[target].kind, toggle=LAMP))


def _two(rng: Random, room: Room, moment: Moment, target: int, places: list[str], seen: list[int]) -> RoomGoal | None:
    kind = room.things[target].kind
    pair = [i for i in seen if room.things[i].kind == kind]
    if len(pair) != 2 or any(moment.spots[i].inside is not None for i in pair):
        return None
    steps = _Writer(room, moment)
    place = _destination(rng, places, *(steps.location(i) for i in pair))
    if place is None:
        return None
    # In reading order, so that the plan is unique.
    for thing in sorted(pair, key=lambda i: reading_order(room, moment.spots[i])):
        steps.pick_up(thing)
        steps.put(thing, place)
    text = rng.choice((f"put two {plural(kind)} {at(place)}", f"put both {plural(kind)} {at(place)}"))
    return RoomGoal("pick_two_obj_and_place", text, tuple(steps.acts), _pddl(kind, place))


def reading_order(room: Room, spot: Spot) -> tuple[bool, bool, float]:
    """Sort key of a spot: upper furniture before lower, left before right, then by x within the furniture."""
    piece = next(piece for piece in room.furniture if piece.name == spot.receptacle)
    return piece.y > 60, piece.x > 80, spot.x


def _stacked(
    rng: Random, room: Room, moment: Moment, target: int, places: list[str], seen: list[int]
) -> RoomGoal | None:
    if room.things[target].kind not in SMALL or moment.spots[target].inside is not None:
        return None
    held = {spot.inside for spot in moment.spots.values()}
    carriers = [i for i in seen if room.things[i].kind in MOVABLE_RECEPTACLES and i not in held]
    if not carriers:
        return None
    carrier = rng.choice(carriers)
    steps = _Writer(room, moment)
    place = _destination(rng, places, steps.location(carrier))
    if place is None:
        return None
    steps.pick_up(target)
    steps.put_into(target, carrier)
    steps.pick_up_here(carrier)
    steps.put(carrier, place)
    name, carrier_name = spoken(rng, room, target, seen), spoken(rng, room, carrier, seen)
    kind = room.things[carrier].kind
    text = f"put the {name} {MOVABLE_RECEPTACLES[kind]} the {carrier_name} and put the {kind} {at(place)}"
    pddl = _pddl(room.things[target].kind, place, carrier=kind)
    return RoomGoal("pick_and_place_with_movable_recep", text, tuple(steps.acts), pddl)


def _treated(
    task_type: str, rng: Random, room: Room, moment: Moment, target: int, places: list[str], seen: list[int]
) -> RoomGoal | None:
    action, where, possible, verb, participle = TREATMENTS[task_type]
    kind = room.things[target].kind
    if kind not in possible or where not in places:
        return None
    steps = _Writer(room, moment)
    place = _destination(rng, places, steps.location(target), where)
    if place is None:
        return None
    name = spoken(rng, room, target, seen)
    knife = _knife_for(rng, room, moment, target, seen)
    if knife is not None:
        steps.slice(knife, target)
        steps.pick_up_here(target)
        text = f"slice the {name}, {verb} it and put it {at(place)}"
    else:
        steps.pick_up(target)
        text = rng.choice((f"{verb} the {name} and put it {at(place)}", f"put the {participle} {name} {at(place)}"))
    steps.treat(action, where, target)
    steps.put(target, place)
    return RoomGoal(task_type, text, tuple(steps.acts), _pddl(kind, place, sliced=knife is not None))


def _treatment(task_type: str) -> _Maker:
    def make(
        rng: Random, room: Room, moment: Moment, target: int, places: list[str], seen: list[int]
    ) -> RoomGoal | None:
        return _treated(task_type, rng, room, moment, target, places, seen)

    return make


_MAKERS: dict[str, _Maker] = {
    "pick_and_place_simple": _simple,
    "look_at_obj_in_light": _look,
    "pick_two_obj_and_place": _two,
    "pick_and_place_with_movable_recep": _stacked,
    **{task_type: _treatment(task_type) for task_type in TREATMENTS},
}
