"""`llava-ov plan problem`: what the shipped model sees in the demo recording, as a PDDL problem that can be solved."""

from __future__ import annotations

import json
import time
from importlib.util import find_spec

import pytest

from llava_ov_ros.cli.main import main
from llava_ov_ros.share import shipped

pytestmark = [
    pytest.mark.skipif(find_spec("unified_planning") is None, reason="the extra planner is not installed"),
    # It calls its parser by names that are going out of use.
    pytest.mark.filterwarnings("ignore::DeprecationWarning:unified_planning"),
]
GOAL = "put the mug on the countertop"


@pytest.fixture(scope="module")
def demo_room():
    return str(shipped("examples/demo_room"))


def run(capsys, *words):
    assert main(["plan", *map(str, words)]) == 0
    return capsys.readouterr().out


# Where the mug is, as the recording's truth.json tells.
@pytest.mark.parametrize(("at_s", "place"), [(4.4, "fridge"), (12.0, "diningtable")])
def test_the_facts_are_those_of_the_recording(demo_room, capsys, at_s, place):
    found = json.loads(run(capsys, "problem", demo_room, "--goal", GOAL, "--at", at_s, "--json"))
    assert found["goal"] == "in(mug, countertop)"
    taken = {tuple(row["atom"]) for row in found["facts"] if row["taken"]}
    assert ("found", "mug_1", f"{place}_1") in taken and ("mug_1",) in taken and ("held", "mug_1") not in taken
    assert "countertop_1 - countertop" in found["problem"]
    assert all(0 <= row["probability"] <= 1 and row["frames"] for row in found["facts"])
    assert (
        sum(row["probability"] for row in found["facts"] if row["thing"] == "mug" and row["kind"] != "there") <= 1.001
    )


def test_a_parser_of_pddl_reads_it_and_a_planner_solves_it(demo_room, capsys, tmp_path):
    from unified_planning.io import PDDLReader

    domain, text = run(capsys, "domain"), run(capsys, "problem", demo_room, "--goal", GOAL)
    for name, content in (("domain", domain), ("problem", text)):
        (tmp_path / f"{name}.pddl").write_text(content)
    read = PDDLReader().parse_problem(str(tmp_path / "domain.pddl"), str(tmp_path / "problem.pddl"))
    assert {one.name for one in read.all_objects} >= {"mug_1", "countertop_1", "diningtable_1", "start"}
    comments = [line for line in text.splitlines() if line.startswith(";")]
    assert comments[0] == f"; {GOAL}: in(mug, countertop)"
    assert any(line.endswith("(found mug_1 diningtable_1)") for line in comments)
    if find_spec("up_fast_downward") is not None:
        from llava_ov_ros.planning.pddl.fast_downward import run_fast_downward

        plan = run_fast_downward(domain, text, time.monotonic() + 60.0)
        assert plan.actions[-1] == ("putobject", "mug_1", "countertop_1")


def test_a_threshold_leaves_facts_out(demo_room, capsys):
    none = run(capsys, "problem", demo_room, "--goal", GOAL, "--threshold", 1)
    assert "left out" in none and "(found mug_1" not in "".join(
        line for line in none.splitlines() if not line.startswith(";")
    )


def test_a_goal_that_is_not_read(demo_room, capsys):
    assert main(["plan", "problem", demo_room, "--goal", "make me happy"]) == 1
    assert "--goal: it names no action of the vocabulary" in capsys.readouterr().err
