"""Pictures of things in paints that no word names: a kind is to be known by its shape, whatever its colour.

Each kind is shown in five of six colours. From those alone the tower takes the sixth for a sign of other kinds, and the
language model for a thing that is not there.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

import numpy as np
import torch

from cells import IGNORED
from labels import COLOUR, photographed
from llava_ov_ros.onevision.pixels import squashed
from llava_ov_ros.rooms.takes import Take, make_take
from llava_ov_ros.rooms.view import make_view
from llava_ov_ros.rooms.world import COLOURS
from model import PICTURE_PX

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from llava_ov_ros.rooms.room_questions import Question
    from llava_ov_ros.rooms.world import Paint

SIZES = ((240, 180), (200, 200))
# In RGB, from every paint that has a name; the nearest two of those are 109 apart.
UNLIKE = 70.0
COLOUR_WORDS = {*COLOURS, "colour", "color"}


def nameless_paint(rng: Random) -> Paint:
    """A paint unlike all that have a name."""
    while True:
        paint = (rng.randrange(256), rng.randrange(256), rng.randrange(256))
        if all(math.dist(paint, named) > UNLIKE for named in COLOURS.values()):
            return paint


def repainted(take: Take, rng: Random) -> Take:
    """The same with each thing in a paint of its own that no word names."""
    things = tuple(replace(thing, paint=nameless_paint(rng)) for thing in take.room.things)
    return replace(take, room=replace(take.room, things=things))


def names_colour(question: Question) -> bool:
    """Whether a colour is asked for, or named in the question or its answer."""
    return not COLOUR_WORDS.isdisjoint(re.findall(r"\w+", f"{question.text} {question.gold}"))


def without_colours(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """What patches show, (LABELS, 12, 12), with IGNORED for the colour of things."""
    colours = np.where(labels[COLOUR] > 0, IGNORED, labels[COLOUR])
    return np.concatenate([labels[:COLOUR], colours[None], labels[COLOUR + 1 :]])


def nameless_pictures(rng: Random, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures and what their patches show, but for the colour.

    Args:
        rng: Every choice follows from it.
        count: How many.

    Returns:
        uint8 (count, 3, 96, 96), and int64 (count, LABELS, 12, 12) with IGNORED for the colour of things.
    """
    pixels, labels = [], []
    for _ in range(count):
        take = repainted(make_take(rng, 1, view=make_view(rng, sizes=SIZES)), rng)
        ((rgb, patches, _),) = photographed(take, rng)
        pixels.append(squashed(rgb, PICTURE_PX))
        labels.append(without_colours(patches))
    return torch.cat(pixels), torch.from_numpy(np.stack(labels))
