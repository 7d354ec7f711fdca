"""Steps as robots report them, against what a person would say has happened."""

from __future__ import annotations

import pytest

from llava_ov_ros.planning import Plan, Reason, Report, Situation, StepOutcome, split_line, validate


def after(text: str, vocabulary) -> tuple[Situation, list[tuple[str, ...]]]:
    """The situation after reports such as `GotoLocation desk; !PickupObject mug; ~PutObject mug desk`.

    The second is of a step that has failed, the third of one that was undone. Also returned: what each has refuted.
    """
    marks = {"!": StepOutcome.FAILED, "~": StepOutcome.UNDONE}
    situation, unexpected = Situation(), []
    for one in text.split("; "):
        report = Report(split_line(one.lstrip("!~")).steps[0], marks.get(one[0], StepOutcome.DONE))
        situation, refuted = situation.after(report, vocabulary)
        unexpected.append(refuted)
    return situation, unexpected


def faults(text: str, step: str, vocabulary) -> list[Reason]:
    """Codes of the violations of a step after reports."""
    start = after(text, vocabulary)[0].worlds
    return [one.reason for one in validate(Plan(split_line(step).steps), vocabulary, start=start).violations]


@pytest.mark.parametrize(
    ("told", "step", "expected"),
    [
        # A robot that stands before the mug already reports only that it took the mug.
        ("PickupObject mug", "HeatObject mug", [Reason.NO_PLACE]),
        ("PickupObject mug", "PutObject mug desk", []),
        ("PickupObject mug; GotoLocation microwave", "HeatObject mug", []),
        ("PickupObject mug; GotoLocation desk", "PickupObject apple", [Reason.HAND_FULL]),
        # It took the apple, so the mug is no longer in its only hand, wherever it was put down.
        ("GotoLocation desk; PickupObject mug; PickupObject apple", "PutObject mug desk", [Reason.NOT_HOLDING]),
        ("GotoLocation desk; PickupObject mug; PickupObject apple", "PutObject apple desk", []),
        # It put down what it was not known to have.
        ("GotoLocation desk; PutObject mug desk", "PickupObject mug", []),
        ("GotoLocation desk; PutObject mug desk", "PutObject mug desk", [Reason.NOT_HOLDING]),
        # It cooled the mug, so it is at the fridge; which one is sliced is a fact, too.
        ("GotoLocation desk; PickupObject mug; CoolObject mug", "HeatObject mug", [Reason.WRONG_PLACE]),
        ("GotoLocation desk; PickupObject mug; HeatObject mug; CoolObject mug", "CoolObject mug", []),
        # Failed: nothing has changed.
        ("GotoLocation desk; !PickupObject mug", "PutObject mug desk", [Reason.NOT_HOLDING]),
        ("GotoLocation desk; !PickupObject mug", "PickupObject mug", []),
        # Undone: out of the hand, off the desk, off again.
        ("GotoLocation desk; PickupObject mug; ~PickupObject mug", "PutObject mug desk", [Reason.NOT_HOLDING]),
        ("GotoLocation desk; PickupObject mug; ~PickupObject mug", "PickupObject apple", []),
        ("GotoLocation desk; ~GotoLocation desk", "PickupObject mug", [Reason.NO_PLACE]),
        ("GotoLocation desk; PickupObject mug; PutObject mug desk; ~PutObject mug desk", "PickupObject mug", []),
        ("GotoLocation floorlamp; ToggleObject floorlamp; ~ToggleObject floorlamp", "ToggleObject floorlamp", []),
        # Undone without having been reported.
        ("GotoLocation desk; ~PutObject mug desk", "PickupObject mug", []),
        # Two alike: the undone one is out of the hand, the other one still in the sink.
        (
            "GotoLocation sinkbasin; PickupObject soapbar; PutObject soapbar sinkbasin; PickupObject soapbar; "
            "~PickupObject soapbar",
            "PickupObject soapbar",
            [],
        ),
    ],
)
def test_a_report_is_a_fact_for_the_steps_that_follow(told, step, expected, alfred) -> None:
    assert faults(told, step, alfred) == expected


@pytest.mark.parametrize(
    ("told", "unexpected"),
    [
        ("GotoLocation desk; PickupObject mug; PutObject mug desk", ""),
        ("PickupObject mug", "has not gone anywhere yet"),
        ("GotoLocation desk; PickupObject mug; PickupObject apple", "mug is held"),
        ("GotoLocation desk; PutObject mug desk", "nothing is held"),
        ("GotoLocation desk; PickupObject mug; HeatObject mug", "the last place gone to is desk, expected microwave"),
        ("GotoLocation desk; !PutObject mug desk", ""),
        ("GotoLocation desk; ~PutObject mug desk", "was not reported done before"),
        ("GotoLocation desk; PickupObject mug; ~PickupObject mug", ""),
    ],
)
def test_what_a_report_refutes_is_told(told, unexpected, alfred) -> None:
    *before, last = after(told, alfred)[1]
    assert before == [()] * len(before)
    assert (unexpected in last[0]) if unexpected else last == ()


def test_a_report_that_fits_is_simulated_as_a_plan_is(alfred) -> None:
    line = "GotoLocation shelf; PickupObject mug; GotoLocation fridge; CoolObject mug; PutObject mug fridge"
    situation, unexpected = after(line, alfred)
    assert situation.worlds == validate(split_line(line), alfred).worlds
    assert unexpected == [()] * 5


def test_what_is_done_and_what_has_failed(alfred) -> None:
    told = "GotoLocation bed; !GotoLocation desk; GotoLocation desk; GotoLocation bed; GotoLocation bed"
    known = after(f"{told}; !PickupObject mug; !PickupObject cup; !PickupObject mug", alfred)[0]
    assert [str(step) for step in known.failed] == ["PickupObject cup", "PickupObject mug"]
    assert [step.arguments[0] for step in known.done] == ["bed", "desk", "bed", "bed"]
    known = after(f"{told}; !PickupObject mug; ~GotoLocation bed; ~GotoLocation fridge", alfred)[0]
    assert known.failed == ()
    assert [step.arguments[0] for step in known.done] == ["bed", "desk", "bed"]


def test_every_report_of_a_long_run_is_followed(alfred) -> None:
    # More steps than a plan may have, among them many that nobody would plan.
    few = "GotoLocation desk; PickupObject mug; PickupObject apple; !PutObject mug desk; ~PickupObject apple"
    situation, unexpected = after("; ".join([few] * 20), alfred)
    assert len(unexpected) == 100
    assert 0 < len(situation.worlds) <= 256
