"""What there is in a rendered room: things, furniture, and where everything is at one moment."""

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
# Ten of its receptacle classes, each with how a thing is there and the paint it has most often.
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
# What ALFRED lets be done with them (gen/constants.py: VAL_ACTION_OBJECTS and MOVABLE_RECEPTACLES).
SLICEABLE = ("apple", "bread", "lettuce")
HEATABLE = ("apple", "bread", "egg", "mug", "plate")
COOLABLE = ("apple", "bread", "egg", "lettuce", "mug", "bowl", "plate", "pan")
CLEANABLE = ("apple", "lettuce", "egg", "mug", "bowl", "plate", "pan", "knife")
MOVABLE_RECEPTACLES: dict[str, str] = {"bowl": "in", "mug": "in", "pan": "in", "plate": "on", "box": "in"}
SMALL = ("apple", "egg", "knife", "candle")
LAMP = "desklamp"

# Never together in training, for the question whether the model has learnt the parts or the pairs.
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
    """A receptacle that stays; (x, y) is its middle in room units."""

    name: str
    x: float
    y: float
    paint: Paint


@dataclass(frozen=True)
class Thing:
    """An object; `height` is its size in room units, `facing` 1 or -1."""

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
    """Where a thing is: the receptacle's name, or `hand`, or the index of the thing that holds it.

    (x, y) is the middle of the thing's lower edge in room units.
    """

    receptacle: str
    x: float
    y: float
    inside: int | None = None


@dataclass(frozen=True)
class Moment:
    """All that can change in a room.

    Attributes:
        spots: Of every thing that is there, by its index in the room.
        sliced: Indices of things that were sliced.
        lit: Indices of lamps that are on.
        hand: Middle of the palm, or None where no hand is to be seen.
    """

    spots: Mapping[int, Spot]
    sliced: frozenset[int] = frozenset()
    lit: frozenset[int] = frozenset()
    hand: Point | None = None

    def moved(self, thing: int, spot: Spot) -> Moment:
        """The same with one thing elsewhere (or there at all)."""
        return replace(self, spots={**self.spots, thing: spot})

    def without(self, thing: int) -> Moment:
        """The same with one thing gone."""
        return replace(self, spots={i: spot for i, spot in self.spots.items() if i != thing})


@dataclass(frozen=True)
class Room:
    """A furnished room as it is at first.

    Attributes:
        furniture: Three or four receptacles.
        things: All that may be seen in it at some time.
        start: Where the things are at first.
        free: Spots where nothing stands at first, in random order.
        wall: Paint of the wall.
        floor: Paint of the floor.
        horizon: Where the floor begins, as a share of the height.
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


# Where a thing stands, down from the middle of what carries it.
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
    """What a room must have.

    Attributes:
        combinations: `trained` (no held-out combination of kind, colour and place), `held_out` (the first thing is
            one), or `all`.
        kinds: Kinds of the first things, in this order; the rest is chosen.
        receptacles: Furniture that must be there.
        things: How many things; None: one to seven.
        doubled: Probability that a further thing is of a kind already there.
    """

    combinations: str = "trained"
    kinds: tuple[str, ...] = ()
    receptacles: tuple[str, ...] = ()
    things: int | None = None
    doubled: float = 0.25


def make_room(rng: Random, wish: Wish = Wish()) -> Room:
    """Furnishes a room; every choice follows from `rng` and the wish."""
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
    """Have a thing whose kind is settled stand where it may: a forbidden place could not be mended by a colour."""
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
    """Whether a combination never occurs in training."""
    return HELD_OUT_COLOURS[kind] == colour or HELD_OUT_PLACES.get(kind) == place


def make_thing(rng: Random, kind: str, colour: str) -> Thing:
    """A thing of some size and shade."""
    facing = 1 if rng.random() < 0.5 else -1
    return Thing(kind, colour, rng.uniform(21, 26), facing, rng.uniform(-8, 8), shade(rng, COLOURS[colour], 14))


def spot_at(rng: Random, piece: Furniture, slot: int) -> Spot:
    """A place on (or in) a piece of furniture; slots are -1, 0, 1 from left to right."""
    x = piece.x + SLOT_SPACING * slot + rng.uniform(-2, 2)
    return Spot(piece.name, x, piece.y + FLOOR_OF[piece.name] + rng.uniform(-1, 1))


def shade(rng: Random, paint: Paint, spread: float) -> Paint:
    """A paint near the given one."""
    r, g, b = (min(255, max(0, int(v + rng.uniform(-spread, spread)))) for v in paint)
    return r, g, b


def with_article(noun: str) -> str:
    """The noun after `a` or `an`."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def plural(kind: str) -> str:
    """More than one of a kind."""
    special = {"knife": "knives", "bread": "breads", "box": "boxes", "lettuce": "lettuces"}
    return special.get(kind, f"{kind}s")


def place_of(room: Room, spot: Spot) -> str:
    """Where a thing is, such as `in the fridge`."""
    if spot.inside is not None:
        kind = room.things[spot.inside].kind
        return f"{MOVABLE_RECEPTACLES[kind]} the {kind}"
    if spot.receptacle == HAND:
        return "in the hand"
    return at(spot.receptacle)


def at(receptacle: str) -> str:
    """A place by its receptacle, such as `on the desk`."""
    return f"{RECEPTACLES[receptacle][0]} the {receptacle}"
