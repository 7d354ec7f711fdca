"""`llava-ov score`: figures, tables, and what is wrong with rows."""

from __future__ import annotations

import json

import pytest

from llava_ov_ros.cli.main import main
from llava_ov_ros.evaluation.benchmarks import row_scores as scoring
from llava_ov_ros.evaluation.metrics import NotAvailable, interleave

PLAN = "GotoLocation shelf; PickupObject mug; GotoLocation desk; PutObject mug desk"


def row(prediction, gold, dataset="ALFRED", question_type="open-ended", **more):
    return {
        "dataset": dataset,
        "sample_id": 1,
        "prompt": "<image>\nWhat now?",
        "pred_response": prediction,
        "gt_response": gold,
        "question_type": question_type,
        **more,
    }


@pytest.fixture
def score(tmp_path, capsys):
    """Scores rows: exit code, standard output, standard error."""

    def run(rows, *options):
        file = tmp_path / "rows.jsonl"
        file.write_text(rows if isinstance(rows, str) else "".join(json.dumps(one) + "\n" for one in rows))
        code = main(["score", str(file), *options])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def test_interleave(score):
    rows = [
        row("Pick up the mug.", "Pick up the red mug."),
        row("B", "b", "nuscenes", "multi-choice"),
        row("", "Pick up the mug."),
        row("Answer: C", "B", "nuscenes", "multi-choice"),
        row("whatever", ""),
    ]
    code, out, _ = score(rows, "--metric", "interleave", "--json")
    assert code == 0
    first = interleave.open_ended("Pick up the mug.", "Pick up the red mug.")
    assert json.loads(out) == {
        "ALFRED": {"n": 2, "metric": "Rouge-L f", "value": pytest.approx(100 * first / 2)},
        "nuscenes": {"n": 2, "metric": "Accuracy", "value": 50.0, "choice_lenient": 50.0},
    }


def test_more_lenient_figures_stand_beside_the_official_ones(score):
    said = [row("The answer is (B).", "B", "nuscenes", "multi-choice"), row("A or B", "B", "nuscenes", "multi-choice")]
    assert json.loads(score(said, "--json")[1])["nuscenes"] == {
        "n": 2,
        "metric": "Accuracy",
        "value": 0.0,
        "choice_lenient": 50.0,
    }
    code, out, _ = score([row("The brown table.", ["brown"], "ScanQA")], "--metric", "scanqa")
    assert code == 0
    assert "EM@1" in out.splitlines()[1]
    assert out.splitlines()[2].split() == ["em_refined", "100.00"]


def test_a_set_is_scored_by_the_type_of_its_first_row(score):
    rows = [row("the red mug", "red mug"), row("B", "B", question_type="multi-choice")]
    code, out, _ = score(rows, "--json")
    assert code == 0
    assert json.loads(out)["ALFRED"]["metric"] == "Rouge-L f"


def test_rows_that_do_not_count_leave_no_value(score):
    code, out, _ = score([row("mug", "")], "--json")
    assert (code, json.loads(out)) == (0, {"ALFRED": {"n": 0, "metric": "Rouge-L f", "value": None}})


def test_the_table_has_intervals_and_categories(score):
    rows = [row("a mug", "a mug", "HQ-Edit"), row("a", "b", "MagicBrush"), *[row("a mug", "a cup")] * 9]
    code, out, _ = score(rows)
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert code == 0
    assert lines[0] == "data set n metric value 95 % interval"
    assert lines[1] == "HQ-Edit 1 Rouge-L f 100.00 20.65 to 100.00"
    assert lines[3] == "ALFRED 9 Rouge-L f 50.00 35.04 to 64.96"
    assert lines[-1] == "image_edit_instruct 50.00"


@pytest.mark.parametrize(
    ("metric", "said", "right"),
    [
        ("interleave", "B", "B"),
        ("scanqa", "brown", "brown"),
        ("yes_no", "yes", "yes"),
        ("count", "2", "2"),
        ("plan", PLAN, PLAN),
    ],
)
def test_one_right_answer_proves_little(score, metric, said, right):
    """Wilson's interval of 1 of 1 goes from 1 / (1 + 1.96 ** 2) to 1."""
    _, out, _ = score([row(said, right, question_type="multi-choice")], "--metric", metric)
    assert "100.00  20.65 to 100.00" in out.splitlines()[1]


def test_scanqa(score, monkeypatch):
    rows = [row("brown", ["brown", "dark brown"], "ScanQA"), row("red", "blue", "ScanQA")]
    monkeypatch.setattr(scoring, "captioning", lambda said, golds: {"Bleu_1": 0.25, "CIDEr": 1.5})
    code, out, _ = score(rows, "--metric", "scanqa", "--json")
    assert code == 0
    assert json.loads(out) == {
        "ScanQA": {"n": 2, "metric": "EM@1", "value": 50.0, "em_refined": 50.0, "Bleu_1": 25.0, "CIDEr": 150.0}
    }
    monkeypatch.setattr(scoring, "captioning", lambda said, golds: NotAvailable("no Java"))
    assert json.loads(score(rows, "--metric", "scanqa", "--json")[1])["ScanQA"]["not_available"] == "no Java"
    assert "not available: no Java" in score(rows, "--metric", "scanqa")[1]


def test_yes_no_and_count(score):
    assert json.loads(score([row("Yes.", "yes"), row("maybe", "no")], "--metric", "yes_no", "--json")[1]) == {
        "ALFRED": {"n": 2, "metric": "Accuracy", "value": 50.0}
    }
    assert json.loads(score([row("two of them", "2")], "--metric", "count", "--json")[1])["ALFRED"]["value"] == 100.0


def test_a_question_that_is_answered_twice_counts_twice_and_is_said(score):
    same = row("mug", "mug", question_type="multi-choice")
    rows = [same, {**same, "sample_id": "1"}, {**same, "pred_response": "cup"}, {**same, "prompt": "And then?"}]
    code, out, err = score(rows, "--json")
    assert (code, json.loads(out)["ALFRED"]["n"], json.loads(out)["ALFRED"]["value"]) == (0, 4, 75.0)
    assert "ALFRED: 1 id is there more than once, in 2 rows: 1 (line 1, line 3); every row counts" in err
    assert score([same, {**same, "dataset": "nuscenes"}])[2] == ""


def test_an_endless_number_is_a_wrong_answer(score):
    rows = [row("9" * 5000, "3"), row("3", "3")]
    code, out, _ = score(rows, "--metric", "count", "--json")
    assert (code, json.loads(out)["ALFRED"]["value"]) == (0, 50.0)
    code, _, err = score(json.dumps(row("3", "3")).replace('"3"', "9" * 5000, 1), "--metric", "count")
    assert code == 1
    assert "rows.jsonl:1: a number in it has thousands of digits: write answers as texts" in err


def test_plans(score):
    goal = {"object_target": "Mug", "parent_target": "Desk"}
    rows = [
        row(PLAN, PLAN, pddl_params=goal, task_type="pick_and_place_simple"),
        row("PickupObject mug", [step.split(" ") for step in PLAN.split("; ")], pddl_params=goal),
    ]
    code, out, _ = score(rows, "--metric", "plan", "--json")
    found = json.loads(out)["ALFRED"]
    assert (code, found["metric"], found["value"]) == (0, "plan_exact", 50.0)
    assert found["plan_step_f1"] == pytest.approx(100 * (1 + 0.4) / 2)
    assert found["plan_success"] == found["plan_goal_conditions"] == found["plan_weighted_success"] == 50.0


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("", "rows.jsonl: there are no rows in it"),
        ("{", "rows.jsonl:1: not JSON"),
        ("\n\n[1]\n", "rows.jsonl:3: expected an object"),
        ([row("a", "b"), {**row("a", "b"), "dataset": ""}], "rows.jsonl:2: dataset is empty"),
        ([{**row("a", "b"), "sample_id": True}], "rows.jsonl:1: sample_id is 'True', expected text or a number"),
        ([{**row("a", "b"), "pred_response": None}], "rows.jsonl:1: pred_response is 'None', expected text"),
        ([{"dataset": "ALFRED"}], "rows.jsonl:1: question_type is missing"),
        ([row("a", ["b"])], "rows.jsonl:1: gt_response is \"['b']\", expected text"),
        ([row("a", "b", question_type="open")], "rows.jsonl:1: question_type is 'open': expected open-ended"),
    ],
)
def test_rows_that_cannot_be_scored(score, rows, message):
    code, out, err = score(rows)
    assert (code, out) == (1, "")
    assert message in err


@pytest.mark.parametrize(
    ("metric", "bad", "message"),
    [
        ("yes_no", row("yes", "maybe"), "rows.jsonl:2: gt_response: the right answer is 'maybe'"),
        ("count", row("2", "many"), "rows.jsonl:2: gt_response: the right answer is 'many'"),
        ("scanqa", row("a", []), "rows.jsonl:2: gt_response is '[]', expected text or a list of texts"),
        ("plan", row(PLAN, "PickupObject  mug"), "rows.jsonl:2: gt_response: step 1"),
        ("plan", row(PLAN, PLAN, pddl_params={"object": "Mug"}), "rows.jsonl:2: pddl_params, task_type: the goal has"),
    ],
)
def test_right_answers_of_another_kind(score, metric, bad, message):
    good = {"yes_no": "yes", "count": "2", "scanqa": "a", "plan": PLAN}[metric]
    code, _, err = score([row("a", good), bad], "--metric", metric)
    assert code == 1
    assert message in err


def test_all_faults_are_named_at_once(score):
    _, _, err = score([{**row("a", "b"), "pred_response": 7}] * 30)
    assert err.count("pred_response is '7'") == 20
    assert "and 10 more" in err


def test_no_such_file(capsys):
    assert main(["score", "nowhere.jsonl"]) == 1
    assert "nowhere.jsonl: No such file or directory" in capsys.readouterr().err
