"""Which metrics suit a question, and scores of single answers."""

from __future__ import annotations

import pytest

from llava_ov_ros.evaluation.run.answer_scores import metrics_of, scored, suits
from llava_ov_ros.evaluation.suite.trials import PlanGold, Trial
from llava_ov_ros.planning import find_vocabulary, load_vocabulary


@pytest.fixture(scope="module")
def vocabulary():
    return load_vocabulary(find_vocabulary("alfred"))


def trial(kind, *gold, choices=(), plan=None):
    return Trial(0, "What?", kind, 0, 0, choices=choices, gold=gold, plan=plan)


def row(text, value=None, status="OK", **more):
    return {"status": status, "text": text, "value": value, **more}


@pytest.mark.parametrize(
    ("asked", "answered", "scores"),
    [
        (trial("text", "on the shelf"), row("on the shelf"), {"em": 1, "rouge_l": 1}),
        (trial("text", "red", "crimson"), row("crimson"), {"em": 1, "rouge_l": 1}),
        (trial("text", "red"), row("Red."), {"em": 0, "rouge_l": 1}),
        (trial("text", "红色"), row("红色。"), {"em": 0, "rouge_l": 1, "em_zh": 1, "f1_zh": 1}),
        (trial("phrase", "桌上", "red"), row("在桌上"), {"em": 0, "rouge_l": 0.8, "em_zh": 0, "f1_zh": 0.8}),
        (trial("yes_no", True), row("是", True), {"em": 1, "yes_no": 1}),
        (trial("text", "red"), row("red", status="STALE"), {"em": 0, "rouge_l": 0}),
        (trial("yes_no", True), row("oui", True), {"em": 1, "yes_no": 1}),
        (trial("yes_no", False), row("oui", True), {"em": 0, "yes_no": 0}),
        (trial("yes_no", False), row("cannot tell"), {"em": 0, "yes_no": 0}),
        (trial("count", 3), row("three", 3), {"em": 1, "count": 1}),
        (trial("count", 1_234_567), row("many", 1_234_568), {"em": 0, "count": 0}),
        (trial("count", 0), row("", status="NO_FRAMES"), {"em": 0, "count": 0}),
        (trial("choice", "b", choices=("a", "b")), row("b", "b"), {"em": 1, "choice": 1}),
        (trial("text"), row("anything"), {}),
    ],
)
def test_scores(vocabulary, asked, answered, scores):
    metrics = metrics_of([asked], None)
    assert set(metrics) == set(scores)
    assert scored(answered, asked, metrics, vocabulary).row["scores"] == pytest.approx(scores, abs=1e-6)


def test_lenient_metrics_are_given_where_they_are_named(vocabulary):
    asked = trial("text", "B")
    names = ("em", "em_refined", "choice_lenient")
    assert metrics_of([asked], None) == ("em", "rouge_l")
    assert metrics_of([asked], names) == names
    found = scored(row("The answer is (B)."), asked, names, vocabulary).row["scores"]
    assert found == {"em": 0, "em_refined": 1, "choice_lenient": 1}
    refused = scored(row("", status="STALE"), asked, names, vocabulary).row["scores"]
    assert refused == {"em": 0, "em_refined": 0, "choice_lenient": 0}


def test_multi_choice_is_given_where_it_is_named(vocabulary):
    asked = trial("text", "B")
    assert metrics_of([asked], ["multi_choice"]) == ("multi_choice",)
    assert scored(row("Answer: B"), asked, ("multi_choice",), vocabulary).row["scores"] == {"multi_choice": 1}


def test_a_plan(vocabulary):
    rows = (("PickupObject", "mug"), ("PutObject", "mug", "desk"))
    asked = trial("plan", plan=PlanGold(rows, {"object_target": "mug", "parent_target": "desk"}, ""))
    metrics = metrics_of([asked], None)
    whole = [
        ["GotoLocation", "sidetable"],
        ["PickupObject", "mug"],
        ["GotoLocation", "desk"],
        ["PutObject", "mug", "desk"],
    ]
    found = scored(row("...", steps=whole, unread=[]), asked, metrics, vocabulary).row["scores"]
    assert (found["plan_exact"], found["plan_valid"], found["plan_success"]) == (0, 1, 1)
    assert found["plan_weighted_success"] == 0.5
    assert found["plan_step_f1"] == pytest.approx(2 * 0.5 * 1 / 1.5, abs=1e-6)
    nothing = scored(row("", steps=[], unread=[], status="STALE"), asked, metrics, vocabulary).row["scores"]
    assert nothing["plan_success"] == nothing["plan_exact"] == nothing["plan_valid"] == 0


def test_plans_without_a_goal_have_no_metrics_of_goals():
    asked = trial("plan", plan=PlanGold((("PickupObject", "mug"),), None, ""))
    assert metrics_of([asked], None) == ("plan_exact", "plan_step_f1", "plan_valid")
    assert not suits("em", asked)
