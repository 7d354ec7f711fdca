"""Commands give the same answers about rooms whether the model computes here or a real server does."""

from __future__ import annotations

import json
import shutil

import pytest

from llava_ov_ros.cli.main import main
from llava_ov_ros.share import shipped

pytestmark = pytest.mark.servers

CLOSE = 1e-3
"""Between probabilities of the two, which compute in the same format, but in another order."""
# Nothing that is sent differs from what the local model sees: its tower takes pictures of 96 pixels.
EXACT = ("--remote-image-px", "96", "--remote-image-format", "png")
BAG = "examples/demo_room"
MEASURED = {"time_to_first_token_s", "total_time_s", "model"}


@pytest.fixture
def served(vllm_server):
    return ["--model", vllm_server.url, *EXACT]


def compare(here, there):
    """Check that two values are the same but for what is measured, and numbers but for rounding."""
    if isinstance(here, dict):
        assert here.keys() == there.keys()
        for name in here.keys() - MEASURED:
            compare(here[name], there[name])
    elif isinstance(here, list):
        assert len(here) == len(there)
        for one, other in zip(here, there, strict=True):
            compare(one, other)
    elif isinstance(here, float):
        assert there == pytest.approx(here, abs=CLOSE)
    else:
        assert here == there


def lines(capsys, *words):
    assert main(list(map(str, words))) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_replay(served, capsys):
    words = ["replay", shipped(BAG), "--questions", shipped(BAG) / "truth.json", "--json"]
    here, there = lines(capsys, *words), lines(capsys, *words, *served)
    assert len(here) == 10
    assert {one["model"] for one in there} != {one["model"] for one in here}
    compare(here, there)


def test_plans_that_are_held_to_the_grammar(served, capsys):
    goal = ["--goal", "put the blue mug in the fridge", "--at", "4", "--at", "11.4", "--window", "1.6"]
    words = ["plan", shipped(BAG), *goal, "--json"]
    here, there = lines(capsys, *words), lines(capsys, *words, *served)
    assert [one["outcome"] for one in there] == ["ACCEPTED", "ACCEPTED"]
    assert all(one["decoding"] == "constrained" and one["steps"] for one in there)
    compare(here, there)


def test_the_example_suite(served, capsys, tmp_path):
    suite = shipped("examples/suite.yaml")

    def run(name, *words):
        assert main(["eval", str(suite), "--out", str(tmp_path / name), *words]) == 0
        return [json.loads(line) for line in (tmp_path / name / "results.jsonl").read_text().splitlines()]

    here, there = run("here"), run("there", *served)
    assert {row["kind"] for row in there} == {"text", "count", "choice", "yes_no", "plan"}
    compare(here, there)
    summary = json.loads((tmp_path / "there" / "summary.json").read_text())
    assert summary["model"] == "rooms"
    assert summary["server"]["version"].startswith("vllm ")


def test_workers_over_a_server(vllm_server, tmp_path):
    """Which questions the server computes together differs, and no row does."""
    suite = tmp_path / "suite.yaml"
    for number in range(3):
        # Links to one recording would be one recording.
        shutil.copytree(shipped(BAG), tmp_path / f"room_{number}")
    question = {"ask": "Is there a mug on the diningtable?", "kind": "yes_no", "every_s": 4, "gold": True}
    bags = {"bag": "room_*", "questions_file": "truth.json", "questions": [question]}
    server = {"image_px": 96, "image_format": "png"}
    suite.write_text(json.dumps({"name": "rooms", "model": vllm_server.url, "server": server, "bags": [bags]}))

    def run(workers):
        out = tmp_path / str(workers)
        assert main(["eval", str(suite), "--out", str(out), "--workers", str(workers)]) == 0
        return [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]

    alone, shared = run(1), run(2)
    assert len(alone) > 30
    assert {row["status"] for row in alone} == {"OK"}
    compare(alone, shared)


def test_rooms_evaluate(served, capsys):
    words = ["rooms", "evaluate", "--each", "5", "--no-blind", "--seed", "11", "--json"]
    (here,), (there,) = lines(capsys, *words), lines(capsys, *words, *served)
    compare(here, there)


@pytest.mark.ros
def test_demo_through_a_node_that_asks_the_server(served, capsys, tmp_path, domain_of_children, monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", domain_of_children)
    assert main(["demo", "--rate", "3", "--out", str(tmp_path / "demo.png"), *served]) == 0
    out = capsys.readouterr().out
    assert "10 questions, 10 of 10 as the truth has it" in out
    assert (tmp_path / "demo.png").exists()


@pytest.mark.ros
def test_a_suite_through_a_node_that_asks_the_server(served, tmp_path, domain_of_children, monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", domain_of_children)
    out = tmp_path / "live"
    words = ["eval", str(shipped("examples/suite.yaml")), "--out", str(out), "--live", "--rate", "3", *served]
    assert main(words) == 0
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["way"], summary["model"], summary["statuses"]) == ("live", "rooms", {"OK": 21})
    assert summary["metrics"]["em"]["value"] == 1
    assert "torch" not in (out / "node.log").read_text()
