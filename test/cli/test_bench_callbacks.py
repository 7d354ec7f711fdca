"""`llava-ov bench callbacks`, shortly: it measures everything, and its sums are right."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

pytest.importorskip("rclpy", reason="the bench needs ROS 2")

from llava_ov_ros.bench.callbacks import summary
from llava_ov_ros.cli.main import main

# The ratio of two times is the matter here.
pytestmark = [pytest.mark.ros, pytest.mark.alone]


def test_a_short_run_measures_everything(capsys):
    assert main(["bench", "callbacks", "--seconds", "8", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert sorted(result) == ["cancel", "get", "image"]
    for measure in result.values():
        for condition in ("idle", "generating"):
            row = measure[condition]
            assert row["samples"] >= 1
            assert 0 < row["median_ms"] <= row["p99_ms"]
        assert measure["median_ratio"] == measure["generating"]["median_ms"] / measure["idle"]["median_ms"]
    processes = subprocess.run(["ps", "-eww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    assert f"/llava_ov_bench_{os.getpid()}" not in processes


def test_medians_percentiles_and_ratios():
    hundred = [i / 1000 for i in range(1, 101)]
    samples = {(m, c): hundred for m in ("get", "cancel", "image") for c in ("idle", "generating")}
    samples["get", "generating"] = [2 * value for value in hundred]
    result = summary(samples)
    assert result["cancel"]["idle"] == pytest.approx({"samples": 100, "median_ms": 50.5, "p99_ms": 99.0})
    assert result["get"]["p99_ratio"] == pytest.approx(2.0)
    assert result["image"]["median_ratio"] == pytest.approx(1.0)
