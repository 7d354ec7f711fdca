"""LLaVA-Interleave-Bench's scores, beside a table of what its official code gives.

interleave_pairs.jsonl was written by that code itself (LLaVA-NeXT df179663, llava/eval/evaluate_interleave.py, with
`rouge` 1.0.1): `value` is null where it leaves a row out, and a text where it stops with an error.
"""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import pytest

from llava_ov_ros.evaluation.metrics import interleave, rouge_l

PAIRS = [
    json.loads(line) for line in Path(__file__).with_name("interleave_pairs.jsonl").read_text("utf-8").splitlines()
]
# Our own words where the official code stops.
STOPS = {"ValueError: Hypothesis is empty.": 0.0, "ValueError: Reference is empty.": None}


def test_the_table_has_the_edge_cases():
    predictions = [pair["prediction"] for pair in PAIRS]
    assert len(PAIRS) >= 200
    assert {"", ".", "B", "(B)", "Answer: B", "1,000"} <= set(predictions)
    assert any(len(text) > 512 for text in predictions)
    assert any("红" in text for text in predictions)
    assert {pair["question_type"] for pair in PAIRS} == set(interleave.QUESTION_TYPES)


@pytest.mark.parametrize("number", range(len(PAIRS)))
def test_score_is_that_of_the_official_code(number):
    pair = PAIRS[number]
    expected = STOPS.get(pair["value"], pair["value"])
    assert interleave.score(pair["question_type"], pair["prediction"], pair["gold"]) == expected


def test_rouge_l_is_that_of_the_package_on_random_texts():
    package = pytest.importorskip("rouge", reason="the package rouge 1.0.1 is not installed")
    official = package.Rouge(metrics=["rouge-l"])
    rng = random.Random(6)
    words = ["a", "b", "c", "d", "e", "the", ".", ". ", "x.", "3.5", "红", ",", "  ", "\n"]
    for _ in range(1000):
        said, gold = (" ".join(rng.choices(words, k=rng.randint(1, 15))) for _ in range(2))
        if all(any(text.split(".")) for text in (said, gold)):
            assert rouge_l(said, gold) == official.get_scores(said, gold)[0]["rouge-l"]["f"], (said, gold)


def test_rouge_l_of_long_texts_does_not_recurse():
    text = " ".join(f"word{number}" for number in range(1500))
    assert rouge_l(text, text) == pytest.approx(1.0, abs=1e-7)


def test_a_set_is_the_mean_of_the_rows_that_count():
    scores = [interleave.open_ended(said, gold) for said, gold in (("a mug", "a mug"), ("", "a mug"), ("mug", ""))]
    found = interleave.set_score(interleave.OPEN_ENDED, scores)
    assert (found.n, found.metric) == (2, "Rouge-L f")
    assert found.value == pytest.approx(0.5, abs=1e-7)


def test_a_set_without_rows_that_count_has_no_value():
    found = interleave.set_score(interleave.OPEN_ENDED, [None])
    assert found.n == 0
    assert math.isnan(found.value)


def test_question_types_of_sets():
    assert interleave.set_type("ALFRED", "open-ended") == "open-ended"
    assert interleave.set_type("nlrv2", "whatever") == "multi-choice"
    with pytest.raises(ValueError, match="open-ended or multi-choice"):
        interleave.set_type("ALFRED", "open")


def test_categories_are_means_of_the_sets_that_are_there():
    values = {"IEdit": 10.0, "HQ-Edit": 20.0, "ALFRED": 90.0, "QBench": 7.0}
    assert interleave.categories(values) == {"image_edit_instruct": 15.0, "qbench": 7.0}
