"""`llava-ov eval` as a user runs it: results, continuing, comparing, exit codes; answers from the shipped model."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

from llava_ov_ros.cli.main import main
from llava_ov_ros.evaluation.run import workers
from llava_ov_ros.evaluation.run.bag_answers import RowsAnswered

S = 1_000_000_000
T0_NS = 1_700_000_000 * S
TOPIC = "/front/image_raw"
SAME = ("results.jsonl", "summary.json")
PROGRAM = "import sys; from llava_ov_ros.cli.main import main; sys.exit(main())"


@pytest.fixture(scope="module")
def folder(write_bag, shot, tmp_path_factory):
    """Three recordings of ten seconds, one with a gap in it, and one of two cameras that has no header stamps."""
    folder = tmp_path_factory.mktemp("bags")
    for number in range(2):
        write_bag(folder / f"bag_{number}", [shot(TOPIC, i * 0.5, level=i * 12 + number) for i in range(21)])
    with_gap = [shot(TOPIC, i * 0.5, level=i * 12) for i in range(21) if not 4 < i < 14]
    write_bag(folder / "gap", with_gap)
    return folder


def suite(folder: Path, name: str = "suite", **more) -> Path:
    questions = [
        {"ask": "What colour is the mug?", "at_s": [2, 5, 8], "gold": "red", "category": "colour"},
        {"ask": "Is there a mug?", "kind": "yes_no", "at_s": [2, 5, 8], "gold": True},
        {"ask": "How many mugs are there?", "kind": "count", "range_s": [1, 2], "gold": 0},
    ]
    content = {
        "name": "small",
        "bags": [{"bag": "bag_*", "questions": questions}, {"bag": "gap", "questions": questions}],
        "max_new_tokens": 8,
        **more,
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def run(capsys, *arguments):
    """Exit code, output and error output."""
    try:
        code = main(["eval", *map(str, arguments)])
    except SystemExit as left:
        code = left.code
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def files(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in SAME}


def rows(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def done(folder, tmp_path_factory):
    """The folder of a whole run."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    assert main(["eval", str(suite(folder)), "--out", str(out)]) == 0
    return out


def test_help_loads_neither_torch_nor_opencv_and_names_the_benchmark():
    check = (
        "import sys; from llava_ov_ros.cli.main import main\n"
        "for command in (['eval', '--help'], ['eval', 'interleave', '--help']):\n"
        "    try: main(command)\n"
        "    except SystemExit as left: assert left.code == 0\n"
        "assert not {'torch', 'cv2', 'numpy', 'rosbags', 'rclpy', 'jsonschema'} & set(sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert "llava-ov eval examples/suite.yaml --out out/evaluation" in ended.stdout
    assert "usage: llava-ov eval interleave" in ended.stdout


def test_every_question_has_a_row_in_order(done):
    found = rows(done)
    asked = [(row["bag"], row["at_s"], row["kind"]) for row in found]
    times = [(2, "text"), (2, "yes_no"), (2, "count"), (5, "text"), (5, "yes_no"), (8, "text"), (8, "yes_no")]
    assert asked == [(bag, *one) for bag in ("bag_0", "bag_1", "gap") for one in times]
    first = found[0]
    assert first["stamp_ns"] == T0_NS + 2 * S
    assert [frame["stamp_ns"] - T0_NS for frame in first["frames"]] == [0, 3 * S // 2, 2 * S]
    assert first["category"] == "colour"
    assert 0 <= first["confidence"] <= 1
    assert len(str(first["confidence"]).partition(".")[2]) <= 4
    assert set(first["scores"]) == {"em", "rouge_l"}
    yes_no = found[1]
    assert isinstance(yes_no["value"], bool | None)
    assert sum(yes_no["probabilities"].values()) == pytest.approx(1, abs=1e-3)
    counted = found[2]
    assert [frame["stamp_ns"] - T0_NS for frame in counted["frames"]] == [S, 3 * S // 2, 2 * S]


def test_a_gap_is_stale_and_counts_as_no_answer(done):
    stale = [row for row in rows(done) if row["status"] == "STALE"]
    assert [(row["bag"], row["at_s"], row["kind"]) for row in stale] == [("gap", 5, "text"), ("gap", 5, "yes_no")]
    assert all("its newest usable frame" in row["message"] and not any(row["scores"].values()) for row in stale)
    summary = json.loads((done / "summary.json").read_text())
    assert summary["statuses"] == {"OK": 19, "STALE": 2}
    assert summary["stale"] == summary["refused"] == pytest.approx(2 / 21, abs=1e-6)


def test_the_summary_is_of_the_rows(done):
    summary = json.loads((done / "summary.json").read_text())
    found = rows(done)
    scores = [row["scores"]["em"] for row in found]
    em = summary["metrics"]["em"]
    assert (em["n"], em["value"]) == (21, pytest.approx(sum(scores) / 21, abs=1e-6))
    assert em["low"] <= em["value"] <= em["high"]
    assert set(summary["kinds"]) == {"text", "yes_no", "count"}
    assert summary["categories"]["colour"]["em"]["n"] == 9
    assert list(summary["bags"]) == ["bag_0", "bag_1", "gap"]
    assert summary["kinds"]["yes_no"]["yes_no"]["n"] == 9
    assert "captioning" not in summary
    assert summary["calibration"]["n"] == 19
    assert "front (/front/image_raw): 21 messages, 21 frames kept" in summary["remarks"]["bag_0"]
    timing = json.loads((done / "timing.json").read_text())
    assert timing["latency"]["total_s"]["n"] == 19
    assert (timing["asked"], len(timing["answers"]), timing["recorded_s"]) == (21, 21, 30.0)
    assert timing["times_real_time"] > 0
    assert not set(timing) & set(summary)


def test_two_runs_are_the_same_to_the_byte_whatever_the_number_of_threads_was(capsys, folder, done, tmp_path):
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(2 if before == 1 else 1)
    try:
        code, out, _ = run(capsys, suite(folder), "--out", tmp_path / "again")
    finally:
        torch.set_num_threads(before)
    assert code == 0
    assert files(tmp_path / "again") == files(done)
    assert re.search(r"^em +21 ", out, re.MULTILINE)
    assert "21 questions: 19 OK, 2 STALE" in out


def test_a_run_that_was_stopped_three_times_goes_on(capsys, folder, done, tmp_path, monkeypatch):
    out = tmp_path / "out"
    work = workers.work_here
    asked = []

    def stops(after):
        def some(*arguments):
            left = after
            for event in work(*arguments):
                if isinstance(event, RowsAnswered):
                    if left == 0:
                        raise KeyboardInterrupt
                    left -= 1
                    asked.extend((row["bag"], row["number"]) for row in event.rows)
                yield event

        return some

    for after in (1, 2, 3):
        monkeypatch.setattr(workers, "work_here", stops(after))
        code, _, err = run(capsys, suite(folder), "--out", out)
        assert code == 130
        assert "the same command goes on from there" in err
        assert not (out / "results.jsonl").exists()
        # As if the last line had been cut off while it was written.
        with (out / "journal.jsonl").open("a") as journal:
            journal.write('{"shard": 0, "rows": [{"bag"')
    monkeypatch.setattr(workers, "work_here", stops(100))
    code, _, err = run(capsys, suite(folder), "--out", out)
    assert code == 0
    assert "of 21 are answered already" in err
    assert files(out) == files(done)
    assert len(asked) == len(set(asked)) == 21


def test_a_whole_run_is_not_asked_again(capsys, folder, done, monkeypatch):
    monkeypatch.setattr(workers, "open_model", lambda job: pytest.fail("a model was loaded"))
    before = files(done)
    code, _, err = run(capsys, suite(folder), "--out", done)
    assert code == 0
    assert "21 of 21 are answered already" in err
    assert files(done) == before


def test_a_changed_suite_is_refused_or_begins_anew(capsys, folder, tmp_path, done):
    out = tmp_path / "out"
    small = {"bags": [{"bag": "bag_0", "questions": [{"ask": "What?", "at_s": 2.5}]}]}
    assert run(capsys, suite(folder, "small", **small), "--out", out)[0] == 0
    kept = files(out)
    changed = suite(folder, "small", **small, clip={"frames": 2})
    code, _, err = run(capsys, changed, "--out", out)
    assert code == 1
    assert "settings: clip: frames was 4 and is 2" in err
    assert "--restart" in err
    assert files(out) == kept
    assert run(capsys, changed, "--out", out, "--restart")[0] == 0
    assert len(rows(out)[0]["frames"]) == 2


def test_other_folders_are_left_alone(capsys, folder, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    code, _, err = run(capsys, suite(folder), "--out", tmp_path)
    assert code == 1
    assert "is not empty and holds no run" in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt"]
    code, _, err = run(capsys, suite(folder), "--out", tmp_path / "notes.txt")
    assert code == 1


def test_a_suite_that_cannot_be_run_leaves_nothing_and_loads_nothing(capsys, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "open_model", lambda job: pytest.fail("a model was loaded"))
    path = suite(folder, "wrong", bags=[{"bag": "none"}, {"bag": "gap", "questions": [{"ask": "What?", "at_s": 60}]}])
    code, out, err = run(capsys, path, "--out", tmp_path / "out")
    assert (code, out) == (1, "")
    assert f"{path}:" in err
    assert "bags[0].bag: " in err
    assert "bags[1].questions[0].at_s: 60 s is outside" in err
    assert not (tmp_path / "out").exists()


def test_what_is_wrong_is_said_in_two_rounds_and_the_first_says_so(capsys, folder, tmp_path):
    """No bag is looked at for a file that is no suite."""
    further = "bags, times and names are checked when this is mended"
    path = suite(folder, "wrong", bags=[{"bag": "none"}], modle="rooms")
    code, _, err = run(capsys, path, "--check")
    assert (code, err.splitlines()[-1]) == (1, further)
    assert "modle: is not known here" in err
    assert "no such file" not in err
    code, _, err = run(capsys, suite(folder, "wrong", bags=[{"bag": "none"}]), "--check")
    assert code == 1
    assert "bags[0].bag: " in err
    assert further not in err
    code, _, err = run(capsys, tmp_path / "none.yaml", "--check")
    assert (code, err) == (1, f"llava-ov: error: {tmp_path / 'none.yaml'}: no such file\n")


def test_a_model_of_another_kind_is_refused_before_anything_is_written(capsys, folder, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"architectures": ["Other"]}')
    code, _, err = run(capsys, suite(folder), "--out", tmp_path / "out", "--model", tmp_path / "model")
    assert code == 1
    assert "this is not a LLaVA-OneVision checkpoint" in err
    assert not (tmp_path / "out").exists()


def test_only_checking(capsys, folder):
    code, out, _ = run(capsys, suite(folder), "--check")
    assert code == 0
    assert "3 bags, 30.0 s, 54 pictures, 21 questions; metrics: em, rouge_l, yes_no, count" in out


def test_a_gate_for_a_ci(capsys, folder, done):
    code, _, err = run(capsys, suite(folder), "--out", done, "--fail-under", "em=1")
    em = json.loads((done / "summary.json").read_text())["metrics"]["em"]["value"]
    assert em < 1
    assert code == 3
    assert f"em is {em:.4f}, below 1" in err
    assert run(capsys, suite(folder), "--out", done, "--fail-under", "em=0")[0] == 0
    for wrong, text in (
        ("em", "expected METRIC=X"),
        ("em=2", "from 0 to 1"),
        ("choice=0.5", "em, rouge_l, yes_no, count"),
    ):
        code, _, err = run(capsys, suite(folder), "--out", done, "--fail-under", wrong)
        assert code == 2
        assert text in err


def test_comparing_with_a_run_before(capsys, folder, done, tmp_path):
    before = tmp_path / "before"
    before.mkdir()
    changed = rows(done)
    for row in changed:
        if row["kind"] == "yes_no":
            row["scores"] = {"em": 1.0 - row["scores"]["em"], "yes_no": 1.0 - row["scores"]["yes_no"]}
    (before / "results.jsonl").write_text("".join(json.dumps(row) + "\n" for row in changed[:-1]))
    code, _, _ = run(capsys, suite(folder), "--out", done, "--compare", before)
    assert code == 0
    found = json.loads((done / "comparison.json").read_text())
    ours = [row["scores"]["yes_no"] for row in rows(done) if row["kind"] == "yes_no"][:-1]
    one = found["metrics"]["yes_no"]
    assert (one["n"], one["better"], one["worse"]) == (8, int(sum(ours)), 8 - int(sum(ours)))
    assert one["difference"] == pytest.approx((2 * sum(ours) - 8) / 8, abs=1e-6)
    assert (found["metrics"]["rouge_l"]["difference"], found["only_here"], found["only_there"]) == (0, 1, 0)
    assert found["questions"][-1] is None
    assert '"compared_with":"' in (done / "report.html").read_text()
    assert run(capsys, suite(folder), "--out", done)[0] == 0
    assert not (done / "comparison.json").exists()
    code, _, err = run(capsys, suite(folder), "--out", done, "--compare", tmp_path / "none")
    assert code == 1
    assert "no finished run to compare with" in err
    (before / "results.jsonl").write_text("[" * 100_000)
    code, _, err = run(capsys, suite(folder), "--out", done, "--compare", before)
    assert code == 1
    assert "not results of llava-ov eval" in err


def test_json(capsys, folder, done):
    code, out, _ = run(capsys, suite(folder), "--out", done, "--json")
    assert code == 0
    assert json.loads(out) == json.loads((done / "summary.json").read_text())


def test_captioning_metrics_where_they_are_named(capsys, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    bags = [{"bag": "bag_0", "questions": [{"ask": "What?", "at_s": 3, "gold": "red"}]}]
    path = suite(folder, "captions", bags=bags, metrics=["em", "CIDEr"])
    assert run(capsys, path, "--out", tmp_path / "out")[0] == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert set(summary["metrics"]) == {"em"}
    assert "is not installed" in summary["captioning"]["not_available"]


def test_plans_are_made_and_scored(capsys, folder, tmp_path):
    plan = {"goal": "put the mug on the desk", "at_s": 5, "gold": "PickupObject mug; PutObject mug desk"}
    goal = {"conditions": {"object_target": "mug", "parent_target": "desk"}}
    path = suite(folder, "plans", bags=[{"bag": "bag_0", "plans": [{**plan, **goal}]}], planning={"grounding": False})
    assert run(capsys, path, "--out", tmp_path / "out")[0] == 0
    (row,) = rows(tmp_path / "out")
    assert row["status"] == "OK", row["message"]
    assert (row["kind"], row["question"]) == ("plan", "put the mug on the desk")
    assert row["gold"] == [[["PickupObject", "mug"], ["PutObject", "mug", "desk"]]]
    assert set(row["scores"]) == {
        "plan_exact",
        "plan_step_f1",
        "plan_valid",
        "plan_goal_conditions",
        "plan_success",
        "plan_weighted_success",
    }
    assert all(isinstance(step, list) for step in row["steps"])


def program(path: Path, out: Path, *more: str) -> list[str]:
    return [sys.executable, "-c", PROGRAM, "eval", str(path), "--out", str(out), *more]


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_run_that_was_killed_three_times_equals_one_that_was_not(folder, done, tmp_path):
    out = tmp_path / "out"
    journal = out / "journal.jsonl"
    for lines in (2, 6, 10):
        process = subprocess.Popen(program(suite(folder), out), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            until_s = time.monotonic() + 200
            while not (journal.exists() and journal.read_bytes().count(b"\n") >= lines):
                assert time.monotonic() < until_s
                if process.poll() is not None:
                    break
                time.sleep(0.002)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
    subprocess.run(program(suite(folder), out), check=True, capture_output=True)
    assert files(out) == files(done)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_four_workers_give_the_same_as_one(folder, done, tmp_path):
    subprocess.run(program(suite(folder), tmp_path / "out", "--workers", "4"), check=True, capture_output=True)
    assert files(tmp_path / "out") == files(done)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_worker_that_is_killed_ends_the_run_and_it_goes_on(folder, done, tmp_path):
    out = tmp_path / "out"
    process = subprocess.Popen(
        program(suite(folder), out, "--workers", "2"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    until_s = time.monotonic() + 200
    workers_of_it: list[psutil.Process] = []
    while not workers_of_it and process.poll() is None and time.monotonic() < until_s:
        below = psutil.Process(process.pid).children(recursive=True)
        workers_of_it = [one for one in below if "spawn_main" in " ".join(one.cmdline())]
        time.sleep(0.05)
    workers_of_it[0].kill()
    _, err = process.communicate(timeout=300)
    assert process.returncode == 1, err
    assert "a worker has ended by itself" in err
    subprocess.run(program(suite(folder), out, "--workers", "2"), check=True, capture_output=True)
    assert files(out) == files(done)


@pytest.mark.extras
@pytest.mark.timeout(600)
def test_ray_gives_the_same(folder, done, tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed (pip install 'ray>=2.9')")
    subprocess.run(program(suite(folder), tmp_path / "out", "--ray", "local"), check=True, capture_output=True)
    assert files(tmp_path / "out") == files(done)
