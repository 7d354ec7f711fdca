"""A plan from goal to result: repaired at most so often, and asked whether its things are there."""

from __future__ import annotations

import pytest

from llava_ov_ros.asking import weighed
from llava_ov_ros.onevision import Generated
from llava_ov_ros.planning import NoAnswerError, PlanOptions, Reason, StepStatus, make_plan
from llava_ov_ros.questions.prompts import find_prompts, load_prompts

PLAIN = load_prompts(find_prompts("plain"))
GOAL = "put the mug on the desk"
GOOD = "GotoLocation shelf; PickupObject mug; GotoLocation desk; PutObject mug desk"
BROKEN = "PutObject mug desk"


class Model:
    """Gives the plans of a list one after another, and says of which things that they are there."""

    def __init__(self, *plans: str, absent: tuple[str, ...] = ()) -> None:
        self._plans = list(plans)
        self._absent = absent
        self.asked: list[list[str]] = []

    def __call__(self, asks, on_text):
        """Answers, as `make_plan` has it."""
        self.asked.append([ask.prompt for ask in asks])
        return [self._answer(ask, on_text) for ask in asks]

    def _answer(self, ask, on_text) -> Generated:
        if ask.choices is None:
            text = self._plans.pop(0)
            on_text(text)
            return Generated(text, (1,), (0.5,), "stop", 9, 0.1, 0.2, end_probability=1.0)
        there = not any(f" {thing}?" in ask.prompt for thing in self._absent)
        given = weighed(ask.choices, [-0.1 if (word == "yes") == there else -4.0 for word in ask.choices])
        best = max(given, key=lambda choice: choice.probability).text
        return Generated(best, (1,), (0.5,), "stop", 9, 0.1, 0.2, choices=given)


def test_a_good_plan_is_asked_for_once_and_its_things_together(alfred) -> None:
    model, steps = Model(GOOD), []
    result = make_plan(GOAL, alfred, PLAIN, PlanOptions(), model, on_step=lambda *step: steps.append(step))
    assert result.accepted and result.repairs == 0
    assert model.asked == [
        ["Goal: put the mug on the desk. Plan?"],
        ["Is there a shelf?", "Is there a mug?", "Is there a desk?"],
    ]
    assert [(attempt, step.number) for attempt, step in steps] == [(0, 1), (0, 2), (0, 3), (0, 4)]


def test_a_broken_plan_is_repaired(alfred) -> None:
    model = Model(BROKEN, GOOD)
    result = make_plan(GOAL, alfred, PLAIN, PlanOptions(grounding=False), model)
    assert result.accepted and result.repairs == 1
    assert "is held, expected mug" in model.asked[1][0]


@pytest.mark.parametrize(("repairs", "asked"), [(0, 1), (1, 2), (3, 4)])
def test_repairs_are_bounded(alfred, repairs: int, asked: int) -> None:
    model = Model(*[BROKEN] * 9)
    result = make_plan(GOAL, alfred, PLAIN, PlanOptions(repairs=repairs, grounding=False), model)
    assert not result.accepted and result.repairs == repairs and len(model.asked) == asked


def test_a_repair_that_is_no_better_is_not_taken(alfred) -> None:
    for worse in (f"{BROKEN}; {BROKEN}", "cannot tell"):
        result = make_plan(GOAL, alfred, PLAIN, PlanOptions(grounding=False), Model(BROKEN, worse))
        assert result.validation.plan.line == BROKEN


def test_what_the_pictures_do_not_show_is_flagged(alfred) -> None:
    result = make_plan(GOAL, alfred, PLAIN, PlanOptions(), Model(GOOD, absent=("mug",)))
    flagged = [(step.number, finding.reason) for step in result.steps for finding in step.findings]
    assert flagged == [(2, Reason.NOT_SEEN), (4, Reason.NOT_SEEN)]
    assert result.steps[1].status == StepStatus.WARNING and "show no mug" in result.steps[1].reason
    assert result.accepted, "a thing may be in a drawer"


def test_cannot_tell_is_neither_repaired_nor_grounded(alfred) -> None:
    model = Model("cannot tell")
    assert make_plan(GOAL, alfred, PLAIN, PlanOptions(), model).cannot_tell
    assert len(model.asked) == 1


def test_without_an_answer_to_what_a_plan_can_do_without_there_is_a_remark(alfred) -> None:
    model = Model(BROKEN)

    def answers(asks, on_text):
        if model.asked:
            raise NoAnswerError("no room")
        return model(asks, on_text)

    result = make_plan(GOAL, alfred, PLAIN, PlanOptions(), answers)
    assert result.validation.plan.line == BROKEN
    assert result.remarks == ("not repaired: no room", "not asked whether its things are there: no room")
    with pytest.raises(NoAnswerError):
        make_plan(GOAL, alfred, PLAIN, PlanOptions(), answers)
