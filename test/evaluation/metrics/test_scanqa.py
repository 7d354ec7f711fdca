"""Exact match, and captioning metrics: by pycocoevalcap where Java is, otherwise not at all."""

from __future__ import annotations

import math

import pytest

from llava_ov_ros.evaluation.metrics import CAPTION_METRICS, NotAvailable, captioning, exact_match, refined_match
from llava_ov_ros.evaluation.metrics.scanqa import why_not_available


@pytest.mark.parametrize(
    ("prediction", "golds", "expected"),
    [
        ("brown", ["brown", "dark brown"], 1),
        ("dark brown", ["brown", "dark brown"], 1),
        ("Brown", ["brown"], 0),
        ("brown.", ["brown"], 0),
        (" brown", ["brown"], 0),
        ("", ["brown"], 0),
        ("", [""], 1),
        ("棕色", ["棕色"], 1),
    ],
)
def test_exact_match_is_to_the_letter(prediction, golds, expected):
    assert exact_match(prediction, golds) == expected


# What embodied-generalist 567f2d80 gives: answer_match of evaluator/scanqa_eval.py after clean_answer of
# data/data_utils.py.
REFINED = [
    ("brown", ["dark brown"], 1),
    ("the brown table", ["brown table"], 1),
    ("2", ["two"], 1),
    ("two chairs", ["2"], 1),
    ("Brown.", ["brown"], 1),
    ("red", ["blue"], 0),
    ("to the rigth", ["right"], 1),
    ("none", ["0"], 1),
    ("left of tv", ["left of the TV"], 1),
    ("dark  brown", ["darkbrown"], 1),
    ("it", ["white"], 1),
    ("on the wall", ["wall", "floor"], 1),
    ("21", ["twenty one"], 0),
    ("chair2", ["chair"], 1),
]


@pytest.mark.parametrize(("prediction", "golds", "expected"), REFINED)
def test_refined_match_is_the_published_one(prediction, golds, expected):
    assert refined_match(prediction, golds) == expected


@pytest.mark.parametrize(("prediction", "golds"), [("", ["brown"]), ("?!", ["brown"]), ("brown", [""]), ("", [""])])
def test_nothing_is_no_answer(prediction, golds):
    assert refined_match(prediction, golds) == 0


def test_without_java_there_are_no_captioning_metrics(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    found = captioning(["brown"], [["brown"]])
    assert isinstance(found, NotAvailable)
    assert "pip install pycocoevalcap" in found.reason or "apt install default-jre-headless" in found.reason


def test_answers_without_right_ones_are_an_error():
    with pytest.raises(ValueError, match="1 answers and 2 lists"):
        captioning(["brown"], [["brown"], ["red"]])
    with pytest.raises(ValueError, match="none of them empty"):
        captioning(["brown"], [[]])


@pytest.mark.extras
@pytest.mark.timeout(300)
def test_captioning_metrics():
    missing = why_not_available()
    if missing is not None:
        pytest.skip(missing.reason)
    predictions = ["Left of the brown table.", "two", "", "棕色"]
    golds = [["left of the brown table", "at the window"], ["three", "3"], ["black\nchair"], ["红色"]]
    found = captioning(predictions, golds)
    assert isinstance(found, dict), found
    assert tuple(found) == CAPTION_METRICS
    # By Papineni et al. (2002): 5 of 7 words are right and 4 of 4 pairs; the right answers that are closest in length
    # have 5 + 1 + 2 + 1 = 9 words, so that brevity costs a factor of exp(1 - 9 / 7).
    brevity = math.exp(1 - 9 / 7)
    assert found["Bleu_1"] == pytest.approx(5 / 7 * brevity, rel=1e-6)
    assert found["Bleu_2"] == pytest.approx(math.sqrt(5 / 7) * brevity, rel=1e-6)
    # One answer of four is right.
    assert found["ROUGE_L"] == pytest.approx(1 / 4, rel=1e-6)
    assert 0 < found["METEOR"] < 1
    assert 0 < found["CIDEr"] < 10
