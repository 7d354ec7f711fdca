"""Plans broken in many ways, made from plans that work: each is rejected for the right reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from llava_ov_ros.planning import Reason, from_rows, goal_from, validate

Steps = list[list[str]]
Breaker = Callable[[Steps, dict[str, Any]], Steps | None]

KNIVES = ("knife", "butterknife")
TREATMENTS = {"HeatObject": "microwave", "CoolObject": "fridge", "CleanObject": "sinkbasin"}


def find(steps: Steps, *actions: str, last: bool = False) -> int | None:
    """Number of the first or last step with one of some actions."""
    numbers = [i for i, step in enumerate(steps) if step[0] in actions]
    return (numbers[-1] if last else numbers[0]) if numbers else None


def without(steps: Steps, number: int | None) -> Steps | None:
    return None if number is None else steps[:number] + steps[number + 1 :]


def changed(steps: Steps, number: int | None, step: list[str]) -> Steps | None:
    return None if number is None else [*steps[:number], step, *steps[number + 1 :]]


def inserted(steps: Steps, number: int | None, *new: list[str]) -> Steps | None:
    return None if number is None else [*steps[:number], *new, *steps[number:]]


def is_type(row: dict[str, Any], *names: str) -> bool:
    return any(name in row["task_type"] for name in names)


def target(row: dict[str, Any], key: str = "object_target") -> str:
    return row["pddl_params"][key].lower()


def moves_one(row: dict[str, Any]) -> bool:
    """The goal is one thing at a place, and no more than that."""
    return bool(target(row, "parent_target")) and not is_type(row, "two", "movable")


# Steps that are no steps.
def unknown_action(steps, row):
    return changed(steps, 1, ["GrabObject", *steps[1][1:]])


def wrong_case(steps, row):
    return changed(steps, 0, ["gotolocation", *steps[0][1:]])


def unknown_class(steps, row):
    number = find(steps, "PickupObject")
    return changed(steps, number, ["PickupObject", "unicorn"])


def unknown_receptacle(steps, row):
    number = find(steps, "PutObject", last=True)
    return None if number is None else changed(steps, number, [*steps[number][:2], "aquarium"])


def missing_argument(steps, row):
    number = find(steps, "PutObject")
    return None if number is None else changed(steps, number, steps[number][:2])


def empty_argument(steps, row):
    number = find(steps, *TREATMENTS)
    return None if number is None else changed(steps, number, [steps[number][0], ""])


def too_many_arguments(steps, row):
    return changed(steps, 0, [*steps[0], "desk"])


def swapped_arguments(steps, row):
    number = find(steps, "PutObject")
    return None if number is None else changed(steps, number, ["PutObject", *steps[number][:0:-1]])


def picks_furniture_up(steps, row):
    return changed(steps, find(steps, "PickupObject"), ["PickupObject", "sofa"])


def toggles_no_lamp(steps, row):
    return changed(steps, find(steps, "ToggleObject"), ["ToggleObject", "laptop"])


def slices_a_mug(steps, row):
    return changed(steps, find(steps, "SliceObject"), ["SliceObject", "mug"])


def heats_a_book(steps, row):
    return changed(steps, find(steps, "HeatObject"), ["HeatObject", "book"])


# Steps that cannot be done where they stand.
def first_goto_removed(steps, row):
    return without(steps, 0)


def pickup_removed(steps, row):
    return without(steps, find(steps, "PickupObject")) if find(steps, "PutObject", *TREATMENTS) else None


def pickup_twice(steps, row):
    number = find(steps, "PickupObject")
    return inserted(steps, number, steps[number])


def picks_another_up(steps, row):
    number = find(steps, "PickupObject")
    return inserted(steps, number + 1, ["PickupObject", "pen"])


def middle_put_removed(steps, row):
    first, last = find(steps, "PutObject"), find(steps, "PutObject", last=True)
    later = [step for step in steps[first + 1 :] if step[0] == "PickupObject"] if first is not None else []
    return without(steps, first) if first != last and later else None


def puts_twice(steps, row):
    number = find(steps, "PutObject")
    return None if number is None else inserted(steps, number, steps[number])


def puts_another_thing(steps, row):
    number = find(steps, "PutObject")
    if number is None:
        return None
    return changed(steps, number, ["PutObject", "pen" if steps[number][1] != "pen" else "cd", steps[number][2]])


def treats_another_thing(steps, row):
    number = find(steps, *TREATMENTS)
    if number is None:
        return None
    return changed(steps, number, [steps[number][0], "mug" if steps[number][1] != "mug" else "egg"])


def treats_after_putting_down(steps, row):
    number = find(steps, *TREATMENTS)
    if number is None:
        return None
    return [*(step for step in steps if step not in (["NoOp"], steps[number])), steps[number]]


def treats_at_another_place(steps, row):
    number = find(steps, *TREATMENTS)
    if number is None:
        return None
    return changed(steps, number - 1, ["GotoLocation", "fridge" if steps[number][0] != "CoolObject" else "microwave"])


def goto_before_treatment_removed(steps, row):
    number = find(steps, *TREATMENTS)
    if number is None or any(step[1:] == [TREATMENTS[steps[number][0]]] for step in steps[: number - 1]):
        return None
    return without(steps, number - 1)


def slices_with_a_spoon(steps, row):
    if find(steps, "SliceObject") is None:
        return None
    return [["spoon" if word in KNIVES else word for word in step] for step in steps]


def slices_without_a_knife(steps, row):
    number = find(steps, "SliceObject")
    if number is None:
        return None
    start = max(i for i in range(number) if steps[i][0] == "PickupObject" and steps[i][1] in KNIVES)
    return without(steps, start)


def goto_lamp_removed(steps, row):
    number = find(steps, "ToggleObject")
    return None if number is None else without(steps, number - 1)


def toggles_another_lamp(steps, row):
    number = find(steps, "ToggleObject")
    other = {"desklamp": "floorlamp", "floorlamp": "desklamp"}
    return None if number is None else changed(steps, number, ["ToggleObject", other[steps[number][1]]])


def end_in_the_middle(steps, row):
    return inserted(steps, 2, ["NoOp"])


def too_long(steps, row):
    return [*[["GotoLocation", "bed"]] * (25 - len([step for step in steps if step[0] != "NoOp"])), *steps]


def empty(steps, row):
    return [step for step in steps if step[0] == "NoOp"]


# Plans that can be done, but do not reach their goal.
def truncated(steps, row):
    return steps[:2] if target(row, "parent_target") else None


def last_put_removed(steps, row):
    return without(steps, find(steps, "PutObject", last=True)) if moves_one(row) else None


def goal_place_missed(steps, row):
    if not moves_one(row):
        return None
    number = find(steps, "PutObject", last=True)
    place = "shelf" if target(row, "parent_target") != "shelf" else "desk"
    away = changed(steps, number, ["PutObject", steps[number][1], place])
    return changed(away, number - 1, ["GotoLocation", place])


def another_thing_brought(steps, row):
    if not row["task_type"].endswith("simple") or row["pddl_params"]["object_sliced"]:
        return None
    other = "candle" if target(row) != "candle" else "pen"
    return [[other if word == target(row) else word for word in step] for step in steps]


def goal_carrier_left(steps, row):
    if not is_type(row, "movable"):
        return None
    number = find(steps, "PutObject", last=True)
    return without(steps, number) if steps[number][1] == target(row, "mrecep_target") else None


def another_carrier(steps, row):
    if not is_type(row, "movable"):
        return None
    numbers = [i for i, step in enumerate(steps) if step[:2] == ["PutObject", target(row)]]
    place = "box" if target(row, "mrecep_target") != "box" else "bowl"
    return changed(steps, numbers[-1], ["PutObject", target(row), place]) if numbers else None


def second_missing(steps, row):
    if not is_type(row, "two") or row["pddl_params"]["object_sliced"]:
        return None
    return steps[:4]


def second_taken_where_the_first_was_put(steps, row):
    if not is_type(row, "two") or row["pddl_params"]["object_sliced"]:
        return None
    return without(steps, 4)


def never_sliced(steps, row):
    if not row["pddl_params"]["object_sliced"] or is_type(row, "two"):
        return None
    return [step for step in steps if step[0] != "SliceObject"]


def never_treated(steps, row):
    number = find(steps, *TREATMENTS)
    return without(steps, number)


def cooled_after_heating(steps, row):
    number = find(steps, "HeatObject")
    if number is None:
        return None
    return inserted(steps, number + 1, ["GotoLocation", "fridge"], ["CoolObject", steps[number][1]])


def never_lit(steps, row):
    return without(steps, find(steps, "ToggleObject"))


def lit_and_put_out(steps, row):
    number = find(steps, "ToggleObject")
    return None if number is None else inserted(steps, number, steps[number])


def not_held_in_the_light(steps, row):
    number = find(steps, "ToggleObject")
    if number is None:
        return None
    return inserted(steps, number + 1, ["GotoLocation", "desk"], ["PutObject", target(row), "desk"])


def nothing_taken_to_the_light(steps, row):
    return without(steps, find(steps, "PickupObject")) if find(steps, "ToggleObject") is not None else None


# Each with its reason, and how many of ALFRED's plans it can be made of.
KINDS: list[tuple[Breaker, Reason, int]] = [
    (unknown_action, Reason.UNKNOWN_ACTION, 504),
    (wrong_case, Reason.UNKNOWN_ACTION, 504),
    (unknown_class, Reason.UNKNOWN_CLASS, 504),
    (unknown_receptacle, Reason.UNKNOWN_CLASS, 421),
    (missing_argument, Reason.MISSING_ARGUMENT, 421),
    (empty_argument, Reason.MISSING_ARGUMENT, 222),
    (too_many_arguments, Reason.TOO_MANY_ARGUMENTS, 504),
    (swapped_arguments, Reason.WRONG_CLASS, 421),
    (picks_furniture_up, Reason.WRONG_CLASS, 504),
    (toggles_no_lamp, Reason.WRONG_CLASS, 83),
    (slices_a_mug, Reason.WRONG_CLASS, 68),
    (heats_a_book, Reason.WRONG_CLASS, 76),
    (first_goto_removed, Reason.NO_PLACE, 504),
    (pickup_removed, Reason.NOT_HOLDING, 421),
    (pickup_twice, Reason.HAND_FULL, 504),
    (picks_another_up, Reason.HAND_FULL, 504),
    (middle_put_removed, Reason.HAND_FULL, 177),
    (puts_twice, Reason.NOT_HOLDING, 421),
    (puts_another_thing, Reason.NOT_HOLDING, 421),
    (treats_another_thing, Reason.NOT_HOLDING, 222),
    (treats_after_putting_down, Reason.NOT_HOLDING, 222),
    (treats_at_another_place, Reason.WRONG_PLACE, 222),
    (goto_before_treatment_removed, Reason.WRONG_PLACE, 210),
    (slices_with_a_spoon, Reason.NOT_HOLDING, 68),
    (slices_without_a_knife, Reason.NOT_HOLDING, 68),
    (goto_lamp_removed, Reason.WRONG_PLACE, 83),
    (toggles_another_lamp, Reason.WRONG_PLACE, 83),
    (end_in_the_middle, Reason.AFTER_END, 504),
    (too_long, Reason.TOO_LONG, 504),
    (empty, Reason.EMPTY_PLAN, 504),
    (truncated, Reason.GOAL_PLACE, 421),
    (last_put_removed, Reason.GOAL_PLACE, 298),
    (goal_place_missed, Reason.GOAL_PLACE, 298),
    (another_thing_brought, Reason.GOAL_PLACE, 76),
    (goal_carrier_left, Reason.GOAL_PLACE, 58),
    (another_carrier, Reason.GOAL_CARRIER, 66),
    (second_missing, Reason.GOAL_COUNT, 53),
    (second_taken_where_the_first_was_put, Reason.GOAL_COUNT, 53),
    (never_sliced, Reason.GOAL_STATE, 65),
    (never_treated, Reason.GOAL_STATE, 222),
    (cooled_after_heating, Reason.GOAL_STATE, 76),
    (never_lit, Reason.GOAL_STATE, 83),
    (lit_and_put_out, Reason.GOAL_STATE, 83),
    (not_held_in_the_light, Reason.GOAL_HOLDING, 83),
    (nothing_taken_to_the_light, Reason.GOAL_HOLDING, 83),
]


NAMES = [breaker.__name__ for breaker, _, _ in KINDS]
OF_THE_WHOLE = {reason for reason in Reason if reason.startswith("goal_")} | {Reason.EMPTY_PLAN}


def wrong_rejections(breaker, reason, rows, vocabulary):
    """How many plans a breaker can be applied to, and the first violations of those not rejected for the reason."""
    count, wrong = 0, {}
    for row in rows:
        broken = breaker([list(step) for step in row["gold_plan"]], row)
        if broken is None:
            continue
        count += 1
        goal = goal_from(row["pddl_params"], row["task_type"], vocabulary)
        first = next(iter(validate(from_rows(broken), vocabulary, goal).violations), None)
        if first is None or first.reason is not reason or (first.step is None) != (reason in OF_THE_WHOLE):
            wrong[row["task_id"]] = first
    return count, wrong


@pytest.mark.parametrize(("breaker", "reason"), [kind[:2] for kind in KINDS], ids=NAMES)
def test_written_plans(breaker, reason, written_rows, alfred):
    count, wrong = wrong_rejections(breaker, reason, written_rows, alfred)
    assert count
    assert wrong == {}


@pytest.mark.parametrize(("breaker", "reason", "count"), KINDS, ids=NAMES)
def test_alfreds_plans(breaker, reason, count, gold_rows, malformed_ids, alfred):
    rows = [row for row in gold_rows if row["task_id"] not in malformed_ids]
    assert wrong_rejections(breaker, reason, rows, alfred) == (count, {})
