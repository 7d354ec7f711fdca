"""Goals in people's words and typed goals: those of rendered rooms mean what their generator says they mean."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from llava_ov_ros.planning import Goal, GoalError, find_vocabulary, goal_from, goal_line, load_vocabulary, read_goal
from llava_ov_ros.rooms.goals import TASK_TYPES, make_goal
from llava_ov_ros.rooms.world import Wish, make_room


def test_all_goals_of_rendered_rooms_are_read_as_meant(alfred):
    """The truth is what the generator of the tasks says beside each sentence."""
    read, sentences = Counter(), set()
    for seed in range(2000):
        rng = Random(seed)
        room = make_room(rng, Wish(doubled=0.4))
        made = make_goal(rng, room, room.start, task_type=TASK_TYPES[seed % len(TASK_TYPES)])
        if made is not None:
            truth = goal_from(made.pddl_params, made.task_type, alfred)
            assert read_goal(made.text, alfred) == truth, made.text
            read[made.task_type] += 1
            sentences.add(made.text)
    assert all(read[kind] > 20 for kind in TASK_TYPES), read
    assert len(sentences) > 700


@pytest.mark.parametrize(
    ("sentence", "line"),
    [
        ("Put the red mug in the fridge.", "in(mug, fridge)"),
        ("take the mug to the coffee table", "in(mug, coffeetable)"),
        ("slice the apple", "is(apple, sliced)"),
        ("pick up the keys", "holding(keychain)"),
        ("turn on the desk lamp", "is(desklamp, on)"),
        ("pick up the mug and put it on the desk", "in(mug, desk)"),
        ("put the hot potato on the plate", "in(potato, plate); is(potato, heated)"),
        ("把马克杯放到书桌上", "in(mug, desk)"),
        ("in(mug, desk); is(mug, heated)", "in(mug, desk); is(mug, heated)"),
        ("in(mug,desk,2);", "in(mug, desk, 2)"),
        ("in(spoon, cup); in(cup, shelf)", "in(spoon, cup); in(cup, shelf)"),
        ("holding(pen); is(floorlamp, on)", "holding(pen); is(floorlamp, on)"),
    ],
)
def test_sentences_and_lines(sentence, line, alfred):
    goal = read_goal(sentence, alfred)
    assert goal_line(goal) == line
    assert read_goal(line, alfred) == goal


@pytest.mark.parametrize(
    ("sentence", "why"),
    [
        ("go to the fridge", "no state that lasts"),
        ("do not put the mug on the desk", "names no action"),
        ("put the mug on the desk and the apple in the fridge", "names no action"),
        ("put the mug on the desk and put the apple in the fridge", "more than one thing"),
        ("put the spoon in the cup and put it on the desk", r"stands for \(spoon and cup\)"),
        ("put the hot potato on the cold plate", "more than one thing"),
        ("put it on the desk", r"stands for \(nothing\)"),
        ("put the lamp on the desk", "could mean"),
        ("heat the knife and put it on the desk", "is no heatable"),
        ("make tea", "names no action"),
        ("in(mug, frige)", "did you mean 'fridge'"),
        ("in(mug)", "1 names, expected 2"),
        ("is(mug, warm)", "no state"),
        ("on(mug, desk)", "no kind of condition"),
        ("in(mug, desk, 3)", "expected 1 to 2"),
        ("in(mug, desk); in(cup, desk)", "more than one thing"),
        ("holding(mug); holding(cup)", "more than one thing"),
        ("x" * 501, "no more than 500"),
    ],
)
def test_nothing_is_guessed(sentence, why, alfred):
    with pytest.raises(GoalError, match=why):
        read_goal(sentence, alfred)


def test_goals_of_another_vocabulary():
    delivery = load_vocabulary(find_vocabulary("delivery"))
    assert read_goal("bring the parcel to the lab", delivery) == Goal("parcel", "lab")
    assert read_goal("get the parcel signed and bring it to the lab", delivery) == Goal(
        "parcel", "lab", states=frozenset({"signed"})
    )
