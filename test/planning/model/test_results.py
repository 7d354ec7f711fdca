"""Plans and next steps from what a model wrote: typed, with a confidence, a refusal, and what was not read."""

from __future__ import annotations

import pytest

from llava_ov_ros.onevision import Generated
from llava_ov_ros.planning import (
    Hint,
    Reason,
    Report,
    Situation,
    Step,
    StepStatus,
    StepStream,
    read_next_step,
    read_plan_answer,
    split_line,
)
from llava_ov_ros.planning.model.results import decided_confidence, text_probability
from llava_ov_ros.questions.prompts import find_prompts, load_prompts

PLAIN = load_prompts(find_prompts("plain"))
GOOD = "GotoLocation shelf; PickupObject mug; GotoLocation desk; PutObject mug desk"
SHELF = Report(Step("GotoLocation", ("shelf",)))


def generated(text: str, *probabilities: float, end: float | None = 1.0, finish: str = "stop") -> Generated:
    given = probabilities or (0.9,)
    return Generated(text, tuple(range(len(given))), given, finish, 9, 0.1, 0.2, end_probability=end)  # type: ignore[arg-type]


def plan(vocabulary, text: str, decoding: str = "constrained", **how):
    return read_plan_answer(generated(text, **how), "put the mug on the desk", vocabulary, PLAIN, decoding)


def hint(vocabulary, one: Generated, decoding: str = "constrained", least: float = 0.5):
    situation, _ = Situation().after(SHELF, vocabulary)
    return read_next_step(one, situation, vocabulary, PLAIN, decoding, least)


def test_a_good_plan(alfred) -> None:
    result = plan(alfred, GOOD)
    assert result.accepted and not result.cannot_tell and result.unread == ()
    assert result.validation.plan == split_line(GOOD)
    assert [(step.number, step.status, step.reason) for step in result.steps] == [
        (number, StepStatus.OK, "") for number in range(1, 5)
    ]


def test_each_step_says_what_is_wrong_with_it(alfred) -> None:
    result = plan(alfred, "GotoLocation shelf; PickupObject mug; PickupObject pen; PutObject mug desk")
    statuses = [step.status for step in result.steps]
    assert statuses == [StepStatus.OK, StepStatus.OK, StepStatus.VIOLATION, StepStatus.WARNING]
    assert "no hand is free" in result.steps[2].reason
    assert not result.accepted


def test_cannot_tell_is_a_refusal_and_no_plan(alfred) -> None:
    for decoding in ("constrained", "free"):
        result = plan(alfred, "cannot tell", decoding)
        assert result.cannot_tell and not result.accepted and result.steps == () and result.unread == ()


def test_free_text_says_what_was_not_read(alfred) -> None:
    result = plan(alfred, "1. Go to the shelf.\n2. Frobnicate the mug.\n3. Pick up the mug.", "free")
    assert result.validation.plan == split_line("GotoLocation shelf; PickupObject mug")
    assert len(result.unread) == 1 and "Frobnicate" in result.unread[0]
    assert not result.accepted, "what was not read may be a step"


@pytest.mark.parametrize("decoding", ["constrained", "free"])
def test_of_a_plan_that_was_cut_off_the_last_step_is_not_taken(alfred, decoding: str) -> None:
    result = plan(alfred, "GotoLocation shelf; PickupObject pen", decoding, finish="deadline", end=None)
    assert result.validation.plan == split_line("GotoLocation shelf")
    assert any("'PickupObject pen' was cut off" in text for text in result.unread)
    assert not result.accepted


@pytest.mark.parametrize("text", ["", "; ;", "\x00", "PickupObject", "GotoLocation  shelf"])
@pytest.mark.parametrize("decoding", ["constrained", "free"])
def test_whatever_the_text_is_it_is_not_accepted_and_nothing_raises(alfred, text: str, decoding: str) -> None:
    result = plan(alfred, text, decoding)
    assert not result.accepted or result.validation.plan == split_line("GotoLocation shelf")


def test_confidence_counts_what_was_decided() -> None:
    one = generated(GOOD, 0.5, 1.0, 1.0, 1.0, end=0.125)
    assert text_probability(one) == pytest.approx(0.0625)
    assert decided_confidence(one) == pytest.approx(0.25)
    assert decided_confidence(generated(GOOD, 1.0, 1.0)) == 1.0
    assert decided_confidence(generated(GOOD, 0.0, 0.5)) == 0.0
    nothing = Generated("", (), (), "cancelled", 0, 0.0, 0.0)
    assert decided_confidence(nothing) == text_probability(nothing) == 0.0


def test_a_next_step(alfred) -> None:
    step = hint(alfred, generated("PickupObject mug", 0.8))
    assert (step.hint, step.step, step.findings) == (Hint.STEP, Step("PickupObject", ("mug",)), ())
    assert step.confidence == pytest.approx(0.8)


def test_a_next_step_that_cannot_be_done_says_why(alfred) -> None:
    step = hint(alfred, generated("PutObject mug shelf", 0.8))
    assert [finding.reason for finding in step.findings] == [Reason.NOT_HOLDING]


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (generated("DONE", 0.9), Hint.DONE),
        (generated("cannot tell", 0.3), Hint.CANNOT_TELL),
        (generated("DONE", 0.4), Hint.UNSURE),
        (generated("PickupObject mug", 0.9, 0.5), Hint.UNSURE),
        (generated("PickupObj", 0.9, finish="cancelled", end=None), Hint.UNSURE),
        (generated("", 0.9), Hint.UNSURE),
    ],
)
def test_hints(alfred, one: Generated, expected: Hint) -> None:
    assert hint(alfred, one).hint == expected


def test_free_next_steps(alfred) -> None:
    assert hint(alfred, generated("Done.", 0.9), "free").hint == Hint.DONE
    assert hint(alfred, generated("NoOp", 0.9), "free").hint == Hint.DONE
    assert hint(alfred, generated("Pick up the mug.", 0.9), "free").step == Step("PickupObject", ("mug",))
    two = hint(alfred, generated("Pick up the mug.\nGo to the desk.", 0.9), "free")
    assert (two.hint, two.step) == (Hint.UNSURE, Step("PickupObject", ("mug",)))
    assert "come after the one step" in two.unread[0]
    assert hint(alfred, generated("Dance!", 0.9), "free").hint == Hint.UNSURE


@pytest.mark.parametrize(("decoding", "end"), [("constrained", ""), ("free", "")])
def test_steps_come_as_they_are_decoded(alfred, decoding: str, end: str) -> None:
    stream = StepStream(alfred, decoding)  # type: ignore[arg-type]
    heard = [[str(step.step) for step in stream.hear(letter)] for letter in GOOD]
    assert [steps for steps in heard if steps] == [["GotoLocation shelf"], ["PickupObject mug"], ["GotoLocation desk"]]
    stream = StepStream(alfred, decoding)  # type: ignore[arg-type]
    assert [step.number for step in stream.hear(GOOD)] == [1, 2, 3]
