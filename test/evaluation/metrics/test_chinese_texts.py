"""Free answers in Chinese beside CMRC 2018's own scores, and English ones that none of this touches."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llava_ov_ros.evaluation.benchmarks.result_rows import ResultRow
from llava_ov_ros.evaluation.benchmarks.row_scores import score_rows
from llava_ov_ros.evaluation.metrics import ANSWER_METRICS, chinese_texts, interleave

HERE = Path(__file__).parent
PAIRS = [json.loads(line) for line in (HERE / "cmrc2018_pairs.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("pair", PAIRS, ids=[pair["prediction"] for pair in PAIRS])
def test_exact_match_and_f1_are_cmrcs(pair) -> None:
    said, gold = pair["prediction"], pair["gold"]
    assert chinese_texts.f1(said, gold) == pytest.approx(pair["f1"], abs=1e-12)
    assert chinese_texts.exact(said, gold) == pair["em"]


def test_a_sentence_is_no_word() -> None:
    said, gold = "桌子上有红色的杯子。", "桌上有红色杯子"
    assert interleave.open_ended(said, gold) == 0, "the official code takes each for one word"
    # 7 of the 9 characters that were said are all 7 that are right, in their order.
    assert chinese_texts.rouge_l(said, gold) == pytest.approx(2 * 7 / (9 + 7))
    assert ANSWER_METRICS["rouge_l"](said, [gold], ()) == chinese_texts.rouge_l(said, gold)


def test_width_does_not_count() -> None:
    assert chinese_texts.pieces("ＡＢＣ １２、杯子！") == ["abc", "12", "杯", "子"]
    assert chinese_texts.exact("Ａ区１２号", "a区12号") == 1
    assert chinese_texts.f1("", "杯子") == chinese_texts.rouge_l("。", "杯子") == 0


def test_scores_beside_right_answers_in_english_are_the_official_ones() -> None:
    pairs = [json.loads(line) for line in (HERE / "interleave_pairs.jsonl").read_text().splitlines()]
    for said in [pair["prediction"] for pair in pairs] + ["桌子上有杯子", "a 杯子"]:
        for gold in ("a mug on the desk", "red"):
            assert ANSWER_METRICS["rouge_l"](said, [gold], ()) == interleave.open_ended(said, gold)


def test_a_file_of_answers() -> None:
    rows = [
        ResultRow(f"f:{number}", "set", number, said, gold, "open-ended", {})
        for number, (said, gold) in enumerate([("红色的杯子。", ["盘子", "红色的杯子"]), ("盘子", "杯子")])
    ]
    (found,) = score_rows(rows, "chinese").values()
    assert (found.n, found.metric, found.value) == (2, "F1", pytest.approx(75))
    assert found.more == pytest.approx({"EM": 50, "Rouge-L f": 75})
