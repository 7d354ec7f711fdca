"""Pictures of rendered rooms: reproducible, of any shape, and showing what is there."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest

from llava_ov_ros.rooms.view import SHAPES, View, canvas_for, make_view, picture
from llava_ov_ros.rooms.world import COLOURS, KINDS, Moment, Wish, make_room, make_thing, spot_at

PLAIN = View(noise=0.0)


def test_the_same_seed_gives_the_same_picture_and_another_does_not():
    room = make_room(Random(1))
    view = make_view(Random(2))
    one, again, other = (picture(room, room.start, view, Random(seed)) for seed in (3, 3, 4))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("shape", sorted(set(SHAPES)))
def test_every_thing_is_in_the_picture_whatever_the_camera(shape):
    for seed in range(60):
        rng = Random(seed)
        room = make_room(rng, Wish(things=9))
        view = make_view(rng, moving=1.0, sizes=(shape,))
        for along in (0.0, 1.0):
            canvas = canvas_for(view, rng, along)
            for index, spot in room.start.spots.items():
                x, y = canvas.pixel(spot.x, spot.y - room.things[index].height * 0.4)
                assert 0 <= x < shape[0] and 0 <= y < shape[1], (seed, room.things[index], spot)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("colour", COLOURS)
def test_a_thing_is_seen_where_it_stands_and_in_its_colour(kind, colour):
    rng = Random(f"{kind}/{colour}")
    room = make_room(rng, Wish(things=1))
    thing = make_thing(rng, kind, colour)
    spot = spot_at(rng, room.furniture[0], 0)
    room = replace(room, things=(thing,))
    empty = picture(room, Moment({}), PLAIN, Random(0)).astype(int)
    shown = picture(room, Moment({0: spot}), PLAIN, Random(0)).astype(int)
    changed = np.abs(shown - empty).sum(2) > 12
    rows, columns = changed.nonzero()
    x, y = canvas_for(PLAIN, Random(0), 0.5).pixel(spot.x, spot.y - 0.4 * thing.height)
    assert abs(columns.mean() - x) < 25 and abs(rows.mean() - y) < 25
    near = np.abs(shown[changed] - thing.paint).sum(1) < 30
    assert near.sum() > 60, "the thing's own paint"


def test_sliced_lit_and_held_look_different():
    rng = Random(5)
    room = make_room(rng, Wish(kinds=("apple", "desklamp"), things=2))
    plain = picture(room, room.start, PLAIN, Random(0))
    for changed in (
        replace(room.start, sliced=frozenset({0})),
        replace(room.start, lit=frozenset({1})),
        replace(room.start, hand=(80.0, 60.0)),
    ):
        assert (picture(room, changed, PLAIN, Random(0)) != plain).any(axis=2).sum() > 100
