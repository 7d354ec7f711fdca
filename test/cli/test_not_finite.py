"""Commands and a model whose numbers are not finite: refused at loading, or failed questions that do not end a run."""

from __future__ import annotations

import json

import pytest
import yaml

from llava_ov_ros.cli.main import main

TOPIC = "/front/image_raw"


@pytest.fixture
def bag(write_bag, shot, tmp_path):
    return write_bag(tmp_path / "bag", [shot(TOPIC, i * 0.5, level=i * 20) for i in range(9)])


def test_replay_ends_before_the_first_question(bag, too_wide_for_float16, capsys):
    model = ["--model", str(too_wide_for_float16), "--dtype", "float16", "--device", "cpu"]
    assert main(["replay", str(bag), "--ask", "What is it?", "--at", "2", "--json", *model]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "not finite in float16" in captured.err
    assert "load it with dtype bfloat16 or float32" in captured.err
    assert "Traceback" not in captured.err


def test_eval_scores_such_a_question_as_failed_and_goes_on(bag, mug_is_too_much, tmp_path):
    suite = tmp_path / "suite.yaml"
    questions = [
        {"ask": "What is the mug?", "at_s": 2, "gold": "red"},
        {"ask": "What is the pan?", "at_s": 3, "gold": "red"},
        {"ask": "Is there a mug?", "at_s": 3, "kind": "yes_no", "gold": True},
    ]
    model = {"model": str(mug_is_too_much), "dtype": "float16", "device": "cpu"}
    suite.write_text(yaml.safe_dump({"name": "mugs", **model, "bags": [{"bag": str(bag), "questions": questions}]}))
    out = tmp_path / "out"
    codes = [main(["eval", str(suite), "--out", str(out)]) for _ in range(2)]
    assert codes[0] == codes[1]
    rows = [json.loads(line, parse_constant=pytest.fail) for line in (out / "results.jsonl").read_text().splitlines()]
    assert [(row["status"], row["confidence"] == 0) for row in rows] == [
        ("MODEL_ERROR", True),
        ("OK", False),
        ("MODEL_ERROR", True),
    ]
    assert all(value == 0 for row in rows if row["status"] != "OK" for value in row["scores"].values())
    summary = json.loads((out / "summary.json").read_text(), parse_constant=pytest.fail)
    assert summary["metrics"]["yes_no"]["value"] == 0
