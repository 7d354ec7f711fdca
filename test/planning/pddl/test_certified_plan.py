"""Plans of the planner: both judges accept them, and where there is none the proof names the fact that is missing."""

from __future__ import annotations

import time
from dataclasses import replace
from importlib.util import find_spec

import pytest

from llava_ov_ros.planning import (
    Action,
    Argument,
    Goal,
    Plan,
    Reason,
    Report,
    Situation,
    StepOutcome,
    find_vocabulary,
    goal_from,
    load_vocabulary,
    split_line,
    validate,
)
from llava_ov_ros.planning.pddl import Start, certified_plan, pddl_verdict
from llava_ov_ros.planning.pddl.fast_downward import SearchEnd, run_fast_downward
from llava_ov_ros.planning.vocabulary import Rule

pytestmark = pytest.mark.skipif(
    find_spec("up_fast_downward") is None, reason="the planner of the extra is not installed"
)
HOT = frozenset({"heated"})
SEARCH_S = 60.0


def planned(vocabulary, goal, *starts, failed=()):
    return certified_plan(vocabulary, goal, starts or (Start(),), time.monotonic() + SEARCH_S, failed=failed)


def line_of(found):
    assert found.steps is not None, found.finding
    return "; ".join(map(str, found.steps))


def test_a_plan_for_every_task_type(written_rows, alfred):
    for row in written_rows:
        goal = goal_from(row["pddl_params"], row["task_type"], alfred)
        found = planned(alfred, goal)
        simulated = validate(Plan(found.steps), alfred, goal)
        assert simulated.accepted and not simulated.warnings, line_of(found)
        assert pddl_verdict(alfred, goal, found.steps).accepted


def test_a_sample_of_alfreds_goals(gold_rows, malformed_ids, alfred):
    """`plan_all_goals.py` takes all."""
    for row in gold_rows[::60]:
        if row["task_id"] not in malformed_ids:
            goal = goal_from(row["pddl_params"], row["task_type"], alfred)
            found = planned(alfred, goal)
            assert validate(Plan(found.steps), alfred, goal).accepted
            assert pddl_verdict(alfred, goal, found.steps).accepted


def test_plans_are_shortest_and_look_where_things_are_believed_to_be(alfred):
    goal = Goal("mug", "desk")
    believed = planned(alfred, goal, Start(believed={"mug": "shelf"}))
    assert line_of(believed) == "GotoLocation shelf; PickupObject mug; GotoLocation desk; PutObject mug desk"
    assert line_of(planned(alfred, goal)) == line_of(believed).replace("shelf", "mug")


def test_a_robot_that_cannot_go_to_things():
    delivery = load_vocabulary(find_vocabulary("delivery"))
    found = planned(delivery, Goal("parcel", "lab", states=frozenset({"signed"})))
    assert len(found.steps) == 5 and found.steps[-1] == split_line("Deliver parcel lab").steps[0]


def without_action(vocabulary, *names):
    return replace(vocabulary, actions={k: v for k, v in vocabulary.actions.items() if k not in names})


def with_action(vocabulary, action):
    return replace(vocabulary, actions={**vocabulary.actions, action.name: action})


def without_going_to(vocabulary, kind):
    places = vocabulary.groups["place"] - {kind}
    return replace(vocabulary, groups={**vocabulary.groups, "place": places})


def holding(vocabulary, line):
    situation = Situation()
    for step in split_line(line).steps:
        situation, _ = situation.after(Report(step), vocabulary)
    return Start(situation.worlds[0])


def two_held(vocabulary):
    """Mixing takes two things in the hands."""
    arguments = (Argument("one", "mug"), Argument("other", "egg"))
    requires = (Rule("holding", ("one",)), Rule("holding", ("other",)))
    return with_action(vocabulary, Action("Mix", arguments, requires, effects=(Rule("set", ("one", "cleaned")),)))


IMPOSSIBLE = {
    "a state that no action sets": (
        lambda v: (without_action(v, "HeatObject"), Goal("mug", "desk", states=HOT), Start()),
        Reason.CANNOT_BE,
        "no action brings mug into the state heated",
    ),
    "a state that no action sets for this class": (
        lambda v: (v, Goal("knife", "desk", states=HOT), Start()),
        Reason.CANNOT_BE,
        "no action brings knife into the state heated",
    ),
    "two states that exclude each other": (
        lambda v: (v, Goal("mug", "desk", states=frozenset({"heated", "cooled"})), Start()),
        Reason.CANNOT_BE,
        "no action brings mug into the state cooled together with heated",
    ),
    "a thing that nothing moves": (
        lambda v: (v, Goal("sofa", "desk"), Start()),
        Reason.CANNOT_PUT,
        "no action puts sofa in or on desk",
    ),
    "a thing that is never picked up": (
        lambda v: (without_action(v, "PickupObject"), Goal("mug", "desk"), Start()),
        Reason.CANNOT_HOLD,
        "no action picks up mug",
    ),
    "a place where nothing is put": (
        lambda v: (v, Goal("mug", "floorlamp"), Start()),
        Reason.CANNOT_PUT,
        "no action puts mug in or on floorlamp",
    ),
    "a place that is needed on the way": (
        lambda v: (without_going_to(v, "microwave"), Goal("mug", "desk", states=HOT), Start()),
        Reason.CANNOT_GO,
        "no action goes to microwave",
    ),
    "a thing that is absent": (
        lambda v: (v, Goal("mug", "desk"), Start(most={"mug": 0})),
        Reason.ABSENT,
        "there is no mug",
    ),
    "a place that is absent": (
        lambda v: (v, Goal("mug", "desk", states=HOT), Start(most={"microwave": 0, "vase": 0})),
        Reason.ABSENT,
        "there is no microwave",
    ),
    "too few things": (
        lambda v: (v, Goal("mug", "desk", count=2), Start(most={"mug": 1})),
        Reason.TOO_FEW,
        "there is no more than 1 mug",
    ),
    "a full hand that cannot be emptied": (
        lambda v: (
            without_action(v, "PutObject"),
            Goal("cup", held=True),
            holding(v, "GotoLocation desk; PickupObject pen"),
        ),
        Reason.STAYS_HELD,
        "the pen is in the hand, and cannot be put down",
    ),
    "too few hands": (
        lambda v: (two_held(without_action(v, "CleanObject")), Goal("mug", states=frozenset({"cleaned"})), Start()),
        Reason.TOO_FEW_HANDS,
        "it takes more hands than 1",
    ),
    "too many steps": (
        lambda v: (replace(v, max_steps=3), Goal("mug", "desk", states=HOT), Start()),
        Reason.TOO_LONG,
        "a plan has at most 3",
    ),
}


@pytest.mark.parametrize("what", IMPOSSIBLE)
def test_the_missing_fact_is_named(what, alfred):
    make, reason, text = IMPOSSIBLE[what]
    vocabulary, goal, start = make(alfred)
    found = planned(vocabulary, goal, start)
    assert (found.steps, found.proven) == (None, True)
    assert found.finding.reason is reason, found.finding
    assert found.finding.text.endswith(text)


def test_a_plan_goes_on_from_what_was_reported(alfred):
    known = holding(alfred, "GotoLocation shelf; PickupObject mug; GotoLocation microwave; HeatObject mug")
    assert line_of(planned(alfred, Goal("mug", "desk", states=HOT), known)) == "GotoLocation desk; PutObject mug desk"
    put = holding(alfred, "GotoLocation shelf; PickupObject mug; GotoLocation desk; PutObject mug desk")
    assert planned(alfred, Goal("mug", "desk"), put).steps == ()
    # The cup must be put down first, and the other mug is not the one that was brought.
    assert "PutObject cup" in line_of(planned(alfred, Goal("mug", "desk"), holding(alfred, "PickupObject cup")))
    assert line_of(planned(alfred, Goal("mug", "desk", count=2), put)).count("mug") == 3


def test_a_step_that_has_just_failed_is_not_the_first(alfred):
    situation = Situation()
    (go, pick) = split_line("GotoLocation shelf; PickupObject mug").steps
    for report in (Report(go), Report(pick, StepOutcome.FAILED)):
        situation, _ = situation.after(report, alfred)
    goal, start = Goal("mug", "desk"), Start(situation.worlds[0], believed={"mug": "shelf"})
    assert planned(alfred, goal, start).steps[0] == pick
    found = planned(alfred, goal, start, failed=situation.failed)
    assert found.steps[0] != pick and pick in found.steps


def test_a_search_ends_in_time_and_when_nobody_wants_it_any_more(alfred):
    goal = Goal("mug", "desk")
    for until_s, stop in ((time.monotonic(), lambda: False), (time.monotonic() + SEARCH_S, lambda: True)):
        found = certified_plan(alfred, goal, [Start()], until_s, stop)
        assert (found.steps, found.proven, found.finding.reason) == (None, False, Reason.NOT_DECIDED)


def test_memory_is_bounded(alfred, monkeypatch):
    from llava_ov_ros.planning.pddl import fast_downward
    from llava_ov_ros.planning.pddl.task import task_of

    domain, problem, _ = task_of(alfred, Goal("mug", "desk"), Start(), everywhere=False).texts()
    # Enough to start Python, and not for the translator.
    monkeypatch.setattr(fast_downward, "MOST_MEMORY_MB", 20)
    assert run_fast_downward(domain, problem, time.monotonic() + SEARCH_S).end is SearchEnd.MEMORY
    monkeypatch.undo()
    assert run_fast_downward(domain, problem, time.monotonic() + SEARCH_S).end is SearchEnd.FOUND
