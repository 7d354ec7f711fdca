"""Draws one small room, in which one thing is carried from one place to another, as a camera sees it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Paint = tuple[int, int, int]
Point = tuple[float, float]

WIDTH, HEIGHT = 640, 480
ROOM_WIDTH, ROOM_HEIGHT = 160, 120
# A little less than fills the picture, so that the furniture keeps clear of its edges.
PIXELS_PER_UNIT = 3.8
OUTLINE_PX = 2
LENS_BLUR_PX = 1.0
SENSOR_NOISE = 1.0
SUBPIXEL_BITS = 4

MOVE_START_S, MOVE_END_S = 5.0, 8.0
LIFT = 8.0

KINDS = ("mug", "apple", "book", "ball", "knife", "bowl", "bottle", "pan")
COLOURS: dict[str, Paint] = {
    "red": (205, 35, 35),
    "green": (40, 150, 50),
    "blue": (40, 75, 205),
    "yellow": (235, 205, 40),
    "purple": (140, 50, 170),
    "white": (238, 238, 238),
}
RECEPTACLES: dict[str, Paint] = {
    "table": (150, 95, 50),
    "counter": (185, 170, 150),
    "sink": (200, 205, 210),
    "fridge": (228, 230, 232),
    "shelf": (110, 72, 45),
}
WALLS: tuple[Paint, ...] = ((200, 195, 180), (185, 195, 200), (205, 190, 175), (170, 185, 170))
FLOORS: tuple[Paint, ...] = ((150, 120, 90), (120, 110, 100), (170, 150, 125), (105, 90, 80))

# Where a thing stands, from the middle of what carries it: inside a sink or a fridge, on top of the others.
FLOOR_OF = {"table": -2.0, "counter": -2.0, "sink": 14.0, "fridge": 19.0, "shelf": 9.0}

DARK: Paint = (40, 35, 30)
STEEL: Paint = (205, 210, 215)
CHROME: Paint = (175, 180, 185)
PAPER: Paint = (245, 240, 225)
GLASS: Paint = (165, 215, 235)
IRON: Paint = (50, 48, 46)


@dataclass(frozen=True)
class Receptacle:
    """A piece of furniture; (x, y) is its middle in room units (the room is 160 x 120)."""

    name: str
    x: float
    y: float
    paint: Paint


@dataclass(frozen=True)
class Thing:
    """An object; (x, y) is the middle of its lower edge and `height` its size, all in room units."""

    kind: str
    colour: str
    receptacle: str
    x: float
    y: float
    height: float
    facing: int
    tilt_deg: float
    paint: Paint

    @property
    def name(self) -> str:
        """Colour and kind, such as `red mug`."""
        return f"{self.colour} {self.kind}"


@dataclass(frozen=True)
class Move:
    """The journey of one thing: its index, where it ends, and when it leaves and arrives (s)."""

    thing: int
    receptacle: str
    x: float
    y: float
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Room:
    """All that the pictures and the answers depend on."""

    seed: int
    receptacles: tuple[Receptacle, ...]
    things: tuple[Thing, ...]
    move: Move
    wall: Paint
    floor: Paint
    horizon: float
    light_slope: Point
    gain: float

    def receptacle_of(self, thing: int, at_s: float) -> str:
        """Name of what carries a thing at a time (s); while it travels, what it has left."""
        moved = thing == self.move.thing and at_s >= self.move.end_s
        return self.move.receptacle if moved else self.things[thing].receptacle


def make_room(seed: int) -> Room:
    """Furnishes a room: four receptacles, five or six things of which two are of one kind, and one move.

    Args:
        seed: Every choice follows from it.
    """
    rng = np.random.default_rng(seed)

    def shade(paint: Paint, spread: float) -> Paint:
        r, g, b = (int(np.clip(v + rng.uniform(-spread, spread), 0, 255)) for v in paint)
        return r, g, b

    names = [str(n) for n in rng.choice(list(RECEPTACLES), 4, replace=False)]
    middles = [(x, y) for y in (30.0, 90.0) for x in (40.0, 120.0)]
    furniture = tuple(
        Receptacle(n, x + rng.uniform(-2, 2), y + rng.uniform(-2, 2), shade(RECEPTACLES[n], 14))
        for n, (x, y) in zip(names, middles, strict=True)
    )

    # At most two things on each, at its two ends, so that none hides another.
    spots = [(r, end) for r in furniture for end in (-1, 1)]
    order = [spots[int(i)] for i in rng.permutation(len(spots))]
    kinds = [str(k) for k in rng.choice(KINDS, int(rng.integers(4, 6)), replace=False)]
    kinds.append(kinds[0])
    colours = [str(c) for c in rng.choice(list(COLOURS), len(kinds), replace=False)]

    def stand(spot: tuple[Receptacle, int]) -> Point:
        carrier, end = spot
        x = carrier.x + 20 * end + rng.uniform(-3, 3)
        return x, carrier.y + FLOOR_OF[carrier.name] + rng.uniform(-1, 1)

    things = []
    for kind, colour, spot in zip(kinds, colours, order, strict=False):
        x, y = stand(spot)
        facing = 1 if rng.random() < 0.5 else -1
        look = (rng.uniform(21, 25), facing, rng.uniform(-6, 6), shade(COLOURS[colour], 10))
        things.append(Thing(kind, colour, spot[0].name, x, y, *look))

    # The thing that moves is the only one of its kind, so that its kind alone names it.
    mover = int(rng.integers(1, len(kinds) - 1))
    goal = next(s for s in order[len(kinds) :] if s[0].name != things[mover].receptacle)
    x, y = stand(goal)
    return Room(
        seed=seed,
        receptacles=furniture,
        things=tuple(things),
        move=Move(mover, goal[0].name, x, y, MOVE_START_S, MOVE_END_S),
        wall=shade(WALLS[int(rng.integers(len(WALLS)))], 12),
        floor=shade(FLOORS[int(rng.integers(len(FLOORS)))], 12),
        horizon=float(rng.uniform(0.78, 0.9)),
        light_slope=(float(rng.uniform(-0.12, 0.12)), float(rng.uniform(-0.1, 0.1))),
        gain=float(rng.uniform(0.95, 1.08)),
    )


def camera_picture(room: Room, at_s: float, frame: int) -> NDArray[np.uint8]:
    """One picture of the room.

    Args:
        room: What is seen.
        at_s: When, in seconds from the first frame.
        frame: Number of the frame; with the room's seed it settles the sensor's noise.

    Returns:
        RGB, (480, 640, 3).
    """
    image = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    image[:] = room.wall
    image[int(HEIGHT * room.horizon) :] = room.floor
    for receptacle in room.receptacles:
        draw_receptacle(image, receptacle)
    # The one that moves comes last, since it passes in front of the others.
    for index in sorted(range(len(room.things)), key=lambda i: i == room.move.thing):
        draw_thing(image, room.things[index], *position(room, index, at_s))

    # Rounded identically on every processor, unlike a warp; the noise comes after it, as in a camera.
    seen = cv2.GaussianBlur(image, (0, 0), LENS_BLUR_PX)
    across = room.light_slope[0] * np.linspace(-1, 1, WIDTH)[None, :, None]
    down = room.light_slope[1] * np.linspace(-1, 1, HEIGHT)[:, None, None]
    grain = np.random.default_rng((room.seed, frame)).normal(0, SENSOR_NOISE, (HEIGHT, WIDTH, 1))
    lit: NDArray[np.float64] = seen * (room.gain * (1 + across + down)) + grain
    return np.clip(lit, 0, 255).astype(np.uint8)


def position(room: Room, thing: int, at_s: float) -> Point:
    """Middle of a thing's lower edge at a time (s), in room units."""
    start, move = room.things[thing], room.move
    if thing != move.thing:
        return start.x, start.y
    u = min(1.0, max(0.0, (at_s - move.start_s) / (move.end_s - move.start_s)))
    lift = LIFT * math.sin(math.pi * u)
    return start.x + (move.x - start.x) * u, start.y + (move.y - start.y) * u - lift


def draw_receptacle(image: NDArray[np.uint8], receptacle: Receptacle) -> None:
    """Paints a piece of furniture into an RGB picture (480, 640, 3)."""
    x, y, paint = receptacle.x, receptacle.y, receptacle.paint

    def box(left: float, top: float, right: float, bottom: float, fill: Paint = paint) -> None:
        draw_box(image, x + left, y + top, x + right, y + bottom, fill, DARK)

    if receptacle.name == "table":
        box(-36, -2, 36, 5)
        box(-31, 5, -26, 26)
        box(26, 5, 31, 26)
    elif receptacle.name == "counter":
        box(-36, 3, 36, 26)
        box(-38, -2, 38, 3, darker(paint, 0.45))
        for seam in (-12, 12):
            box(seam - 0.8, 5, seam + 0.8, 25, DARK)
        for handle in (-24, 0, 24):
            box(handle - 4, 8, handle + 4, 10, DARK)
    elif receptacle.name == "sink":
        box(-37, -8, 37, 22)
        box(-34, -5, 34, 18, darker(paint, 0.62))
        box(-3, -20, 1, -5, CHROME)
        box(-3, -22, 12, -18, CHROME)
    elif receptacle.name == "fridge":
        box(-37, -26, 37, 26)
        box(-33, -14, 33, 20, GLASS)
        box(-37, -19, 37, -18, DARK)
        box(26, -25, 30, -20, (90, 90, 95))
    else:
        box(-37, -24, -34, 24)
        box(34, -24, 37, 24)
        for board in (-24, -15, 9, 21):
            box(-37, board, 37, board + 3)


def draw_thing(image: NDArray[np.uint8], thing: Thing, x: float, y: float) -> None:
    """Paints an object into an RGB picture (480, 640, 3); (x, y) is the middle of its lower edge."""
    h, f, paint, edge = thing.height, thing.facing, thing.paint, darker(thing.paint, 0.3)
    shadow = darker(paint, 0.7)
    if thing.kind == "mug":
        w, t = 0.32 * h, 0.72 * h
        draw_ellipse(image, x + f * w, y - t / 2, 0.17 * h, 0.2 * h, paint, width=0.085 * h)
        draw_box(image, x - w, y - t, x + w, y, paint, edge)
        draw_ellipse(image, x, y - t, w, 0.09 * h, shadow, edge)
    elif thing.kind == "apple":
        r = 0.3 * h
        for side in (-0.4, 0.4):
            draw_ellipse(image, x + side * r, y - 1.05 * r, 0.85 * r, 1.05 * r, paint, edge)
        draw_ellipse(image, x, y - 0.95 * r, 0.8 * r, 0.85 * r, paint)
        root, tip = y - 1.9 * r, y - 2.8 * r
        draw_polygon(image, [(x - 1, root), (x + 1, root), (x + 2.5 * f, tip), (x + 0.8 * f, tip)], (80, 50, 20))
        draw_ellipse(image, x + 0.75 * f * r, y - 2.4 * r, 0.5 * r, 0.25 * r, (60, 140, 50), turn_deg=-20 * f)
    elif thing.kind == "book":
        w, t = 0.36 * h, 0.82 * h
        draw_box(image, x - w, y - t, x + w, y, paint, edge)
        draw_box(image, x - w, y - t, x - w + 0.12 * h, y, shadow, edge)
        draw_box(image, x - 0.35 * w, y - 0.8 * t, x + 0.7 * w, y - 0.62 * t, PAPER)
        draw_box(image, x - 0.35 * w, y - 0.5 * t, x + 0.4 * w, y - 0.4 * t, PAPER)
    elif thing.kind == "ball":
        r = 0.36 * h
        draw_ellipse(image, x, y - r, r, r, paint, edge)
        draw_ellipse(image, x - 0.35 * r, y - 1.35 * r, 0.28 * r, 0.22 * r, lighter(paint))
        draw_ellipse(image, x, y - r, 0.45 * r, r, edge, width=0.8)
        draw_box(image, x - r, y - r - 0.5, x + r, y - r + 0.5, edge)
    elif thing.kind == "knife":
        angle = math.radians(-62 * f + 0.6 * thing.tilt_deg)
        cos, sin = math.cos(angle), math.sin(angle)

        def turned(points: Sequence[Point]) -> list[Point]:
            return [(x + h * (u * cos - v * sin), y - 0.42 * h + h * (u * sin + v * cos)) for u, v in points]

        blade = turned([(0, -0.09), (0.55, -0.05), (0.58, 0.05), (0, 0.09)])
        draw_polygon(image, blade, STEEL, (70, 70, 75))
        draw_polygon(image, turned([(-0.5, -0.12), (0, -0.12), (0, 0.12), (-0.5, 0.12)]), paint, edge)
    elif thing.kind == "bowl":
        w, t = 0.46 * h, 0.46 * h
        half = [(w, t), (0.85 * w, 0.5 * t), (0.4 * w, 0.0)]
        draw_polygon(image, mirrored(half, x, y), paint, edge)
        draw_ellipse(image, x, y - t, w, 0.13 * h, shadow, edge)
    elif thing.kind == "bottle":
        w = 0.2 * h
        half = [(0.4 * w, 1.02 * h), (0.4 * w, 0.78 * h), (w, 0.6 * h), (w, 0.0)]
        draw_polygon(image, mirrored(half, x, y), paint, edge)
        draw_box(image, x - 0.55 * w, y - 1.1 * h, x + 0.55 * w, y - 0.98 * h, (60, 55, 50))
        draw_box(image, x - w, y - 0.45 * h, x + w, y - 0.2 * h, PAPER)
    else:
        r, middle = 0.32 * h, x - 0.16 * f * h
        near, far = middle + 0.8 * f * r, middle + f * (r + 0.45 * h)
        low, high = y - 0.9 * r, y - 1.3 * r
        grip = [
            (near, low - 0.07 * h),
            (far, high - 0.06 * h),
            (far, high + 0.07 * h),
            (near, low + 0.07 * h),
        ]
        draw_polygon(image, grip, IRON)
        draw_ellipse(image, middle, low, r, 0.9 * r, paint, edge)
        draw_ellipse(image, middle, low, 0.68 * r, 0.6 * r, (75, 72, 70), edge)


def darker(paint: Paint, share: float) -> Paint:
    """The paint with `share` of its light."""
    return int(paint[0] * share), int(paint[1] * share), int(paint[2] * share)


def lighter(paint: Paint) -> Paint:
    """The paint a third of the way to white."""
    r, g, b = (int(v + (255 - v) * 0.35) for v in paint)
    return r, g, b


def mirrored(half: Sequence[Point], x: float, y: float) -> list[Point]:
    """A whole outline from its right half, given as (across, up) from (x, y)."""
    return [(x + u, y - v) for u, v in half] + [(x - u, y - v) for u, v in reversed(half)]


def pixels(x: float, y: float) -> tuple[int, int]:
    """A point in room units as fixed-point pixels; the middle of the room is the middle of the picture."""
    half_width, half_height = WIDTH << SUBPIXEL_BITS >> 1, HEIGHT << SUBPIXEL_BITS >> 1
    return half_width + length(x - ROOM_WIDTH / 2), half_height + length(y - ROOM_HEIGHT / 2)


def length(units: float) -> int:
    """A length in room units as fixed-point pixels."""
    return round(units * PIXELS_PER_UNIT * (1 << SUBPIXEL_BITS))


def draw_polygon(image: NDArray[np.uint8], points: Sequence[Point], fill: Paint, outline: Paint | None = None) -> None:
    """Paints a filled polygon given in room units."""
    corners = np.array([pixels(x, y) for x, y in points], np.int32)
    cv2.fillPoly(image, [corners], fill, cv2.LINE_AA, SUBPIXEL_BITS)
    if outline is not None:
        cv2.polylines(image, [corners], True, outline, OUTLINE_PX, cv2.LINE_AA, SUBPIXEL_BITS)


def draw_box(
    image: NDArray[np.uint8],
    left: float,
    top: float,
    right: float,
    bottom: float,
    fill: Paint,
    outline: Paint | None = None,
) -> None:
    """Paints a filled upright rectangle given in room units."""
    draw_polygon(image, [(left, top), (right, top), (right, bottom), (left, bottom)], fill, outline)


def draw_ellipse(
    image: NDArray[np.uint8],
    x: float,
    y: float,
    across: float,
    down: float,
    fill: Paint,
    outline: Paint | None = None,
    width: float | None = None,
    turn_deg: float = 0.0,
) -> None:
    """Paints an ellipse of half axes `across` and `down` in room units; `width` makes it a ring that wide."""
    middle, axes = pixels(x, y), (length(across), length(down))
    thickness = -1 if width is None else max(1, int(width * PIXELS_PER_UNIT))
    cv2.ellipse(image, middle, axes, turn_deg, 0, 360, fill, thickness, cv2.LINE_AA, SUBPIXEL_BITS)
    if outline is not None:
        cv2.ellipse(image, middle, axes, turn_deg, 0, 360, outline, OUTLINE_PX, cv2.LINE_AA, SUBPIXEL_BITS)
