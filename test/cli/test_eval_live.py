"""`llava-ov eval --live`: the same suite through the installed node gives what it gives in process."""

from __future__ import annotations

import json

import pytest
import yaml

pytest.importorskip("rclpy", reason="a live evaluation needs ROS 2")

from llava_ov_ros.cli.main import main

pytestmark = [pytest.mark.long, pytest.mark.ros]

TOPICS = ("/front/image_raw", "/rear/image_raw/compressed")


@pytest.mark.timeout(300)
def test_live_answers_are_those_of_the_replay(write_bag, shot, tmp_path):
    bag = tmp_path / "bag"
    write_bag(bag, [shot(topic, i * 0.5, level=i * 12) for i in range(13) if not 4 < i < 12 for topic in TOPICS])
    questions = [
        {"ask": "What colour is the mug?", "at_s": [1.1, 2.2], "window_s": 1.3, "gold": "red"},
        {"ask": "Is there a mug?", "kind": "yes_no", "at_s": [1.1, 5.5], "gold": True},
        {"ask": "How many mugs are there?", "kind": "count", "range_s": [0.5, 1.5], "gold": 0},
        {"ask": "Where?", "kind": "choice", "choices": ["here", "there"], "window_s": 0, "gold": "here"},
    ]
    plan = {"goal": "put the mug on the desk", "at_s": 2, "gold": "PickupObject mug; PutObject mug desk"}
    content = {
        "name": "live",
        "max_new_tokens": 8,
        "bags": [{"bag": "bag", "topics": list(TOPICS), "questions": questions, "plans": [plan]}],
    }
    suite = tmp_path / "suite.yaml"
    suite.write_text(yaml.safe_dump(content))
    here, live = tmp_path / "here", tmp_path / "live"
    assert main(["eval", str(suite), "--out", str(here)]) == 0
    assert main(["eval", str(suite), "--out", str(live), "--live", "--rate", "3", "--compare", str(here)]) == 0

    rows = [
        [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()] for folder in (here, live)
    ]
    assert [row["status"] for row in rows[1]] == ["OK"] * 4 + ["OK", "STALE", "OK"]
    same = ("bag", "number", "question", "kind", "at_s", "stamp_ns", "status", "text", "gold", "frames", "scores")
    for ours, theirs in zip(*rows, strict=True):
        assert {name: ours[name] for name in same} == {name: theirs[name] for name in same}
        assert ours.get("value") == theirs.get("value")
        assert ours["confidence"] == pytest.approx(theirs["confidence"], abs=2e-4)
    timing = json.loads((live / "timing.json").read_text())
    assert timing["delivery"] == [
        {"bag": "bag", "camera": name, "published": 6, "received": 6, "admitted": 6} for name in ("front", "rear")
    ]
    assert set(timing["latency"]) == {"first_token_s", "total_s", "round_trip_s"}
    found = json.loads((live / "comparison.json").read_text())
    assert all(one["same_frames"] and one["change"] == "same" for one in found["questions"])
    assert main(["eval", str(suite), "--out", str(live), "--live"]) == 0
    assert json.loads((live / "timing.json").read_text())["delivery"] == timing["delivery"]
    assert json.loads((live / "summary.json").read_text())["way"] == "live"
    # The pictures have one grey level each, which both say in the same words.
    dark = "next to nothing is to be seen in 6 pictures, the last has one grey level (144)"
    for folder in (here, live):
        remarks = json.loads((folder / "summary.json").read_text())["remarks"]["bag"]
        assert [line.partition(";")[0] for line in remarks if "nothing" in line] == [
            f"{c}: {dark}" for c in ("front", "rear")
        ]


@pytest.mark.timeout(300)
def test_live_pictures_of_16_bits_are_shown_in_the_ranges_of_the_replay(write_bag, shot, tmp_path):
    # Every picture is brighter by half than the one before: each clip has a range of its own.
    bag = tmp_path / "bag"
    write_bag(bag, [shot(TOPICS[0], i * 0.5, top=round(500 * 1.5**i)) for i in range(12)])
    questions = [
        {"ask": "What is there?", "at_s": [1.1, 2.2, 4.6, 5.5], "window_s": 1.3, "gold": "a mug"},
        {"ask": "What was there?", "range_s": [1.0, 2.0], "gold": "a mug"},
    ]
    content = {
        "name": "infrared",
        "max_new_tokens": 4,
        "bags": [{"bag": "bag", "topics": [{"topic": TOPICS[0], "value_range": "auto"}], "questions": questions}],
    }
    suite = tmp_path / "suite.yaml"
    suite.write_text(yaml.safe_dump(content))
    here, live = tmp_path / "here", tmp_path / "live"
    assert main(["eval", str(suite), "--out", str(here)]) == 0
    assert main(["eval", str(suite), "--out", str(live), "--live", "--rate", "3"]) == 0
    ours, theirs = (
        [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()] for folder in (here, live)
    )
    ranges = [[frame["value_range"] for frame in row["frames"]] for row in ours]
    assert ranges == [[frame["value_range"] for frame in row["frames"]] for row in theirs]
    assert [len(set(of_clip)) for of_clip in ranges] == [1] * 5
    assert len({of_clip[0] for of_clip in ranges}) == 4
    assert [row["text"] for row in ours] == [row["text"] for row in theirs]
    # The pictures of the report, too: the live ones were read from the bag again.
    files = [sorted((folder / "frames").rglob("*.jpg")) for folder in (here, live)]
    assert [file.read_bytes() for file in files[0]] == [file.read_bytes() for file in files[1]] != []


@pytest.mark.timeout(600)
def test_recorded_rooms_are_answered_alike_in_process_and_live(tmp_path):
    for seed in (1, 2):
        out = tmp_path / f"room_{seed}"
        assert main(["rooms", "record", str(out), "--seconds", "20", "--seed", str(seed), "--size", "320x240"]) == 0
    suite = tmp_path / "rooms.yaml"
    suite.write_text("name: rooms\nbags: [{bag: room_*, questions_file: truth.json}]\n")
    here, live = tmp_path / "here", tmp_path / "live"
    assert main(["eval", str(suite), "--out", str(here)]) == 0
    assert main(["eval", str(suite), "--out", str(live), "--live", "--rate", "4", "--compare", str(here)]) == 0
    found = json.loads((live / "comparison.json").read_text())
    assert len(found["questions"]) == sum(len(truth(tmp_path / f"room_{seed}")) for seed in (1, 2)) > 10
    assert all(one["same_frames"] and one["change"] == "same" for one in found["questions"])
    scored = [json.loads((folder / "summary.json").read_text())["metrics"] for folder in (here, live)]
    assert scored[0] == scored[1]


def truth(bag):
    return json.loads((bag / "truth.json").read_text())["questions"]
