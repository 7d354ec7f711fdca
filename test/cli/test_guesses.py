"""Where the shipped model is asked about pictures that it does not know, each command says that it guesses."""

from __future__ import annotations

import shutil

import pytest
import yaml

from llava_ov_ros.cli.guesses import FOREIGN_WORDS, SENTENCE
from llava_ov_ros.cli.main import main
from llava_ov_ros.share import shipped

PLAN = ["--goal", "put the mug on the desk", "--no-grounding", "--repairs", "0"]


@pytest.fixture
def foreign(tmp_path):
    """The shipped recording without what says where it is from, as a user's own."""
    bag = tmp_path / "mine"
    shutil.copytree(shipped("examples/demo_room"), bag, ignore=shutil.ignore_patterns("truth.json"))
    return bag


def suite(folder, bag):
    """A suite of one question."""
    path = folder / "suite.yaml"
    entry = {"bag": str(bag), "questions": [{"ask": "Is there a cat?", "kind": "yes_no", "at_s": 5, "gold": False}]}
    path.write_text(yaml.safe_dump({"name": "s", "bags": [entry]}))
    return str(path)


@pytest.mark.parametrize("command", ["replay", "plan", "eval"])
def test_of_a_recording_of_something_else(command, foreign, tmp_path, capsys):
    words = {
        "replay": [str(foreign), "--ask", "Is there a cat?", "--at", "5", "--json"],
        "plan": [str(foreign), *PLAN],
        "eval": [suite(tmp_path, foreign), "--out", str(tmp_path / "out")],
    }
    assert main([command, *words[command]]) in (0, 1)
    shown = capsys.readouterr()
    assert shown.err.count(SENTENCE) == 1
    assert SENTENCE not in shown.out, "which may be JSON"
    if command == "eval":
        assert SENTENCE in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize("actions", ["alfred", "delivery", "mine"])
def test_a_vocabulary_that_the_shipped_model_has_not_learnt(actions, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(shipped("config/actions/delivery.yaml"), "mine")
    words = [str(shipped("examples/demo_room")), "--actions", actions, "--json", *PLAN]
    words[words.index(PLAN[1])] = PLAN[1] if actions == "alfred" else "bring the parcel to the lab"
    assert main(["plan", *words]) in (0, 1)
    shown = capsys.readouterr()
    assert shown.err.count(FOREIGN_WORDS.format(actions)) == (actions != "alfred")
    assert "rooms has learnt" not in shown.out


def test_a_rendered_room_and_another_model_are_known(foreign, capsys, tmp_path):
    bag = shipped("examples/demo_room")
    assert main(["replay", str(bag), "--ask", "What is there?", "--at", "5"]) == 0
    assert main(["replay", str(next(bag.glob("*.mcap"))), "--ask", "What is there?", "--at", "5"]) == 0
    other = tmp_path / "another"
    shutil.copytree(shipped("models/rooms"), other)
    assert main(["replay", str(foreign), "--ask", "What is there?", "--at", "5", "--model", str(other)]) == 0
    assert SENTENCE not in capsys.readouterr().err
