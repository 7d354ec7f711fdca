"""The world of a rendered room: furniture, things, and the place of each thing at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from random import Random

Paint = tuple[int, int, int]
Point = tuple[float, float]

# A room is 160 units wide and 120 high; its furniture stands in four cells of 80 x 60.
WIDTH, HEIGHT = 160.0, 120.0
CELLS: tuple[Point, ...] = ((40.0, 30.0), (120.0, 30.0), (40.0, 90.0), (120.0, 90.0))
SLOTS = (-1, 0, 1)
SLOT_SPACING = 24.0

# Sixteen of ALFRED's object classes (askforalfred/alfred, gen/constants.py), in its lower-case spelling.
KINDS = (
    "apple",
    "bread",
    "lettuce",
    "egg",
    "mug",
    "bowl",
    "plate",
    "pan",
    "knife",
    "book",
    "vase",
    "candle",
    "box",
    "alarmclock",
    "basketball",
    "desklamp",
)
COLOURS: dict[str, Paint] = {
    "red": (205, 35, 35),
    "green": (40, 150, 50),
    "blue": (40, 75, 205),
    "yellow": (235, 205, 40),
    "purple": (140, 50, 170),
    "white": (238, 238, 238),
}
# Ten of ALFRED's receptacle classes, each with the preposition of a thing there and the usual paint.
RECEPTACLES: dict[str, tuple[str, Paint]] = {
    "countertop": ("on", (185, 170, 150)),
    "diningtable": ("on", (150, 95, 50)),
    "desk": ("on", (95, 75, 70)),
    "shelf": ("on", (110, 72, 45)),
    "sofa": ("on", (95, 115, 105)),
    "bed": ("on", (175, 160, 190)),
    "sinkbasin": ("in", (200, 205, 210)),
    "fridge": ("in", (228, 230, 232)),
    "microwave": ("in", (70, 72, 78)),
    "garbagecan": ("in", (120, 130, 128)),
}
# The kinds that ALFRED's actions apply to (gen/constants.py: VAL_ACTION_OBJECTS and MOVABLE_RECEPTACLES).
SLICEABLE = ("apple", "bread", "lettuce")
HEATABLE = ("apple", "bread", "egg", "mug", "plate")
COOLABLE = ("apple", "bread", "egg", "lettuce", "mug", "bowl", "plate", "pan")
CLEANABLE = ("apple", "lettuce", "egg", "mug", "bowl", "plate", "pan", "knife")
MOVABLE_RECEPTACLES: dict[str, str] = {"bowl": "in", "mug": "in", "pan": "in", "plate": "on", "box": "in"}
SMALL = ("apple", "egg", "knife", "candle")
LAMP = "desklamp"

# Combinations that never occur in training; they test whether the model has learnt kind, colour and place separately.
HELD_OUT_COLOURS: dict[str, str] = dict(zip(KINDS, [*COLOURS, *COLOURS, *COLOURS], strict=False))
HELD_OUT_PLACES: dict[str, str] = dict(
    zip(
        ("apple", "bread", "mug", "bowl", "plate", "book", "vase", "box", "alarmclock", "basketball"),
        RECEPTACLES,
        strict=True,
    )
)

HAND = "hand"


@dataclass(frozen=True)
class Furniture:
    """A fixed receptacle; (x, y) is its centre in room units."""

    name: str
    x: float
    y: float
    paint: Paint


@dataclass(frozen=True)
class Thing:
    """An object; `height` is its size in room units, and `facing` -1 mirrors it."""

    kind: str
    colour: str
    height: float
    facing: int
    tilt_deg: float
    paint: Paint

    @property
    def name(self) -> str:
        """Colour and kind, such as `red mug`."""
        return f"{self.colour} {self.kind}"


@dataclass(frozen=True)
class Spot:
    """The place of a thing.

    Attributes:
        receptacle: Name of the receptacle, or `hand`.
        x: Middle of the thing's lower edge in room units.
        y: Lower edge of the thing in room units.
        inside: Index of the thing that contains it, if any.
    """

    receptacle: str
    x: float
    y: float
    inside: int | None = None


@dataclass(frozen=True)
class Moment:
    """The changeable state of a room.

    Attributes:
        spots: Place of every thing that is present, by the thing's index in the room.
        sliced: Indices of things that were sliced.
        lit: Indices of lamps that are on.
        hand: Middle of the palm in room units, or None if no hand is visible.
    """

    spots: Mapping[int, Spot]
    sliced: frozenset[int] = frozenset()
    lit: frozenset[int] = frozenset()
    hand: Point | None = None

    def moved(self, thing: int, spot: Spot) -> Moment:
        """A copy with one thing at another spot, or added there."""
        return replace(self, spots={**self.spots, thing: spot})

    def without(self, thing: int) -> Moment:
        """A copy without one thing."""
        return replace(self, spots={i: spot for i, spot in self.spots.items() if i != thing})


@dataclass(frozen=True)
class Room:
    """A furnished room and its state at the start.

    Attributes:
        furniture: Three or four receptacles.
        things: All things that may be present at some time.
        start: State of the room at the start.
        free: Spots without a thing at the start, in random order.
        wall: Paint of the wall.
        floor: Paint of the floor.
        horizon: Upper edge of the floor, as a share of the room's height.
        picture: A picture on the wall: left, top, width, height in room units, or None.
    """

    furniture: tuple[Furniture, ...]
    things: tuple[Thing, ...]
    start: Moment
    free: tuple[Spot, ...]
    wall: Paint
    floor: Paint
    horizon: float
    picture: tuple[float, float, float, float] | None = None

    @property
    def receptacles(self) -> frozenset[str]:
        """Names of the furniture."""
        return frozenset(piece.name for piece in self.furniture)

    def of_kind(self, kind: str) -> list[int]:
        """Indices of the things of a kind."""
        return [i for i, thing in enumerate(self.things) if thing.kind == kind]


# Lower edge of a thing on each receptacle, in room units below the receptacle's centre.
FLOOR_OF: dict[str, float] = {
    "countertop": -2.0,
    "diningtable": -2.0,
    "desk": -2.0,
    "shelf": 9.0,
    "sofa": 10.0,
    "bed": 6.0,
    "sinkbasin": 14.0,
    "fridge": 19.0,
    "microwave": 16.0,
    "garbagecan": 18.0,
}
WALLS: tuple[Paint, ...] = (
    (200, 195, 180),
    (185, 195, 200),
    (205, 190, 175),
    (170, 185, 170),
    (150, 150, 160),
    (215, 210, 205),
)
FLOORS: tuple[Paint, ...] = ((150, 120, 90), (120, 110, 100), (170, 150, 125), (105, 90, 80))


@dataclass(frozen=True)
class Wish:
    """Requirements on a random room.

    Attributes:
        combinations: `trained` (no held-out combination of kind, colour and place), `held_out` (the first thing is
            one), or `all`.
        kinds: Kinds of the first things, in this order; the kinds of further things are drawn.
        receptacles: Receptacles that the room must have.
        things: Number of things; None draws one to seven.
        doubled: Probability that a further thing has a kind that the room has already.
    """

    combinations: str = "trained"
    kinds: tuple[str, ...] = ()
    receptacles: tuple[str, ...] = ()
    things: int | None = None
    doubled: float = 0.25


def make_room(rng: Random, wish: Wish = Wish()) -> Room:
    """Furnish a random room; every choice follows from `rng` and the wish."""
    others = [name for name in RECEPTACLES if name not in wish.receptacles]
    count = rng.choice((3, 4, 4, 4))
    names = [*wish.receptacles, *rng.sample(others, max(0, count - len(wish.receptacles)))]
    cells = rng.sample(CELLS, len(names))
    furniture = tuple(
        Furniture(name, x + rng.uniform(-2, 2), y + rng.uniform(-2, 2), shade(rng, RECEPTACLES[name][1], 18))
        for name, (x, y) in zip(names, cells, strict=True)
    )
    spots = [(piece, slot) for piece in furniture for slot in SLOTS]
    rng.shuffle(spots)
    count = wish.things if wish.things is not None else rng.choice((1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 7))
    count = min(max(count, len(wish.kinds)), len(spots) - 2)
    things: list[Thing] = []
    where: dict[int, Spot] = {}
    taken: set[tuple[str, str]] = set()
    for index in range(count):
        _bring_forward(wish, index, spots)
        piece, slot = spots[index]
        kind, colour = _choose(rng, wish, index, things, piece.name, taken)
        taken.add((kind, colour))
        things.append(make_thing(rng, kind, colour))
        where[index] = spot_at(rng, piece, slot)
    picture = None
    if rng.random() < 0.3:
        width, height = rng.uniform(8, 20), rng.uniform(5, 9)
        picture = (rng.uniform(4, WIDTH - 24), rng.uniform(54, 58), width, height)
    return Room(
        furniture=furniture,
        things=tuple(things),
        start=Moment(where),
        free=tuple(spot_at(rng, piece, slot) for piece, slot in spots[count:]),
        wall=shade(rng, rng.choice(WALLS), 15),
        floor=shade(rng, rng.choice(FLOORS), 15),
        horizon=rng.uniform(0.72, 0.92),
        picture=picture,
    )


def _bring_forward(wish: Wish, index: int, spots: list[tuple[Furniture, int]]) -> None:
    """Swap an allowed spot to `index` if the thing's kind is given, since no colour makes a held-out place allowed."""
    wanted = wish.combinations == "held_out" and index == 0
    if index < len(wish.kinds) and wish.combinations != "all" and not wanted:
        never = HELD_OUT_PLACES.get(wish.kinds[index])
        allowed = next(i for i in range(index, len(spots)) if spots[i][0].name != never)
        spots[index], spots[allowed] = spots[allowed], spots[index]


def _choose(
    rng: Random, wish: Wish, index: int, things: list[Thing], place: str, taken: set[tuple[str, str]]
) -> tuple[str, str]:
    """Kind and colour of the next thing; never two of the same kind and colour."""
    while True:
        if index < len(wish.kinds):
            kind = wish.kinds[index]
        elif things and rng.random() < wish.doubled:
            kind = rng.choice(things).kind
        else:
            kind = rng.choice(KINDS)
        colour = rng.choice(list(COLOURS))
        wanted = wish.combinations == "held_out" and index == 0
        if wanted and rng.random() < 0.5:
            colour = HELD_OUT_COLOURS[kind]
        if (kind, colour) in taken:
            continue
        held = is_held_out(kind, colour, place)
        if wish.combinations == "all" or held == wanted:
            return kind, colour


def is_held_out(kind: str, colour: str, place: str) -> bool:
    """Whether a kind has a colour or a place with which training never shows it."""
    return HELD_OUT_COLOURS[kind] == colour or HELD_OUT_PLACES.get(kind) == place


def make_thing(rng: Random, kind: str, colour: str) -> Thing:
    """A thing of random size, tilt and shade."""
    facing = 1 if rng.random() < 0.5 else -1
    return Thing(kind, colour, rng.uniform(21, 26), facing, rng.uniform(-8, 8), shade(rng, COLOURS[colour], 14))


def spot_at(rng: Random, piece: Furniture, slot: int) -> Spot:
    """A spot on (or in) a receptacle; slots are -1, 0, 1 from left to right."""
    x = piece.x + SLOT_SPACING * slot + rng.uniform(-2, 2)
    return Spot(piece.name, x, piece.y + FLOOR_OF[piece.name] + rng.uniform(-1, 1))


def shade(rng: Random, paint: Paint, spread: float) -> Paint:
    """A random paint whose channels differ from the given ones by at most `spread`."""
    r, g, b = (min(255, max(0, int(v + rng.uniform(-spread, spread)))) for v in paint)
    return r, g, b


def with_article(noun: str) -> str:
    """The noun with its article `a` or `an`."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def plural(kind: str) -> str:
    """The plural of a kind's name."""
    special = {"knife": "knives", "bread": "breads", "box": "boxes", "lettuce": "lettuces"}
    return special.get(kind, f"{kind}s")


def place_of(room: Room, spot: Spot) -> str:
    """The place of a thing in words, such as `in the fridge`."""
    if spot.inside is not None:
        kind = room.things[spot.inside].kind
        return f"{MOVABLE_RECEPTACLES[kind]} the {kind}"
    if spot.receptacle == HAND:
        return "in the hand"
    return at(spot.receptacle)


def at(receptacle: str) -> str:
    """A receptacle with its preposition, such as `on the desk`."""
    return f"{RECEPTACLES[receptacle][0]} the {receptacle}"
