"""Draws the ten receptacles."""

from __future__ import annotations

from collections.abc import Callable

from .canvas import Canvas, darker, lighter
from .world import Furniture, Paint

DARK: Paint = (40, 35, 30)
CHROME: Paint = (175, 180, 185)
GLASS: Paint = (165, 215, 235)
GLOW: Paint = (240, 220, 160)
LINEN: Paint = (232, 230, 224)


def draw_furniture(canvas: Canvas, piece: Furniture) -> None:
    """Draw a receptacle, before the things on or in it."""
    x, y, paint = piece.x, piece.y, piece.paint

    def box(left: float, top: float, right: float, bottom: float, fill: Paint = paint) -> None:
        canvas.box(x + left, y + top, x + right, y + bottom, fill, DARK)

    DRAWN[piece.name](canvas, x, y, paint, box)


Box = Callable[..., None]


def _countertop(canvas: Canvas, x: float, y: float, paint: Paint, box: Box) -> None:
    box(-36, 3, 36, 26)
    box(-38, -2, 38, 3, darker(paint, 0.45))
    for seam in (-12, 12):
        box(seam - 0.8, 5, seam + 0.8, 25, DARK)
    for handle in (-24, 0, 24):
        box(handle - 4, 8, handle + 4, 10, DARK)


def _diningtable(canvas: Canvas, x: float, y: float, paint: Paint, box: Box) -> None:
    for leg in (-31, 26):
        box(leg, 5, leg + 5, 26)
    canvas.ellipse(x, y + 3, 38, 5, darker(paint, 0.8), DARK)
    box(-37, -2, 37, 4)


def _desk(canvas: Canvas, x: float, y: float, paint: Paint, box: Box) -> None:
    box(-36, -2, 36, 3)
    box(-36, 3, -32, 26)
    box(8, 3, 36, 26)
    for drawer in (6, 13, 20):
        box(11, drawer, 33, drawer + 5, lighter(paint, 0.3))
        box(20, drawer + 1.5, 24, drawer + 3, CHROME)


def _shelf(canvas: Canvas, x: float, y: float, paint: Paint, box: Box) -> None:
    box(-37, -24, -34, 24)
    box(34, -24, 37, 24)
    for board in (-24, -16, 9, 20):
        box(-37, board, 37, board + 3)


def _sofa(canvas: Canvas, x: float, y: float, paint: Paint, box: Box) -> None:
    box(-34, -18, 34, 8, lighter(paint, 0.2))
    box(-34, 6, 34, 20)
    canvas.box(x - 0.6, y + 8, x + 0.6, y + 20, DARK)
    box(-39, -6, -32, 24, darker(paint, 0.75))
    box(32, -6, 39, 24, darker(paint, 0.75))


def _bed(canvas: Canvas, x: float, y: float, paint: Paint, box: Box) -> None:
    box(-39, -20, -35, 26, (105, 70, 45))
    box(35, -4, 39, 26, (105, 70, 45))
    box(-35, 4, 35, 11, LINEN)
    box(-35, 9, 35, 21)
    canvas.ellipse(x - 27, y + 2, 8, 4, LINEN, DARK)


def _sinkbasin(canvas: Canvas, x: float, y: float, paint: Paint, box: Box) -> None:
    box(-37, -8, 37, 22)
    box(-34, -5, 34, 18, darker(paint, 0.62))
    box(-3, -20, 1, -5, CHROME)
    box(-3, -22, 12, -18, CHROME)


def _fridge(canvas: Canvas, x: float, y: float, paint: Paint, box: Box) -> None:
    box(-37, -27, 37, 26)
    box(-33, -14, 33, 20, GLASS)
    box(-37, -19, 37, -18, DARK)
    box(26, -25, 30, -20, (90, 90, 95))


def _microwave(canvas: Canvas, x: float, y: float, paint: Paint, box: Box) -> None:
    box(-38, -16, 38, 22)
    box(-35, -13, 35, 18, GLOW)
    box(-35, 18, 35, 22, darker(paint, 0.6))
    for knob in (-28, -22, 22, 28):
        canvas.ellipse(x + knob, y + 20, 1.6, 1.2, CHROME)


def _garbagecan(canvas: Canvas, x: float, y: float, paint: Paint, box: Box) -> None:
    outline = [(x - 38, y - 14), (x + 38, y - 14), (x + 33, y + 24), (x - 33, y + 24)]
    canvas.polygon(outline, lighter(paint, 0.45), DARK)
    for rib in (-24, -12, 0, 12, 24):
        canvas.polygon(
            [(x + rib, y - 14), (x + rib + 1.2, y - 14), (x + rib * 0.88 + 1.2, y + 24), (x + rib * 0.88, y + 24)],
            paint,
        )
    box(-39, -16, 39, -12)


DRAWN: dict[str, Callable[[Canvas, float, float, Paint, Box], None]] = {
    "countertop": _countertop,
    "diningtable": _diningtable,
    "desk": _desk,
    "shelf": _shelf,
    "sofa": _sofa,
    "bed": _bed,
    "sinkbasin": _sinkbasin,
    "fridge": _fridge,
    "microwave": _microwave,
    "garbagecan": _garbagecan,
}
