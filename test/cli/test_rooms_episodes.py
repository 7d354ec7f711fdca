"""`llava-ov rooms episodes`: one episode with the shipped model over a live node, and how outcomes are told."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("rclpy", reason="a live node needs ROS 2")

from llava_ov_ros.cli.main import main
from llava_ov_ros.cli.rooms_episodes import record, table
from llava_ov_ros.live import episode_playback as live_episodes
from llava_ov_ros.live.episode_playback import EpisodeResult, HintTurn, RecordedEpisode
from llava_ov_ros.live.session import LiveError

PROGRAM = "import sys; from llava_ov_ros.cli.main import main; sys.exit(main())"
# The episode that is always played: `llava-ov rooms record --episode --seed 9`.
SEED = 9


def outcome(*hints):
    """Of an episode of one step."""
    rights = ("PickupObject mug", "DONE")
    turns = tuple(
        HintTurn((), right, hint, "PickupObject mug" if hint == "STEP" else "", 0.75, (1, 2), 3)
        for right, hint in zip(rights, hints, strict=False)
    )
    return EpisodeResult(RecordedEpisode("pick up the mug", rights[:1], (2.0, 4.0)), turns)


def test_outcomes_are_counted():
    played = [(7, outcome("STEP", "DONE")), (8, outcome("DONE")), (9, outcome("STEP", "UNSURE"))]
    found = record(played)
    assert (found["episodes"], found["complete"]) == (3, 1)
    assert (found["hints"]["n"], found["hints"]["correct"], found["hints"]["accuracy"]) == (6, 3, 0.5)
    assert [(one["seed"], one["right"], one["hints"], one["complete"]) for one in found["played"]] == [
        (7, 2, 2, True),
        (8, 0, 2, False),
        (9, 1, 2, False),
    ]
    assert found["played"][1]["turns"] == [
        {"right": "PickupObject mug", "hint": "DONE", "step": "", "confidence": 0.75, "frames": [1, 2]}
    ]
    lines = table(played).splitlines()
    assert lines[1].split() == ["7", "2", "2", "yes", "pick", "up", "the", "mug"]
    assert lines[-1].startswith("1 of 3 episodes complete; 3 of 6 hints right (50.0 %")


@pytest.mark.ros
def test_the_fixed_episode_goes_from_the_goal_to_done(tmp_path, domain_of_children):
    bag = tmp_path / "bag.mcap"
    assert main(["rooms", "record", str(bag), "--episode", "--seed", str(SEED)]) == 0
    episode = json.loads((tmp_path / "bag.truth.json").read_text())["episode"]
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM, "rooms", "episodes", "--count", "1", "--seed", str(SEED), "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=os.environ | {"ROS_DOMAIN_ID": domain_of_children},
        timeout=100,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    found = json.loads(process.stdout)
    (played,) = found["played"]
    assert (played["seed"], played["goal"], found["episodes"]) == (SEED, episode["goal"], 1)
    expected = [*(step["step"] for step in episode["steps"]), "DONE"]
    assert found["hints"]["n"] == played["hints"] == len(expected)
    turns = played["turns"]
    assert [turn["right"] for turn in turns] == expected[: len(turns)]
    assert all(turn["frames"] for turn in turns)
    assert turns[-1]["hint"] == "DONE" or len(turns) == len(expected)
    right = sum(
        turn["hint"] == "DONE" if turn["right"] == "DONE" else (turn["hint"], turn["step"]) == ("STEP", turn["right"])
        for turn in turns
    )
    assert played["right"] == found["hints"]["correct"] == right
    assert found["complete"] == played["complete"] == (right == len(expected))
    assert played["complete"], turns


def test_a_node_that_does_not_come_up_is_one_clear_line(capsys, monkeypatch):
    def refuse(parameters, log):
        raise LiveError(f"no node for {parameters['model']}")

    monkeypatch.setattr(live_episodes, "live_episodes", refuse)
    assert main(["rooms", "episodes", "--count", "1"]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines()[-1] == "llava-ov: error: no node for rooms"
