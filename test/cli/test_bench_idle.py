"""`llava-ov bench idle`, shortly: nodes in turn, each with its cameras' pictures."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

pytest.importorskip("rclpy", reason="the bench needs ROS 2")

from llava_ov_ros.bench.idle import OURS
from llava_ov_ros.cli.main import main
from llava_ov_ros.live.process import executable

# The time that a process takes is the matter here.
pytestmark = [pytest.mark.ros, pytest.mark.alone]


def test_a_short_run_measures_both_nodes_with_pictures(capsys):
    other = str(executable())
    command = ["bench", "idle", "--seconds", "3", "--cameras", "2", "--repeats", "2", "--against", other, "--json"]
    assert main(command) == 0
    said = capsys.readouterr()
    costs = json.loads(said.out)
    assert [(cost["node"], cost["cameras"]) for cost in costs] == [(OURS, 2), (other, 2)]
    for cost in costs:
        assert len(cost["turns"]) == 2
        assert cost["cpu"] == pytest.approx(sum(turn["cpu"] for turn in cost["turns"]) / 2)
        assert 0 < cost["admitted_hz"] < cost["received_hz"]
    turns = [line.partition(":")[0] for line in said.err.splitlines() if "s/s" in line]
    assert turns == [f"2 cameras, {OURS}", f"2 cameras, {other}"] * 2
    processes = subprocess.run(["ps", "-eww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    assert f"/llava_ov_bench_{os.getpid()}" not in processes
