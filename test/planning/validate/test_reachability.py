"""What no plan in a vocabulary can do: each kind of reason, on vocabularies where it is known."""

from __future__ import annotations

import pytest

from llava_ov_ros.planning import Impossible, find_vocabulary, impossible_in, load_vocabulary

GOOD = {
    "Go": "{arguments: {to: place}, effects: [{go_to: to}]}",
    "Grab": "{arguments: {thing: thing}, requires: [hand_free, {near: thing}], effects: [{pick_up: thing}]}",
    "Drop": "{arguments: {thing: thing, to: place}, requires: [{holding: thing}], effects: [{put: [thing, to]}]}",
    "Wash": "{arguments: {cup: cup}, requires: [{at: sink}, {is_not: [cup, clean]}], effects: [{set: [cup, clean]}]}",
}


def found(tmp_path, **changed):
    """What is impossible with some of the actions replaced; None leaves one out."""
    actions = {**GOOD, **changed}
    file = tmp_path / "robot.yaml"
    file.write_text(
        "max_steps: 9\nstates: [clean]\nclasses: {cup: [], tap: [], sink: [], bed: []}\n"
        "groups: {thing: [cup, tap], place: [sink, bed]}\nactions:\n"
        + "".join(f"  {name}: {text}\n" for name, text in actions.items() if text)
    )
    return impossible_in(load_vocabulary(file))


@pytest.mark.parametrize("name", ["alfred", "delivery"])
def test_shipped_vocabularies(name):
    assert impossible_in(load_vocabulary(find_vocabulary(name))) == []


def test_a_vocabulary_without_faults(tmp_path):
    assert found(tmp_path) == []


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (
            {"Go": "{arguments: {to: bed}, effects: [{go_to: to}]}"},
            [
                ("Wash", "at: no action goes to sink", False),
                ("anything in state clean", "Wash can never be done", True),
            ],
        ),
        (
            {"Go": None},
            [
                ("Grab", "near: no action goes anywhere", False),
                ("Drop", "holding: no action picks up thing", False),
                ("Wash", "at: no action goes to sink", False),
                ("anything in state clean", "Wash can never be done", True),
                ("cup at any place", "no action that can be done picks it up", True),
                ("tap at any place", "no action that can be done picks it up", True),
            ],
        ),
        ({"Wash": None}, [("anything in state clean", "no action sets it", True)]),
        (
            {"Drop": "{arguments: {cup: cup, to: place}, requires: [{holding: cup}], effects: [{put: [cup, to]}]}"},
            [("tap at any place", "no action that can be done puts it anywhere", True)],
        ),
        (
            {"Both": "{requires: [{holding: cup}, {holding: tap}]}"},
            [("Both", "holding: it takes 2 hands, and there are 1", False)],
        ),
        (
            {"Both": "{requires: [{at: sink}, {at: bed}]}"},
            [("Both", "at: the robot cannot be at sink and bed at once", False)],
        ),
        (
            {"Both": "{arguments: {cup: cup}, requires: [{is: [cup, clean]}, {is_not: [cup, clean]}]}"},
            [("Both", "is: cup must be clean and must not", False)],
        ),
        (
            {"Use": "{arguments: {tap: tap}, requires: [{is: [tap, clean]}]}"},
            [("Use", "is: no action brings tap into the state clean", False)],
        ),
    ],
)
def test_what_is_impossible(changed, expected, tmp_path):
    assert found(tmp_path, **changed) == [Impossible(*one) for one in expected]
