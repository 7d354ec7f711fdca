"""A suite in Chinese: asked with the set `zh`, typed, scored by characters; the model is a script."""

from __future__ import annotations

import pytest
import yaml

from llava_ov_ros.asking import weighed
from llava_ov_ros.evaluation.run.answer_scores import scored
from llava_ov_ros.evaluation.run.bag_answers import RowsAnswered, run_shard
from llava_ov_ros.evaluation.suite.preflight import preflight
from llava_ov_ros.evaluation.suite.suite_file import read_suite
from llava_ov_ros.onevision import Generated

TOPIC = "/front/image_raw"
PLAN = "GotoLocation shelf; PickupObject mug"
QUESTIONS = [
    {"ask": "门开着吗？", "kind": "yes_no", "gold": False},
    {"ask": "桌上有几个杯子？", "kind": "count", "gold": 3},
    {"ask": "杯子是什么颜色？", "kind": "choice", "choices": ["红色", "蓝色"], "gold": "蓝色"},
    {"ask": "桌上有什么？", "gold": "一个红色的杯子"},
    {"ask": "杯子在哪里？", "kind": "phrase", "gold": "桌上"},
]
ANSWERS = {
    "门开着吗？": "否",
    "桌上有几个": "3",
    "杯子是什么颜色": "B",
    "桌上有什么": "红色的杯子。",
    "杯子在哪里": "桌上。",
}


class Script:
    """In the model's place: answers by the beginning of the question."""

    name = "script"

    def stream(self, clips, asks, *, mode):
        """What the script has for each question."""
        for number, ask in enumerate(asks):
            question, given = ask.question, ask.choices or ()
            text = next((said for begin, said in ANSWERS.items() if question.startswith(begin)), None)
            text = text or ("是" if "是否" in question else PLAN)
            choices = weighed(given, [0.0 if one == text else -3.0 for one in given]) if given else ()
            yield number, Generated(text, (1,), (0.5,), "stop", 9, 0.1, 0.2, choices=choices, end_probability=1.0)


def test_a_suite(write_bag, shot, tmp_path):
    write_bag(tmp_path / "bag", [shot(TOPIC, i * 0.5, level=i * 12) for i in range(9)])
    plans = [{"goal": "拿起马克杯。", "gold": PLAN}]
    content = {"name": "中文", "prompts": "zh", "bags": [{"bag": "bag", "questions": QUESTIONS, "plans": plans}]}
    (tmp_path / "suite.yaml").write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    job = preflight(read_suite(tmp_path / "suite.yaml"))
    assert {"em_zh", "f1_zh"} <= set(job.metrics)
    (shard,) = job.shards
    events = run_shard(job, shard, Script(), frozenset())
    rows = {row["number"]: row for event in events if isinstance(event, RowsAnswered) for row in event.rows}
    results = [scored(rows[trial.number], trial, job.metrics, job.vocabulary).row for trial in shard.trials]
    by_ask = {row["question"]: row for row in results}
    assert [by_ask[one["ask"]]["value"] for one in QUESTIONS] == [False, 3, "蓝色", "红色的杯子。", "桌上。"]
    assert by_ask["门开着吗？"]["probabilities"].keys() == {"是", "否", "无法判断"}
    assert all(by_ask[one["ask"]]["scores"]["em"] == 1 for one in QUESTIONS[:3])
    text, phrase, plan = (by_ask[ask]["scores"] for ask in ("桌上有什么？", "杯子在哪里？", "拿起马克杯。"))
    assert text == {
        "em": 0,
        "em_zh": 0,
        "f1_zh": pytest.approx(10 / 12, abs=1e-6),
        "rouge_l": pytest.approx(10 / 12, abs=1e-6),
    }
    assert phrase == {"em": 0, "em_zh": 1, "f1_zh": 1, "rouge_l": 1}
    assert (plan["plan_exact"], by_ask["拿起马克杯。"]["accepted"]) == (1, True)
    assert by_ask["拿起马克杯。"]["new_tokens"] > 0
