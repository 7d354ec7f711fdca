"""Draws shapes in room units into a picture, as seen by a camera that may be moved, turned and zoomed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

from .world import HEIGHT, WIDTH, Paint, Point

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUBPIXEL_BITS = 4
OUTLINE_UNITS = 0.55


class Canvas:
    """An RGB picture, and the mapping from room units to its pixels."""

    def __init__(
        self,
        width: int,
        height: int,
        *,
        scale: Point,
        centre: Point = (WIDTH / 2, HEIGHT / 2),
        turn_deg: float = 0.0,
    ) -> None:
        """Create a black picture.

        Args:
            width: Width of the picture in pixels.
            height: Height of the picture in pixels.
            scale: Pixels per room unit, across and down.
            centre: Point of the room at the centre of the picture, in room units.
            turn_deg: Rotation of the camera about its axis, in degrees.
        """
        self.image: NDArray[np.uint8] = np.zeros((height, width, 3), np.uint8)
        self._scale = scale
        self._turn_deg = turn_deg
        cos, sin = math.cos(math.radians(turn_deg)), math.sin(math.radians(turn_deg))
        self._x = (cos * scale[0], -sin * scale[0], width / 2)
        self._y = (sin * scale[1], cos * scale[1], height / 2)
        self._centre = centre
        self._outline_px = max(1, round(OUTLINE_UNITS * (scale[0] + scale[1]) / 2))

    def pixel(self, x: float, y: float) -> Point:
        """The pixel coordinates of a point of the room."""
        u, v = x - self._centre[0], y - self._centre[1]
        return self._x[0] * u + self._x[1] * v + self._x[2], self._y[0] * u + self._y[1] * v + self._y[2]

    def _fixed(self, x: float, y: float) -> tuple[int, int]:
        px, py = self.pixel(x, y)
        return round(px * (1 << SUBPIXEL_BITS)), round(py * (1 << SUBPIXEL_BITS))

    def polygon(self, points: Sequence[Point], fill: Paint, outline: Paint | None = None) -> None:
        """Draw a filled polygon."""
        corners = np.array([self._fixed(x, y) for x, y in points], np.int32)
        cv2.fillPoly(self.image, [corners], fill, cv2.LINE_AA, SUBPIXEL_BITS)
        if outline is not None:
            cv2.polylines(self.image, [corners], True, outline, self._outline_px, cv2.LINE_AA, SUBPIXEL_BITS)

    def box(
        self, left: float, top: float, right: float, bottom: float, fill: Paint, outline: Paint | None = None
    ) -> None:
        """Draw a filled rectangle."""
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], fill, outline)

    def ellipse(
        self,
        x: float,
        y: float,
        across: float,
        down: float,
        fill: Paint,
        outline: Paint | None = None,
        *,
        width: float | None = None,
        turn_deg: float = 0.0,
    ) -> None:
        """Draw a filled ellipse with half axes `across` and `down`; with a `width` it is a ring of that width."""
        middle = self._fixed(x, y)
        one = 1 << SUBPIXEL_BITS
        axes = (round(across * self._scale[0] * one), round(down * self._scale[1] * one))
        thickness = -1 if width is None else max(1, round(width * self._scale[0]))
        turn = turn_deg + self._turn_deg
        cv2.ellipse(self.image, middle, axes, turn, 0, 360, fill, thickness, cv2.LINE_AA, SUBPIXEL_BITS)
        if outline is not None:
            cv2.ellipse(self.image, middle, axes, turn, 0, 360, outline, self._outline_px, cv2.LINE_AA, SUBPIXEL_BITS)


def darker(paint: Paint, share: float) -> Paint:
    """The paint with its channels multiplied by `share`."""
    return int(paint[0] * share), int(paint[1] * share), int(paint[2] * share)


def lighter(paint: Paint, share: float = 0.35) -> Paint:
    """The paint moved towards white by `share` of the distance."""
    r, g, b = (int(v + (255 - v) * share) for v in paint)
    return r, g, b
