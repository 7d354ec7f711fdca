"""`llava-ov plan check` and `llava-ov plan domain`: their output and exit codes."""

from __future__ import annotations

import json

import pytest

from llava_ov_ros.cli.main import main

FAULTY = "max_steps: 3\nclasses: {cup: [], bed: []}\nactions:\n  Nap: {requires: [{at: bed}]}\n"


@pytest.fixture
def faulty(tmp_path):
    """A vocabulary with an action that can never be done."""
    file = tmp_path / "robot.yaml"
    file.write_text(FAULTY)
    return str(file)


def test_check(faulty, capsys):
    assert main(["plan", "check", "alfred"]) == 0
    assert capsys.readouterr().out.startswith("every action can be done")
    assert main(["plan", "check", faulty]) == 1
    assert capsys.readouterr().out == "Nap: can never be done: at: no action goes to bed\n"
    assert main(["plan", "check", faulty, "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == [
        {"goal": False, "what": "Nap", "reason": "at: no action goes to bed"}
    ]


# It calls its parser by names that are going out of use.
@pytest.mark.filterwarnings("ignore::DeprecationWarning:unified_planning")
def test_domain(tmp_path, capsys):
    reader = pytest.importorskip("unified_planning.io")
    assert main(["plan", "domain", "--actions", "delivery"]) == 0
    file = tmp_path / "domain.pddl"
    file.write_text(capsys.readouterr().out)
    read = reader.PDDLReader().parse_problem(str(file))
    assert [action.name for action in read.actions] == ["driveto", "load", "getsignature", "deliver"]


@pytest.mark.parametrize("words", [["check", "no_such"], ["domain", "--actions", "no_such"]])
def test_a_vocabulary_that_is_not_there(words, capsys):
    assert main(["plan", *words]) == 1
    assert "no_such: no such file, and no shipped vocabulary" in capsys.readouterr().err


def test_what_pddl_cannot_express(tmp_path, capsys):
    pytest.importorskip("unified_planning")
    file = tmp_path / "robot.yaml"
    file.write_text(f"hands: 9\n{FAULTY}")
    assert main(["plan", "domain", "--actions", str(file)]) == 1
    assert "robot.yaml: hands is 9: PDDL is written for at most 3 hands" in capsys.readouterr().err
