"""A recipe of CONTRIBUTING.md that is followed halfway fails here: kinds and metrics stand in all their places."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from llava_ov_ros.evaluation.metrics import ANSWER_METRICS, METRICS, PLAN_METRICS
from llava_ov_ros.evaluation.report.page import MEANINGS
from llava_ov_ros.evaluation.run.answer_scores import suits
from llava_ov_ros.evaluation.suite.trials import PlanGold, Trial
from llava_ov_ros.questions import Kind

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "llava_ov_ros" / "evaluation" / "suite" / "suite.schema.json").read_text())


def read(*parts: str) -> str:
    return ROOT.joinpath(*parts).read_text()


def test_kinds_that_a_suite_may_have():
    assert set(SCHEMA["$defs"]["kind"]["enum"]) == set(Kind)


@pytest.mark.parametrize(
    "listing",
    [
        re.search(r"^string kind +# (.*)$", read("srv", "Ask.srv"), re.MULTILINE),
        re.search(r"^string kind +# (.*)$", read("action", "Ask.action"), re.MULTILINE),
        re.search(r"^\| `kind` \| string \| (text, .*)$", read("docs", "interfaces.md"), re.MULTILINE),
        re.search(r"^\| kind \| (.*)$", read("CONTRIBUTING.md"), re.MULTILINE),
        re.search(r"## Kinds of questions\n(.*?)\n\n[A-Z]", read("docs", "answers.md"), re.DOTALL),
        re.search(r'"--kind", .*help="(.*)"', read("examples", "ask.py")),
    ],
    ids=["Ask.srv", "Ask.action", "interfaces.md", "CONTRIBUTING.md", "answers.md", "ask.py"],
)
def test_listings_name_every_kind(listing):
    assert set(Kind) <= set(re.findall(r"\w+", listing.group(1)))


def test_each_answer_metric_scores_some_kind_of_question():
    """A metric that is missing in `_KINDS` of answer_scores.py would never be computed, and nothing would say so."""
    asked = [Trial(0, "?", kind, 0, 0, gold=("红色", "red")) for kind in Kind]
    assert [name for name in ANSWER_METRICS if not any(suits(name, one) for one in asked)] == []
    plan = Trial(0, "?", "plan", 0, 0, plan=PlanGold((("GotoLocation", "desk"),), {"object_target": "Mug"}, ""))
    assert [name for name in PLAN_METRICS if not suits(name, plan)] == []


def test_each_metric_is_explained():
    assert [name for name in (*ANSWER_METRICS, *PLAN_METRICS) if name not in MEANINGS] == []
    examples = set(SCHEMA["properties"]["metrics"]["items"]["examples"])
    assert examples == METRICS
    documents = read("docs", "metrics.md") + read("docs", "evaluation.md")
    assert [name for name in sorted(METRICS) if f"`{name}`" not in documents] == []
