"""`llava-ov bench engine`."""

from __future__ import annotations

import json

import pytest

from llava_ov_ros.cli.main import main

KEYS = {"goal", "what", "ours_s", "theirs_s", "ratio", "floor_s", "target", "identical_tokens", "counters", "at_most"}


def test_json(capsys):
    arguments = ["bench", "engine", "--shape", "nano", "--device", "cpu", "--repeats", "1", "--json"]
    assert main([*arguments, "--goal", "P1", "--goal", "P4"]) == 0
    goals = json.loads(capsys.readouterr().out)
    assert [goal["goal"] for goal in goals] == ["P1", "P4"]
    for goal in goals:
        assert set(goal) == KEYS
        assert goal["identical_tokens"] is True
        assert goal["ratio"] > 0


def test_table(capsys):
    assert main(["bench", "engine", "--shape", "nano", "--device", "cpu", "--repeats", "1", "--goal", "P8"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["ours", "s", "theirs", "s", "ratio", "target", "tokens", "what"]
    assert lines[1].startswith("P8")
    assert " >= 8 " in lines[1]


def test_a_device_that_is_not_there(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["bench", "engine", "--device", "tpu"])
    assert ended.value.code == 2
    assert "'tpu' is not a device: give auto, cpu, cuda or cuda:N" in capsys.readouterr().err
