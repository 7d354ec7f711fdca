"""Where the things are that a text names: the teacher of left and right, and of which way something moved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from llava_ov_ros.rooms.world import COLOURS, KINDS
from model import SIDE

if TYPE_CHECKING:
    from llava_ov_ros.rooms.canvas import Canvas
    from llava_ov_ros.rooms.takes import Take
    from llava_ov_ros.rooms.world import Moment, Room

IGNORED = -100
# Column and row of a patch in a clip's first frame, then in its last.
CELLS = 4
# Of the height of a thing, from its foot.
MIDDLE = 0.4

Cells = tuple[int, ...]
Named = dict[tuple[str, str], Cells]
"""The cells of what a colour (or none) and a kind name; IGNORED in a frame that does not show it."""


def thing_cells(canvas: Canvas, room: Room, moment: Moment) -> dict[int, Cells]:
    """Column and row of the patch in which the middle of each thing is, by its index."""
    height, width = canvas.image.shape[:2]
    cells = {}
    for index, spot in moment.spots.items():
        x, y = canvas.pixel(spot.x, spot.y - MIDDLE * room.things[index].height)
        place = int(x / width * SIDE), int(y / height * SIDE)
        cells[index] = tuple(min(max(at, 0), SIDE - 1) for at in place)
    return cells


def name_cells(take: Take, first: dict[int, Cells], last: dict[int, Cells]) -> Named:
    """The cells of a take's things, by every name that means only one of them.

    Args:
        take: What the clip shows.
        first: Of `thing_cells`, in its first frame.
        last: In its last.
    """
    things, now = take.room.things, list(take.moments[-1].spots)
    unseen = (IGNORED, IGNORED)
    where = {index: (*first.get(index, unseen), *last.get(index, unseen)) for index in (*first, *last)}
    named: Named = {(things[index].colour, things[index].kind): cells for index, cells in where.items()}
    kinds = [things[index].kind for index in now]
    named |= {("", things[index].kind): where[index] for index in now if kinds.count(things[index].kind) == 1}
    return named


class NameReader:
    """Finds names of things in tokens."""

    def __init__(self, token: Callable[[str], int]) -> None:
        """Learn the words.

        Args:
            token: Id of a space and a word.
        """
        self._kinds = {token(f" {kind}"): kind for kind in KINDS}
        self._colours = {token(f" {colour}"): colour for colour in COLOURS}

    def cells(self, tokens: Sequence[int], named: Named) -> list[Cells]:
        """Where the thing is that each token is the kind of, and IGNORED at all other tokens."""
        found = []
        for before, token in zip([-1, *tokens], tokens, strict=False):
            kind = self._kinds.get(token)
            cells = None if kind is None else named.get((self._colours.get(before, ""), kind))
            found.append((IGNORED,) * CELLS if cells is None else cells)
        return found
