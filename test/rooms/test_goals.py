"""Goals and plans of rendered rooms: every plan can be carried out and reaches what its goal says."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from random import Random

import pytest

from llava_ov_ros.rooms.episodes import STEP_S, carry_out, held
from llava_ov_ros.rooms.goals import TASK_TYPES, make_goal
from llava_ov_ros.rooms.takes import make_episode
from llava_ov_ros.rooms.world import CLEANABLE, COOLABLE, HAND, HEATABLE, RECEPTACLES, SLICEABLE, Wish, make_room

ACTIONS = {
    "GotoLocation",
    "PickupObject",
    "PutObject",
    "CoolObject",
    "HeatObject",
    "CleanObject",
    "SliceObject",
    "ToggleObject",
}
TREATED = {
    "pick_clean_then_place_in_recep": ("CleanObject", "sinkbasin", CLEANABLE),
    "pick_cool_then_place_in_recep": ("CoolObject", "fridge", COOLABLE),
    "pick_heat_then_place_in_recep": ("HeatObject", "microwave", HEATABLE),
}


@pytest.fixture(scope="module")
def goals():
    """(room, goal) of many rooms."""
    made = []
    for seed in range(1500):
        rng = Random(seed)
        room = make_room(rng, Wish(doubled=0.4))
        goal = make_goal(rng, room, room.start)
        if goal is not None:
            made.append((room, goal))
    return made


def test_all_task_types_and_all_actions_occur(goals):
    assert {goal.task_type for _, goal in goals} == set(TASK_TYPES)
    assert {act.action for _, goal in goals for act in goal.acts} == ACTIONS
    assert any(goal.pddl_params["object_sliced"] for _, goal in goals)


def test_every_plan_can_be_carried_out(goals):
    """The robot stands where it acts, holds one thing at most, and what it needs; told by arguments alone."""
    for room, goal in goals:
        where = {i: spot.receptacle for i, spot in room.start.spots.items()}
        here, hand, cut = "", None, set()
        for act in goal.acts:
            if act.action == "GotoLocation":
                (place,) = act.arguments
                assert place != here, goal
                assert place in RECEPTACLES or place == "desklamp", goal
                here = place
                continue
            it = room.things[act.thing]
            assert act.arguments[0] == it.kind, goal
            if act.action == "PickupObject":
                assert (hand, where[act.thing]) == (None, here), goal
                hand, where[act.thing] = act.thing, HAND
            elif act.action == "PutObject":
                assert hand == act.thing, goal
                target = here if act.carrier is None else where[act.carrier]
                named = here if act.carrier is None else room.things[act.carrier].kind
                assert (act.arguments[1], target) == (named, here), goal
                hand, where[act.thing] = None, here
            elif act.action == "SliceObject":
                assert room.things[hand].kind == "knife" and it.kind in SLICEABLE, goal
                assert where[act.thing] == here, goal
                cut.add(act.thing)
            elif act.action == "ToggleObject":
                assert here == "desklamp" and hand is not None, goal
            else:
                assert hand == act.thing, goal
        assert bool(cut) == goal.pddl_params["object_sliced"], goal


def test_every_plan_reaches_its_goal(goals):
    for _, goal in goals:
        pddl, last = goal.pddl_params, goal.acts[-1]
        if goal.task_type == "look_at_obj_in_light":
            assert last.action == "ToggleObject" and goal.acts[-3].arguments == (pddl["object_target"],)
            continue
        assert last.action == "PutObject" and last.arguments[1] == pddl["parent_target"]
        assert last.arguments[0] == (pddl["mrecep_target"] or pddl["object_target"])
        if goal.task_type in TREATED:
            action, place, possible = TREATED[goal.task_type]
            at = [act.action for act in goal.acts].index(action)
            assert goal.acts[at].arguments == (pddl["object_target"],)
            assert [a.arguments[0] for a in goal.acts[:at] if a.action == "GotoLocation"][-1] == place
            assert pddl["object_target"] in possible
        if goal.task_type == "pick_two_obj_and_place":
            put = [act for act in goal.acts if act.action == "PutObject"]
            assert len({act.thing for act in put}) == 2
            assert {act.arguments for act in put} == {(pddl["object_target"], pddl["parent_target"])}


def test_a_goal_names_what_it_is_about_without_doubt(goals):
    for room, goal in goals:
        if goal.task_type == "pick_two_obj_and_place":
            continue
        target = next(
            act.thing for act in reversed(goal.acts) if act.action == "PickupObject" and act.thing is not None
        )
        it = room.things[target]
        if Counter(thing.kind for thing in room.things)[it.kind] > 1:
            assert it.name in goal.text, goal


def test_an_episode_shows_its_plan_being_carried_out():
    episodes = [episode for seed in range(300) if (episode := make_episode(Random(seed))) is not None]
    assert len(episodes) > 200
    for episode in episodes:
        room, goal = episode.room, episode.goal
        assert len(episode.moments) == len(goal.acts) + 1
        for act, before, after in zip(goal.acts, episode.moments[:-1], episode.moments[1:], strict=True):
            if act.action == "PickupObject":
                assert held(before) is None and held(after) == act.thing
            elif act.action == "PutObject":
                assert held(before) == act.thing and held(after) is None
                assert after.spots[act.thing].inside == act.carrier
            elif act.action == "SliceObject":
                assert act.thing in after.sliced - before.sliced
            elif act.action == "ToggleObject":
                assert act.thing in after.lit - before.lit
            # No two things ever stand at the same place.
            standing = [s for s in after.spots.values() if s.inside is None]
            apart = [(a, b) for i, a in enumerate(standing) for b in standing[:i]]
            assert all(abs(a.x - b.x) + abs(a.y - b.y) > 5 for a, b in apart), goal
        assert episode.at(-1.0) == episode.moments[0]
        assert episode.at(len(goal.acts) * STEP_S + 1) == episode.moments[-1]
        assert room.things == episode.room.things


def test_an_episode_moves_without_jumps():
    episode = next(e for seed in range(50) if (e := make_episode(Random(seed))) is not None)
    end_s = len(episode.goal.acts) * STEP_S
    hands = [episode.at(i * 0.05).hand for i in range(1, int(end_s / 0.05))]
    steps = [abs(a[0] - b[0]) + abs(a[1] - b[1]) for a, b in pairwise(hands) if a and b]
    assert max(steps) < 15


def test_a_plan_whose_destination_is_not_there_is_not_carried_out():
    rng = Random(1)
    for _ in range(200):
        room = make_room(rng)
        goal = make_goal(rng, room, room.start)
        if goal is None or goal.task_type == "look_at_obj_in_light":
            continue
        if goal.acts[-1].arguments[1] not in room.receptacles:
            assert carry_out(rng, room, room.start, goal) is None
            return
    pytest.fail("no such goal was drawn")
