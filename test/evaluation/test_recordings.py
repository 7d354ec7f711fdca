"""The real recordings of bottles and a box with the small model, which knows neither: the machinery counts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from llava_ov_ros.cli.main import main

pytestmark = pytest.mark.long

S = 1_000_000_000
T0_NS = 1_700_000_000 * S


@pytest.fixture
def evaluated(recording, tmp_path):
    """Runs a suite about a recording; gives its rows and the folder."""

    def run(name: str, entry: dict, *more: str, **settings) -> tuple[list[dict], Path]:
        suite = tmp_path / "suite.yaml"
        content = {"name": name, "bags": [{"bag": str(recording(name)), **entry}], **settings}
        suite.write_text(yaml.safe_dump(content))
        out = tmp_path / "out"
        assert main(["eval", str(suite), "--out", str(out), *more]) == 0
        return [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()], out

    return run


def stable(recording) -> list[list]:
    return json.loads(recording("timelines.json").read_text())["bottles_5hz_mcap"]["stable"]


def test_bottles_are_counted_inside_the_stable_intervals_only(evaluated, recording):
    timeline = {"file": str(recording("timelines.json")), "kind": "count", "every_s": 0.5, "window_s": 3}
    rows, out = evaluated("bottles_5hz_mcap", {"timelines": [timeline]})
    # The first question is 0.75 s (1.5 periods at 2 Hz) after an interval's beginning.
    expected = [
        (from_s + 0.75 + 0.5 * number, value)
        for from_s, to_s, value in stable(recording)
        for number in range(int((to_s - from_s - 0.75) / 0.5 + 1e-6) + 1)
    ]
    assert [(row["at_s"], row["gold"]) for row in rows] == [(pytest.approx(at), [value]) for at, value in expected]
    assert len(rows) > 40
    for row in rows:
        from_s, _, _ = next(one for one in stable(recording) if one[0] <= row["at_s"] <= one[1])
        seen = [(frame["stamp_ns"] - T0_NS) / S for frame in row["frames"]]
        assert row["status"] == "OK"
        assert 1 <= len(seen) <= 4
        assert from_s - 1e-6 <= min(seen) <= max(seen) <= row["at_s"] + 1e-6
        assert row["value"] is None or row["value"] in range(11)
    summary = json.loads((out / "summary.json").read_text())
    assert summary["metrics"]["count"]["n"] == len(rows)
    assert summary["remarks"]["bottles_5hz_mcap"] == [
        "camera (/camera/image_raw/compressed): 200 messages, 80 frames kept"
    ]
    page = (out / "report.html").read_text()
    used = {(frame["camera"], frame["stamp_ns"]) for row in rows for frame in row["frames"]}
    assert page.count('":"/9j/') == len(used)


def test_a_strict_age_makes_answers_stale(evaluated):
    question = {"ask": "What is the hand holding?", "every_s": 0.3, "gold": "a yellow cardboard box"}
    rows, out = evaluated("box_5hz_mcap", {"questions": [question]}, clip={"rate_hz": 2, "max_age_s": 0.5})
    ended = [row["status"] for row in rows]
    assert len(rows) == 50
    assert set(ended) == {"OK", "STALE"}
    for row in rows:
        assert bool(row["frames"]) == (row["status"] == "OK")
        if row["status"] == "OK":
            assert row["stamp_ns"] - row["frames"][-1]["stamp_ns"] <= S // 2
    summary = json.loads((out / "summary.json").read_text())
    assert summary["stale"] == pytest.approx(ended.count("STALE") / 50, abs=1e-6)


def test_forty_questions_about_forty_seconds_say_how_fast_they_were(evaluated, capsys):
    question = {"ask": "How many bottles stand on the table?", "at_s": [round(0.99 * i, 2) for i in range(1, 41)]}
    rows, out = evaluated("bottles_5hz_mcap", {"questions": [question]})
    timing = json.loads((out / "timing.json").read_text())
    assert (len(rows), timing["asked"], timing["recorded_s"]) == (40, 40, pytest.approx(39.8, abs=0.1))
    assert timing["times_real_time"] > 0
    with capsys.disabled():
        print(f"\n40 questions about {timing['recorded_s']} s: {timing['times_real_time']} times as fast as real time")
