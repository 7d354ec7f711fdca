"""Pictures of a take with what each patch shows: the teacher of the vision tower's first minutes."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import TYPE_CHECKING

import numpy as np

from cells import Cells, thing_cells
from llava_ov_ros.rooms.view import canvas_for, developed, draw_room, drawing_order
from llava_ov_ros.rooms.world import COLOURS, HAND, KINDS, RECEPTACLES
from model import SIDE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from llava_ov_ros.rooms.canvas import Canvas
    from llava_ov_ros.rooms.takes import Take
    from llava_ov_ros.rooms.view import View
    from llava_ov_ros.rooms.world import Moment, Room

# Classes of each label; 0 is nothing. Kind and colour of a thing, the furniture behind it, where it is (the hand
# comes last), whether it is whole and dark (1) or sliced or lit (2); and the patch's own column and row, which
# features must still tell for left and right to be answered.
CLASSES = (len(KINDS) + 1, len(COLOURS) + 1, len(RECEPTACLES) + 1, len(RECEPTACLES) + 2, 3, SIDE + 1, SIDE + 1)
LABELS = len(CLASSES)
KIND, COLOUR, FURNITURE, PLACE, STATE, COLUMN, ROW = range(LABELS)
_KINDS = {kind: i + 1 for i, kind in enumerate(KINDS)}
_COLOURS = {colour: i + 1 for i, colour in enumerate(COLOURS)}
_PLACES = {place: i + 1 for i, place in enumerate((*RECEPTACLES, HAND))}


def nothing_labels() -> NDArray[np.int64]:
    """Labels of the patches of a picture that shows nothing of a room, (LABELS, 12, 12)."""
    labels = np.zeros((LABELS, SIDE, SIDE), np.int64)
    labels[COLUMN] = np.arange(1, SIDE + 1)[None, :]
    labels[ROW] = np.arange(1, SIDE + 1)[:, None]
    return labels


def patch_labels(canvas: Canvas, room: Room, moment: Moment, view: View) -> NDArray[np.int64]:
    """Labels of a picture's patches, (LABELS, 12, 12), by the boxes of what is drawn last."""
    labels = nothing_labels()

    def region(left: float, top: float, right: float, bottom: float) -> tuple[slice, slice]:
        corners = [canvas.pixel(x, y) for x in (left, right) for y in (top, bottom)]
        columns = [x / view.width * SIDE for x, _ in corners]
        rows = [y / view.height * SIDE for _, y in corners]
        first_row, first_column = max(0, round(min(rows))), max(0, round(min(columns)))
        return (
            slice(first_row, max(round(max(rows)), first_row + 1)),
            slice(first_column, max(round(max(columns)), first_column + 1)),
        )

    for piece in room.furniture:
        labels[FURNITURE][region(piece.x - 37, piece.y - 24, piece.x + 37, piece.y + 25)] = _PLACES[piece.name]
    for index in drawing_order(moment):
        thing, spot = room.things[index], moment.spots[index]
        half, height = 0.36 * thing.height, 0.8 * thing.height
        box = region(spot.x - half, spot.y - height, spot.x + half, spot.y)
        changed = index in moment.sliced or index in moment.lit
        for label, value in (
            (KIND, _KINDS[thing.kind]),
            (COLOUR, _COLOURS[thing.colour]),
            (PLACE, _PLACES[spot.receptacle]),
            (STATE, 2 if changed else 1),
        ):
            labels[label][box] = value
    return labels


def photographed(take: Take, rng: Random) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64], dict[int, Cells]]]:
    """Each frame of a take with what its patches show: RGB, int64 (LABELS, 12, 12), and the cell of each thing."""
    last = max(1, len(take.moments) - 1)
    for i, moment in enumerate(take.moments):
        canvas = canvas_for(take.view, rng, i / last)
        draw_room(canvas, take.room, moment)
        yield (
            developed(canvas.image, take.view, rng),
            patch_labels(canvas, take.room, moment, take.view),
            thing_cells(canvas, take.room, moment),
        )
