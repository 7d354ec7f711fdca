"""`llava-ov plan validate`: its report, its exit codes, its errors."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from llava_ov_ros.cli.main import main
from llava_ov_ros.share import shipped

ALFRED = Path(__file__).resolve().parents[3] / "shared" / "data" / "alfred" / "alfred_valid_plans.jsonl"
GOOD = {"id": "good", "plan": "GotoLocation shelf; PickupObject mug; GotoLocation desk; PutObject mug desk"}
WARNED = {"id": "warned", "plan": "GotoLocation shelf; PickupObject mug; PutObject mug desk"}
BAD = {"id": "bad", "plan": "GotoLocation shelf; PickupObject mug; PutObject cup desk"}
MISSED = {**GOOD, "id": "missed", "goal": {"object_target": "mug", "parent_target": "bed"}}


@pytest.fixture
def plans(tmp_path):
    """Writes a file of plans."""

    def write(*rows):
        file = tmp_path / "plans.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return str(file)

    return write


def test_the_report(plans, capsys):
    assert main(["plan", "validate", plans(GOOD, WARNED, BAD, MISSED), "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {
        "total": 4,
        "accepted": 2,
        "warned": 1,
        "rejected": [
            {
                "id": "bad",
                "step": 3,
                "reason": "PutObject cup desk: mug is held, expected cup; pick that up first",
                "code": "not_holding",
            },
            {"id": "missed", "step": None, "reason": "goal: no mug is put in or on the bed", "code": "goal_place"},
        ],
    }


def test_the_table(plans, capsys):
    assert main(["plan", "validate", plans(GOOD, WARNED, BAD, MISSED)]) == 1
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["plan", "step", "code", "reason"]
    assert lines[1][:3] == ["bad", "3", "not_holding"]
    assert lines[2][:3] == ["missed", "-", "goal_place"]
    assert " ".join(lines[3]) == "4 plans: 2 accepted (1 with warnings), 2 rejected"


def test_nothing_rejected(plans, capsys):
    assert main(["plan", "validate", plans(GOOD, WARNED)]) == 0
    assert capsys.readouterr().out == "2 plans: 2 accepted (1 with warnings), 0 rejected\n"
    assert main(["plan", "validate", plans(GOOD)]) == 0
    assert capsys.readouterr().out == "1 plan: 1 accepted (0 with warnings), 0 rejected\n"


def test_a_name_that_is_there_twice_is_said(plans, capsys):
    file = plans(GOOD, WARNED, GOOD)
    assert main(["plan", "validate", file, "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["total"] == 3
    assert f"{file}: 1 id is there more than once, in 2 rows: good (line 1, line 3); every row is checked" in shown.err


def test_the_shipped_example(capsys):
    assert main(["plan", "validate", str(shipped("examples/plans.jsonl")), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["warned"] == 1


def test_another_vocabulary_from_the_standard_input(monkeypatch, capsys):
    row = {"plan": "DriveTo lobby; Load parcel; DriveTo lab; Deliver parcel lab"}
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(row)))
    assert main(["plan", "validate", "-", "--actions", str(shipped("config/actions/delivery.yaml")), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["accepted"] == 1


def test_alfreds_plans(capsys):
    if not ALFRED.exists():
        pytest.skip(f"ALFRED's plans ({ALFRED}) are not on this machine")
    assert main(["plan", "validate", str(ALFRED), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["total"], report["accepted"], report["warned"]) == (506, 504, 27)
    assert [(one["id"], one["step"], one["code"]) for one in report["rejected"]] == [
        ("trial_T20190918_161337_246067", 9, "not_holding"),
        ("trial_T20190906_181501_970690", 9, "missing_argument"),
    ]


def test_a_malformed_line_is_named(plans, capsys):
    file = plans(GOOD)
    Path(file).write_text(Path(file).read_text() + "{\n")
    assert main(["plan", "validate", file]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert f"llava-ov: error: {file}:2: not JSON" in shown.err


@pytest.mark.parametrize("line", ["MoveTo table; Grasp ball", "[]"])
def test_the_form_that_is_expected_is_one_that_is_read(line, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO(line))
    assert main(["plan", "validate", "-"]) == 1
    form = capsys.readouterr().err.partition("expected an object on each line, such as ")[2]
    monkeypatch.setattr("sys.stdin", io.StringIO(form))
    assert main(["plan", "validate", "-"]) == 0


def test_a_malformed_vocabulary_is_named(plans, tmp_path, capsys):
    robot = tmp_path / "robot.yaml"
    robot.write_text("max_steps: 4\nclasses: {desk: []}\nactions:\n  Go: {effects: [{goto: desk}]}\n")
    assert main(["plan", "validate", plans(GOOD), "--actions", str(robot)]) == 1
    assert f"{robot}:4: actions.Go.effects: 'goto' is no effect" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["validate"], "the following arguments are required: FILE"),
        ([], "the following arguments are required: BAG, --goal"),
        (["validate", "-", "--yaml"], "unrecognized arguments: --yaml"),
    ],
)
def test_wrong_usage(arguments, said, capsys):
    try:
        code = main(["plan", *arguments])
    except SystemExit as left:
        code = left.code
    assert code == 2
    assert said in capsys.readouterr().err


def test_help_is_instant():
    check = (
        "import sys; from llava_ov_ros.cli.main import main\n"
        "try: main(['plan', 'validate', '--help'])\n"
        "except SystemExit as left: assert left.code == 0\n"
        "assert not {'torch', 'cv2', 'numpy', 'yaml', 'rclpy'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert "usage: llava-ov plan validate" in done.stdout


def test_checking_plans_loads_no_model_and_no_ros(plans):
    check = (
        f"import sys; from llava_ov_ros.cli.main import main\nassert main(['plan', 'validate', {plans(GOOD)!r}]) == 0\n"
        "assert not {'torch', 'transformers', 'rclpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
