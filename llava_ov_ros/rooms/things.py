"""Draws the sixteen kinds of things, whole and sliced."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from .canvas import Canvas, darker, lighter
from .world import Paint, Point, Thing

STEEL: Paint = (205, 210, 215)
PAPER: Paint = (245, 240, 225)
IRON: Paint = (50, 48, 46)
WOOD: Paint = (80, 50, 20)
LEAF: Paint = (60, 140, 50)
FLESH: Paint = (250, 240, 205)
FLAME: Paint = (255, 190, 60)
LIGHT: Paint = (255, 245, 170)
SKIN: Paint = (222, 170, 135)


@dataclass(frozen=True)
class Brush:
    """Draws one thing on a canvas in coordinates of the thing.

    (x, y) is the middle of its lower edge and `h` its size, in room units. Coordinates of shapes are shares of `h`: the
    first points to the side that the thing faces, the second up from the lower edge.
    """

    canvas: Canvas
    x: float
    y: float
    h: float
    facing: int
    tilt_deg: float
    paint: Paint
    edge: Paint
    shadow: Paint
    lit: bool

    def box(self, left: float, top: float, right: float, bottom: float, fill: Paint, outline: bool = True) -> None:
        """Draw a filled rectangle, in shares of the size."""
        f, h = self.facing, self.h
        self.canvas.box(
            self.x + f * left * h,
            self.y - top * h,
            self.x + f * right * h,
            self.y - bottom * h,
            fill,
            self.edge if outline else None,
        )

    def polygon(self, points: list[Point], fill: Paint, outline: bool = True) -> None:
        """Draw a filled polygon, in shares of the size."""
        f, h = self.facing, self.h
        self.canvas.polygon(
            [(self.x + f * u * h, self.y - v * h) for u, v in points], fill, self.edge if outline else None
        )

    def ellipse(
        self,
        u: float,
        v: float,
        across: float,
        down: float,
        fill: Paint,
        outline: bool = True,
        width: float | None = None,
        turn_deg: float = 0.0,
    ) -> None:
        """Draw an ellipse with centre (u, v), in shares of the size; with a `width` it is a ring."""
        h = self.h
        self.canvas.ellipse(
            self.x + self.facing * u * h,
            self.y - v * h,
            across * h,
            down * h,
            fill,
            self.edge if outline else None,
            width=None if width is None else width * h,
            turn_deg=turn_deg * self.facing,
        )


def draw_thing(canvas: Canvas, thing: Thing, x: float, y: float, *, sliced: bool, lit: bool, size: float = 1.0) -> None:
    """Draw a thing.

    Args:
        canvas: The canvas.
        thing: The thing.
        x: Middle of the thing's lower edge in room units.
        y: Lower edge of the thing in room units.
        sliced: Whether the thing is drawn sliced.
        lit: Whether a lamp is on.
        size: Scale of the thing; below 1 for a thing inside another.
    """
    paint = thing.paint
    edge, shadow = darker(paint, 0.3), darker(paint, 0.7)
    brush = Brush(canvas, x, y, thing.height * size, thing.facing, thing.tilt_deg, paint, edge, shadow, lit)
    DRAWN[thing.kind](brush)
    if sliced:
        for cut in (-0.16, 0.08):
            brush.polygon([(cut, 0.8), (cut + 0.1, 0.8), (cut + 0.08, 0.0), (cut - 0.02, 0.0)], FLESH)


def draw_hand(canvas: Canvas, x: float, y: float) -> None:
    """Draw a hand that reaches from above; (x, y) is the middle of its palm in room units."""
    edge = darker(SKIN, 0.35)
    canvas.polygon([(x - 3.5, y - 16), (x + 3.5, y - 16), (x + 5, y - 4), (x - 5, y - 4)], (70, 80, 120), edge)
    canvas.ellipse(x, y, 7.5, 5.0, SKIN, edge)
    for finger in (-6.5, -2.2, 2.2, 6.5):
        canvas.box(x + finger - 1.5, y + 1, x + finger + 1.5, y + 8, SKIN, edge)


def _apple(b: Brush) -> None:
    for side in (-0.12, 0.12):
        b.ellipse(side, 0.32, 0.26, 0.32, b.paint)
    b.ellipse(0, 0.29, 0.24, 0.26, b.paint, outline=False)
    b.polygon([(-0.03, 0.56), (0.03, 0.56), (0.1, 0.84), (0.03, 0.84)], WOOD, outline=False)
    b.ellipse(0.24, 0.72, 0.15, 0.08, LEAF, outline=False, turn_deg=-20)


def _bread(b: Brush) -> None:
    b.box(-0.45, 0.3, 0.45, 0.0, b.paint)
    for lump in (-0.28, 0.0, 0.28):
        b.ellipse(lump, 0.32, 0.19, 0.17, b.paint)
    b.box(-0.42, 0.3, 0.42, 0.03, b.paint, outline=False)
    for cut in (-0.2, 0.04, 0.28):
        b.polygon([(cut, 0.12), (cut + 0.05, 0.12), (cut + 0.14, 0.42), (cut + 0.09, 0.42)], b.edge, outline=False)


def _lettuce(b: Brush) -> None:
    for turn in range(8):
        angle = turn * math.pi / 4
        b.ellipse(0.24 * math.cos(angle), 0.36 + 0.22 * math.sin(angle), 0.16, 0.15, b.paint)
    b.ellipse(0, 0.36, 0.2, 0.19, lighter(b.paint))
    b.polygon([(-0.03, 0.1), (0.03, 0.1), (0.02, 0.5), (-0.02, 0.5)], PAPER, outline=False)


def _egg(b: Brush) -> None:
    b.ellipse(0, 0.26, 0.21, 0.26, b.paint)
    b.ellipse(0, 0.32, 0.17, 0.24, b.paint, outline=False)
    b.ellipse(-0.07, 0.38, 0.05, 0.08, lighter(b.paint, 0.7), outline=False)
    b.polygon([(-0.3, 0.12), (0.3, 0.12), (0.17, 0.0), (-0.17, 0.0)], (150, 150, 145))


def _mug(b: Brush) -> None:
    b.ellipse(0.34, 0.36, 0.17, 0.2, b.paint, outline=False, width=0.085)
    b.box(-0.32, 0.72, 0.32, 0.0, b.paint)
    b.ellipse(0, 0.72, 0.32, 0.09, b.shadow)


def _bowl(b: Brush) -> None:
    b.polygon(
        [(0.46, 0.44), (0.38, 0.2), (0.18, 0.0), (-0.18, 0.0), (-0.38, 0.2), (-0.46, 0.44)],
        b.paint,
    )
    b.ellipse(0, 0.44, 0.46, 0.12, b.shadow)


def _plate(b: Brush) -> None:
    b.ellipse(0, 0.42, 0.43, 0.42, b.paint)
    b.ellipse(0, 0.42, 0.27, 0.26, lighter(b.paint, 0.5))


def _pan(b: Brush) -> None:
    b.polygon([(0.1, 0.3), (0.62, 0.42), (0.62, 0.54), (0.1, 0.42)], IRON, outline=False)
    b.ellipse(-0.14, 0.3, 0.34, 0.3, b.paint)
    b.ellipse(-0.14, 0.3, 0.22, 0.19, (75, 72, 70))


def _knife(b: Brush) -> None:
    angle = math.radians(62 - 0.6 * b.tilt_deg)
    cos, sin = math.cos(angle), math.sin(angle)

    def turned(points: list[Point]) -> list[Point]:
        return [(u * cos - v * sin, 0.42 + u * sin + v * cos) for u, v in points]

    b.polygon(turned([(0, -0.1), (0.55, -0.05), (0.58, 0.05), (0, 0.1)]), STEEL)
    b.polygon(turned([(-0.5, -0.13), (0, -0.13), (0, 0.13), (-0.5, 0.13)]), b.paint)


def _book(b: Brush) -> None:
    b.box(-0.36, 0.82, 0.36, 0.0, b.paint)
    b.box(-0.36, 0.82, -0.24, 0.0, b.shadow)
    b.box(-0.12, 0.68, 0.26, 0.54, PAPER, outline=False)
    b.box(-0.12, 0.44, 0.14, 0.36, PAPER, outline=False)


def _vase(b: Brush) -> None:
    b.polygon(
        [
            (0.2, 0.72),
            (0.09, 0.56),
            (0.27, 0.3),
            (0.13, 0.0),
            (-0.13, 0.0),
            (-0.27, 0.3),
            (-0.09, 0.56),
            (-0.2, 0.72),
        ],
        b.paint,
    )
    for u, v in ((-0.16, 0.94), (0.0, 1.02), (0.16, 0.94)):
        b.polygon([(u - 0.02, v), (u + 0.02, v), (0.02, 0.7), (-0.02, 0.7)], LEAF, outline=False)
        b.ellipse(u, v, 0.07, 0.07, (240, 120, 160), outline=False)


def _candle(b: Brush) -> None:
    b.box(-0.13, 0.62, 0.13, 0.06, b.paint)
    b.ellipse(0, 0.06, 0.26, 0.07, IRON)
    b.polygon([(0.0, 1.0), (0.09, 0.8), (0.0, 0.66), (-0.09, 0.8)], FLAME, outline=False)


def _box(b: Brush) -> None:
    b.box(-0.42, 0.5, 0.42, 0.0, b.paint)
    b.polygon([(-0.42, 0.5), (0.42, 0.5), (0.54, 0.68), (0.2, 0.58), (-0.2, 0.58), (-0.54, 0.68)], b.shadow)
    b.box(-0.06, 0.5, 0.06, 0.0, lighter(b.paint, 0.5), outline=False)


def _alarmclock(b: Brush) -> None:
    for side in (-0.2, 0.2):
        b.ellipse(side, 0.74, 0.13, 0.1, b.shadow)
        b.polygon([(side * 1.1, 0.12), (side * 1.5, 0.0), (side * 1.2, 0.0), (side * 0.8, 0.1)], IRON, outline=False)
    b.ellipse(0, 0.4, 0.36, 0.34, b.paint)
    b.ellipse(0, 0.4, 0.24, 0.22, PAPER)
    b.polygon([(-0.02, 0.58), (0.03, 0.58), (0.03, 0.4), (0.16, 0.4), (0.16, 0.36), (-0.02, 0.36)], IRON, outline=False)


def _basketball(b: Brush) -> None:
    b.ellipse(0, 0.38, 0.38, 0.38, b.paint)
    b.ellipse(0, 0.38, 0.17, 0.38, b.edge, outline=False, width=0.04)
    b.box(-0.38, 0.4, 0.38, 0.36, b.edge, outline=False)
    b.box(-0.02, 0.76, 0.02, 0.0, b.edge, outline=False)


def _desklamp(b: Brush) -> None:
    b.ellipse(0, 0.05, 0.24, 0.06, IRON)
    b.box(-0.03, 0.6, 0.03, 0.06, IRON, outline=False)
    if b.lit:
        b.polygon([(0.34, 0.52), (-0.34, 0.52), (-0.5, 0.08), (0.5, 0.08)], LIGHT, outline=False)
    b.polygon([(0.16, 0.98), (-0.16, 0.98), (-0.4, 0.54), (0.4, 0.54)], b.paint)
    if b.lit:
        b.ellipse(0, 0.54, 0.36, 0.07, LIGHT)


DRAWN: dict[str, Callable[[Brush], None]] = {
    "apple": _apple,
    "bread": _bread,
    "lettuce": _lettuce,
    "egg": _egg,
    "mug": _mug,
    "bowl": _bowl,
    "plate": _plate,
    "pan": _pan,
    "knife": _knife,
    "book": _book,
    "vase": _vase,
    "candle": _candle,
    "box": _box,
    "alarmclock": _alarmclock,
    "basketball": _basketball,
    "desklamp": _desklamp,
}
