"""The questions of a recording, and their answers: what the pictures show at that time."""

from __future__ import annotations

import re
from collections import Counter
from random import Random

from llava_ov_ros.rooms.record import RecordingSettings, plan_recording, truth
from llava_ov_ros.rooms.room_questions import CATEGORIES, questions
from llava_ov_ros.rooms.takes import Take
from llava_ov_ros.rooms.truth import tour
from llava_ov_ros.rooms.world import COLOURS, place_of

SEEDS = range(24)


def test_every_question_is_about_a_stretch_of_the_recording(plans):
    for plan in plans:
        times = [question.at_s for question in plan.questions]
        assert times == sorted(times)
        assert len(times) <= 12
        for question in plan.questions:
            assert 0 <= question.at_s - question.window_s < question.at_s <= plan.script.last_s


def test_questions_are_of_every_kind(plans):
    assert {question.category for plan in plans for question in plan.questions} == set(CATEGORIES)


def test_drawn_questions_ask_nothing_of_every_recording():
    plans = [plan_recording(RecordingSettings(seed=seed, seconds=60.0, questions=99, drawn=True)) for seed in SEEDS]
    for seed, plan in zip(SEEDS, plans, strict=True):
        assert plan.script == plan_recording(RecordingSettings(seed=seed, seconds=60.0)).script
        times = {question.at_s for question in plan.questions}
        assert len(times) == 3 * len(plan.script.changes)
    kinds = Counter(question.category for plan in plans for question in plan.questions)
    assert set(kinds) == set(CATEGORIES) - {"next_step"}
    # The tour counts and plans in every recording; drawn ones do now and then.
    first = [{q.category for q in plan.questions if q.at_s <= plan.questions[0].at_s} for plan in plans]
    assert 0 < sum("counting" in kinds for kinds in first) < len(plans)


def test_a_clip_shows_a_rest_or_one_whole_change(plans):
    for plan in plans:
        for question in plan.questions:
            start_s, end_s = question.at_s - question.window_s, question.at_s
            seen = [event for event in plan.script.events if event.start_s < end_s and event.end_s > start_s]
            if question.category == "next_step":
                assert [(event.start_s, event.end_s) for event in seen] == [(start_s, end_s)]
                continue
            assert seen[0].kind == seen[-1].kind == "rest"
            changes = [event for event in seen if event.kind != "rest"]
            if question.category == "motion":
                assert len(changes) <= 1
                nothing_happens = question.gold == "nothing" or question.ask.startswith(
                    ("Is any", "Did any", "Did the")
                )
                assert changes or nothing_happens, (plan.settings.seed, question)
            else:
                assert changes == []


def test_where_something_is_said_to_be_it_is(plans):
    checked = 0
    asks = re.compile(rf"Where is the (?:({'|'.join(COLOURS)}) )?(\w+)(?: now)?\?")
    for plan in plans:
        room = plan.script.room
        for question in plan.questions:
            found = asks.fullmatch(question.ask)
            if found is None or question.gold == "cannot tell":
                continue
            colour, kind = found.groups()
            spots = plan.script.at(question.at_s).spots
            meant = [i for i in spots if room.things[i].kind == kind and colour in (None, room.things[i].colour)]
            assert [place_of(room, spots[i]) for i in meant] == [question.gold]
            checked += 1
    assert checked > 20


def test_the_ten_questions_about_the_first_move_agree_with_those_of_training(plans):
    agreed = Counter()
    for plan in plans:
        if plan.script.episode is not None:
            continue
        script, move = plan.script, plan.script.changes[0]
        asked = tour(script, move)
        assert len(asked) == 10
        for at_s in {question.at_s for question in asked}:
            mine = [question for question in asked if question.at_s == at_s]
            moments = tuple(script.at(at_s - mine[0].window_s * (1 - i / 3)) for i in range(4))
            event, mover = ("moved", move.thing) if moments[0] != moments[-1] else ("nothing", None)
            take = Take(script.room, plan.cameras[0].view, moments, event, mover)
            kinds = ("colour", "presence", "where", "counting", "motion")
            drawn = {q.text: q for q in questions(take, Random(0), kinds, each=200)}
            for question in mine:
                if (other := drawn.get(question.ask)) is not None:
                    assert (question.gold, question.category) == (other.gold, other.category)
                    agreed[question.category] += 1
    assert all(agreed[kind] >= 10 for kind in ("colour", "where", "counting", "motion")), agreed


def test_the_demonstration_can_be_recorded(plans):
    plan = next(plan for plan in plans if plan.settings.seconds == 12.2)
    assert (plan.frames, plan.script.last_s) == (61, 12.0)
    assert [event.end_s for event in plan.script.events] == [5.0, 8.0, 12.0]
    kinds = ["colour", "counting", "where", "presence", "motion", "motion", "motion", "presence", "motion", "plan"]
    assert [question.category for question in plan.questions] == kinds
    assert [question.at_s for question in plan.questions] == [4.4] * 4 + [9.6] * 3 + [11.4] * 3


def test_next_steps_are_asked_when_each_step_is_done():
    for seed in SEEDS:
        plan = plan_recording(RecordingSettings(seed=seed, seconds=None, episode=True, questions=99))
        steps = truth(plan)["episode"]["steps"]
        asked = [question for question in plan.questions if question.category == "next_step"]
        assert [question.at_s for question in asked] == [2.0, *(step["end_s"] for step in steps)]
        assert [question.gold for question in asked] == [*(step["step"] for step in steps), "DONE"]
        done = "; ".join(step["step"] for step in steps[:2])
        assert asked[2].ask.endswith(f". Done: {done}. Next step?")
