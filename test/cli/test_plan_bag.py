"""`llava-ov plan BAG --goal`: plans of the shipped model from a bag, as texts and JSON, and errors that say where."""

from __future__ import annotations

import json
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from llava_ov_ros.cli.main import main
from llava_ov_ros.cli.plan_bag import plan_text
from llava_ov_ros.planning import PlanResult, Step, find_vocabulary, load_vocabulary, split_line, validate
from llava_ov_ros.questions import Query, Result, Status
from llava_ov_ros.replay import TIMINGS, plan_replay
from llava_ov_ros.share import shipped

GOAL = "put the mug on the desk"
S = 1_000_000_000
TOPIC = "/front/image_raw"


@pytest.fixture(scope="module")
def bag(write_bag, shot, tmp_path_factory):
    """Ten seconds of one camera, each picture with a grey level of its own."""
    path = tmp_path_factory.mktemp("bags") / "bag"
    return write_bag(path, [shot(TOPIC, i * 0.5, level=i * 12) for i in range(21)])


def run(capsys, *arguments):
    """Exit code, output and error output."""
    try:
        code = main(["plan", *map(str, arguments)])
    except SystemExit as left:
        code = left.code
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_plans_in_the_vocabulary_from_the_frames_asked_for(capsys, bag):
    alfred = load_vocabulary(find_vocabulary("alfred"))
    arguments = (bag, "--goal", f"{GOAL}.", "--at", 4, "--at", 9, "--window", 1, "--json")
    code, out, err = run(capsys, *arguments)
    told = [line for line in err.splitlines() if line.startswith(("loaded in ", "planning at "))]
    assert [line.partition(" in ")[0] for line in told] == [
        "loaded",
        "planning at 4.00 s ...",
        "planning at 9.00 s ...",
    ]
    records = [json.loads(line) for line in out.splitlines()]
    assert [(record["goal"], record["at_s"]) for record in records] == [(GOAL, 4.0), (GOAL, 9.0)]
    for record in records:
        newest_ns = record["stamp_ns"]
        assert [one["stamp_ns"] - newest_ns for one in record["frames"]] == [-S, -S // 2, 0]
        assert record["status"] == "OK"
        assert record["unread"] == []
        assert record["outcome"] in ("ACCEPTED", "REJECTED", "CANNOT_TELL")
        for step in record["steps"]:
            assert alfred.fault(Step(step["action"], tuple(step["arguments"]))) is None
        assert (record["decoding"], record["vocabulary"], record["model"]) == ("constrained", "alfred", "rooms")
        assert record["prompts"].startswith("plain/")
    assert code == (0 if all(record["outcome"] == "ACCEPTED" for record in records) else 1)
    _, again, _ = run(capsys, *arguments)
    untimed = dict.fromkeys(TIMINGS, 0)
    assert [json.loads(line) | untimed for line in again.splitlines()] == [record | untimed for record in records]


def test_another_vocabulary_read_from_free_text_and_shown_to_people(capsys, bag):
    arguments = ("--actions", "delivery", "--decoding", "free", "--repairs", 0, "--no-grounding")
    code, out, _ = run(capsys, bag, "--goal", "bring the parcel to the lab", *arguments)
    lines = out.splitlines()
    assert lines[0] == "   10.00 s  bring the parcel to the lab"
    assert lines[1].split()[0] in ("accepted", "rejected", "cannot")
    assert "(confidence " in lines[1]
    assert any(line.split()[:4] == ["4", "frames", "of", "front,"] for line in lines)
    assert code == (0 if lines[1].split()[0] == "accepted" else 1)


def test_a_goal_in_the_models_own_words(capsys, bag):
    code, out, _ = run(capsys, bag, "--goal", GOAL, "--decoding", "decompose", "--json")
    (record,) = map(json.loads, out.splitlines())
    assert (record["decoding"], record["steps"], record["status"]) == ("decompose", [], "OK")
    assert record["outcome"] == ("DECOMPOSED" if record["sentences"] else "REJECTED")
    assert code == (0 if record["sentences"] else 1)
    assert record["sentences"] or record["unread"], "what the model wrote is somewhere"
    record |= {"outcome": "DECOMPOSED", "sentences": ["go to the shelf", "take the mug"]}
    assert " 2. take the mug" in plan_text(record)


def test_an_accepted_plan_as_a_tree_and_no_other(capsys, bag, monkeypatch):
    accepted = split_line("GotoLocation shelf; PickupObject mug; GotoLocation desk; PutObject mug desk")
    rejected = split_line("PutObject mug desk")
    alfred = load_vocabulary(find_vocabulary("alfred"))

    def planning(plan):
        result = PlanResult(GOAL, validate(plan, alfred), False, (), 0.9, 0.8, plan.line)
        return lambda *given: (Result(Query(GOAL, ("front",)), Status.OK), result)

    monkeypatch.setattr(plan_replay, "plan_about", planning(accepted))
    code, out, _ = run(capsys, bag, "--goal", GOAL, "--format", "btcpp")
    root = ElementTree.fromstring(out)
    assert (code, [node.get("ID") for node in root.iter("Action")][:4]) == (
        0,
        ["GotoLocation", "PickupObject", "GotoLocation", "PutObject"],
    )
    monkeypatch.setattr(plan_replay, "plan_about", planning(rejected))
    code, out, err = run(capsys, bag, "--goal", GOAL, "--format", "btcpp")
    assert (code, out) == (1, "")
    assert "no tree is written of a plan that is not accepted" in err
    assert "nothing is held" in err
    for arguments in (("--at", 1, "--at", 2), ("--decoding", "decompose")):
        code, _, err = run(capsys, bag, "--goal", GOAL, "--format", "btcpp", *arguments)
        assert (code, "--format btcpp: one plan makes a tree" in err) == (2, True)


def test_old_frames_give_no_plan(capsys, bag_with_gap):
    code, out, _ = run(capsys, bag_with_gap(TOPIC), "--goal", GOAL, "--at", 9)
    assert code == 1
    assert "no plan: STALE" in out
    assert "is 6.0 s old" in out


def test_a_time_after_the_end_is_told_before_a_model_is_looked_for(capsys, bag):
    code, _, err = run(capsys, bag, "--goal", GOAL, "--at", 60, "--model", "no-such-model")
    assert code == 2
    assert "lasts 10.0 s, and a question is asked at 60 s" in err


def test_a_bag_of_several_cameras_asks_which(capsys, write_bag, shot, tmp_path):
    path = write_bag(tmp_path / "two", [shot(topic, i * 0.5) for i in range(3) for topic in (TOPIC, "/rear/image_raw")])
    code, _, err = run(capsys, path, "--goal", GOAL)
    assert code == 2
    assert "has 2 image topics: choose with --topic" in err


def test_errors_name_file_and_field(capsys, bag, tmp_path):
    robot, asked = tmp_path / "robot.yaml", tmp_path / "asked.yaml"
    robot.write_text("max_steps: 4\nclasses: {desk: []}\nactions:\n  Go: {effects: [{goto: desk}]}\n")
    asked.write_text(shipped("config/prompts/plain.yaml").read_text().replace("name: plain", "name: other"))
    for arguments, code, said in (
        ((bag, "--goal", " . "), 2, "--goal: goal is empty"),
        ((bag, "--goal", "x" * 501), 2, "--goal: goal has 501 characters"),
        ((bag, "--goal", GOAL, "--actions", robot), 1, f"{robot}:4: actions.Go.effects: 'goto' is no effect"),
        ((bag, "--goal", GOAL, "--prompts", asked), 1, f"{asked}: name is 'other'"),
        ((bag, "--goal", GOAL, "--prompts", "nothing"), 1, "prompts 'nothing': no file"),
        ((tmp_path / "no_bag", "--goal", GOAL), 1, "no_bag: no such file or folder"),
        ((bag, "--goal", GOAL, "--model", "no-such-model"), 1, "no-such-model"),
        ((bag,), 2, "the following arguments are required: --goal"),
        ((bag, "--goal", GOAL, "--repairs", 6), 2, "argument --repairs: '6' is not a whole number from 0 to 5"),
        ((bag, "--goal", GOAL, "--decoding", "loose"), 2, "argument --decoding: invalid choice"),
        (("validate", bag, "--goal", GOAL), 2, "unrecognized arguments: --goal"),
    ):
        given, out, err = run(capsys, *arguments)
        assert (given, out) == (code, ""), err
        assert said in err


def test_words_that_clash_are_one_clear_line(capsys, bag, tmp_path):
    robot = tmp_path / "robot.yaml"
    robot.write_text("max_steps: 4\nclasses: {desk: []}\nactions:\n  DONE: {arguments: {place: desk}}\n")
    code, _, err = run(capsys, bag, "--goal", GOAL, "--actions", robot)
    assert code == 1
    assert f"--actions {robot} and --prompts plain clash: " in err
    assert "'DONE'" in err


def test_help_names_both_and_is_instant():
    check = (
        "import sys; from llava_ov_ros.cli.main import main\n"
        "try: main(['plan', '--help'])\n"
        "except SystemExit as left: assert left.code == 0\n"
        "assert not {'torch', 'cv2', 'numpy', 'yaml', 'rclpy'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert 'llava-ov plan my_bag --goal "put the mug on the desk"' in done.stdout
    assert "llava-ov plan validate FILE" in done.stdout
