"""Renders a camera's pictures of a room: view, light, lens, sensor noise and JPEG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

import cv2
import numpy as np

from .canvas import Canvas, darker
from .furniture import draw_furniture
from .things import draw_hand, draw_thing
from .world import HAND, HEIGHT, MOVABLE_RECEPTACLES, WIDTH, Moment, Point, Room

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A thing inside a bowl or on a plate is drawn smaller, and higher by this share of the carrier's size.
INSIDE_SIZE = 0.72
INSIDE_UP = {"in": 0.36, "on": 0.2}


@dataclass(frozen=True)
class View:
    """Size, direction, motion, light, lens and sensor of a camera.

    Attributes:
        width: Width of the pictures in pixels.
        height: Height of the pictures in pixels.
        zoom: Scale of the room in the picture; at 1 the whole room just fits.
        shift: Point that the camera looks at, relative to the centre of the room, in room units.
        turn_deg: Rotation of the camera about its axis, in degrees.
        drift: Movement of the camera from the first to the last frame of a clip, in room units.
        shake: Largest random displacement in a frame, in room units.
        gain: Factor of brightness.
        tint: Factors of red, green and blue.
        slope: Change of brightness from the centre to the edge, across and down, as a share.
        blur: Standard deviation of the lens blur in room units.
        noise: Standard deviation of the sensor's noise in grey levels.
        jpeg_quality: 1 to 100, or None for pictures without JPEG compression.
    """

    width: int = 640
    height: int = 480
    zoom: float = 0.95
    shift: Point = (0.0, 0.0)
    turn_deg: float = 0.0
    drift: Point = (0.0, 0.0)
    shake: float = 0.0
    gain: float = 1.0
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    slope: Point = (0.0, 0.0)
    blur: float = 0.0
    noise: float = 1.0
    jpeg_quality: int | None = None


# Mostly 4:3; also wide, square and upright.
SHAPES: tuple[tuple[int, int], ...] = ((640, 480), (640, 480), (640, 480), (640, 360), (480, 480), (480, 640))


def make_view(rng: Random, *, moving: float = 0.3, sizes: Sequence[tuple[int, int]] = SHAPES) -> View:
    """Draw a camera in front of the room.

    Args:
        rng: Source of all random choices.
        moving: Probability that the camera moves during a clip.
        sizes: Sizes to draw from, as (width, height) in pixels.
    """
    width, height = rng.choice(sizes)
    drift = (0.0, 0.0)
    if rng.random() < moving:
        drift = (rng.choice((-1, 1)) * rng.uniform(4, 10), rng.uniform(-2, 2))
    return View(
        width=width,
        height=height,
        zoom=rng.uniform(0.84, 0.96),
        shift=(rng.uniform(-3, 3), rng.uniform(-2, 2)),
        turn_deg=rng.uniform(-2, 2),
        drift=drift,
        shake=rng.uniform(0, 0.8),
        gain=rng.uniform(0.68, 1.22),
        tint=(rng.uniform(0.93, 1.07), rng.uniform(0.93, 1.07), rng.uniform(0.93, 1.07)),
        slope=(rng.uniform(-0.2, 0.2), rng.uniform(-0.16, 0.16)),
        blur=rng.uniform(0.0, 0.5),
        noise=rng.uniform(0.0, 8.0),
        jpeg_quality=rng.randint(45, 95) if rng.random() < 0.6 else None,
    )


def picture(room: Room, moment: Moment, view: View, rng: Random, along: float = 0.5) -> NDArray[np.uint8]:
    """Render one picture.

    Args:
        room: The room.
        moment: State of the room.
        view: The camera.
        rng: Draws the shake and the noise.
        along: Position in the clip, 0 to 1, which decides where a moving camera is.

    Returns:
        The picture, RGB uint8 (height, width, 3).
    """
    canvas = canvas_for(view, rng, along)
    draw_room(canvas, room, moment)
    return developed(canvas.image, view, rng)


def canvas_for(view: View, rng: Random, along: float) -> Canvas:
    """An empty canvas with the size and direction of a view."""
    scale = view.zoom * min(view.width / WIDTH, view.height / HEIGHT)
    across = view.shift[0] + view.drift[0] * (along - 0.5) + rng.uniform(-view.shake, view.shake)
    down = view.shift[1] + view.drift[1] * (along - 0.5) + rng.uniform(-view.shake, view.shake)
    return Canvas(
        view.width,
        view.height,
        scale=(scale, scale),
        centre=(WIDTH / 2 + across, HEIGHT / 2 + down),
        turn_deg=view.turn_deg,
    )


def draw_room(canvas: Canvas, room: Room, moment: Moment) -> None:
    """Draw the room at a moment."""
    canvas.image[:] = room.wall
    floor = HEIGHT * room.horizon
    canvas.polygon([(-200, floor), (WIDTH + 200, floor), (WIDTH + 200, 400), (-200, 400)], room.floor)
    if room.picture is not None:
        left, top, width, height = room.picture
        canvas.box(left, top, left + width, top + height, darker(room.wall, 0.75), darker(room.wall, 0.5))
    for piece in room.furniture:
        draw_furniture(canvas, piece)
    for index in drawing_order(moment):
        spot, thing = moment.spots[index], room.things[index]
        size = 1.0 if spot.inside is None else INSIDE_SIZE
        lit, sliced = index in moment.lit, index in moment.sliced
        draw_thing(canvas, thing, spot.x, spot.y, sliced=sliced, lit=lit, size=size)
    if moment.hand is not None:
        draw_hand(canvas, *moment.hand)


def drawing_order(moment: Moment) -> list[int]:
    """Indices of the things in drawing order: the contents of a bowl before the bowl, things in the hand last."""

    def rank(index: int) -> tuple[bool, bool]:
        spot = moment.spots[index]
        carrier = index if spot.inside is None else spot.inside
        held = moment.spots[carrier].receptacle == HAND if carrier in moment.spots else False
        return held, spot.inside is None

    return sorted(moment.spots, key=rank)


def inside_point(room: Room, carrier: int, at: Point) -> Point:
    """Position of a thing inside a carrier that stands at a point."""
    thing = room.things[carrier]
    return at[0], at[1] - INSIDE_UP[MOVABLE_RECEPTACLES[thing.kind]] * thing.height


def developed(image: NDArray[np.uint8], view: View, rng: Random) -> NDArray[np.uint8]:
    """Apply lens blur, light, sensor noise and JPEG to a picture, uint8 (height, width, 3)."""
    height, width = image.shape[:2]
    scale = view.zoom * min(view.width / WIDTH, view.height / HEIGHT)
    if view.blur * scale > 0.2:
        image = cv2.GaussianBlur(image, (0, 0), view.blur * scale)
    across = np.linspace(-view.slope[0], view.slope[0], width, dtype=np.float32)
    down = np.linspace(1 - view.slope[1], 1 + view.slope[1], height, dtype=np.float32)
    light = (down[:, None] + across[None, :])[..., None] * (view.gain * np.array(view.tint, np.float32))
    lit = image * light
    if view.noise > 0:
        lit = lit + sensor_noise(height, width, rng) * view.noise
    seen: NDArray[np.uint8] = np.clip(lit, 0, 255).astype(np.uint8)
    return seen if view.jpeg_quality is None else through_jpeg(seen, view.jpeg_quality)


def sensor_noise(height: int, width: int, rng: Random) -> NDArray[np.float32]:
    """Grey noise of standard deviation 1, float32 (height, width, 1)."""
    generator = np.random.Generator(np.random.SFC64(rng.getrandbits(64)))
    return generator.standard_normal((height, width, 1), dtype=np.float32)


def through_jpeg(rgb: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Encode a picture, RGB uint8 (height, width, 3), as JPEG and decode it again."""
    data = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    decoded: NDArray[np.uint8] = cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    return decoded
